/** A company's proxy: tunnels for https, whole URLs for http, and names that it alone can look up. */
import { createServer, request } from "node:http";
import { type AddressInfo, connect } from "node:net";

export interface ForwardProxy {
  /** As the environment names it. */
  readonly url: string;
  /** Of this machine, by the name and port that clients ask for. */
  readonly ports: Record<string, number>;
  /** What it was asked for, in order: `CONNECT host:port`, or a method and a URL. */
  readonly seen: readonly string[];
  /** "refuse" and "fail" answer 403 and 502 to what comes from now on. */
  does: "pass" | "refuse" | "fail";
  /** The credentials that each request must carry, as `user:password`; null: none. */
  credentials: string | null;
  close(): Promise<void>;
}

export async function startForwardProxy(ports: Record<string, number>): Promise<ForwardProxy> {
  const seen: string[] = [];
  const statusFor = (given: string | undefined): number | null => {
    const wanted = proxy.credentials === null ? undefined : `Basic ${btoa(proxy.credentials)}`;
    if (given !== wanted) return 407;
    return proxy.does === "pass" ? null : proxy.does === "refuse" ? 403 : 502;
  };
  const server = createServer({ maxHeaderSize: 64 * 1024 }, (incoming, outgoing) => {
    const { method = "", url = "", headers } = incoming;
    seen.push(`${method} ${url}`);
    const target = new URL(url);
    const status = statusFor(headers["proxy-authorization"]);
    const port = ports[`${target.hostname}:${target.port === "" ? "80" : target.port}`];
    if (status !== null || port === undefined) {
      outgoing.writeHead(status ?? 502).end();
      return;
    }
    const path = target.pathname + target.search;
    const upstream = request({ host: "127.0.0.1", port, method, path, headers: incoming.rawHeaders }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    upstream.on("error", () => outgoing.destroy());
    incoming.pipe(upstream);
  });
  server.on("connect", (incoming, client, head) => {
    seen.push(`CONNECT ${incoming.url}`);
    const status = statusFor(incoming.headers["proxy-authorization"]);
    const port = ports[incoming.url ?? ""];
    client.on("error", () => undefined);
    if (status !== null || port === undefined) {
      client.end(`HTTP/1.1 ${status ?? 502} No\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const upstream = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on("error", () => client.destroy());
    client.on("close", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  const proxy: ForwardProxy = {
    url: `http://127.0.0.1:${port}`,
    ports,
    seen,
    does: "pass",
    credentials: null,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return proxy;
}
