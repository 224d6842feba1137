/** The endpoint of a webhook: a real server on this machine that notes what it is sent, and answers as the test says. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export interface ReceivedEvent {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface EventReceiver {
  readonly url: string;
  readonly received: readonly ReceivedEvent[];
  /** The status of the answers from now on, and where they redirect to, if they do. */
  answer(status: number, location?: string): void;
  close(): Promise<void>;
}

export async function startEventReceiver(): Promise<EventReceiver> {
  const received: ReceivedEvent[] = [];
  let [status, location]: [number, string | undefined] = [200, undefined];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      received.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
      response.writeHead(status, location === undefined ? {} : { location }).end("what nobody is to see");
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  // It listens on a port.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/events`,
    received,
    answer(newStatus, newLocation) {
      [status, location] = [newStatus, newLocation];
    },
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
