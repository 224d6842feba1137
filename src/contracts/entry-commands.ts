/**
 * What a database's object is asked about entries by doors that need more than KV Connect's messages say: when an entry expires, pages that
 * end by their size, keys alone, counts, deletes of a range, entries of a file. Entries cross as the message of `codec/entry-list.ts`, in
 * bytes. Keys are encoded; ranges are `start <= key < end`, bounds that need not be whole keys.
 */
import type { Grant } from "./grant.ts";
import type { BackupJob } from "./restore-commands.ts";
import type { Failure } from "../core/errors.ts";
import type { Version } from "../core/versionstamp.ts";

export interface CommandedRange {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

export type EntryCommand =
  /** The entries of these keys, in their order, all from one snapshot. */
  | { readonly command: "get"; readonly keys: readonly Uint8Array[] }
  /** The first entries of a range, from one snapshot: as many as fit into an answer, at least one, and at most `limit`. */
  | ({
      readonly command: "page";
      readonly limit: number;
      readonly reverse: boolean;
      /** The entries have no values. */
      readonly keysOnly: boolean;
    } & CommandedRange);

/** An EntryList, or why there is none. */
export type EntryAnswer = Uint8Array | Failure;

export interface EntryCount {
  readonly ok: true;
  readonly count: number;
  /** At or above the version of every commit that the count shows; what came later is not in it. */
  readonly version: Version;
}

/** Long work on entries, as `GET /api/jobs/{id}` shows it too. */
export interface EntryJob extends Pick<
  BackupJob,
  "id" | "status" | "done" | "total" | "rate" | "error" | "createdAt" | "finishedAt"
> {
  readonly ok: true;
}

/** What a delete of a range came to: how many were deleted (or would be), or the job that deletes them. */
export type RangeDeletion = EntryCount | { readonly ok: true; readonly job: EntryJob };

/** Of entries of a file. */
export interface ImportedEntries {
  readonly ok: true;
  /** How many were written. */
  readonly written: number;
  /** How many were there already and stayed as they are. */
  readonly skipped: number;
  /** At or above that of the commit. */
  readonly version: Version;
}

/** What a database's object offers beside KV Connect's messages. */
export interface EntryStub {
  entries(grant: Grant, command: EntryCommand): Promise<EntryAnswer>;
  /** Of one moment, that of the answer. */
  countEntries(grant: Grant, range: CommandedRange): Promise<EntryCount | Failure>;
  /** An EntryList, written as one commit; without `overwrite` only those whose keys have no entry. */
  importEntries(grant: Grant, list: Uint8Array, overwrite: boolean): Promise<ImportedEntries | Failure>;
  /** `dryRun`: only counts them. Of many a job is made. */
  deleteEntries(grant: Grant, range: CommandedRange, dryRun: boolean): Promise<RangeDeletion | Failure>;
  /** A job that `deleteEntries` has made. */
  entryJob(grant: Grant, jobId: string): Promise<EntryJob | Failure>;
}
