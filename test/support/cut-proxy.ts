/** A TCP proxy that is the network between a client and a server, and can be cut. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";

export interface CutProxy {
  readonly port: number;
  /** Connections break off, and no new one comes about. */
  cut(): void;
  /** Nothing passes any more in either direction, and neither side is told. */
  swallow(): void;
  /** How much was swallowed so far. */
  swallowedBytes(): number;
  /** New connections pass again. Those that were swallowed are gone for good. */
  mend(): void;
  close(): Promise<void>;
}

export async function startCutProxy(targetPort: number): Promise<CutProxy> {
  let state: "whole" | "cut" | "swallows" = "whole";
  let swallowed = 0;
  const sockets = new Set<Socket>();
  const hold = (socket: Socket): void => {
    sockets.add(socket);
    // What breaks off is what the proxy is for; `close` follows.
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  };
  const breakAll = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const server = createServer((client) => {
    hold(client);
    if (state === "cut") return void client.resetAndDestroy();
    if (state === "swallows") return void client.resume();
    const target = connect(targetPort, "127.0.0.1");
    hold(target);
    client.pipe(target).pipe(client);
    client.on("close", () => target.destroy());
    target.on("close", () => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    // Of a server on TCP.
    port: (server.address() as AddressInfo).port,
    cut() {
      state = "cut";
      breakAll();
    },
    swallow() {
      state = "swallows";
      for (const socket of sockets)
        socket
          .unpipe()
          .on("data", (bytes) => (swallowed += bytes.length))
          .resume();
    },
    swallowedBytes: () => swallowed,
    mend() {
      state = "whole";
      breakAll();
    },
    async close() {
      breakAll();
      server.close();
      await once(server, "close");
    },
  };
}

/** Free now, and none that the system gives to anybody who asks for any. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer();
    server.listen(port, "localhost");
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}
