/** Requests that may come again. */

/** The same key with the same fingerprint is the same request, for a day. With another fingerprint it is a conflict. */
export interface Idempotency {
  readonly key: string;
  /** A digest of the request. */
  readonly fingerprint: string;
}
