/**
 * The Durable Object of one database: a thin shell that hands requests to the engine and wires it to storage, alarm and sockets.
 * It holds no rules of its own. An object that was never initialised has no schema, writes nothing and refuses; so does one that
 * was deleted, for good.
 */
import { DurableObject } from "cloudflare:workers";
import type { UnixMs } from "../core/clock.ts";
import type { Grant } from "../core/authority.ts";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
} from "../core/datapath.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_RPC_ANSWER_BYTES } from "../core/limits.ts";
import type { DatabaseControl, DatabaseSetup, DatabaseStats } from "../core/management.ts";
import { versionstampHex } from "../core/versionstamp.ts";
import { Database } from "../engine/database.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { CommitQueue } from "./commit-queue.ts";
import type { DirectoryEnv } from "./directory-env.ts";
import { alarmForExpiry, expiryTask } from "./expiry-task.ts";
import { bury, claim, identityOf } from "./identity.ts";
import { type DatabaseStub, type LargeAnswer, watchProtocol } from "./interface.ts";
import { admittedRanges, keysOf, refusedKeys } from "./key-access.ts";
import { LargeReads } from "./large-reads.ts";
import { Revocations } from "./revocations.ts";
import { organizationStub, systemClock } from "./stubs.ts";
import { UsageTask } from "./usage-task.ts";
import { endSockets, WatchSockets } from "./watch-sockets.ts";

/** Everything that exists only once the database does. */
interface Open {
  readonly database: Database;
  readonly commits: CommitQueue;
  readonly alarms: AlarmClock;
  readonly watches: WatchSockets;
  readonly largeReads: LargeReads;
  readonly revocations: Revocations;
  readonly usage: UsageTask;
}

type Env = Pick<DirectoryEnv, "ORGANIZATIONS">;

export class DatabaseObject extends DurableObject<Env> implements DatabaseStub, DatabaseControl {
  #open: Open | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const identity = identityOf(ctx.storage.sql);
    if (identity.state === "live") void ctx.blockConcurrencyWhile(() => this.#restart(identity.setup));
  }

  async initialize(setup: DatabaseSetup): Promise<{ readonly initialized: true } | Failure> {
    return this.ctx.blockConcurrencyWhile(async () => {
      const { storage } = this.ctx;
      const identity = identityOf(storage.sql);
      const given = JSON.stringify(setup);
      if (identity.state === "deleted")
        return failure("conflict", "This database was deleted, and its id is not used again");
      if (identity.state === "live") {
        if (JSON.stringify(identity.setup) === given) return { initialized: true };
        return failure("conflict", "There is another database with this id");
      }
      storage.transactionSync(() => claim(storage.sql, setup));
      await this.#start(setup);
      return { initialized: true };
    });
  }

  async revoke(tokenId: string, until: UnixMs): Promise<void> {
    const sockets = this.ctx.getWebSockets(tokenId);
    this.#open?.revocations.add(tokenId, until, systemClock.now());
    this.#open?.watches.forget(sockets);
    endSockets(sockets, REVOKED);
  }

  async wipe(_options: { readonly deleteBackups: boolean }): Promise<void> {
    const { storage } = this.ctx;
    this.#open?.largeReads.close(NO_DATABASE);
    this.#open = null;
    // Marked first, so that a kill in between leaves no database; marked again, because the mark goes with the rest.
    bury(storage.sql);
    endSockets(this.ctx.getWebSockets(), NO_DATABASE);
    await storage.deleteAlarm();
    await storage.deleteAll();
    bury(storage.sql);
    await storage.sync();
  }

  async stats(): Promise<DatabaseStats | Failure> {
    if (this.#open === null) return NO_DATABASE;
    const { database } = this.#open;
    const { reads, writes, readUnits, writeUnits } = database.counters();
    return {
      entries: database.countEntries(),
      bytes: this.ctx.storage.sql.databaseSize,
      versionstamp: database.lastVersion === 0 ? null : versionstampHex(database.lastVersion),
      logBacklog: 0,
      watchers: database.watches.size,
      reads,
      writes,
      readUnits,
      writeUnits,
    };
  }

  async snapshotRead(grant: Grant, request: Uint8Array): Promise<Uint8Array | LargeAnswer | Failure> {
    const open = this.#allow(grant, "read");
    if ("ok" in open) return open;
    const read = decodeSnapshotRead(request);
    if (!read.ok) return read;
    const entries = open.database.read(admittedRanges(grant, read.ranges), MAX_RPC_ANSWER_BYTES);
    open.alarms.dueBy(open.usage.nextReport());
    return entries === null ? { ok: true, large: true } : encodeSnapshotReadOutput(entries);
  }

  async atomicWrite(grant: Grant, request: Uint8Array): Promise<Uint8Array | Failure> {
    const open = this.#allow(grant, "write");
    if ("ok" in open) return open;
    const decoded = decodeAtomicWrite(request);
    if (!decoded.ok) return decoded;
    const refused = refusedKeys(grant, keysOf(decoded.write));
    if (refused !== null) return refused;
    const kept = request.byteLength + decoded.write.mutations.length * DECODED_MUTATION_BYTES;
    const outcome = await open.commits.submit(decoded.write, kept);
    open.alarms.dueBy(open.usage.nextReport());
    return "code" in outcome ? outcome : encodeAtomicWriteOutput(outcome);
  }

  override async fetch(request: Request): Promise<Response> {
    // Only our own doors reach this object, and they send the grant that they verified.
    const grant = JSON.parse(request.headers.get(watchProtocol.grantHeader) ?? "{}") as Grant;
    const open = this.#allow(grant, "read");
    if ("ok" in open) return refusal(open);
    if (request.headers.get("upgrade") === "websocket") return this.#acceptWatch(open, grant);
    // The body, of which the ranges are views, is not kept here while the read waits for its turn.
    const answer = await request.arrayBuffer().then((body) => {
      const read = decodeSnapshotRead(new Uint8Array(body));
      return read.ok ? open.largeReads.answer(admittedRanges(grant, read.ranges)) : read;
    });
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

  /** What is thrown here makes the platform start the object anew at the next request, and the client learns only that. */
  async #restart(setup: DatabaseSetup): Promise<void> {
    try {
      await this.#start(setup);
    } catch (error) {
      console.error(`the database ${setup.databaseId} does not start`, error);
      throw error;
    }
  }

  async #start(setup: DatabaseSetup): Promise<void> {
    const { storage } = this.ctx;
    // Set just below, before anything can set an expiry.
    let alarms: AlarmClock | null = null;
    const database = new Database({
      storage,
      clock: systemClock,
      onExpirySet: (at) => alarms?.dueBy(alarmForExpiry(at)),
      onError: logError,
    });
    const usage = new UsageTask({
      sql: storage.sql,
      database,
      clock: systemClock,
      report: (counters) => organizationStub(this.env, setup.organizationId).reportUsage(setup.databaseId, counters),
    });
    alarms = new AlarmClock(storage, systemClock, [expiryTask(database), usage]);
    await alarms.start();
    this.#open = {
      database,
      alarms,
      commits: new CommitQueue({
        commit: (writes) => database.commit(writes),
        flushed: () => storage.sync(),
        onError: logError,
      }),
      watches: new WatchSockets(database.watches, this.ctx.getWebSockets()),
      largeReads: new LargeReads(database),
      revocations: new Revocations(storage.sql),
      usage,
    };
  }

  /** The open database, if there is one and the grant allows this. */
  #allow(grant: Grant, access: "read" | "write"): Open | Failure {
    const open = this.#open;
    if (open === null) return NO_DATABASE;
    open.alarms.rescue();
    if (systemClock.now() >= grant.expiresAt) return failure("unauthenticated", "The token has expired");
    if (open.revocations.has(grant.tokenId)) return REVOKED;
    if (!grant[access]) return failure("forbidden", `This token does not allow to ${access} here`);
    return open;
  }
}

/** About what a decoded mutation takes in memory beside its bytes. */
const DECODED_MUTATION_BYTES = 500;

function logError(error: unknown): void {
  console.error("a commit failed:", error);
}

const NO_DATABASE = failure("not-found", "There is no such database");
const REVOKED = failure("unauthenticated", "The token was revoked");

function refusal(why: Failure): Response {
  return Response.json(why, { status: 400 });
}
