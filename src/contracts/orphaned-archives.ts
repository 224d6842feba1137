/**
 * Archives of deleted databases that lie in the deployment's own place. Nobody else names them: the rows of a deleted database are gone. So
 * the place itself is read. Plain data, so that it can be sent between objects.
 */
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";

/** One file, as the place shows it. */
export interface FoundArchive {
  /** Names the file for good: lower-case hex digits. */
  readonly id: string;
  readonly databaseId: string;
  /** The id that the archive had in its database. */
  readonly number: string;
  /** The directory of the destination, inside of what the organization has in the place. Empty, or without a slash at its end. */
  readonly directory: string;
  /** Bytes. */
  readonly size: number;
  /** By the place's clock. null: the place does not say. */
  readonly storedAt: UnixMs | null;
}

export interface OrphanedArchive extends FoundArchive {
  /** As the database was called when it was deleted. */
  readonly databaseName: string;
}

/** Whether the database was deleted, so that only the organization can name its archives. */
export type IsDeleted = (databaseId: string) => boolean;

export interface FoundPage {
  readonly ok: true;
  readonly archives: readonly FoundArchive[];
  /** The next page begins after this name. null at the end. A page may be empty and have a next one. */
  readonly next: string | null;
}

/** What one organization has in the deployment's own place. */
export interface OrphanedArchiveFiles {
  /** In the order of their names. `after`: the `next` of the page before. */
  page(after: string | null, limit: number, isDeleted: IsDeleted): Promise<FoundPage | Failure>;
  find(id: string, isDeleted: IsDeleted): Promise<{ readonly ok: true; readonly archive: FoundArchive } | Failure>;
  /** "not-found" when there is no such file, or not any more. */
  destroy(id: string, isDeleted: IsDeleted): Promise<{ readonly ok: true } | Failure>;
}
