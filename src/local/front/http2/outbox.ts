/** What a connection sends: frames gather while one thing that has come is handled, and go to the system together. */
import type { Socket } from "node:net";
import { FRAME_HEAD_BYTES, writeFrameHead } from "./protocol.ts";

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

export class Outbox {
  readonly #socket: Socket;
  #frames: Frame[] = [];
  #bytes = 0;
  /** Bytes that the client has taken. */
  #taken = 0;
  #untakenMs = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes that wait for the client to take them, after they have left their streams. */
  get untaken(): number {
    return this.#socket.writableLength + this.#bytes;
  }

  /** How long the client has taken nothing of what waits for it. */
  get untakenMs(): number {
    return this.#untakenMs;
  }

  /** `payload`: must stay as it is. */
  add(type: number, flags: number, stream: number, payload: Uint8Array): void {
    this.#frames.push({ type, flags, stream, payload });
    this.#bytes += FRAME_HEAD_BYTES + payload.length;
  }

  write(): void {
    if (this.#bytes === 0 || this.#socket.destroyed) return;
    const bytes = Buffer.allocUnsafe(this.#bytes);
    let at = 0;
    for (const { type, flags, stream, payload } of this.#frames) {
      writeFrameHead(bytes, at, type, flags, stream, payload.length);
      bytes.set(payload, at + FRAME_HEAD_BYTES);
      at += FRAME_HEAD_BYTES + payload.length;
    }
    this.#frames = [];
    this.#bytes = 0;
    this.#socket.write(bytes);
  }

  /** To be called every second or so. */
  check(elapsedMs: number): void {
    const taken = this.#socket.bytesWritten - this.#socket.writableLength;
    this.#untakenMs = this.untaken > 0 && taken === this.#taken ? this.#untakenMs + elapsedMs : 0;
    this.#taken = taken;
  }
}
