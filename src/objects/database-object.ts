/**
 * The Durable Object of one database: a thin shell that hands requests to the engine and wires it to storage, alarm and sockets.
 * It holds no rules of its own. An object that was never initialised has no schema, writes nothing and refuses.
 */
import { DurableObject } from "cloudflare:workers";
import { asUnixMs, type Clock } from "../core/clock.ts";
import type { Grant } from "../core/authority.ts";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
} from "../core/datapath.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_RPC_ANSWER_BYTES } from "../core/limits.ts";
import { Database } from "../engine/database.ts";
import { isInitialized } from "../engine/schema.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { CommitQueue } from "./commit-queue.ts";
import type { Env } from "./env.ts";
import { alarmForExpiry, expiryTask } from "./expiry-task.ts";
import { type DatabaseStub, type LargeAnswer, watchProtocol } from "./interface.ts";
import { LargeReads } from "./large-reads.ts";
import { WatchSockets } from "./watch-sockets.ts";

const systemClock: Clock = { now: () => asUnixMs(Date.now()) };

/** Everything that exists only once the database does. */
interface Open {
  readonly database: Database;
  readonly commits: CommitQueue;
  readonly alarms: AlarmClock;
  readonly watches: WatchSockets;
  readonly largeReads: LargeReads;
}

export class DatabaseObject extends DurableObject<Env> implements DatabaseStub {
  #open: Open | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    if (isInitialized(ctx.storage)) void ctx.blockConcurrencyWhile(() => this.#start());
  }

  /** Makes the database. Doing it again changes nothing. */
  async initialize(): Promise<void> {
    await this.ctx.blockConcurrencyWhile(async () => {
      if (this.#open === null) await this.#start();
    });
  }

  async snapshotRead(grant: Grant, request: Uint8Array): Promise<Uint8Array | LargeAnswer | Failure> {
    const open = this.#allow(grant, "read");
    if ("ok" in open) return open;
    const read = decodeSnapshotRead(request);
    if (!read.ok) return read;
    const entries = open.database.read(read.ranges, MAX_RPC_ANSWER_BYTES);
    return entries === null ? { ok: true, large: true } : encodeSnapshotReadOutput(entries);
  }

  async atomicWrite(grant: Grant, request: Uint8Array): Promise<Uint8Array | Failure> {
    const open = this.#allow(grant, "write");
    if ("ok" in open) return open;
    const decoded = decodeAtomicWrite(request);
    if (!decoded.ok) return decoded;
    const outcome = await open.commits.submit(decoded.write, request.byteLength);
    return "code" in outcome ? outcome : encodeAtomicWriteOutput(outcome);
  }

  override async fetch(request: Request): Promise<Response> {
    // Only our own doors reach this object, and they send the grant that they verified.
    const grant = JSON.parse(request.headers.get(watchProtocol.grantHeader) ?? "{}") as Grant;
    const open = this.#allow(grant, "read");
    if ("ok" in open) return refusal(open);
    if (request.headers.get("upgrade") === "websocket") return this.#acceptWatch(open, grant);
    const read = decodeSnapshotRead(new Uint8Array(await request.arrayBuffer()));
    if (!read.ok) return refusal(read);
    const answer = await open.largeReads.answer(read.ranges);
    return "ok" in answer ? refusal(answer) : new Response(answer);
  }

  override async alarm(): Promise<void> {
    await this.#open?.alarms.ring();
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    this.#open?.watches.message(socket, message);
  }

  override webSocketClose(socket: WebSocket): void {
    this.#open?.watches.closed(socket);
  }

  override webSocketError(socket: WebSocket): void {
    this.#open?.watches.closed(socket);
  }

  #acceptWatch(open: Open, grant: Grant): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [grant.tokenId]);
    open.watches.opened(server, grant);
    return new Response(null, { status: 101, webSocket: client });
  }

  async #start(): Promise<void> {
    const { storage } = this.ctx;
    // Set just below, before anything can set an expiry.
    let alarms: AlarmClock | null = null;
    const database = new Database({
      storage,
      clock: systemClock,
      onExpirySet: (at) => alarms?.dueBy(alarmForExpiry(at)),
    });
    alarms = new AlarmClock(storage, systemClock, [expiryTask(database)]);
    await alarms.start();
    this.#open = {
      database,
      alarms,
      commits: new CommitQueue({ commit: (writes) => database.commit(writes), flushed: () => storage.sync() }),
      watches: new WatchSockets(database.watches, this.ctx.getWebSockets()),
      largeReads: new LargeReads(database),
    };
  }

  /** The open database, if there is one and the grant allows this. */
  #allow(grant: Grant, access: "read" | "write"): Open | Failure {
    if (this.#open === null) return failure("not-found", "There is no such database");
    this.#open.alarms.rescue();
    if (systemClock.now() >= grant.expiresAt) return failure("unauthenticated", "The token has expired");
    if (!grant[access]) return failure("forbidden", `This token does not allow to ${access} here`);
    return this.#open;
  }
}

function refusal(why: Failure): Response {
  return Response.json(why, { status: 400 });
}
