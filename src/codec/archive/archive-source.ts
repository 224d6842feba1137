/** The bytes of an archive as they come, in pieces of any size, taken in the sizes that the format asks for. */
import { concatBytes } from "../../core/bytes.ts";

export type BytePieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export class ArchiveSource {
  readonly #pieces: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();
  #ended = false;
  /** How many bytes were taken, and those before the first one. */
  offset: number;

  /** `offset`: the place in the file of the first byte that comes. */
  constructor(pieces: BytePieces, offset = 0) {
    this.#pieces = Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
    this.offset = offset;
  }

  /** The next bytes: as many as asked for, or fewer when the file ends before. Not more than these are kept, and one piece. */
  async take(length: number): Promise<Uint8Array> {
    const taken: Uint8Array[] = [];
    let missing = length;
    while (missing > 0) {
      if (this.#rest.length === 0 && !(await this.#next())) break;
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      taken.push(part);
    }
    this.offset += length - missing;
    return taken.length === 1 && taken[0] !== undefined ? taken[0] : concatBytes(taken);
  }

  /** Tells the giver of the bytes that no more are wanted. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#pieces.return?.();
  }

  async #next(): Promise<boolean> {
    if (this.#ended) return false;
    const { value, done } = await this.#pieces.next();
    if (done === true) this.#ended = true;
    else this.#rest = value;
    return !this.#ended;
  }
}
