/** Builds all that an object needs once it holds a database, a state of the past, or the trial of a backup. */
import type { Backup } from "../backup/continuous/backup.ts";
import type { RestoreService } from "../backup/recovery/restore-service.ts";
import type { UnixMs } from "../core/clock.ts";
import type { DatabaseSetup } from "../contracts/management.ts";
import { ApiKeyIds } from "../contracts/api-key-id.ts";
import { NO_DATABASE } from "../contracts/database.ts";
import { DataTokens } from "../contracts/data-token.ts";
import type { Grant } from "../contracts/grant.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import { type SigningKeys, signingKeys } from "../contracts/signing-keys.ts";
import {
  MAX_DATABASE_BYTES,
  MAX_PROCESS_ANSWER_BYTES,
  MAX_PROCESS_SOCKET_BYTES_UNDER_WAY,
  MAX_PROCESS_SOCKET_PENDING_BYTES,
} from "../core/limits.ts";
import { DocumentIndex } from "../documents/index/document-index.ts";
import { TABLES as DOCUMENT_TABLES } from "../documents/index/schema.ts";
import { MAX_PROCESS_DOCUMENT_REQUEST_BYTES, MAX_PROCESS_GATHERED_BYTES } from "../core/document-limits.ts";
import { Database } from "../engine/database.ts";
import { FROZEN_TABLE } from "../engine/frozen-state.ts";
import { SideState } from "../engine/side-state.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { ApiKeys } from "./api-keys.ts";
import { type DatabaseArchives, databaseArchives, processPace } from "./archive-wiring.ts";
import { BackupReportTask } from "./backup-report-task.ts";
import { databaseBackup, secretBox } from "./backup-wiring.ts";
import { CommitQueue } from "./commit-queue.ts";
import { CountersTask } from "./counters-task.ts";
import { changesOfIndexes } from "./changes-of-indexes.ts";
import { documentIndexTask } from "./document-index-task.ts";
import { askDisk, DiskSpace } from "./disk-space.ts";
import { Definitions } from "../documents/definitions.ts";
import { DocumentMemory } from "./document-memory.ts";
import { DocumentTables } from "./document-tables.ts";
import { Documents } from "./documents.ts";
import type { Env } from "./env.ts";
import { alarmForExpiry, expiryTask } from "./expiry-task.ts";
import { Feeds } from "./feeds.ts";
import { EntryCounts } from "./entry-counts.ts";
import { EntryDeletions } from "./entry-deletions.ts";
import { EntryJobs } from "./entry-jobs.ts";
import { ProcessMemory } from "../core/process-memory.ts";
import { ProcessTurns, type WorkTurns } from "../core/process-turns.ts";
import { MAX_PROCESS_SEARCH_BYTES } from "../core/search-limits.ts";
import { LargeReads } from "./large-reads.ts";
import { LateWatchers } from "./late-watchers.ts";
import type { HeldDatabase } from "./lifecycle.ts";
import { ObjectMode } from "./object-mode.ts";
import type { ObjectTables } from "./object-tables.ts";
import { databaseRestores, refusalToFill } from "./restore-wiring.ts";
import { Revocations } from "./revocations.ts";
import { Room } from "./room.ts";
import { Searches } from "./searches.ts";
import { organizationStub } from "./stubs.ts";
import { alarmParts, systemClock, systemEntropy, systemTimers, systemTurn, systemWait } from "./system.ts";
import { SESSION_TAG, SocketSessions } from "./socket-sessions.ts";
import { UsageTask } from "./usage-task.ts";
import { WatchSockets } from "./watch-sockets.ts";
import { WriteTurns } from "./write-turns.ts";

export interface OpenDatabase extends HeldDatabase {
  /** The organization that owns the database, or the name of the object if it is no organization's database. */
  readonly owner: string;
  /** The turns of the organization's long requests in the process. */
  readonly longWork: WorkTurns;
  readonly database: Database;
  /** null: the object is not an organization's database. */
  readonly documentIndex: DocumentIndex | null;
  readonly commits: CommitQueue;
  /** Writes that wait for their turn at a key; their condition is judged then. */
  readonly turns: WriteTurns;
  readonly documents: Documents;
  readonly documentTables: DocumentTables;
  readonly room: Room;
  readonly alarms: AlarmClock;
  readonly watches: WatchSockets;
  readonly sessions: SocketSessions;
  readonly largeReads: LargeReads;
  readonly counts: EntryCounts;
  readonly deletions: EntryDeletions;
  readonly entryJobs: EntryJobs;
  readonly revocations: Revocations;
  readonly apiKeys: ApiKeys;
  readonly backup: Backup;
  readonly feeds: Feeds;
  /** null: the object is not an organization's database. */
  readonly backupReport: BackupReportTask | null;
  readonly mode: ObjectMode;
  readonly restores: RestoreService;
  /** null: the object is not an organization's database. */
  readonly archives: DatabaseArchives | null;
}

export interface DatabaseParts {
  readonly ctx: DurableObjectState;
  readonly tables: ObjectTables;
  readonly env: Env;
  /** null: the object is not an organization's database. */
  readonly setup: DatabaseSetup | null;
  /** Removes everything from the object. */
  readonly erase: () => Promise<void>;
}

/** Shared by all objects in this process. */
export const processTurns = new ProcessTurns({ clock: systemClock, wait: systemWait });
const searchMemory = new ProcessMemory(MAX_PROCESS_SEARCH_BYTES, systemClock);
const answerMemory = new ProcessMemory(MAX_PROCESS_ANSWER_BYTES, systemClock);
const buildMemory = new ProcessMemory(MAX_PROCESS_GATHERED_BYTES, systemClock);
const documentMemory = new ProcessMemory(MAX_PROCESS_DOCUMENT_REQUEST_BYTES, systemClock);
const socketMemory = {
  underWay: new ProcessMemory(MAX_PROCESS_SOCKET_BYTES_UNDER_WAY, systemClock),
  pending: new ProcessMemory(MAX_PROCESS_SOCKET_PENDING_BYTES, systemClock),
};

/** Makes or migrates the tables, and sets the alarm. */
export async function openDatabase({ ctx, tables, env, setup, erase }: DatabaseParts): Promise<OpenDatabase> {
  const { storage } = ctx;
  // Set just below, before any call can read, set an expiry or commit.
  let alarms: AlarmClock | null = null;
  let backup: Backup | null = null;
  let sessions: SocketSessions | null = null;
  let feeds: Feeds | null = null;
  let uses: readonly (CountersTask | UsageTask)[] = [];
  // A state of the past and a trial have no indexes: nobody searches them.
  const documentIndex =
    setup === null
      ? null
      : new DocumentIndex({
          storage,
          isMade: tables.found(DOCUMENT_TABLES),
          onWork: () => alarms?.dueBy(systemClock.now()),
          memory: buildMemory.account(setup.organizationId),
        });
  const database = new Database({
    storage,
    ...(documentIndex === null ? {} : { derivedTables: documentIndex }),
    clock: { now: () => mode.now() },
    mayBeFrozen: tables.found(FROZEN_TABLE),
    onExpirySet: (at) => alarms?.dueBy(alarmForExpiry(at)),
    onLogged: (bytes) => {
      backup?.noted(bytes);
      feeds?.noted();
    },
    onUse: (how) => {
      processPace.operations += 1;
      // What a search reads is long work itself.
      if (how !== "other read") processTurns.used(owner);
      // A read writes nothing, so its answer does not wait for the alarm of its bookkeeping.
      for (const use of uses) {
        if (how === "write") alarms?.dueBy(use.used());
        else alarms?.dueLater(use.used());
      }
    },
    onError: logError,
  });
  // An object that is not an organization's database is never open: it holds nothing until a backup was brought there.
  const mode = new ObjectMode(
    tables,
    systemClock,
    setup === null ? "check" : "open",
    () => restores.jobs.running !== null,
  );
  const dueBy = (at: UnixMs) => alarms?.dueBy(at);
  const common = { storage, database, clock: systemClock, env, dueBy };
  backup = databaseBackup(common);
  const objectName = setup?.databaseId ?? ctx.id.name ?? ctx.id.toString();
  // The organization that owns the database: organizations share the memory of the process.
  const owner = setup?.organizationId ?? objectName;
  const longWork = processTurns.of(owner);
  const background = processTurns.patient(owner);
  const flushed = () => storage.sync();
  const jurisdiction = setup?.jurisdiction ?? null;
  const revocations = new Revocations(tables);
  const revoked = () => revocations.list();
  const room = new Room({
    sql: storage.sql,
    database,
    disk: new DiskSpace(askDisk(env.DISK, systemTimers), systemClock),
    // Where the size of the disk is known, the disk is the only limit.
    limit: env.DISK === undefined ? MAX_DATABASE_BYTES : Number.POSITIVE_INFINITY,
  });
  const side = new SideState(storage, () => database.notePeak());
  const restores = databaseRestores({
    ...common,
    side,
    room,
    backup,
    mode,
    revoked,
    objectName,
    jurisdiction,
    background,
    flushed,
  });
  // A state of the past and a trial have no archives.
  const archives = setup === null ? null : databaseArchives({ ...common, side, room, backup, mode, restores, setup });
  feeds = new Feeds({ database, history: restores.feedHistory, clock: systemClock, dueBy });
  const backupReport = setup === null ? null : backupReportOf(backup, setup, tables, env);
  // Use is counted only for an organization's database, not for a state of the past or the trial of a backup.
  if (setup !== null) uses = [new CountersTask(database, systemClock), usageOf(database, setup, tables, env)];
  alarms = new AlarmClock(storage, tables, alarmParts(ctx.id), [
    expiryTask(database, () => mode.mode === "open", background, flushed),
    ...uses,
    ...backup.tasks,
    feeds.task,
    ...(backupReport === null ? [] : [backupReport]),
    ...(documentIndex === null
      ? []
      : [documentIndexTask({ index: documentIndex, room, clock: systemClock, turns: background })]),
    restores.task,
    restores.scheduleTask,
    ...(archives?.tasks ?? []),
    mode.idleTask(() => isWatched(ctx), erase),
    { name: "sockets", dueAt: () => sessions?.nextEnd() ?? null, run: () => sessions?.endExpired() },
  ]);
  await alarms.start();
  const apiKeys = new ApiKeys({
    tables,
    setup,
    ids: () => apiKeyIds(env),
    secrets: secretBox(env),
    clock: systemClock,
    entropy: systemEntropy,
    isRevoked: (tokenId) => revocations.has(tokenId),
  });
  const held = { database, alarms, backup, backupReport, feeds, mode, restores, archives, room, revocations, apiKeys };
  const commits = new CommitQueue({
    commit: (writes) => database.commit(writes),
    derivedChanges: (submitted) => (documentIndex === null ? 0 : changesOfIndexes(documentIndex, submitted)),
    flushed,
    turns: longWork,
    breathe: systemTurn,
    onError: logError,
  });
  const turns = new WriteTurns({ database, commits, room, flushed, timers: systemTimers });
  const definitions = new Definitions();
  const documentTables = new DocumentTables({
    database,
    commits,
    room,
    definitions,
    indexStateOf: (table) => documentIndex?.state(table) ?? null,
  });
  const documents = new Documents({
    database,
    commits,
    room,
    tables: documentTables,
    definitions,
    searches: new Searches({
      sql: storage.sql,
      index: documentIndex,
      clock: systemClock,
      mayHaveExpired: () => database.mayHaveExpired(),
      onRead: (bytes) => database.countOtherRead(bytes),
      turns: background,
      memory: searchMemory,
      owner,
    }),
    memory: new DocumentMemory({ memory: documentMemory, owner }),
    entropy: systemEntropy,
    turns: longWork,
    clock: systemClock,
  });
  const late = new LateWatchers(database.watches, systemClock, systemTimers);
  const sockets = Map.groupBy(ctx.getWebSockets(), (socket) => ctx.getTags(socket).includes(SESSION_TAG));
  const watches = new WatchSockets(database.watches, sockets.get(false) ?? [], late);
  sessions = new SocketSessions(sockets.get(true) ?? [], {
    database,
    commits,
    room,
    refusedByMode: (access) => mode.refusal(access),
    late,
    feeds: held.feeds,
    longWork,
    clock: systemClock,
    timers: systemTimers,
    memory: { underWay: socketMemory.underWay.account(owner), pending: socketMemory.pending.account(owner) },
    grantOf: grantsOf(env, objectName),
    dueBy: (at) => held.alarms.dueBy(at),
  });
  const largeReads = new LargeReads({
    database,
    clock: systemClock,
    timers: systemTimers,
    turns: longWork,
    memory: answerMemory,
    owner,
  });
  const counts = new EntryCounts({ database, turns: longWork });
  const entryJobs = new EntryJobs({
    restores,
    newId: () => systemEntropy.uuid(),
    note: async (jobId, kind) => {
      if (setup === null) return;
      await organizationStub(env, setup.organizationId).noteJob(setup.databaseId, jobId, kind);
    },
  });
  const deletions = new EntryDeletions({ database, counts, jobs: entryJobs, turns: longWork, flushed });
  return {
    ...held,
    owner,
    longWork,
    documentIndex,
    commits,
    turns,
    documents,
    documentTables,
    watches,
    sessions,
    largeReads,
    counts,
    deletions,
    entryJobs,
    refusalToFill: (purpose) => refusalToFill(purpose, database, mode),
    receiveArchive: async (order) => archives?.archives.receive(order) ?? NO_DATABASE,
    close: (why) => {
      commits.close(why);
      largeReads.close(why);
      counts.close(why);
      held.alarms.stop();
      documentIndex?.close();
      restores.close();
      const isSending = held.backup.isBusy;
      held.backup.close();
      sessions?.close(why);
      watches.close();
      return { isSending };
    },
  };
}

/** Whether any watch is open. */
export function isWatched(ctx: DurableObjectState): boolean {
  return ctx.getWebSockets().some(({ readyState }) => readyState === WebSocket.OPEN);
}

/** What data tokens of this database grant, for sockets that get a new token. The keys are read when the first such token comes. */
function grantsOf(env: Env, databaseId: string): (token: string) => Grant | Failure | Promise<Grant | Failure> {
  let tokens: DataTokens | undefined;
  return (token) => {
    if (tokens === undefined) {
      const keys = signingKeysOf(env);
      if (isFailure(keys)) return keys;
      tokens = new DataTokens(keys);
    }
    return tokens.verify(token, databaseId, systemClock.now());
  };
}

function apiKeyIds(env: Env): ApiKeyIds | Failure {
  const keys = signingKeysOf(env);
  return isFailure(keys) ? keys : new ApiKeyIds(keys);
}

/** Without keys the Worker answers no request, so nobody asks for them. */
function signingKeysOf(env: Env): SigningKeys | Failure {
  const keys = signingKeys(env.CAIRN_SIGNING_KEYS ?? "");
  return isFailure(keys) ? failure("internal", `CAIRN_SIGNING_KEYS, ${keys.message}`) : keys;
}

function usageOf(
  database: Database,
  { organizationId, databaseId }: DatabaseSetup,
  tables: ObjectTables,
  env: Env,
): UsageTask {
  return new UsageTask({
    tables,
    database,
    clock: systemClock,
    report: (counters, usedAt) => organizationStub(env, organizationId).reportUsage(databaseId, counters, usedAt),
  });
}

function backupReportOf(
  backup: Backup,
  { organizationId, databaseId }: DatabaseSetup,
  tables: ObjectTables,
  env: Env,
): BackupReportTask {
  return new BackupReportTask({
    tables,
    clock: systemClock,
    databaseId,
    info: () => backup.info(),
    report: (health) => organizationStub(env, organizationId).reportBackup(databaseId, health),
  });
}

function logError(error: unknown): void {
  console.error("a commit failed:", error);
}
