/**
 * The one port that clients see. A connection that begins with the HTTP/2 preface goes to the bridge; anything else, HTTP/1.1
 * and WebSocket upgrades, is joined to a connection of its own to the server behind and passed through as bytes.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { failure, type Failure } from "../../core/errors.ts";
import { boundedReport, Guard, type ReportBug } from "./guard.ts";
import { Http2Bridge } from "./h2-bridge.ts";
import type { Places } from "./places.ts";
import { connectRefusal, crowdedRefusal, unavailableRefusal, wholeAnswer, type Refusal } from "./refusals.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/**
 * workerd answers it 500 and logs an error of ours. Refused only where a connection begins with it: to find one behind other requests,
 * the front would have to know where each of their bodies ends.
 */
const CONNECT = Buffer.from("CONNECT ");

/** A connection that sends nothing at all is closed after this; browsers open such ones ahead of need. */
const SILENT_CONNECTION_MS = 60_000;

/** How long a client may still send, or keep its side open, after its answer has ended. */
const LINGER_MS = 5000;

/** TCP asks whether a quiet client is still there, so that one that vanished without a word is noticed. */
const KEEP_ALIVE_MS = 60_000;

export class Front {
  readonly port: number;
  readonly #server: Server;
  readonly #bridge: Http2Bridge;
  readonly #sockets: Set<Socket>;
  readonly #guard: Guard;

  private constructor(server: Server, bridge: Http2Bridge, sockets: Set<Socket>, guard: Guard) {
    // A TCP server that listens has such an address.
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.#bridge = bridge;
    this.#sockets = sockets;
    this.#guard = guard;
  }

  /**
   * `upstreamPort`: where the server listens now on 127.0.0.1, or undefined while none runs, when clients get 503, as they do
   * when all places are taken. A failure names what is wrong with the host or the port.
   */
  static async listen(
    host: string,
    port: number,
    upstreamPort: () => number | undefined,
    places: Places,
    report: ReportBug = boundedReport((line) => process.stderr.write(line)),
  ): Promise<Front | Failure> {
    const bridge = new Http2Bridge(upstreamPort, places, report);
    const sockets = new Set<Socket>();
    const accept = (socket: Socket): void => {
      const guard = new Guard(() => socket.destroy(), report);
      const begin = guard.wrap(() => {
        sockets.add(socket);
        guard.once(socket, "close", () => sockets.delete(socket));
        dispatch(guard, socket, bridge, upstreamPort, places);
      });
      begin();
    };
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    const ofServer = new Guard(() => undefined, report);
    ofServer.on(server, "connection", accept);
    const problem = await new Promise<Error | undefined>((resolve) => {
      // Later ones are of connections that could not be accepted, for which there is nobody to tell.
      ofServer.on(server, "error", resolve);
      ofServer.once(server, "listening", () => resolve(undefined));
      server.listen(port, host);
    });
    return problem === undefined ? new Front(server, bridge, sockets, ofServer) : listenFailure(problem, host, port);
  }

  /** Takes no new connections and no new streams; what is under way goes on. */
  drain(): void {
    this.#server.close();
    this.#bridge.drain();
  }

  /** Ends what is left: answers that have ended get this long to reach their clients. */
  async close(graceMs: number): Promise<void> {
    this.drain();
    const closed = Promise.all(
      [...this.#sockets].map((socket) => new Promise((resolve) => this.#guard.once(socket, "close", resolve))),
    );
    await Promise.race([closed, sleep(graceMs)]);
    this.#bridge.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Reads until the first bytes tell the protocols apart: "PRI" is the name of no HTTP/1.1 method. */
function dispatch(
  guard: Guard,
  socket: Socket,
  bridge: Http2Bridge,
  upstreamPort: () => number | undefined,
  places: Places,
): void {
  let head: Buffer = Buffer.alloc(0);
  const destroy = (): void => void socket.destroy();
  const until = [guard.on(socket, "error", destroy), guard.once(socket, "end", destroy)];
  until.push(guard.on(socket, "timeout", destroy));
  socket.setTimeout(SILENT_CONNECTION_MS);
  const look = (): void => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    const isPreface = beginsWith(head, PREFACE);
    const isConnect = beginsWith(head, CONNECT);
    if (isPreface === undefined || isConnect === undefined) return;

    for (const off of until) off();
    socket.setTimeout(0);
    if (isPreface) {
      socket.unshift(head);
      bridge.accept(socket);
    } else if (isConnect) {
      refuse(guard, socket, connectRefusal);
    } else {
      passThrough(guard, socket, head, upstreamPort(), places);
    }
  };
  until.push(guard.on(socket, "readable", look));
}

/** Undefined: too few bytes to tell. */
function beginsWith(head: Buffer, start: Buffer): boolean | undefined {
  const shared = Math.min(head.length, start.length);
  if (head.compare(start, 0, shared, 0, shared) !== 0) return false;
  return shared === start.length ? true : undefined;
}

/** Joins the two connections until both sides of both have ended; if one breaks, so does the other. */
function passThrough(guard: Guard, client: Socket, head: Buffer, port: number | undefined, places: Places): void {
  if (port === undefined) {
    refuse(guard, client, unavailableRefusal);
    return;
  }
  if (!places.take(guard, client)) {
    refuse(guard, client, crowdedRefusal);
    return;
  }
  const upstream = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
  let connected = false;
  guard.once(upstream, "connect", () => (connected = true));
  // Which of the two broke is of no use to the other: it sees its connection broken, as without us.
  guard.on(client, "error", () => upstream.resetAndDestroy());
  guard.on(upstream, "error", () => {
    if (connected) client.destroy();
    else refuse(guard, client, unavailableRefusal);
  });
  guard.once(client, "close", (broken) => {
    // An end of ours may have been sent before: only a reset tells the server at once that nobody reads any more.
    if (broken) upstream.resetAndDestroy();
    else upstream.destroy();
  });
  guard.once(upstream, "end", () => destroyAfter(guard, client, LINGER_MS));

  upstream.write(head);
  passOn(guard, client, upstream);
  passOn(guard, upstream, client);
}

/** What `pipe` does, at half the cost for a small piece: it is most of what the front costs. Errors are the caller's. */
function passOn(guard: Guard, from: Socket, to: Socket): void {
  guard.on(from, "data", (piece) => {
    if (!to.write(piece)) from.pause();
  });
  guard.on(to, "drain", () => from.resume());
  guard.once(from, "end", () => to.end());
}

/** What the client is still sending is read, for an answer to unread bytes would be lost to a reset. */
function refuse(guard: Guard, client: Socket, refusal: Refusal): void {
  client.removeAllListeners("data");
  guard.on(client, "error", () => client.destroy());
  guard.once(client, "end", () => client.destroySoon());
  destroyAfter(guard, client, LINGER_MS);
  client.end(wholeAnswer(refusal));
  client.resume();
}

function destroyAfter(guard: Guard, socket: Socket, ms: number): void {
  guard.on(socket, "timeout", () => socket.destroy());
  socket.setTimeout(ms);
}

function listenFailure(problem: Error, host: string, port: number): Failure {
  switch ("code" in problem ? problem.code : undefined) {
    case "EADDRINUSE":
      return failure(
        "conflict",
        `Port ${port} on ${host} is in use: end what listens there, or choose another --port.`,
      );
    case "EACCES":
      return failure(
        "forbidden",
        `Port ${port} on ${host} needs rights that this user has not: choose another --port.`,
      );
    case "EADDRNOTAVAIL":
      return failure("invalid", `${host} is not an address of this machine: choose another --host.`);
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return failure("invalid", `The host ${host} cannot be resolved: choose another --host.`);
    default:
      return failure("invalid", `The server cannot listen on ${host}, port ${port}: ${problem.message}`);
  }
}
