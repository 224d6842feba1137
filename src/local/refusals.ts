/** What the front answers by itself, over either protocol. */
import type { OutgoingHttpHeaders } from "node:http";

/** While no server process runs behind the front. */
export const unavailableSentence = "The database server is starting. Send the request again in a moment.\n";
export const unavailableHeaders = {
  "content-type": "text/plain; charset=utf-8",
  "retry-after": "1",
  // It says nothing that a stranger is not told, so a page may read it and wait.
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "retry-after",
} as const;

/** More connections and requests under way than the server process has room for. */
export const crowdedSentence = "There are too many connections at once. Send the request again in a moment.\n";

/** Nothing here is a proxy. */
export const connectRefusedSentence = "CONNECT is not allowed here.\n";
export const connectRefusedHeaders = {
  "content-type": "text/plain; charset=utf-8",
  allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
} as const;

export const unavailableResponse = response("503 Service Unavailable", unavailableHeaders, unavailableSentence);
export const crowdedResponse = response("503 Service Unavailable", unavailableHeaders, crowdedSentence);
export const connectRefusedResponse = response("405 Method Not Allowed", connectRefusedHeaders, connectRefusedSentence);

/** A whole HTTP/1.1 answer, after which the connection is closed. */
function response(status: string, headers: OutgoingHttpHeaders, sentence: string): string {
  return [
    `HTTP/1.1 ${status}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`),
    `content-length: ${Buffer.byteLength(sentence)}`,
    "connection: close",
    "",
    sentence,
  ].join("\r\n");
}
