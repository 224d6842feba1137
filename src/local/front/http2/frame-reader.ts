/** Cuts what comes on a connection into frames (RFC 9113, section 4.1). While the connection has to wait, nothing is read from its socket. */
import type { Socket } from "node:net";
import { ErrorCode, FRAME_HEAD_BYTES, MAX_FRAME_BYTES, PREFACE } from "./protocol.ts";

/** `payload`: a view, until the handler returns. */
export type FrameHandler = (type: number, flags: number, stream: number, payload: Buffer) => void;

export interface FrameReaderParts {
  readonly socket: Socket;
  readonly take: FrameHandler;
  /** The connection cannot go on. */
  readonly fail: (code: ErrorCode) => void;
  readonly isOver: () => boolean;
  /** Whether the next frame must wait. Later `goOn` is called. */
  readonly mustWait: () => boolean;
}

export class FrameReader {
  readonly #parts: FrameReaderParts;
  #prefaceLeft = PREFACE.length;
  /** Bytes that were not handled yet. */
  #rest: Buffer = NO_BYTES;
  /** Nothing is read at present. */
  #isHeld = false;

  constructor(parts: FrameReaderParts) {
    this.#parts = parts;
  }

  receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const skipped = Math.min(this.#prefaceLeft, bytes.length);
    this.#prefaceLeft -= skipped;
    this.#rest = skipped === 0 ? bytes : bytes.subarray(skipped);
    this.#takeFrames();
  }

  /** Handles what has waited, if it need not wait any longer. */
  goOn(): void {
    if (this.#isHeld) this.#takeFrames();
  }

  #takeFrames(): void {
    const { take, fail, isOver, mustWait } = this.#parts;
    const bytes = this.#rest;
    let at = 0;
    let needsMore = false;
    while (!isOver() && !mustWait()) {
      const from = at + FRAME_HEAD_BYTES;
      const length = bytes.length < from ? 0 : bytes.readUIntBE(at, 3);
      if (length > MAX_FRAME_BYTES) return fail(ErrorCode.frameSizeError);
      needsMore = bytes.length < from + length;
      if (needsMore) break;
      const [type = 0, flags = 0] = [bytes[at + 3], bytes[at + 4]];
      const stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
      at = from + length;
      take(type, flags, stream, bytes.subarray(from, at));
    }
    if (isOver()) return;
    // A copy of the part of a frame: a view would keep all that came with it, for as long as the client likes.
    const rest = at === bytes.length ? NO_BYTES : bytes.subarray(at);
    this.#rest = needsMore && rest.length > 0 ? Buffer.from(rest) : rest;
    this.#hold(!needsMore);
  }

  #hold(isHeld: boolean): void {
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.#parts.socket.pause();
    else this.#parts.socket.resume();
  }
}

const NO_BYTES = Buffer.alloc(0);
