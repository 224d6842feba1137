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
  /** The credentials are good and do not allow this request. */
  | "forbidden"
  /** The credentials are good, and a web page of this origin may not use them. */
  | "forbidden-origin"
  /** There is no such thing, or these credentials may not learn of it. */
  | "not-found"
  /** The thing exists already, or something that excludes this request is under way. */
  | "conflict"
  /** The condition that the request itself carries does not hold. Nothing was written. */
  | "precondition-failed"
  /** What is asked for is not kept from so far back. The failure says from where on it is kept. */
  | "too-old"
  /** There is no room for what the request would store: on the disk, or in the database. What is stored can still be read. */
  | "insufficient-storage"
  /** The request cannot be answered now (switching, restoring, starting). The same request may be sent again. */
  | "unavailable"
  /** The request is well-formed, and Cairn does not offer what it asks for. */
  | "unsupported"
  /** A bug of ours. */
  | "internal";

export interface Failure {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly message: string;
  /** With "too-old": the oldest versionstamp from which it is kept, 20 hex digits. */
  readonly oldest?: string;
}

/** All codes: a new one is a type error here until it has a row. */
export const ERROR_CODES: Readonly<Record<ErrorCode, true>> = {
  invalid: true,
  limit: true,
  "type-mismatch": true,
  unauthenticated: true,
  forbidden: true,
  "forbidden-origin": true,
  "not-found": true,
  conflict: true,
  "precondition-failed": true,
  "too-old": true,
  "insufficient-storage": true,
  unavailable: true,
  unsupported: true,
  internal: true,
};

/** For a code from elsewhere: a later version may have more codes. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}

/** The message gets exactly one full stop at its end, whatever text it was made from. */
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

/** The text with one full stop at its end, unless it ends with a question mark, an exclamation mark or an ellipsis. */
export function asSentence(text: string): string {
  const said = text.replace(/[\s.]+$/, "");
  return /[?!…]$/.test(said) ? said : `${said}.`;
}
