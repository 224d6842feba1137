/** What the front answers by itself, over either protocol. */

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
  // It says nothing that a stranger is not told, so a page may read it and wait.
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

/** More connections and requests under way than the server process has room for. */
export const crowdedRefusal: Refusal = {
  status: 503,
  reason: "Service Unavailable",
  headers: AGAIN,
  sentence: "There are too many connections at once. Send the request again in a moment.\n",
};

/** Nothing here is a proxy. */
export const connectRefusal: Refusal = {
  status: 405,
  reason: "Method Not Allowed",
  headers: { ...TEXT, allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" },
  sentence: "CONNECT is not allowed here.\n",
};

/** A whole HTTP/1.1 answer, after which the connection is closed. */
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
