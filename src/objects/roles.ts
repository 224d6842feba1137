/**
 * What other objects may ask of each class of objects, through its namespace. The namespaces are typed by these interfaces and not by the
 * classes, so that a caller does not depend on the parts of an object.
 *
 * `askedAt` is the time by the caller's clock, because the object's own clock may stand still (`clock-watch.ts`). undefined: the caller
 * has no better clock than the object.
 */
import type { ApiKeyAnswer, ApiKeyCommand, ApiKeyStub, OpenedApiKey } from "../contracts/api-keys.ts";
import type { ArchiveAnswer, ArchiveCommand, ArchiveStub } from "../contracts/archive-commands.ts";
import type { BackupAnswer, BackupCommand, DeletionStub } from "../contracts/backup-commands.ts";
import type { DatabaseStub, LargeAnswer } from "../contracts/database.ts";
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
import type { Grant } from "../contracts/grant.ts";
import type {
  Caller,
  CommandName,
  DatabaseControl,
  ExchangeMode,
  IndexStub,
  Input,
  OrganizationStub,
  Output,
  TokenCaller,
} from "../contracts/management.ts";
import type {
  DatabaseOwner,
  ForkArchiveCommand,
  PastInfo,
  PastKeeper,
  PastEviction,
  RestoreAnswer,
  RestoreCommand,
  RestoreStub,
} from "../contracts/restore-commands.ts";
import type { ClearedLevel, TurnOutcome } from "../contracts/record-commands.ts";
import type { AgeCondition } from "../codec/record.ts";
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";

export interface DatabaseRole
  extends
    DatabaseStub,
    DatabaseControl,
    RestoreStub,
    PastKeeper,
    DeletionStub,
    ArchiveStub,
    ApiKeyStub,
    Rpc.DurableObjectBranded {
  snapshotRead(grant: Grant, request: Uint8Array, askedAt?: UnixMs): Promise<Uint8Array | LargeAnswer | Failure>;
  atomicWrite(grant: Grant, request: Uint8Array, askedAt?: UnixMs): Promise<Uint8Array | Failure>;
  entries(grant: Grant, command: EntryCommand, askedAt?: UnixMs): Promise<EntryAnswer>;
  owner(grant: Grant, askedAt?: UnixMs): Promise<DatabaseOwner | Failure>;
  keyHistory(
    grant: Grant,
    key: Uint8Array,
    before: string | null,
    limit: number,
    askedAt?: UnixMs,
  ): Promise<KeyHistory | Failure>;
  countEntries(grant: Grant, range: CommandedRange, askedAt?: UnixMs): Promise<EntryCount | Failure>;
  importEntries(
    grant: Grant,
    list: Uint8Array,
    overwrite: boolean,
    askedAt?: UnixMs,
  ): Promise<ImportedEntries | Failure>;
  deleteEntries(
    grant: Grant,
    range: CommandedRange,
    dryRun: boolean,
    askedAt?: UnixMs,
  ): Promise<RangeDeletion | Failure>;
  beginUndelete(grant: Grant, range: CommandedRange, wish: UndeleteWish, askedAt?: UnixMs): Promise<BegunJob | Failure>;
  entryJob(grant: Grant, jobId: string, askedAt?: UnixMs): Promise<EntryJob | Failure>;
  writeAtTurn(
    grant: Grant,
    request: Uint8Array,
    condition: AgeCondition,
    askedAt?: UnixMs,
  ): Promise<TurnOutcome | Failure>;
  clearLevel(grant: Grant, level: CommandedLevel, askedAt?: UnixMs): Promise<ClearedLevel | Failure>;
  documents(grant: Grant, request: DocumentRequest, askedAt?: UnixMs): Promise<DocumentAnswer | Failure>;
  documentTables(grant: Grant, command: TableCommand, askedAt?: UnixMs): Promise<TableAnswer | Failure>;
  feedPage(grant: Grant, request: Uint8Array, askedAt?: UnixMs): Promise<Uint8Array | LargeAnswer | Failure>;
  openApiKey(keyId: string, askedAt?: UnixMs): Promise<OpenedApiKey | Failure>;
  apiKeys(command: ApiKeyCommand, askedAt?: UnixMs): Promise<ApiKeyAnswer>;
  backup(command: BackupCommand, askedAt?: UnixMs): Promise<BackupAnswer>;
  archives(command: ArchiveCommand, askedAt?: UnixMs): Promise<ArchiveAnswer>;
  restore(command: RestoreCommand | ForkArchiveCommand, askedAt?: UnixMs): Promise<RestoreAnswer | Failure>;
  openPast(grant: Grant, at: string, eviction: PastEviction, askedAt?: UnixMs): Promise<PastInfo | Failure>;
}

export interface OrganizationRole extends OrganizationStub, Rpc.DurableObjectBranded {
  run<Name extends CommandName>(
    caller: Caller,
    named: string | null,
    name: Name,
    input: Input<Name>,
    askedAt?: UnixMs,
  ): Promise<Output<Name> | Failure>;
  exchange(caller: TokenCaller, databaseId: string, mode?: ExchangeMode, askedAt?: UnixMs): Promise<Grant | Failure>;
}

export interface IndexRole extends IndexStub, Rpc.DurableObjectBranded {}
