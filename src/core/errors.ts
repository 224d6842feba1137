/**
 * The closed set of ways in which a request can fail. Inside, a failure is a value with one of these codes and a sentence that
 * says what was wrong, where, and what to do; each door maps the codes to its own wire form in one exhaustive switch.
 */
export type ErrorCode =
  /** The request is not well-formed: bytes, types, ranges, encodings. */
  | "invalid"
  /** A documented limit was passed; the message names it and the offending size. */
  | "limit"
  /** A stored value and an operand do not fit each other. */
  | "type-mismatch"
  /** No credentials, or credentials that are wrong, expired or revoked. */
  | "unauthenticated"
  /** The credentials are good and do not allow this. */
  | "forbidden"
  /** The credentials are good, and a web page of this origin may not use them. */
  | "forbidden-origin"
  /** No such thing, or none that these credentials may know of. */
  | "not-found"
  /** It exists already, or something that excludes it is under way. */
  | "conflict"
  /** There is no room for what the request would store: on the disk, or in the database. What is stored can still be read. */
  | "insufficient-storage"
  /** It cannot be answered now (switching, restoring, starting): the same request may be sent again. */
  | "unavailable"
  /** The request is well-formed and we do not do that. */
  | "unsupported"
  /** A bug of ours. */
  | "internal";

export interface Failure {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly message: string;
}

/** The message ends with exactly one full stop, whatever it was put together from. */
export function failure(code: ErrorCode, message: string): Failure {
  return { ok: false, code, message: asSentence(message) };
}

/**
 * Whether a value is a failure of any kind: a `Failure`, a destination's failure, a damaged object. For values whose success has no member
 * `ok`; where it has one, read that member instead. A `Response` is never a failure: its `ok` is a getter, and says only what its status is.
 */
export function isFailure<T>(value: T): value is Extract<T, { readonly ok: false }> {
  return (
    typeof value === "object" && value !== null && "ok" in value && Object.hasOwn(value, "ok") && value.ok === false
  );
}

/** With one full stop at its end, unless it ends with a question mark or breaks off. */
export function asSentence(text: string): string {
  const said = text.replace(/[\s.]+$/, "");
  return /[?!…]$/.test(said) ? said : `${said}.`;
}
