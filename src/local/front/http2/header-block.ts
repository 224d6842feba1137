/** A header block, which may come in several frames (RFC 9113, section 4.3). */
import { MAX_REQUEST_HEAD_BYTES } from "../../../core/limits.ts";

/** A header block has as many bytes as its fields, or fewer, and some for names that a client need not send. */
const MAX_BLOCK_BYTES = 2 * MAX_REQUEST_HEAD_BYTES;

/** Frames of one header block. Two are enough for its bytes. */
const MAX_BLOCK_FRAMES = 8;

export class HeaderBlock {
  readonly stream: number;
  readonly endsStream: boolean;
  /** How long its end has been waited for. */
  waitedMs = 0;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(stream: number, endsStream: boolean) {
    this.stream = stream;
    this.endsStream = endsStream;
  }

  /** A frame's part of the block. Returns the whole block after its last part: it may be a view of the fragment. */
  take(fragment: Buffer, isLast: boolean): Buffer | "more" | "too large" {
    if (isLast && this.#pieces.length === 0) return fragment;
    this.#bytes += fragment.length;
    // The fragment may be a view of what is read next.
    this.#pieces.push(Buffer.from(fragment));
    if (this.#bytes > MAX_BLOCK_BYTES || this.#pieces.length > MAX_BLOCK_FRAMES) return "too large";
    return isLast ? Buffer.concat(this.#pieces) : "more";
  }
}
