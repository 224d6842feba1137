/**
 * What a database's object can do with archives, and what that needs from outside. The doors' commands (`contracts/archive-commands.ts`)
 * end here; `archives.ts` does the work. Destinations, schedules and their tables are behind the ports `ArchiveStores` and
 * `ArchiveSettings`.
 */
import type {
  ArchiveDestinationType,
  ArchiveForkOrder,
  ArchiveInfo,
  ArchiveListQuery,
  ArchiveOrigin,
  ArchivePlace,
  ArchiveStub,
  ArchiveType,
} from "../../contracts/archive-commands.ts";
import type { BackupJob } from "../../contracts/restore-commands.ts";
import type { Failure } from "../../core/errors.ts";
import type { Destination } from "../destinations/destination.ts";

export interface NewArchive {
  /** Chosen by the caller. The same id again is the same archive. */
  readonly jobId: string;
  readonly type: ArchiveType;
  readonly description: string;
  readonly origin: Exclude<ArchiveOrigin, "upload">;
}

export interface ArchiveRestore {
  readonly jobId: string;
  readonly id: string;
  /** Whether an archive of the present state is made first. */
  readonly safetyArchive: boolean;
}

/** Bytes from `first` to `last`, both included, as in a range request that was checked against the size. */
export interface ArchiveRange {
  readonly first: number;
  readonly last: number;
}

export interface ArchiveDownload {
  readonly ok: true;
  readonly archive: ArchiveInfo;
  /** Of the whole file. */
  readonly size: number;
  /** The bytes of the range. It errors when they cannot be read to the end. A piece is read when the one before was taken. */
  readonly body: ReadableStream<Uint8Array>;
}

export interface ArchiveService {
  /** Begins an archive. "conflict" while another job runs; it names the job. */
  create(input: NewArchive): Promise<ArchiveInfo | Failure>;
  list(query: ArchiveListQuery): { readonly archives: readonly ArchiveInfo[]; readonly count: number };
  get(id: string): ArchiveInfo | Failure;
  /** Ends the job that makes the archive. What was stored of it is removed. "conflict" when it has ended. */
  cancel(id: string): Promise<ArchiveInfo | Failure>;
  /** Removes the archive here and at every destination. "conflict" while a job makes it or reads it. */
  destroy(id: string): Promise<{ readonly ok: true } | Failure>;
  /** Removes the archive from one destination. An archive that lies nowhere else must be destroyed instead: "conflict". */
  removeCopy(id: string, destinationId: string): Promise<{ readonly ok: true } | Failure>;
  /** Why a destination cannot leave its place now: an archive is being sent there. null: none is. */
  busyAt(destinationId: string): Failure | null;
  /** Tries to remove what archives that were given up have left at a destination. */
  tidyAt(destinationId: string): Promise<void>;
  /** Has another database, which is empty, take over the state of an archive. The job belongs to the other one. */
  fork(jobId: string, id: string, into: Pick<ArchiveStub, "receiveArchive">): Promise<BackupJob | Failure>;
  /** Another database's archive is restored into this one, which is empty. */
  receive(order: ArchiveForkOrder): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure>;
  /** Bytes of the file from `offset` on: at most as many as are read at once, fewer at the end. */
  range(id: string, offset: number, length: number): Promise<Uint8Array | Failure>;
  verify(jobId: string, id: string): Promise<BackupJob | Failure>;
  /** Replaces the whole database. */
  restore(input: ArchiveRestore): Promise<BackupJob | Failure>;
  /** `range` null: the whole file. Fails with "limit" for a range outside of the file. */
  download(id: string, range: ArchiveRange | null): Promise<ArchiveDownload | Failure>;
  /** Takes an archive from outside. It is checked whole before it is listed as completed. */
  upload(body: ReadableStream<Uint8Array>, description: string): Promise<ArchiveInfo | Failure>;
}

/** A destination that can be asked. */
export interface ArchiveStore {
  readonly destinationId: string;
  readonly name: string;
  readonly type: ArchiveDestinationType;
  readonly destination: Destination;
}

export interface ArchiveStores {
  /** All that are enabled, opened. A destination that cannot be opened (its secret, its settings) is a failure with its name. */
  enabled(): Promise<readonly (ArchiveStore | ClosedStore)[]>;
  /** One destination, enabled or not. "not-found": it was removed. */
  open(destinationId: string): Promise<ArchiveStore | Failure>;
  /**
   * Where an archive lies, whose object has this name below the prefix. What lies in the deployment's own place is found there also after
   * the destination was given another directory, or removed. Of other places only the destination knows the credentials: "not-found" when
   * it was removed.
   */
  openPlace(place: ArchivePlace, object: string): Promise<ArchiveStore | Failure>;
  /** An archive was sent there, or could not be. Called in the transaction that notes this with the archive. */
  noted(destinationId: string, error: string | null): void;
}

export interface ClosedStore extends Pick<ArchiveStore, "destinationId" | "name" | "type"> {
  readonly destination: null;
  /** Why it cannot be opened. */
  readonly error: string;
}

/** What a full archive holds besides entries: the schedule, the destinations and the tokens, all without secrets. */
export interface ArchiveSettings {
  /** A JSON object. */
  read(): Promise<string>;
  /** Takes over what a full archive held, in the transaction in which its entries replace the present ones. */
  adopt(json: string): void;
}

/** Told in the transaction in which an archive ends: completed or failed. */
export type ArchiveEnded = (archive: ArchiveInfo) => void;
