/** A web page at an origin of its own, as a static server serves it. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** Its origin, `http://localhost:…`. Ends with the test. */
export async function servePage(html: string): Promise<string> {
  const server = createServer((request, response) => {
    const isPage = request.url?.replace(/[?#].*/, "") === "/";
    response.writeHead(isPage ? 200 : 404, { "content-type": "text/html; charset=utf-8" }).end(isPage ? html : "");
  });
  server.listen(0, "localhost");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  // Of a server on TCP.
  return `http://localhost:${(server.address() as AddressInfo).port}`;
}
