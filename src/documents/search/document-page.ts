/**
 * Many documents as one value of SQLite, as `engine/row-page.ts` has rows, with less of each: the ids, the value and its encoding. Each
 * begins with a decimal number that holds the bytes of the ids, the encoding, and the bytes of the value; and a semicolon. The ids follow,
 * then the value. Of a large value, which is left out, the number holds the id in `large_values`.
 */
import { assert } from "../../core/assert.ts";
import type { Encoding } from "../../core/operations.ts";

/** More than the bytes of any ids. */
const IDS = 4096;
const ENCODINGS = 4;
/** Inline, or large. */
const PLACES = 2;

/** The SQL expression for one document: `h` has the ids, `e` is the entry. They are to be concatenated in order and cast to a blob. */
export const DOCUMENT_IN_PAGE = `(iif(e.large IS NULL, ${PLACES} * length(e.v), ${PLACES} * e.large + 1) * ${IDS * ENCODINGS} + length(h.ids) * ${ENCODINGS} + e.encoding)
  || ';' || h.ids || ifnull(e.v, '')`;

const ZERO = 0x30;
const SEMICOLON = 0x3b;

/** Reads a page from its start. Ids and values are views of the page. */
export class DocumentPage {
  readonly #bytes: Uint8Array;
  #at = 0;
  ids: Uint8Array = NOTHING;
  /** null: it is large. */
  value: Uint8Array | null = null;
  /** The id of a large value. */
  large = 0;
  encoding: Encoding = 1;

  constructor(page: ArrayBuffer | null) {
    this.#bytes = page === null ? NOTHING : new Uint8Array(page);
  }

  /** Goes on to the next document. false: there is none. */
  next(): boolean {
    const bytes = this.#bytes;
    if (this.#at === bytes.length) return false;
    let at = this.#at;
    let head = 0;
    for (let byte = bytes[at++]; byte !== SEMICOLON; byte = bytes[at++]) {
      assert(byte !== undefined, "a page to end with a document");
      head = head * 10 + byte - ZERO;
    }
    // Only the expression above writes it, from a column of this type.
    this.encoding = (head % ENCODINGS) as Encoding;
    const rest = Math.floor(head / ENCODINGS);
    const valueAt = at + (rest % IDS);
    this.ids = bytes.subarray(at, valueAt);
    const place = Math.floor(rest / IDS);
    const isLarge = place % PLACES === 1;
    this.large = Math.floor(place / PLACES);
    this.#at = isLarge ? valueAt : valueAt + this.large;
    this.value = isLarge ? null : bytes.subarray(valueAt, this.#at);
    return true;
  }
}

const NOTHING = new Uint8Array();
