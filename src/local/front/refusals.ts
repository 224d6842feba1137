/** The answers of the front itself, over either protocol. */
import { MAX_REQUEST_HEAD_BYTES } from "../../core/limits.ts";

export interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly sentence: string;
}

const TEXT = { "content-type": "text/plain; charset=utf-8" } as const;
const AGAIN = {
  ...TEXT,
  "retry-after": "1",
  // The answer says only what every stranger may know, so a page may read it and wait.
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "retry-after",
} as const;

/** While no server process runs behind the front. */
export const unavailableRefusal: Refusal = {
  status: 503,
  reason: "Service Unavailable",
  headers: AGAIN,
  sentence: "The database server is starting. Send the request again in a moment.\n",
};

/** When more connections and requests are under way than the server process has room for. */
export const crowdedRefusal: Refusal = {
  status: 503,
  reason: "Service Unavailable",
  headers: AGAIN,
  sentence: "There are too many connections at once. Send the request again in a moment.\n",
};

/** When more databases are in use than the server process can have open. */
export const manyDatabasesRefusal: Refusal = {
  status: 503,
  reason: "Service Unavailable",
  headers: AGAIN,
  sentence: "There are too many databases in use at once. Send the request again in a moment.\n",
};

/** When the rest of a request did not come. */
export const lateRefusal: Refusal = {
  status: 408,
  reason: "Request Timeout",
  headers: TEXT,
  sentence:
    "The rest of the request did not come in time: nothing of it for 30 seconds, or less than 1 KiB a second.\n",
};

export const malformedRefusal: Refusal = {
  status: 400,
  reason: "Bad Request",
  headers: TEXT,
  sentence: "The request is not HTTP as RFC 9112 has it: its first line, a header or its body is malformed.\n",
};

export const largeHeadRefusal: Refusal = {
  status: 431,
  reason: "Request Header Fields Too Large",
  headers: TEXT,
  sentence: `The headers of the request are too large; at most ${MAX_REQUEST_HEAD_BYTES / 1024} KiB are allowed.\n`,
};

export const codingRefusal: Refusal = {
  status: 501,
  reason: "Not Implemented",
  headers: TEXT,
  sentence: "The transfer coding of the request is not known here; send it chunked, or with a content-length.\n",
};

/** This server is no proxy. */
export const connectRefusal: Refusal = {
  status: 405,
  reason: "Method Not Allowed",
  headers: { ...TEXT, allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" },
  sentence: "CONNECT is not allowed here.\n",
};

/** A complete HTTP/1.1 answer, after which the connection is closed. */
export function wholeAnswer({ status, reason, headers, sentence }: Refusal): string {
  return [
    `HTTP/1.1 ${status} ${reason}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(sentence)}`,
    "connection: close",
    "",
    sentence,
  ].join("\r\n");
}
