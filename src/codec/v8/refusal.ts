import { failure, type ErrorCode, type Failure } from "../../core/errors.ts";

/**
 * How readers and writers leave from any depth of a value, here and in the JSON notation. It never gets past the functions that
 * they offer (`decodeV8`, `encodeV8`, `storableV8`, `storedOfJson`, …), which return the failure that it carries.
 */
export class Refusal extends Error {
  readonly failure: Failure;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.failure = failure(code, message);
  }
}
