/** Bytes that wait for their reader, in the order in which they came. Small pieces wait together: each alone takes a hundred bytes more. */

/** A piece of this size waits alone, as it is. */
const LARGE_PIECE_BYTES = 4096;

export class Pieces {
  readonly #whole: Buffer[] = [];
  /** The last piece, which may become longer, within the room that it has. */
  #last: Buffer | undefined;
  #lastBytes = 0;
  #bytes = 0;

  /** Bytes of all pieces. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The piece belongs to the collection now. */
  push(piece: Buffer): void {
    this.#bytes += piece.length;
    const last = this.#last;
    if (last !== undefined && this.#lastBytes + piece.length <= last.length) {
      piece.copy(last, this.#lastBytes);
      this.#lastBytes += piece.length;
      return;
    }
    this.#endLast();
    // The first one often stays alone.
    if (this.#whole.length === 0 || piece.length >= LARGE_PIECE_BYTES) {
      this.#whole.push(piece);
      return;
    }
    this.#last = Buffer.allocUnsafe(LARGE_PIECE_BYTES);
    this.#lastBytes = piece.copy(this.#last);
  }

  shift(): Buffer | undefined {
    if (this.#whole.length === 0) this.#endLast();
    const piece = this.#whole.length === 1 ? this.#whole.pop() : this.#whole.shift();
    this.#bytes -= piece?.length ?? 0;
    return piece;
  }

  /** Drops all pieces. */
  clear(): void {
    this.#whole.length = 0;
    this.#last = undefined;
    this.#bytes = 0;
  }

  #endLast(): void {
    if (this.#last !== undefined) this.#whole.push(this.#last.subarray(0, this.#lastBytes));
    this.#last = undefined;
  }
}
