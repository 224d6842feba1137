import { failure, type ErrorCode, type Failure } from "../errors.ts";

/**
 * How reader and writer leave from any depth of a value. It never gets past `decodeV8`, `encodeV8` and `storableV8`, which return
 * the failure that it carries.
 */
export class Refusal extends Error {
  readonly failure: Failure;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.failure = failure(code, message);
  }
}
