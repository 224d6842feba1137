/** Errors as problem details (RFC 9457), with a `code` that programs can rely on. For /api, and for every door with a JSON of its own. */
import { unreachable } from "../../core/assert.ts";
import type { ErrorCode, Failure } from "../../core/errors.ts";
import { type HttpAnswer, responseOf } from "./answers.ts";
import { refusalHeaders } from "./refusal-headers.ts";

/** What a problem says besides its code and its sentence. */
export interface ProblemDetails {
  /** In place of the status and the title of the code. */
  readonly as?: readonly [status: number, title: string];
  readonly members?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export function problem(refusal: Failure, details?: ProblemDetails): Response {
  return responseOf(problemAnswer(refusal, details));
}

export function problemAnswer(refusal: Failure, { as, members, headers }: ProblemDetails = {}): HttpAnswer {
  const { code, message, oldest } = refusal;
  const [status, title] = as ?? statusAndTitle(code);
  return {
    status,
    headers: { "content-type": "application/problem+json", ...refusalHeaders(refusal), ...headers },
    text: JSON.stringify({ type: "about:blank", title, status, detail: message, code, oldest, ...members }),
  };
}

function statusAndTitle(code: ErrorCode): [number, string] {
  switch (code) {
    case "invalid":
    case "limit":
    case "type-mismatch":
      return [400, "Bad Request"];
    case "unauthenticated":
      return [401, "Unauthorized"];
    case "forbidden":
    case "forbidden-origin":
      return [403, "Forbidden"];
    case "not-found":
      return [404, "Not Found"];
    case "conflict":
      return [409, "Conflict"];
    case "precondition-failed":
      return [412, "Precondition Failed"];
    case "too-old":
      return [410, "Gone"];
    case "insufficient-storage":
      return [507, "Insufficient Storage"];
    case "unavailable":
      return [503, "Service Unavailable"];
    case "unsupported":
      return [501, "Not Implemented"];
    case "internal":
      return [500, "Internal Server Error"];
    default:
      return unreachable(code);
  }
}
