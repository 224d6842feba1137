/** Randomness is passed in, as time is. Only `objects/` calls the real one. */
export interface Entropy {
  /** Bytes that nobody can guess. */
  bytes(length: number): Uint8Array<ArrayBuffer>;
  /** A random UUID, in lower case. */
  uuid(): string;
}
