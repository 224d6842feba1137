import { failure, type ErrorCode, type Failure } from "../../core/errors.ts";

/**
 * How readers and writers leave a value at any depth, here and in the JSON notation. The exported functions (`decodeV8`, `encodeV8`,
 * `storableV8`, `storedOfJson`, …) catch it and return its failure.
 */
export class Refusal extends Error {
  readonly failure: Failure;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.failure = failure(code, message);
  }
}
