/**
 * What doors ask of a database's object about entries when KV Connect's messages do not say enough: when an entry expires, pages that end
 * by their size, keys without values, counts, deletes of a range, entries of a file. Entries are sent as bytes, as the message of
 * `codec/entry-list.ts`. Keys are encoded. A range is `start <= key < end`; its bounds need not be whole keys.
 */
import type { Grant } from "./grant.ts";
import type { JobKind } from "./resources.ts";
import type { BackupJob, DatabaseOwner, UndeleteOrder } from "./restore-commands.ts";
import type { Failure } from "../core/errors.ts";
import type { Version } from "../core/versionstamp.ts";

export interface CommandedRange {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

/** A level: the keys of a range that have exactly one part more than the encoded parent. All keys of the range begin with the parent. */
export interface CommandedLevel extends CommandedRange {
  readonly parent: Uint8Array;
}

export type EntryCommand =
  /** The entries of these keys, in their order, all from one snapshot. */
  | ({
      readonly command: "get";
      readonly keys: readonly Uint8Array[];
    } & BoundedAnswer)
  /** The entries of these keys, like "get", but without the values. */
  | { readonly command: "versions"; readonly keys: readonly Uint8Array[] }
  /** The first entries of a range, from one snapshot: as many as fit into an answer, at least one, and at most `limit`. */
  | ({
      readonly command: "page";
      readonly limit: number;
      readonly reverse: boolean;
      /** The entries have no values. */
      readonly keysOnly: boolean;
    } & CommandedRange &
      BoundedAnswer)
  /** The first entries of one level of keys. The answer says where the rest begins. */
  | ({ readonly command: "level"; readonly limit: number } & CommandedLevel & BoundedAnswer);

export interface BoundedAnswer {
  /** "limit" is the answer when there are more bytes of keys and values. Without it, as many as an answer has. */
  readonly maxBytes?: number;
}

/** An EntryList, or why there is none. */
export type EntryAnswer = Uint8Array | Failure;

export interface EntryCount {
  readonly ok: true;
  readonly count: number;
  /** At or above the version of every commit that the count includes. Later commits are not in it. */
  readonly version: Version;
}

export type EntryJobKind = Extract<JobKind, `entries.${string}`>;

/** A long task on entries, as `GET /api/jobs/{id}` shows it. */
export interface EntryJob extends Pick<
  BackupJob,
  "id" | "status" | "phase" | "done" | "total" | "rate" | "error" | "version" | "undeleted" | "createdAt" | "finishedAt"
> {
  readonly ok: true;
  readonly kind: EntryJobKind;
}

/** The result of a delete of a range: how many entries were deleted (or would be), or the job that deletes them. */
export type RangeDeletion = EntryCount | BegunJob;

export interface BegunJob {
  readonly ok: true;
  readonly job: EntryJob;
}

/** An undelete without its range. */
export type UndeleteWish = Omit<UndeleteOrder, "start" | "end">;

/** Entries of a file. */
export interface ImportedEntries {
  readonly ok: true;
  /** How many entries were written. */
  readonly written: number;
  /** How many entries existed already and stay as they are. */
  readonly skipped: number;
  /** At or above the version of the commit. */
  readonly version: Version;
}

/** The versions of a key that the backup has, the newest first. */
export interface KeyHistory {
  readonly ok: true;
  readonly versions: readonly { readonly version: Version; readonly change: "set" | "delete" }[];
  /** Where the next page begins. null: there is no next page. */
  readonly next: Version | null;
}

/** What a database's object offers besides KV Connect's messages. */
export interface EntryStub {
  /** The organization that owns the database. */
  owner(grant: Grant): Promise<DatabaseOwner | Failure>;
  /** Lists at most `limit` versions of the key. `before`: the `next` of the page before, in hex; null: begins with the newest version. */
  keyHistory(grant: Grant, key: Uint8Array, before: string | null, limit: number): Promise<KeyHistory | Failure>;
  entries(grant: Grant, command: EntryCommand): Promise<EntryAnswer>;
  /** Counts the entries at one moment, that of the answer. */
  countEntries(grant: Grant, range: CommandedRange): Promise<EntryCount | Failure>;
  /** Writes an EntryList as one commit. Without `overwrite` only entries whose keys have no entry yet. */
  importEntries(grant: Grant, list: Uint8Array, overwrite: boolean): Promise<ImportedEntries | Failure>;
  /** `dryRun`: only counts the entries. When there are many, a job deletes them. */
  deleteEntries(grant: Grant, range: CommandedRange, dryRun: boolean): Promise<RangeDeletion | Failure>;
  /** Begins a job that brings back entries of an earlier moment. The grant must allow reading and writing. */
  beginUndelete(grant: Grant, range: CommandedRange, order: UndeleteWish): Promise<BegunJob | Failure>;
  /** A job that `deleteEntries` or `beginUndelete` has made. */
  entryJob(grant: Grant, jobId: string): Promise<EntryJob | Failure>;
}
