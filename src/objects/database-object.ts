/**
 * The Durable Object of one database: a thin shell that hands requests to the engine and wires it to storage, alarm and sockets.
 * It holds no rules of its own. An object that was never initialised has no schema, writes nothing and refuses; so does one that
 * was deleted, for good.
 */
import { DurableObject } from "cloudflare:workers";
import { discardCopies } from "../backup/recovery/past-states.ts";
import type { RestoreService } from "../backup/recovery/restore-service.ts";
import { deletionOrder } from "../backup/continuous/deletion.ts";
import type { BackupAnswer, BackupCommand, BackupDeletionOrder } from "../contracts/backup-commands.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { type Access, admittedRanges, type Grant, refusedAccess, refusedWrite } from "../contracts/grant.ts";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
} from "../codec/datapath.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_RPC_ANSWER_BYTES } from "../core/limits.ts";
import type { DatabaseSetup, DatabaseStats } from "../contracts/management.ts";
import {
  deletionName,
  type PastInfo,
  type PastRoom,
  type ReceiveOrder,
  type RestoreAnswer,
  type RestoreCommand,
  type RestoreJob,
} from "../contracts/restore-commands.ts";
import { versionstampHex } from "../core/versionstamp.ts";
import { isInitialized } from "../engine/engine-schema.ts";
import { isWatched, type OpenDatabase, openDatabase } from "./database-wiring.ts";
import { isDeletion, type OpenDeletion, openDeletion } from "./deletion-wiring.ts";
import { ClockWatch, STARTS_ANEW } from "./clock-watch.ts";
import { bury, claim, identityOf, wasSending } from "./identity.ts";
import { ASKED_AT_HEADER, type LargeAnswer, watchProtocol } from "../contracts/database.ts";
import type { Env } from "./env.ts";
import type { DatabaseRole } from "./roles.ts";
import type { Mode } from "./object-mode.ts";
import { isVacant, modeFor, objectIn } from "./restore-wiring.ts";
import { systemClock } from "./system.ts";
import { endSockets } from "./watch-sockets.ts";

export class DatabaseObject extends DurableObject<Env> implements DatabaseRole {
  /** Only once there is a database here. */
  #open: OpenDatabase | null = null;
  /** Instead of a database: the object deletes the backup of one. */
  #deletion: OpenDeletion | null = null;
  readonly #clockWatch = new ClockWatch(systemClock, () => void this.#startAnew());
  /** Fillings begin one after the other: the same order may come again while it is begun. */
  #filling: Promise<unknown> = Promise.resolve();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const identity = identityOf(ctx.storage.sql);
    const setup = identity.state === "live" ? identity.setup : null;
    // What has entries and no identity holds a state of the past, or tries a backup out.
    const isScratch = identity.state === "unknown" && isInitialized(ctx.storage);
    if (setup !== null || isScratch) void ctx.blockConcurrencyWhile(() => this.#restart(setup));
    else if (identity.state === "unknown" && isDeletion(ctx.storage)) {
      void ctx.blockConcurrencyWhile(async () => void (await this.#openDeletion()));
    }
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
    await this.#open?.restores.revokeInPast({ tokenId, until });
  }

  async wipe({ deleteBackups }: { readonly deleteBackups: boolean }): Promise<void> {
    const { storage } = this.ctx;
    const open = this.#open;
    const identity = identityOf(storage.sql);
    this.#open = null;
    open?.commits.close(NO_DATABASE);
    open?.largeReads.close(NO_DATABASE);
    open?.alarms.stop();
    open?.restores.close();
    const sending = open?.backup.isBusy ?? false;
    open?.backup.close();
    // Marked first, so that a kill in between leaves no database; marked again, because the mark goes with the rest.
    bury(storage.sql, { sending });
    open?.watches.close();
    endSockets(this.ctx.getWebSockets(), NO_DATABASE);
    // Its copies first: where they are is known here alone. What fails here is asked for again.
    if (open !== null) {
      await open.restores.closePast();
    } else if (identity.state !== "unknown" && identity.setup !== null) {
      const { databaseId, jurisdiction } = identity.setup;
      await discardCopies(storage, (name) => objectIn(this.env, jurisdiction, name), databaseId);
    }
    if (deleteBackups && identity.state !== "unknown" && identity.setup !== null) {
      await this.#leaveBackup(identity.setup);
    }
    await storage.deleteAlarm();
    await storage.deleteAll();
    bury(storage.sql);
    await storage.sync();
  }

  async stats(): Promise<DatabaseStats | Failure> {
    if (this.#open === null) return NO_DATABASE;
    const { database, backup } = this.#open;
    const { reads, writes, readUnits, writeUnits } = database.counters();
    return {
      entries: database.countEntries(),
      bytes: this.ctx.storage.sql.databaseSize,
      versionstamp: database.lastVersion === 0 ? null : versionstampHex(database.lastVersion),
      logBacklog: backup.backlogBytes,
      watchers: database.watches.size,
      reads,
      writes,
      readUnits,
      writeUnits,
    };
  }

  async snapshotRead(grant: Grant, request: Uint8Array, askedAt?: UnixMs): Promise<Uint8Array | LargeAnswer | Failure> {
    const open = this.#allow(grant, "read", askedAt);
    if ("ok" in open) return open;
    const read = decodeSnapshotRead(request);
    if (!read.ok) return read;
    const entries = open.database.read(admittedRanges(grant, read.ranges), MAX_RPC_ANSWER_BYTES);
    return entries === null ? { ok: true, large: true } : encodeSnapshotReadOutput(entries);
  }

  async atomicWrite(grant: Grant, request: Uint8Array, askedAt?: UnixMs): Promise<Uint8Array | Failure> {
    const open = this.#allow(grant, "write", askedAt);
    if ("ok" in open) return open;
    const decoded = decodeAtomicWrite(request);
    if (!decoded.ok) return decoded;
    const refused = refusedWrite(grant, decoded.write);
    if (refused !== null) return refused;
    const noRoom = open.room.refusal(decoded.write, request.byteLength);
    const unstorable = noRoom instanceof Promise ? await noRoom : noRoom;
    if (unstorable !== null) return unstorable;
    const kept = request.byteLength + decoded.write.mutations.length * DECODED_MUTATION_BYTES;
    const outcome = await open.commits.submit(decoded.write, kept);
    return "code" in outcome ? outcome : encodeAtomicWriteOutput(outcome);
  }

  async backup(command: BackupCommand, askedAt?: UnixMs): Promise<BackupAnswer> {
    if (!this.#goesOn(askedAt)) return STARTS_ANEW;
    if (this.#open === null) return NO_DATABASE;
    const { alarms, backup, backupReport, mode } = this.#open;
    alarms.rescue();
    const refused = mode.refusal("write");
    if (refused !== null) return refused;
    const answer = await backup.run(command);
    const reportAt = backupReport?.dueAt() ?? null;
    if (reportAt !== null) alarms.dueLater(reportAt);
    return answer;
  }

  async restore(command: RestoreCommand, askedAt?: UnixMs): Promise<RestoreAnswer | Failure> {
    if (!this.#goesOn(askedAt)) return STARTS_ANEW;
    this.#deletion?.alarms.rescue();
    if (this.#open === null) return this.#deletion?.deletion.run(command) ?? NO_DATABASE;
    this.#open.alarms.rescue();
    if (command.command !== "restore from") return this.#open.restores.run(command);
    return this.#fill(this.#open, "restoring", command.jobId, (restores) => restores.run(command));
  }

  async receive(order: ReceiveOrder): Promise<{ readonly ok: true; readonly job: RestoreJob } | Failure> {
    const isNew = this.#open === null;
    // A fork is made into a database that the directory has made; anything else into an object that is nobody's.
    if (isNew && order.purpose !== "fork" && identityOf(this.ctx.storage.sql).state === "unknown") {
      await this.ctx.blockConcurrencyWhile(async () => {
        if (this.#open === null) await this.#start(null);
      });
    }
    const open = this.#open;
    if (open === null) return NO_DATABASE;
    for (const { tokenId, until } of order.purpose === "past" ? order.revoked : []) {
      open.revocations.add(tokenId, until, systemClock.now());
    }
    const begun = await this.#fill(open, modeFor(order.purpose), order.jobId, (restores) => restores.receive(order));
    if (!begun.ok && isNew) await this.#erase();
    return begun;
  }

  async discard(): Promise<{ readonly ok: true } | Failure> {
    if (identityOf(this.ctx.storage.sql).state !== "unknown") {
      return failure("conflict", "This is a database: it is deleted otherwise");
    }
    await this.#erase();
    return { ok: true };
  }

  async lastUse(): Promise<UnixMs | null> {
    if (this.#open === null) return null;
    return isWatched(this.ctx) ? systemClock.now() : this.#open.mode.usedAt;
  }

  async openPast(grant: Grant, at: string, room: PastRoom, askedAt?: UnixMs): Promise<PastInfo | Failure> {
    const open = this.#allow(grant, "read", askedAt);
    if ("ok" in open) return open;
    const answer = await open.restores.run({ command: "past", at, room });
    if (!answer.ok) return answer;
    return answer.kind === "past" ? answer.past : failure("internal", "The database answered another question.");
  }

  async deleteBackup(order: BackupDeletionOrder): Promise<{ readonly ok: true } | Failure> {
    const { storage } = this.ctx;
    if (identityOf(storage.sql).state !== "unknown" || isInitialized(storage)) {
      return failure("conflict", "This object is something else");
    }
    const { deletion } = this.#deletion ?? (await this.ctx.blockConcurrencyWhile(() => this.#openDeletion()));
    deletion.take(order);
    return { ok: true };
  }

  override async fetch(request: Request): Promise<Response> {
    // Only our own doors reach this object, and they send the grant that they verified.
    const grant = JSON.parse(request.headers.get(watchProtocol.grantHeader) ?? "{}") as Grant;
    const open = this.#allow(grant, "read", askedAtOf(request));
    if ("ok" in open) return refusal(open);
    if (request.headers.get("upgrade") === "websocket") return this.#acceptWatch(open, grant);
    // The body, of which the ranges are views, is not kept here while the read waits for its turn.
    const answer = await request.arrayBuffer().then((body) => {
      const read = decodeSnapshotRead(new Uint8Array(body));
      return read.ok ? open.largeReads.answer(admittedRanges(grant, read.ranges)) : read;
    });
    return "ok" in answer ? refusal(answer) : new Response(answer);
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await (this.#open ?? this.#deletion)?.alarms.ring(info?.isRetry);
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

  #acceptWatch(open: OpenDatabase, grant: Grant): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [grant.tokenId]);
    open.watches.opened(server, grant);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Has this object filled from a backup. Until it is whole it is of that mode; if nothing comes of it, it is as it was. */
  async #fill<T extends { readonly ok: true }>(
    open: OpenDatabase,
    becoming: Mode,
    jobId: string,
    begin: (restores: RestoreService) => Promise<T | Failure>,
  ): Promise<T | Failure> {
    const begun = this.#filling.then(async () => {
      const { database, mode, restores } = open;
      if (this.#open !== open) return NO_DATABASE;
      if (restores.knows(jobId)) return begin(restores);
      if (!isVacant(database, mode)) {
        return failure(
          "conflict",
          "This database is not empty: a backup is restored into a new one, or into its own in place",
        );
      }
      const before = mode.mode;
      mode.become(becoming);
      const outcome = await begin(restores);
      if (!outcome.ok && this.#open === open) mode.become(before);
      return outcome;
    });
    this.#filling = begun.catch(() => undefined);
    return begun;
  }

  /** Before the data goes, its backup is another object's to delete: whatever happens after, it will be. */
  async #leaveBackup({ databaseId, jurisdiction }: DatabaseSetup): Promise<void> {
    const { storage } = this.ctx;
    const order = deletionOrder(storage, wasSending(storage.sql), systemClock.now());
    if (order === null) return;
    const taken = await objectIn(this.env, jurisdiction, deletionName(databaseId)).deleteBackup(order);
    if (!taken.ok) throw new Error(taken.message);
  }

  async #openDeletion(): Promise<OpenDeletion> {
    const { ctx, env } = this;
    this.#deletion ??= await openDeletion({
      ctx,
      clock: systemClock,
      env,
      erase: () => this.#erase(),
    });
    return this.#deletion;
  }

  /** As if nothing had ever been here. Who still reads it is to ask again. */
  async #erase(): Promise<void> {
    await this.ctx.blockConcurrencyWhile(async () => {
      this.#open?.commits.close(STATE_IS_GONE);
      this.#open?.largeReads.close(STATE_IS_GONE);
      this.#open?.watches.close();
      this.#open?.alarms.stop();
      this.#open?.restores.close();
      this.#open = null;
      this.#deletion?.alarms.stop();
      this.#deletion = null;
      endSockets(this.ctx.getWebSockets(), STATE_IS_GONE);
      await this.ctx.storage.deleteAlarm();
      await this.ctx.storage.deleteAll();
    });
  }

  /** What is thrown here makes the platform start the object anew at the next request, and the client learns only that. */
  async #restart(setup: DatabaseSetup | null): Promise<void> {
    try {
      await this.#start(setup);
    } catch (error) {
      console.error(`the database ${setup?.databaseId ?? this.ctx.id.name} does not start`, error);
      throw error;
    }
  }

  /** What is counted and stored is kept; whatever is under way is asked again. */
  async #startAnew(): Promise<void> {
    this.#open?.database.saveCounters();
    await this.ctx.storage.sync();
    this.ctx.abort(STARTS_ANEW.message);
  }

  async #start(setup: DatabaseSetup | null): Promise<void> {
    const { ctx, env } = this;
    this.#open = await openDatabase({ ctx, env, setup, erase: () => this.#erase() });
  }

  /** False: the object starts anew. `askedAt`: by the caller's clock; undefined: the caller has none that is better than its own. */
  #goesOn(askedAt: UnixMs | undefined): boolean {
    return askedAt === undefined || this.#clockWatch.goesOn(askedAt);
  }

  /** The open database, if there is one and the grant allows this: it must not be over by the caller's clock. */
  #allow(grant: Grant, access: Access, askedAt: UnixMs = systemClock.now()): OpenDatabase | Failure {
    if (!this.#goesOn(askedAt)) return STARTS_ANEW;
    const open = this.#open;
    if (open === null) return NO_DATABASE;
    open.alarms.rescue();
    if (open.revocations.has(grant.tokenId)) return REVOKED;
    return refusedAccess(grant, access, askedAt) ?? open.mode.refusal(access) ?? open;
  }
}

/** About what a decoded mutation takes in memory beside its bytes. */
const DECODED_MUTATION_BYTES = 500;

const NO_DATABASE = failure("not-found", "There is no such database");
const REVOKED = failure("unauthenticated", "The token was revoked");
const STATE_IS_GONE = failure("unavailable", "This state of the past is being wiped: try again");

function askedAtOf({ headers }: Request): UnixMs | undefined {
  const text = headers.get(ASKED_AT_HEADER);
  return text === null ? undefined : asUnixMs(Number(text));
}

function refusal(why: Failure): Response {
  return Response.json(why, { status: 400 });
}
