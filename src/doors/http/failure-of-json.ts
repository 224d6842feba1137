/** Failures in the form in which objects send them, through `fetch` and on sockets. */
import { type ErrorCode, failure, type Failure } from "../../core/errors.ts";

/** Reads a failure that an object has sent: JSON, in a text frame or in the body of a response. */
export function failureOfJson(text: string): Failure {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && "code" in value && "message" in value) {
      // Only our own objects write these, from a Failure.
      return failure(value.code as ErrorCode, String(value.message));
    }
  } catch {
    // The text is not JSON. It is handled below, like any other text that is no failure.
  }
  return failure("internal", "The database answered in a way that this server does not understand.");
}
