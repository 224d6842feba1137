/**
 * The Durable Object of one database: a thin shell that hands requests to the engine, and connects the engine to storage, alarm and
 * sockets. It holds no rules of its own. `lifecycle.ts` says what an object is and what it may become. An object that was never
 * initialised has no schema, writes nothing and refuses every request. So does the object of a deleted database, for good.
 */
import { DurableObject } from "cloudflare:workers";
import { answerArchiveCommand, type ArchiveParts } from "../backup/archives/archive-answers.ts";
import type { ArchiveAnswer, ArchiveCommand, ArchiveForkOrder } from "../contracts/archive-commands.ts";
import { archiveProtocol } from "../contracts/archive-files.ts";
import type { BackupAnswer, BackupCommand, BackupDeletionOrder } from "../contracts/backup-commands.ts";
import { toHex } from "../core/bytes.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { decodeFeedRequest, encodeFeedPage } from "../codec/feed.ts";
import type {
  BegunJob,
  CommandedLevel,
  CommandedRange,
  EntryAnswer,
  EntryCommand,
  EntryCount,
  EntryJob,
  ImportedEntries,
  KeyHistory,
  RangeDeletion,
  UndeleteWish,
} from "../contracts/entry-commands.ts";
import type { DocumentAnswer, DocumentRequest, TableAnswer, TableCommand } from "../contracts/document-commands.ts";
import type { ClearedLevel, TurnOutcome } from "../contracts/record-commands.ts";
import type { AgeCondition } from "../codec/record.ts";
import type { ApiKeyAnswer, ApiKeyCommand, OpenedApiKey } from "../contracts/api-keys.ts";
import {
  type Access,
  admittedPrefix,
  admittedRange,
  admittedRanges,
  type Grant,
  refusedAccess,
  refusedKeys,
  refusedRange,
  refusedWrite,
} from "../contracts/grant.ts";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
} from "../codec/datapath.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import { bytesOfPage } from "../core/feed.ts";
import { MAX_READ_ENTRIES, MAX_RPC_ANSWER_BYTES, MAX_SMALL_JSON_BYTES } from "../core/limits.ts";
import type { DatabaseSetup } from "../contracts/management.ts";
import type { DatabaseStats, FeedSetting } from "../contracts/resources.ts";
import {
  type DatabaseOwner,
  type ForkArchiveCommand,
  type PastInfo,
  type PastEviction,
  type ReceiveOrder,
  type RestoreAnswer,
  type RestoreCommand,
  type BackupJob,
} from "../contracts/restore-commands.ts";
import { BROKE_OFF, socketProtocol } from "../contracts/socket.ts";
import { versionstampHex } from "../core/versionstamp.ts";
import { DatabaseAccess, REVOKED } from "./database-access.ts";
import { isWatched, type OpenDatabase, openDatabase } from "./database-wiring.ts";
import { type OpenDeletion, openDeletion } from "./deletion-wiring.ts";
import { ClockWatch, STARTS_ANEW } from "./clock-watch.ts";
import { ASKED_AT_HEADER, type LargeAnswer, NO_DATABASE, watchProtocol } from "../contracts/database.ts";
import { writeMemory } from "./commit-queue.ts";
import { answerArchiveFile } from "./archive-wiring.ts";
import { answerEntries, answerPage } from "./entry-answers.ts";
import { keyHistory } from "./key-history.ts";
import { clearLevel } from "./level-clearing.ts";
import { importEntries } from "./entry-imports.ts";
import type { Env } from "./env.ts";
import { Lifecycle } from "./lifecycle.ts";
import type { DatabaseRole } from "./roles.ts";
import type { SocketPeer } from "./socket-session.ts";
import { SESSION_TAG } from "./socket-sessions.ts";
import { objectIn } from "./restore-wiring.ts";
import { entriesOfCommand, entriesOfRanges } from "./long-reads.ts";
import { acceptAwake, systemClock } from "./system.ts";
import { closeToo } from "./socket-ends.ts";
import { endSockets } from "./watch-sockets.ts";

export class DatabaseObject extends DurableObject<Env> implements DatabaseRole {
  readonly #life: Lifecycle<OpenDatabase, OpenDeletion>;
  readonly #clockWatch = new ClockWatch(systemClock, () => void this.#startAnew());
  readonly #access = new DatabaseAccess({
    database: () => this.#life.database,
    clockWatch: this.#clockWatch,
    clock: systemClock,
  });

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const erase = () => this.#life.erase();
    this.#life = new Lifecycle({
      storage: ctx.storage,
      clock: systemClock,
      name: ctx.id.name ?? ctx.id.toString(),
      alone: (work) => ctx.blockConcurrencyWhile(work),
      openDatabase: (tables, setup) => openDatabase({ ctx, tables, env, setup, erase }),
      openDeletion: (tables) => openDeletion({ ctx, tables, clock: systemClock, env, erase }),
      endSockets: (why) => endSockets(ctx.getWebSockets(), why),
      object: (jurisdiction, name) => objectIn(env, jurisdiction, name),
    });
  }

  initialize(setup: DatabaseSetup): Promise<{ readonly initialized: true } | Failure> {
    return this.#life.initialize(setup);
  }

  wipe(options: { readonly deleteBackups: boolean }): Promise<void> {
    return this.#life.wipe(options);
  }

  receiveArchive(order: ArchiveForkOrder): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure> {
    return this.#life.receiveArchive(order);
  }

  async archiveRange(id: string, offset: number, length: number): Promise<Uint8Array | Failure> {
    return this.#life.database?.archives?.archives.range(id, offset, length) ?? NO_DATABASE;
  }

  receive(order: ReceiveOrder): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure> {
    return this.#life.receive(order);
  }

  discard(): Promise<{ readonly ok: true } | Failure> {
    return this.#life.discard();
  }

  deleteBackup(order: BackupDeletionOrder): Promise<{ readonly ok: true } | Failure> {
    return this.#life.deleteBackup(order);
  }

  async revoke(tokenId: string, until: UnixMs, keysOf?: string): Promise<void> {
    const { database } = this.#life;
    if (keysOf !== undefined) database?.apiKeys.deleteMadeBy(keysOf);
    const sockets = this.ctx.getWebSockets(tokenId);
    database?.revocations.add(tokenId, until, systemClock.now());
    database?.watches.forget(sockets);
    endSockets(sockets, REVOKED);
    database?.sessions.revoke(tokenId, REVOKED);
    await database?.restores.revokeInPast({ tokenId, until });
  }

  async stats(): Promise<DatabaseStats | Failure> {
    if (this.#life.database === null) return NO_DATABASE;
    const { database, backup } = this.#life.database;
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
    const open = this.#access.allow(grant, "read", askedAt);
    if (isFailure(open)) return open;
    const read = decodeSnapshotRead(request);
    if (!read.ok) return read;
    return this.#access.read(grant, open, entriesOfRanges(read.ranges), ({ database }) => {
      const entries = database.read(admittedRanges(grant, read.ranges), MAX_RPC_ANSWER_BYTES);
      return entries === null ? { ok: true, large: true } : encodeSnapshotReadOutput(entries);
    });
  }

  async atomicWrite(grant: Grant, request: Uint8Array, askedAt?: UnixMs): Promise<Uint8Array | Failure> {
    const open = this.#access.allow(grant, "write", askedAt);
    if (isFailure(open)) return open;
    const decoded = decodeAtomicWrite(request);
    if (!decoded.ok) return decoded;
    const refused = refusedWrite(grant, decoded.write);
    if (refused !== null) return refused;
    const noRoom = open.room.refusal(decoded.write, request.byteLength);
    const unstorable = noRoom instanceof Promise ? await noRoom : noRoom;
    if (unstorable !== null) return unstorable;
    const outcome = await open.commits.submit({
      write: decoded.write,
      bytes: writeMemory(decoded.write, request.byteLength),
      refusal: () => this.#access.refusal(grant, "write", askedAt),
    });
    return "code" in outcome ? outcome : encodeAtomicWriteOutput(outcome);
  }

  async writeAtTurn(
    grant: Grant,
    request: Uint8Array,
    condition: AgeCondition,
    askedAt?: UnixMs,
  ): Promise<TurnOutcome | Failure> {
    const open = this.#access.allow(grant, "write", askedAt);
    if (isFailure(open)) return open;
    const decoded = decodeAtomicWrite(request);
    if (!decoded.ok) return decoded;
    const { write } = decoded;
    return (
      refusedWrite(grant, write) ??
      open.turns.write(write, writeMemory(write, request.byteLength), condition, () =>
        this.#access.refusal(grant, "write", askedAt),
      )
    );
  }

  async clearLevel(grant: Grant, level: CommandedLevel, askedAt?: UnixMs): Promise<ClearedLevel | Failure> {
    const open = this.#access.allow(grant, "write", askedAt);
    if (isFailure(open)) return open;
    const parts = {
      database: open.database,
      turns: open.longWork,
      flushed: () => this.ctx.storage.sync(),
      refusal: () => this.#access.refusal(grant, "write", askedAt),
    };
    return refusedRange(grant, level) ?? clearLevel(parts, level);
  }

  async entries(grant: Grant, command: EntryCommand, askedAt?: UnixMs): Promise<EntryAnswer> {
    const open = this.#access.allow(grant, "read", askedAt);
    if (isFailure(open)) return open;
    return this.#access.read(grant, open, entriesOfCommand(command), (now) => answerEntries(now, grant, command));
  }

  async documents(grant: Grant, request: DocumentRequest, askedAt?: UnixMs): Promise<DocumentAnswer | Failure> {
    // Each action of the request says what it needs; a grant allows at least one of both.
    const open = this.#access.allow(grant, grant.read ? "read" : "write", askedAt);
    if (isFailure(open)) return open;
    const asking = { grant, refusedAccess: (access: Access) => this.#access.refusal(grant, access, askedAt) };
    return open.documents.carryOut(asking, request);
  }

  async documentTables(grant: Grant, command: TableCommand, askedAt?: UnixMs): Promise<TableAnswer | Failure> {
    const isRead = command.command === "get" || command.command === "list";
    const open = this.#access.allow(grant, isRead ? "read" : "write", askedAt);
    return isFailure(open) ? open : open.documentTables.run(grant, command);
  }

  async owner(grant: Grant, askedAt?: UnixMs): Promise<DatabaseOwner | Failure> {
    const open = this.#access.allow(grant, grant.read ? "read" : "write", askedAt);
    return isFailure(open) ? open : { ok: true, organizationId: open.owner };
  }

  async keyHistory(
    grant: Grant,
    key: Uint8Array,
    before: string | null,
    limit: number,
    askedAt?: UnixMs,
  ): Promise<KeyHistory | Failure> {
    const open = this.#access.allow(grant, "read", askedAt);
    return isFailure(open) ? open : (refusedKeys(grant, [key]) ?? keyHistory(open.restores, key, before, limit));
  }

  async countEntries(grant: Grant, range: CommandedRange, askedAt?: UnixMs): Promise<EntryCount | Failure> {
    const open = this.#access.allow(grant, "read", askedAt);
    return isFailure(open) ? open : open.counts.count(admittedRange(grant, range));
  }

  async importEntries(
    grant: Grant,
    list: Uint8Array,
    overwrite: boolean,
    askedAt?: UnixMs,
  ): Promise<ImportedEntries | Failure> {
    const open = this.#access.allow(grant, "write", askedAt);
    if (isFailure(open)) return open;
    return importEntries(open, grant, list, overwrite, () => this.#access.refusal(grant, "write", askedAt));
  }

  async deleteEntries(
    grant: Grant,
    range: CommandedRange,
    dryRun: boolean,
    askedAt?: UnixMs,
  ): Promise<RangeDeletion | Failure> {
    const open = this.#access.allow(grant, "write", askedAt);
    if (isFailure(open)) return open;
    const refusedNow = (): Failure | null => this.#access.refusal(grant, "write", askedAt);
    return refusedRange(grant, range) ?? open.deletions.delete(range, dryRun, refusedNow);
  }

  async beginUndelete(
    grant: Grant,
    range: CommandedRange,
    wish: UndeleteWish,
    askedAt?: UnixMs,
  ): Promise<BegunJob | Failure> {
    const open = this.#access.allow(grant, "write", askedAt);
    if (isFailure(open)) return open;
    const refused = refusedAccess(grant, "read", askedAt ?? systemClock.now()) ?? refusedRange(grant, range);
    if (refused !== null) return refused;
    const [start, end] = [toHex(range.start), toHex(range.end)];
    return open.entryJobs.begin("entries.undelete", (jobId) => ({ command: "undelete", jobId, start, end, ...wish }));
  }

  async entryJob(grant: Grant, jobId: string, askedAt?: UnixMs): Promise<EntryJob | Failure> {
    const open = this.#access.allow(grant, "write", askedAt);
    return isFailure(open) ? open : open.entryJobs.job(jobId);
  }

  async feedPage(grant: Grant, request: Uint8Array, askedAt?: UnixMs): Promise<Uint8Array | LargeAnswer | Failure> {
    const open = this.#access.allow(grant, "read", askedAt);
    if (isFailure(open)) return open;
    const asked = decodeFeedRequest(request);
    if (!asked.ok) return asked;
    const prefix = admittedPrefix(grant, asked.prefix);
    if (isFailure(prefix)) return prefix;
    const entries = asked.from === "now" ? 0 : MAX_READ_ENTRIES;
    const answer = await this.#access.read(grant, open, entries, ({ feeds }) =>
      feeds.page({ prefix, from: asked.from }),
    );
    if (!answer.ok) return answer;
    return bytesOfPage(answer.page) > MAX_SMALL_JSON_BYTES ? { ok: true, large: true } : encodeFeedPage(answer.page);
  }

  async keepFeed(setting: FeedSetting | null): Promise<{ readonly ok: true } | Failure> {
    const open = this.#access.open();
    if (isFailure(open)) return open;
    const refused = open.mode.refusal("write");
    if (refused !== null) return refused;
    open.feeds.keep(setting);
    await this.ctx.storage.sync();
    return { ok: true };
  }

  async openApiKey(keyId: string, askedAt?: UnixMs): Promise<OpenedApiKey | Failure> {
    const open = this.#access.open(askedAt);
    return isFailure(open) ? open : open.apiKeys.open(keyId);
  }

  async apiKeys(command: ApiKeyCommand, askedAt?: UnixMs): Promise<ApiKeyAnswer> {
    const open = this.#access.open(askedAt);
    return isFailure(open) ? open : open.apiKeys.run(command);
  }

  async backup(command: BackupCommand, askedAt?: UnixMs): Promise<BackupAnswer> {
    const open = this.#access.open(askedAt);
    if (isFailure(open)) return open;
    const { alarms, backup, backupReport, mode } = open;
    const refused = mode.refusal("write");
    if (refused !== null) return refused;
    const answer = await backup.run(command);
    const reportAt = backupReport?.dueAt() ?? null;
    if (reportAt !== null) alarms.dueLater(reportAt);
    return answer;
  }

  async #forkArchive(command: ForkArchiveCommand): Promise<RestoreAnswer | Failure> {
    if (command.command === "receive orphaned archive") {
      const { command: _, ...archive } = command;
      const order = {
        ...archive,
        isOrphaned: true,
        jurisdiction: null,
        checksum: null,
        bytes: 0,
        version: null,
      } as const;
      const received = await this.#life.receiveArchive(order);
      return received.ok ? { ...received, kind: "job" } : received;
    }
    const open = this.#openArchives();
    if (isFailure(open)) return open;
    const { jobId, archiveId, intoDatabaseId, intoJurisdiction } = command;
    const into = objectIn(this.env, intoJurisdiction, intoDatabaseId);
    const job = await open.archives.fork(jobId, archiveId, into);
    return isFailure(job) ? job : { ok: true, kind: "job", job };
  }

  async archives(command: ArchiveCommand, askedAt?: UnixMs): Promise<ArchiveAnswer> {
    // The object's time decides when a schedule is due.
    if (askedAt !== undefined && !this.#clockWatch.isRight(askedAt)) return STARTS_ANEW;
    const open = this.#openArchives();
    return isFailure(open) ? open : answerArchiveCommand(open, command);
  }

  async restore(command: RestoreCommand | ForkArchiveCommand, askedAt?: UnixMs): Promise<RestoreAnswer | Failure> {
    // The object's time decides which moment is meant, and whether it is ambiguous.
    if (askedAt !== undefined && !this.#clockWatch.isRight(askedAt)) return STARTS_ANEW;
    const { database, deletion } = this.#life;
    (database ?? deletion)?.alarms.rescue();
    if ("archiveId" in command) return this.#forkArchive(command);
    if (database === null) return deletion?.deletion.run(command) ?? NO_DATABASE;
    return command.command === "restore from" ? this.#life.fill(command) : database.restores.run(command);
  }

  async lastUse(): Promise<UnixMs | null> {
    const { database } = this.#life;
    if (database === null) return null;
    return isWatched(this.ctx) ? systemClock.now() : database.mode.usedAt;
  }

  async pastEntries(range: CommandedRange, limit: number): Promise<EntryAnswer> {
    const open = this.#access.open();
    if (isFailure(open)) return open;
    return open.mode.refusal("read") ?? answerPage(open, { ...range, limit, reverse: false, keysOnly: false });
  }

  async openPast(grant: Grant, at: string, eviction: PastEviction, askedAt?: UnixMs): Promise<PastInfo | Failure> {
    if (askedAt !== undefined && !this.#clockWatch.isRight(askedAt)) return STARTS_ANEW;
    const open = this.#access.allow(grant, "read", askedAt);
    if (isFailure(open)) return open;
    const answer = await open.restores.run({ command: "past", at, eviction });
    if (!answer.ok) return answer;
    return answer.kind === "past" ? answer.past : failure("internal", "The database answered another question.");
  }

  override async fetch(request: Request): Promise<Response> {
    if (request.url.includes(archiveProtocol.path)) {
      const archives = this.#openArchives();
      return isFailure(archives) ? refusal(archives) : answerArchiveFile(request, archives);
    }
    // Only our own doors can call this object, and they send the grant that they verified.
    const grant = JSON.parse(request.headers.get(watchProtocol.grantHeader) ?? "{}") as Grant;
    const isUpgrade = request.headers.get("upgrade") === "websocket";
    const isSession = isUpgrade && new URL(request.url).pathname === socketProtocol.path;
    // A socket may be used only for writes.
    const open = this.#access.allow(grant, isSession && !grant.read ? "write" : "read", askedAtOf(request));
    if (isFailure(open)) return refusal(open);
    if (isSession) {
      const page = request.headers.get(socketProtocol.pageHeader);
      const peer = { grant, page, isRelayed: request.headers.has(socketProtocol.relayHeader) };
      return this.#acceptSession(open, peer, request.headers.has(socketProtocol.awakeHeader));
    }
    if (isUpgrade) return this.#acceptWatch(open, grant);
    const crowded = await open.longWork.begin();
    const still = crowded ?? this.#access.allow(grant, "read");
    if (isFailure(still)) return refusal(still);
    // The body is not kept while the read waits for memory. The ranges are views of it.
    const answer = await request.arrayBuffer().then((body) => {
      const read = decodeSnapshotRead(new Uint8Array(body));
      return read.ok ? still.largeReads.answer(admittedRanges(grant, read.ranges)) : read;
    });
    return isFailure(answer) ? refusal(answer) : new Response(answer);
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await (this.#life.database ?? this.#life.deletion)?.alarms.ring(info?.isRetry);
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const { database } = this.#life;
    if (database === null) return;
    if (database.sessions.message(socket, message)) database.alarms.rescue();
    else database.watches.message(socket, message);
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    this.#life.database?.sessions.closed(socket);
    this.#life.database?.watches.closed(socket);
    closeToo(socket, code, reason);
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket, BROKE_OFF, "");
  }

  #openArchives(): ArchiveParts | Failure {
    const open = this.#access.open();
    if (isFailure(open)) return open;
    return open.archives === null ? NO_DATABASE : (open.mode.refusal("write") ?? open.archives);
  }

  #acceptSession({ sessions }: OpenDatabase, peer: SocketPeer, isAwake: boolean): Response {
    const refused = sessions.refusal();
    if (refused !== null) return refusal(refused);
    const { 0: client, 1: server } = new WebSocketPair();
    // A front exists only where the disk is the server's own. Elsewhere an object that cannot sleep costs its owner money.
    if (isAwake && this.env.DISK !== undefined) {
      acceptAwake(server, this);
    } else {
      this.ctx.acceptWebSocket(server, [SESSION_TAG]);
      this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(socketProtocol.ping, socketProtocol.pong));
    }
    sessions.opened(server, peer);
    const headers = { "sec-websocket-protocol": socketProtocol.name };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  #acceptWatch(open: OpenDatabase, grant: Grant): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [grant.tokenId]);
    open.watches.opened(server, grant);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** Counters are stored first. Requests that are under way fail, and their clients send them again. */
  async #startAnew(): Promise<void> {
    this.#life.database?.database.saveCounters();
    await this.ctx.storage.sync();
    this.ctx.abort(STARTS_ANEW.message);
  }
}

function askedAtOf({ headers }: Request): UnixMs | undefined {
  const text = headers.get(ASKED_AT_HEADER);
  return text === null ? undefined : asUnixMs(Number(text));
}

function refusal(why: Failure): Response {
  return Response.json(why, { status: 400 });
}
