/**
 * The connections of clients: how many there may be, and which of them end when a new one finds no room. An idle connection costs its
 * client nothing and takes a place from everybody else. So idle connections end first, the oldest before the others, and together with
 * them connections whose requests all wait for the client.
 */
import type { Socket } from "node:net";
import { MAX_IDLE_CONNECTION_MS, MAX_REQUEST_PAUSE_MS, MAX_SILENT_CONNECTION_MS } from "../../core/limits.ts";
import type { FrontClock } from "./clock.ts";
import { Guard, type ReportBug } from "./guard.ts";
import { peerOf, type Places } from "./places.ts";

/** How many connections make room at once, as a share of all: looking for them takes time. */
const BATCH = 1 / 64;

export class ClientConnection {
  readonly socket: Socket;
  readonly peer: string;
  readonly guard: Guard;
  /** How the protocol ends the connection. Requests under way on it break off. */
  end: () => void;
  /** How the protocol ends the connection when the head of a request has not come in time. */
  refuseLate: () => void;
  /** The next bytes begin a request, whose head has to come within a time. Over HTTP/2 other bytes may come. */
  awaitsHead = true;
  readonly #connections: ClientConnections;
  #underWay = 0;
  #stalled = 0;
  #idleSince: number;
  #bytesBefore = 0;
  #headBeganAt: number | undefined;

  constructor(socket: Socket, connections: ClientConnections, report: ReportBug) {
    this.socket = socket;
    this.peer = peerOf(socket.remoteAddress);
    this.guard = new Guard(() => socket.destroy(), report);
    this.end = () => socket.destroy();
    this.refuseLate = this.end;
    this.#connections = connections;
    this.#idleSince = connections.clock.now();
  }

  get #isIdle(): boolean {
    return this.#underWay === 0;
  }

  /** A request has begun. */
  begin(): void {
    this.#underWay += 1;
    this.#headBeganAt = undefined;
    this.#connections.changed(this);
  }

  /** A request has ended. */
  finish(): void {
    this.#underWay -= 1;
    if (this.#underWay === 0) {
      this.#idleSince = this.#connections.clock.now();
      this.#bytesBefore = this.socket.bytesRead;
    }
    this.#connections.changed(this);
  }

  /** This many more requests of the connection wait for the client. */
  stalled(change: 1 | -1): void {
    this.#stalled += change;
    this.#connections.changed(this);
  }

  /** Whether the connection may be ended when others need its place. */
  get canGo(): boolean {
    return this.#stalled === this.#underWay;
  }

  /** Ends the connection when it has waited for its client for too long. */
  check(now: number): void {
    if (!this.#isIdle) return;
    const { bytesRead } = this.socket;
    const idleMs = now - this.#idleSince;
    if (this.awaitsHead && bytesRead > this.#bytesBefore) this.#headBeganAt ??= now;
    if (this.#headBeganAt !== undefined && now - this.#headBeganAt > MAX_REQUEST_PAUSE_MS) this.refuseLate();
    else if (idleMs > (bytesRead === 0 ? MAX_SILENT_CONNECTION_MS : MAX_IDLE_CONNECTION_MS)) this.end();
  }
}

export class ClientConnections {
  readonly clock: Pick<FrontClock, "now">;
  readonly #places: Places;
  readonly #batch: number;
  readonly #report: ReportBug;
  readonly #all = new Set<ClientConnection>();
  /** Connections that may make room. The one that has waited longest comes first. */
  readonly #canGo = new Set<ClientConnection>();

  constructor(places: Places, count: number, clock: Pick<FrontClock, "now">, report: ReportBug) {
    this.clock = clock;
    this.#places = places;
    this.#batch = Math.max(1, Math.floor(count * BATCH));
    this.#report = report;
  }

  [Symbol.iterator](): IterableIterator<ClientConnection> {
    return this.#all.values();
  }

  /** Undefined: there is no room for the connection, and none could be made. */
  add(socket: Socket): ClientConnection | undefined {
    const connection = new ClientConnection(socket, this, this.#report);
    const { peer, guard } = connection;
    if (!this.#take(peer)) return undefined;
    this.#all.add(connection);
    this.#canGo.add(connection);
    guard.once(socket, "close", () => this.#forget(connection));
    return connection;
  }

  /** To be called when a request has begun or ended, or when its client keeps others waiting. */
  changed(connection: ClientConnection): void {
    if (!this.#all.has(connection)) return;
    if (!connection.canGo) this.#canGo.delete(connection);
    else this.#canGo.add(connection);
  }

  /** To be called every second or so. */
  check(): void {
    const now = this.clock.now();
    for (const connection of this.#all) connection.guard.run(() => connection.check(now));
  }

  #take(peer: string): boolean {
    const taken = this.#places.take(peer);
    if (taken === "taken") return true;
    this.#makeRoom(taken === "share" ? peer : this.#heaviestPeer());
    return this.#places.take(peer) === "taken";
  }

  /** The address with the most connections, among those with a connection that may be ended. */
  #heaviestPeer(): string {
    let heaviest = "";
    for (const { peer } of this.#canGo) {
      if (this.#places.takenBy(peer) > this.#places.takenBy(heaviest)) heaviest = peer;
    }
    return heaviest;
  }

  #makeRoom(peer: string): void {
    let left = this.#batch;
    for (const connection of this.#canGo) {
      if (connection.peer !== peer) continue;
      this.#forget(connection);
      connection.guard.run(() => connection.end());
      left -= 1;
      if (left === 0) return;
    }
  }

  #forget(connection: ClientConnection): void {
    if (!this.#all.delete(connection)) return;
    this.#canGo.delete(connection);
    this.#places.giveBack(connection.peer);
  }
}
