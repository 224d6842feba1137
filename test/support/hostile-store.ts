/** What calls itself an S3 store and answers whatever a test says, byte for byte as it says. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";

export interface StoreRequest {
  readonly method: string;
  /** With its query, as sent. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export interface StoreAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** The body goes out in chunks of so many bytes, without its length; all at once with it, if left out. */
  readonly chunkBytes?: number;
}

export interface HostileStore {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly seen: readonly StoreRequest[];
  close(): Promise<void>;
}

/** "hang": the request is never answered. */
export async function startHostileStore(
  answer: (request: StoreRequest) => StoreAnswer | "hang",
): Promise<HostileStore> {
  const seen: StoreRequest[] = [];
  const server = createServer({ maxHeaderSize: 64 * 1024 }, (incoming, outgoing) => {
    const parts: Buffer[] = [];
    incoming.on("data", (part: Buffer) => parts.push(part));
    incoming.on("end", () => {
      const { method = "", url: path = "", headers } = incoming;
      const request = { method, path, headers, body: Buffer.concat(parts) };
      seen.push(request);
      const given = answer(request);
      if (given !== "hang") send(outgoing, given).catch(() => outgoing.destroy());
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    seen,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

async function send(outgoing: ServerResponse, { status = 200, headers = {}, body = "", chunkBytes }: StoreAnswer) {
  const bytes = Buffer.from(body);
  if (chunkBytes === undefined) {
    outgoing.writeHead(status, { "content-length": String(bytes.length), ...headers });
    outgoing.end(bytes);
    return;
  }
  outgoing.writeHead(status, headers);
  for (let at = 0; at < bytes.length && !outgoing.destroyed; at += chunkBytes) {
    if (!outgoing.write(bytes.subarray(at, at + chunkBytes))) await nextTurn();
  }
  outgoing.end();
}

export const s3Error = (status: number, code: string): StoreAnswer => ({
  status,
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>secret words</Message></Error>`,
});
