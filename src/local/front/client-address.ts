/** Where a request came from, for the door whose errors show it (`doors/documents/cdb-error.ts`), in the header that Cloudflare sets. */
import type { Client } from "./client.ts";
import type { ServerRequest } from "./server-connection.ts";

const HEADER = "cf-connecting-ip";
const PATH = "/cdb";

/** The request with the address of its client in place of what the client itself says. Requests of other doors stay as they are. */
export function withAddress(client: Client): ServerRequest {
  const { method, path, body } = client;
  const { remoteAddress } = client.connection.socket;
  if (path.split("?", 1)[0] !== PATH || remoteAddress === undefined) return client;
  const pairs = client.headers;
  const others = pairs.filter((_, i) => pairs[i - (i % 2)]?.toLowerCase() !== HEADER);
  return { method, path, body, headers: [...others, HEADER, remoteAddress.replace(/^::ffff:/i, "")] };
}
