/**
 * The Durable Object of one database: a thin shell that hands requests to the engine and wires it to storage, alarm and sockets.
 * It holds no rules of its own. An object that was never initialised has no schema, writes nothing and refuses.
 */
import { DurableObject } from "cloudflare:workers";
import type { Backup } from "../backup/backup.ts";
import type { RestoreService } from "../backup/restore-service.ts";
import type { BackupAnswer, BackupCommand } from "../core/backup-commands.ts";
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import type { Grant } from "../core/authority.ts";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
} from "../core/datapath.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_RPC_ANSWER_BYTES } from "../core/limits.ts";
import type { ReceiveOrder, RestoreAnswer, RestoreCommand, RestoreJob, RestoreStub } from "../core/restore-commands.ts";
import { Database } from "../engine/database.ts";
import { isInitialized, migrate } from "../engine/schema.ts";
import { databaseBackup } from "./backup-wiring.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { CommitQueue } from "./commit-queue.ts";
import type { Env } from "./env.ts";
import { alarmForExpiry, expiryTask } from "./expiry-task.ts";
import { type DatabaseBackups, type DatabaseStub, type LargeAnswer, watchProtocol } from "./interface.ts";
import { LargeReads } from "./large-reads.ts";
import { type Mode, ObjectMode } from "./object-mode.ts";
import { databaseRestores, isVacant, modeFor } from "./restore-wiring.ts";
import { WatchSockets } from "./watch-sockets.ts";

const systemClock: Clock = { now: () => asUnixMs(Date.now()) };

/** Everything that exists only once the database does. */
interface Open {
  readonly database: Database;
  readonly commits: CommitQueue;
  readonly alarms: AlarmClock;
  readonly watches: WatchSockets;
  readonly largeReads: LargeReads;
  readonly backup: Backup;
  readonly mode: ObjectMode;
  readonly restores: RestoreService;
}

export class DatabaseObject extends DurableObject<Env> implements DatabaseStub, DatabaseBackups, RestoreStub {
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

  async backup(command: BackupCommand): Promise<BackupAnswer> {
    if (this.#open === null) return noDatabase();
    this.#open.alarms.rescue();
    return this.#open.mode.refusal("write") ?? this.#open.backup.run(command);
  }

  async restore(command: RestoreCommand): Promise<RestoreAnswer | Failure> {
    if (command.command === "restore from") return this.#fill("restoring", (open) => open.restores.run(command));
    if (this.#open === null) return noDatabase();
    this.#open.alarms.rescue();
    return this.#open.restores.run(command);
  }

  async receive(order: ReceiveOrder): Promise<{ readonly ok: true; readonly job: RestoreJob } | Failure> {
    return this.#fill(modeFor(order.purpose), (open) => open.restores.receive(order));
  }

  async wipe(): Promise<{ readonly ok: true } | Failure> {
    const mode = this.#open?.mode.mode;
    if (mode === "open" || mode === "restoring")
      return failure("conflict", "This is a database: it is deleted otherwise");
    await this.#erase();
    return { ok: true };
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

  /** Has this object filled from a backup. Until it is whole it is of that mode; if nothing comes of it, it is as it was. */
  async #fill<T extends { readonly ok: true }>(
    mode: Mode,
    begin: (open: Open) => Promise<T | Failure>,
  ): Promise<T | Failure> {
    const isNew = this.#open === null;
    await this.initialize();
    const open = this.#open;
    if (open === null) return noDatabase();
    if (!isVacant(open.database, open.mode)) {
      return failure(
        "conflict",
        "This database is not empty: a backup is restored into a new one, or into its own in place",
      );
    }
    const before = open.mode.mode;
    open.mode.become(mode);
    const begun = await begin(open);
    if (begun.ok) return begun;
    if (isNew) await this.#erase();
    else open.mode.become(before);
    return begun;
  }

  /** As if nothing had ever been here. */
  async #erase(): Promise<void> {
    await this.ctx.blockConcurrencyWhile(async () => {
      this.#open?.alarms.stop();
      this.#open?.restores.close();
      this.#open = null;
      await this.ctx.storage.deleteAlarm();
      await this.ctx.storage.deleteAll();
    });
  }

  async #start(): Promise<void> {
    const { storage } = this.ctx;
    migrate(storage);
    const mode = new ObjectMode(storage, systemClock);
    // Set just below, before anything can set an expiry or commit.
    let alarms: AlarmClock | null = null;
    let backup: Backup | null = null;
    const database = new Database({
      storage,
      clock: mode.clock,
      onExpirySet: (at) => alarms?.dueBy(alarmForExpiry(at)),
      onLogged: (bytes) => backup?.noted(bytes),
    });
    const dueBy = (at: UnixMs) => alarms?.dueBy(at);
    backup = databaseBackup({ storage, database, clock: systemClock, env: this.env, dueBy });
    const objectName = this.ctx.id.name ?? this.ctx.id.toString();
    const parts = { storage, database, backup, mode, clock: systemClock, env: this.env, objectName, dueBy };
    const restores = databaseRestores(parts);
    alarms = new AlarmClock(storage, systemClock, [
      expiryTask(database, () => mode.mode === "open"),
      ...backup.tasks,
      restores.task,
      restores.scheduleTask,
      mode.idleTask(() => this.#erase()),
    ]);
    await alarms.start();
    this.#open = {
      database,
      alarms,
      backup,
      mode,
      restores,
      commits: new CommitQueue({ commit: (writes) => database.commit(writes), flushed: () => storage.sync() }),
      watches: new WatchSockets(database.watches, this.ctx.getWebSockets()),
      largeReads: new LargeReads(database),
    };
  }

  /** The open database, if there is one and the grant allows this. */
  #allow(grant: Grant, access: "read" | "write"): Open | Failure {
    if (this.#open === null) return noDatabase();
    this.#open.alarms.rescue();
    if (systemClock.now() >= grant.expiresAt) return failure("unauthenticated", "The token has expired");
    if (!grant[access]) return failure("forbidden", `This token does not allow to ${access} here`);
    return this.#open.mode.refusal(access) ?? this.#open;
  }
}

function noDatabase(): Failure {
  return failure("not-found", "There is no such database");
}

function refusal(why: Failure): Response {
  return Response.json(why, { status: 400 });
}
