/**
 * The file in a multipart form (RFC 7578), piece by piece: the form's one part. Nothing is held except what may be the beginning of the part's
 * end. A form with another part, or one that breaks off, is refused.
 */
import { concatBytes } from "../../core/bytes.ts";
import { MAX_FORM_PART_HEAD_BYTES } from "../../core/archive-limits.ts";
import { failure, type Failure } from "../../core/errors.ts";

const encoder = new TextEncoder();

/** A body that is not what it claims to be, or does not come. It is thrown through the stream of the body. */
export class BrokenBody extends Error {
  readonly why: Failure;

  constructor(why: Failure) {
    super(why.message);
    this.why = why;
  }
}

function broken(message: string): never {
  throw new BrokenBody(failure("invalid", message));
}

/** The boundary that a content type names. null: it is no multipart form. */
export function boundaryOf(contentType: string | null): string | null | Failure {
  if (contentType === null || !/^multipart\/form-data\b/i.test(contentType)) return null;
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? [];
  return (
    quoted ??
    plain ??
    failure("invalid", "The content type multipart/form-data names no boundary of 1 to 70 characters.")
  );
}

/** Gives the bytes of the one part, and null at the form's end. `next` gives those of the form in the same way. */
export function fileOfForm(next: () => Promise<Uint8Array | null>, boundary: string): () => Promise<Uint8Array | null> {
  const opening = encoder.encode(`--${boundary}`);
  const closing = encoder.encode(`\r\n--${boundary}`);
  const file = new FormFile(next);
  let begun = false;
  return async () => {
    if (!begun) await file.skipHead(opening);
    begun = true;
    return file.until(closing);
  };
}

class FormFile {
  readonly #next: () => Promise<Uint8Array | null>;
  #held: Uint8Array = new Uint8Array();

  constructor(next: () => Promise<Uint8Array | null>) {
    this.#next = next;
  }

  /** Goes to the first byte of the file. */
  async skipHead(opening: Uint8Array): Promise<void> {
    const end = encoder.encode("\r\n\r\n");
    let at = indexOf(this.#held, end);
    for (; at === -1 && this.#held.length <= MAX_FORM_PART_HEAD_BYTES; at = indexOf(this.#held, end))
      await this.#more();
    if (at === -1 || at > MAX_FORM_PART_HEAD_BYTES) {
      broken(`The head of the form's part has more than ${MAX_FORM_PART_HEAD_BYTES} bytes.`);
    }
    if (indexOf(this.#held.subarray(0, opening.length), opening) !== 0) {
      broken("The form does not begin with its boundary.");
    }
    this.#held = this.#held.subarray(at + end.length);
  }

  /** The next bytes of the file. null: the file and the form have ended. */
  async until(closing: Uint8Array): Promise<Uint8Array | null> {
    for (;;) {
      const at = indexOf(this.#held, closing);
      if (at === 0) return this.#end(closing);
      // Behind this, the held bytes may be the beginning of the end.
      const safe = at === -1 ? this.#held.length - closing.length + 1 : at;
      if (safe > 0) {
        const piece = this.#held.subarray(0, safe);
        this.#held = this.#held.subarray(safe);
        return piece;
      }
      await this.#more();
    }
  }

  async #end(closing: Uint8Array): Promise<null> {
    while (this.#held.length < closing.length + 2) await this.#more();
    const [first, second] = this.#held.subarray(closing.length);
    if (first !== HYPHEN || second !== HYPHEN) {
      broken("The form has more than one part: send the file alone, without other fields.");
    }
    // What follows the end is nothing, or a line break.
    for (let piece = await this.#next(); piece !== null; piece = await this.#next());
    return null;
  }

  async #more(): Promise<void> {
    const piece = await this.#next();
    if (piece === null) broken("The form breaks off before its end.");
    this.#held = concatBytes([this.#held, piece]);
  }
}

const HYPHEN = 0x2d;

/** -1: it is not there. */
function indexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  const [first = 0] = wanted;
  for (
    let at = bytes.indexOf(first);
    at !== -1 && at + wanted.length <= bytes.length;
    at = bytes.indexOf(first, at + 1)
  ) {
    let same = 1;
    while (same < wanted.length && bytes[at + same] === wanted[same]) same += 1;
    if (same === wanted.length) return at;
  }
  return -1;
}
