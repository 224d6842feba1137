/**
 * The one port that clients see. A connection that begins with the HTTP/2 preface is served by `http2.ts`, any other by `http1.ts`. The
 * same rules hold for both afterwards (`exchange.ts`). For requests of KV Connect's data path the front can apply the door's rules
 * (`data-path.ts`). For all others the server process decides what a token allows.
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_SOCKET_TURNS } from "../../core/limits.ts";
import type { AdmissionParts } from "../../doors/kv-connect/admission.ts";
import { BoundedLog } from "./bounded-log.ts";
import type { Capacity } from "./capacity.ts";
import type { ServerProcess } from "./client.ts";
import { ClientConnections, type ClientConnection } from "./client-connections.ts";
import { DataPath } from "./data-path.ts";
import type { ExchangeParts } from "./exchange.ts";
import { Exchanges } from "./exchanges.ts";
import { ServerPace } from "./server-pace.ts";
import { FairTurns } from "../fair-turns.ts";
import { systemClock, type FrontClock } from "./clock.ts";
import { Guard } from "./guard.ts";
import { Http1Side } from "./http1.ts";
import { PREFACE } from "./http2/protocol.ts";
import { Http2Side } from "./http2.ts";
import { OpenDatabases, openFilesOf } from "./open-databases.ts";
import { Places } from "./places.ts";
import { headOf, ServerConnections } from "./server-connection.ts";
import { Sessions } from "./sessions.ts";

/** The beginning of a TLS handshake record of any version (RFC 8446, section 5.1). */
const TLS_HANDSHAKE = Buffer.of(0x16, 0x03);

/** How often TCP checks whether a quiet client is still there, so that a client that vanished silently is noticed. */
const KEEP_ALIVE_MS = 60_000;

/**
 * How often waiting connections and requests are checked. After a pause of the whole process, as on a machine that slept, no client is
 * blamed for the pause.
 */
const CHECK_MS = 1000;

export interface FrontOptions {
  /** What the front needs to judge requests of the data path itself. undefined: all are passed on. */
  readonly admission?: () => AdmissionParts | undefined;
  /** Writes log lines for the operator of the server. */
  readonly write?: (line: string) => void;
  readonly clock?: FrontClock;
}

export class Front {
  readonly port: number;
  readonly #server: Server;
  readonly #inside: Inside;

  private constructor(server: Server, inside: Inside) {
    // A server that listens on TCP has such an address.
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.#inside = inside;
  }

  /**
   * `serverProcess`: the running server process. It is undefined while there is none: then clients get 503, as they do when there is no
   * room. A failure names what is wrong with the host or the port.
   */
  static async listen(
    host: string,
    port: number,
    serverProcess: () => ServerProcess | undefined,
    capacity: Capacity,
    options: FrontOptions = {},
  ): Promise<Front | Failure> {
    const inside = new Inside(serverProcess, capacity, options);
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    inside.guard.on(server, "connection", (socket) => inside.accept(socket));
    const problem = await new Promise<Error | undefined>((resolve) => {
      // Later errors concern connections that could not be accepted, so there is no client to tell.
      inside.guard.on(server, "error", resolve);
      inside.guard.once(server, "listening", () => resolve(undefined));
      server.listen(port, host);
    });
    if (problem === undefined) return new Front(server, inside);
    inside.destroy();
    return listenFailure(problem, host, port);
  }

  /** Takes no new connections and no new streams. What is under way continues. */
  drain(): void {
    this.#server.close();
    this.#inside.drain();
  }

  /** Ends everything that is left. Finished answers get this long to reach their clients. */
  async close(graceMs: number): Promise<void> {
    this.drain();
    await Promise.race([this.#inside.closed(), sleep(graceMs)]);
    this.#inside.destroy();
  }
}

/** What the connections of a front share. */
class Inside {
  /** For handlers that belong to no connection. */
  readonly guard: Guard;
  readonly #connections: ClientConnections;
  readonly #servers: ServerConnections;
  readonly #exchanges: Exchanges;
  readonly #databases: OpenDatabases;
  readonly #sessions: Sessions;
  readonly #http1: Http1Side;
  readonly #http2: Http2Side;
  readonly #undecided = new Set<Socket>();
  readonly #hellos: BoundedLog;
  readonly #stopChecking: () => void;

  constructor(
    server: () => ServerProcess | undefined,
    capacity: Capacity,
    {
      admission = () => undefined,
      write = (line) => void process.stderr.write(line),
      clock = systemClock,
    }: FrontOptions,
  ) {
    const bugs = new BoundedLog(
      write,
      (count, latest) => `Connections ended by an error of the front: ${count}. The latest: ${latest}`,
      clock,
    );
    const report = (error: unknown): void =>
      bugs.add(error instanceof Error ? (error.stack ?? error.message) : String(error));
    this.#hellos = new BoundedLog(
      write,
      (count, address) =>
        `TLS handshakes on this port, which speaks plain HTTP: ${count}. The latest came from ${address}. ` +
        "Use http:// in its URL, or put a proxy that speaks TLS before this server.",
      clock,
    );
    this.guard = new Guard(() => undefined, report);
    this.#connections = new ClientConnections(new Places(capacity.connections), capacity.connections, clock, report);
    this.#servers = new ServerConnections(clock, report);
    this.#exchanges = new Exchanges(
      {
        clients: new Places(capacity.clients),
        requests: new Places(capacity.requests),
        lasting: new Places(capacity.lasting),
        requestBytes: new Places(capacity.requestBytes),
        answerBytes: new Places(capacity.sessionAnswerBytes),
      },
      capacity.answerBytes,
    );
    this.#databases = new OpenDatabases({
      places: new Places(capacity.databases),
      descriptors: capacity.descriptors,
      clock,
      openFiles() {
        const running = server();
        return running === undefined ? undefined : openFilesOf(running.pid);
      },
      connecting: () => this.#servers.connecting,
    });
    this.#sessions = new Sessions(this.#servers, capacity.sessions, clock, report);
    const parts: ExchangeParts = {
      server,
      servers: this.#servers,
      exchanges: this.#exchanges,
      turns: new FairTurns(MAX_SOCKET_TURNS),
      pace: new ServerPace(this.guard.wrap((answered) => this.#askServer(server(), answered))),
      databases: this.#databases,
      dataPath: new DataPath(admission, this.#sessions),
    };
    this.#http1 = new Http1Side(parts, report);
    this.#http2 = new Http2Side(parts, capacity.answerBytes);
    let checkedAt = clock.now();
    const check = this.guard.wrap(() => {
      const elapsedMs = clock.now() - checkedAt;
      checkedAt += elapsedMs;
      this.#check(Math.min(elapsedMs, 2 * CHECK_MS));
    });
    this.#stopChecking = clock.every(CHECK_MS, check);
  }

  accept(socket: Socket): void {
    const connection = this.#connections.add(socket);
    if (connection === undefined) socket.destroy();
    else connection.guard.run(() => this.#dispatch(connection));
  }

  drain(): void {
    this.#sessions.drain();
    this.#http1.drain();
    this.#http2.drain();
    for (const socket of this.#undecided) socket.destroy();
  }

  async closed(): Promise<void> {
    const all = [...this.#connections];
    await Promise.all(
      all.map(({ guard, socket }) => new Promise<void>((resolve) => guard.once(socket, "close", () => resolve()))),
    );
  }

  destroy(): void {
    this.#stopChecking();
    for (const { socket } of this.#connections) socket.destroy();
    this.#sessions.destroy();
    this.#servers.destroy();
  }

  /** Calls `answered` when the server process has answered a small request, or cannot. */
  #askServer(running: ServerProcess | undefined, answered: () => void): void {
    if (running === undefined) return this.guard.soon(answered);
    const question = { method: "GET", path: "/healthz", headers: ["host", "localhost"], body: "none" } as const;
    this.#servers.request(running.address, headOf(question) ?? "", question, {
      head: () => undefined,
      piece: () => undefined,
      drain: () => undefined,
      end: this.guard.wrap(answered),
      broken: () => this.guard.soon(answered),
    });
  }

  #check(elapsedMs: number): void {
    this.#exchanges.check(elapsedMs);
    this.#connections.check();
    this.#http2.check(elapsedMs);
    this.#sessions.check();
    this.#servers.check();
    this.#databases.check();
  }

  /** Reads until the first bytes tell the protocols apart: no HTTP/1.1 method is called "PRI". */
  #dispatch(connection: ClientConnection): void {
    const { socket, guard } = connection;
    let head: Buffer = Buffer.alloc(0);
    const destroy = (): void => void socket.destroy();
    const until = [guard.until(socket, "error", destroy), guard.until(socket, "end", destroy)];
    const decide = (): void => {
      for (const off of until) off();
      this.#undecided.delete(socket);
    };
    this.#undecided.add(socket);
    until.push(
      guard.until(socket, "close", decide),
      guard.until(socket, "readable", () => {
        const chunk: Buffer | null = socket.read();
        if (chunk === null) return;
        head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
        const isPreface = beginsWith(head, PREFACE);
        const isTls = beginsWith(head, TLS_HANDSHAKE);
        if (isPreface === undefined || isTls === undefined) return;
        decide();
        // Later errors are handled by the protocol, which has handlers of its own.
        guard.on(socket, "error", () => undefined);
        if (isTls) {
          this.#hellos.add(socket.remoteAddress ?? "a client that is gone");
          socket.destroy();
          return;
        }
        socket.unshift(head);
        if (isPreface) this.#http2.accept(connection);
        else this.#http1.accept(connection);
      }),
    );
  }
}

/** Undefined: there are too few bytes to tell. */
function beginsWith(head: Buffer, start: Buffer): boolean | undefined {
  const shared = Math.min(head.length, start.length);
  if (head.compare(start, 0, shared, 0, shared) !== 0) return false;
  return shared === start.length ? true : undefined;
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
