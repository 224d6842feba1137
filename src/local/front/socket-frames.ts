/**
 * Follows the frames of a WebSocket that the front passes on, one object for each direction. The front needs two things of them: how
 * large the message is that has begun, because the server process holds it until it ends; and whether a close frame has passed. What is no
 * WebSocket frame is for the server process to judge.
 */
import { SOCKET_PIECE_BYTES, SOCKET_PIECE_FRAMES } from "../../core/limits.ts";
import { headBytes, payloadBytes } from "./frame-head.ts";

const MAX_HEAD_BYTES = 14;

const CLOSE = 8;
/** Frames from here on are for the connection. They may stand between the frames of a message. */
const FIRST_CONTROL = 8;

export class SocketFrames {
  readonly #head = Buffer.alloc(MAX_HEAD_BYTES);
  #headBytes = 0;
  /** Bytes of the frame's payload that are still to come. */
  #left = 0;
  #endsMessage = false;
  #isControl = false;
  #unfinished = 0;
  #isClose = false;
  #hasClosed = false;

  /** Bytes of the message that has begun and has not ended. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** Whether a close frame has passed as a whole. */
  get hasClosed(): boolean {
    return this.#hasClosed;
  }

  /**
   * Follows the bytes, up to the end of the frame that completes a piece (`SOCKET_PIECE_BYTES`). Returns how many bytes it has followed, and
   * which part of a complete piece they are, by their number or by that of their frames.
   */
  passSome(bytes: Buffer): { readonly length: number; readonly part: number } {
    let frames = 0;
    const length = this.#pass(bytes, (at) => ++frames === SOCKET_PIECE_FRAMES || at >= SOCKET_PIECE_BYTES);
    const part = Math.max(1, frames) / SOCKET_PIECE_FRAMES;
    return { length, part: Math.max(part, Math.min(1, length / SOCKET_PIECE_BYTES)) };
  }

  pass(bytes: Buffer): void {
    this.#pass(bytes, () => false);
  }

  /** `isEnough` is asked at the end of each frame. */
  #pass(bytes: Buffer, isEnough: (at: number) => boolean): number {
    for (let at = 0; at < bytes.length;) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, bytes.length - at);
        this.#left -= taken;
        at += taken;
        if (!this.#isControl) this.#unfinished += taken;
      } else {
        this.#head[this.#headBytes++] = bytes[at++] ?? 0;
        // The length of the head is known from its second byte on.
        if (this.#headBytes < 2 || this.#headBytes < headBytes(this.#head[1] ?? 0)) continue;
        this.#begin();
      }
      if (this.#left > 0 || this.#headBytes > 0) continue;
      this.#end();
      if (isEnough(at)) return at;
    }
    return bytes.length;
  }

  /** The head is complete. */
  #begin(): void {
    const [first = 0] = this.#head;
    this.#left = payloadBytes(this.#head);
    const opcode = first & 0x0f;
    this.#isControl = opcode >= FIRST_CONTROL;
    this.#endsMessage = !this.#isControl && (first & 0x80) !== 0;
    if (!this.#isControl) this.#unfinished += this.#headBytes;
    this.#headBytes = 0;
    this.#isClose = opcode === CLOSE;
  }

  /** The frame is complete. */
  #end(): void {
    if (this.#endsMessage) this.#unfinished = 0;
    this.#endsMessage = false;
    if (this.#isClose) this.#hasClosed = true;
  }
}
