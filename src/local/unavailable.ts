/** What clients are told while no server process runs behind the front. */

export const unavailableSentence = "The database server is starting. Send the request again in a moment.\n";

export const unavailableHeaders = { "content-type": "text/plain; charset=utf-8", "retry-after": "1" } as const;

/** The same as a whole HTTP/1.1 answer, after which the connection is closed. */
export const unavailableResponse = [
  "HTTP/1.1 503 Service Unavailable",
  ...Object.entries(unavailableHeaders).map(([name, value]) => `${name}: ${value}`),
  `content-length: ${Buffer.byteLength(unavailableSentence)}`,
  "connection: close",
  "",
  unavailableSentence,
].join("\r\n");
