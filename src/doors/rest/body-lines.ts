/** The lines of a body as they come: LF or CRLF. The last line may have no end. */
import { concatBytes } from "../../core/bytes.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_IMPORT_LINE_BYTES } from "../../core/limits.ts";
import type { BodyPieces } from "../http/request-body.ts";

/** The text of one line, or why it has none. */
export type Line = string | Failure;

const TOO_LONG = failure("limit", `The line has more than ${MAX_IMPORT_LINE_BYTES} bytes, which is the limit.`);
const NOT_UTF8 = failure("invalid", "The line is not text in UTF-8.");

const LINE_FEED = 0x0a;

/** Lines that came together. null: the body has ended. Holds one line and one piece of the body in memory. */
export class BodyLines {
  readonly #pieces: BodyPieces;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** The parts of a line whose end has not come. */
  #parts: Uint8Array[] = [];
  #length = 0;
  #ended = false;
  #refusal: ((first: Uint8Array) => Failure | undefined) | null;

  /** `refusal`: why a body that begins with these bytes is not read at all. */
  constructor(pieces: BodyPieces, refusal: (first: Uint8Array) => Failure | undefined) {
    this.#pieces = pieces;
    this.#refusal = refusal;
  }

  /** "invalid" when the rest does not come in time. Rejects when the body breaks off. */
  async next(): Promise<readonly Line[] | null | Failure> {
    if (this.#ended) return null;
    const piece = await this.#pieces.next();
    if (piece !== null && isFailure(piece)) return piece;
    const refused = this.#refusal?.(piece ?? new Uint8Array(0));
    this.#refusal = null;
    if (refused !== undefined) return refused;
    if (piece === null) {
      this.#ended = true;
      return this.#length === 0 ? null : [this.#take(new Uint8Array(0))];
    }
    const end = piece.lastIndexOf(LINE_FEED);
    if (end === -1) {
      this.#keep(piece);
      return [];
    }
    const lines: Line[] = [];
    let from = 0;
    if (this.#length > 0) {
      from = piece.indexOf(LINE_FEED) + 1;
      lines.push(this.#take(piece.subarray(0, from - 1)));
    }
    if (end >= from) lines.push(...this.#textOf(piece.subarray(from, end)));
    this.#keep(piece.subarray(end + 1));
    return lines;
  }

  /** Decodes all lines at once where all of them are text, which is faster. */
  #textOf(whole: Uint8Array): readonly Line[] {
    const text = this.#decoded(whole);
    if (typeof text === "string") return text.split("\n");
    const lines: Line[] = [];
    for (let from = 0; from <= whole.length;) {
      const next = whole.indexOf(LINE_FEED, from);
      const to = next === -1 ? whole.length : next;
      lines.push(this.#decoded(whole.subarray(from, to)));
      from = to + 1;
    }
    return lines;
  }

  #keep(part: Uint8Array): void {
    this.#length += part.length;
    // A line that is too long is not kept, only counted.
    if (this.#length > MAX_IMPORT_LINE_BYTES) this.#parts = [];
    else if (part.length > 0) this.#parts.push(part);
  }

  #take(last: Uint8Array): Line {
    this.#keep(last);
    const line = this.#length > MAX_IMPORT_LINE_BYTES ? TOO_LONG : this.#decoded(concatBytes(this.#parts));
    this.#parts = [];
    this.#length = 0;
    return line;
  }

  #decoded(bytes: Uint8Array): Line {
    try {
      return this.#decoder.decode(bytes);
    } catch {
      return NOT_UTF8;
    }
  }
}
