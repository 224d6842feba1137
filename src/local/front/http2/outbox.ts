/** What a connection sends: frames gather while one thing that has come is handled, and go to the system together. */
import type { Socket } from "node:net";

export class Outbox {
  readonly #socket: Socket;
  #frames: Buffer[] = [];
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

  add(frame: Buffer): void {
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  write(): void {
    const [first, ...more] = this.#frames;
    if (first === undefined || this.#socket.destroyed) return;
    this.#frames = [];
    this.#bytes = 0;
    this.#socket.write(more.length === 0 ? first : Buffer.concat([first, ...more]));
  }

  /** To be called every second or so. */
  check(elapsedMs: number): void {
    const taken = this.#socket.bytesWritten - this.#socket.writableLength;
    this.#untakenMs = this.untaken > 0 && taken === this.#taken ? this.#untakenMs + elapsedMs : 0;
    this.#taken = taken;
  }
}
