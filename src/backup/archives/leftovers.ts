/**
 * Objects and uploads that must not stay at a destination: of archives that failed, were cancelled, or were given up there. They are
 * removed by a task of the object's alarm, which tries again until the destination has removed them or was removed itself. So are archives
 * whose destruction was interrupted.
 */
import { backoffMs } from "../../core/backoff.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import { isFailure } from "../../core/errors.ts";
import type { SyncStorage } from "../../core/storage.ts";
import type { Destination, DestinationFailure, Done } from "../destinations/destination.ts";
import { hasArchiveTables } from "./archive-schema.ts";
import { type Leftover, STARTING } from "./archive-sender.ts";
import type { ArchiveStores } from "./archive-service.ts";

const LONGEST_WAIT_MS = 60 * 60 * 1000;

/** One run of the task removes at most so many. */
const MOST_AT_ONCE = 10;

/** Stands for a destination in the row of an archive that is being destroyed, whose object is the archive's id. */
const EVERYWHERE = "";

/** After this long a destruction was interrupted, unless it is still under way. */
const DESTRUCTION_MS = 30_000;

const EARLIEST = "SELECT min(retry_at) AS at FROM archive_leftovers";

type Row = {
  readonly id: number;
  readonly destination_id: string;
  readonly object: string;
  readonly upload: string | null;
  readonly attempts: number;
};

export class Leftovers {
  readonly #storage: SyncStorage;
  readonly #clock: Clock;
  readonly #stores: ArchiveStores;
  /** When the next one is due; null: there is none. Kept because every alarm asks. undefined: not read yet. */
  #next: number | null | undefined;
  readonly #destroy: (archiveId: number) => Promise<boolean>;

  /** `destroy`: goes on with a destruction that is not under way, and says whether the archive is gone. */
  constructor(
    storage: SyncStorage,
    clock: Clock,
    stores: ArchiveStores,
    destroy: (archiveId: number) => Promise<boolean>,
  ) {
    this.#storage = storage;
    this.#clock = clock;
    this.#stores = stores;
    this.#destroy = destroy;
  }

  /** In the caller's transaction. */
  add({ destinationId, object, upload }: Leftover): void {
    this.#add(destinationId, object, upload, this.#clock.now());
  }

  /** The archive is being destroyed from now on. In the caller's transaction. */
  destroying(archiveId: number): void {
    this.#add(EVERYWHERE, String(archiveId), null, this.#clock.now() + DESTRUCTION_MS);
  }

  /** The archive was destroyed, or stays. In the caller's transaction. */
  destroyed(archiveId: number): void {
    this.#next = undefined;
    this.#storage.sql.exec(
      "DELETE FROM archive_leftovers WHERE destination_id = ?1 AND object = ?2",
      EVERYWHERE,
      String(archiveId),
    );
  }

  #add(destinationId: string, object: string, upload: string | null, at: number): void {
    this.#next = undefined;
    this.#storage.sql.exec(
      "INSERT INTO archive_leftovers (destination_id, object, upload, attempts, retry_at) VALUES (?1, ?2, ?3, 0, ?4)",
      destinationId,
      object,
      upload,
      at,
    );
  }

  dueAt(): UnixMs | null {
    if (this.#next === undefined) {
      const isMade = hasArchiveTables(this.#storage);
      const rows = isMade ? this.#storage.sql.exec<{ at: number | null }>(EARLIEST).toArray() : [];
      this.#next = rows[0]?.at ?? null;
    }
    if (this.#next === null) return null;
    const now = this.#clock.now();
    // When it is further away than any wait, the clock was set back.
    return asUnixMs(this.#next > now + LONGEST_WAIT_MS ? now : this.#next);
  }

  async run(): Promise<void> {
    const now = this.#clock.now();
    const rows = this.#storage.sql
      .exec<Row>(
        `SELECT id, destination_id, object, upload, attempts FROM archive_leftovers
         WHERE retry_at <= ?1 OR retry_at > ?2 ORDER BY retry_at LIMIT ?3`,
        now,
        now + LONGEST_WAIT_MS,
        MOST_AT_ONCE,
      )
      .toArray();
    for (const row of rows) await this.#remove(row);
  }

  /** Tries to remove what is left at a destination, until it does not remove something. */
  async removeAt(destinationId: string): Promise<void> {
    if (!hasArchiveTables(this.#storage)) return;
    const rows = this.#storage.sql
      .exec<Row>(
        "SELECT id, destination_id, object, upload, attempts FROM archive_leftovers WHERE destination_id = ?1",
        destinationId,
      )
      .toArray();
    for (const row of rows) if (!(await this.#remove(row))) return;
  }

  async #isRemoved({ destination_id: id, object, upload }: Row): Promise<boolean> {
    if (id === EVERYWHERE) return this.#destroy(Number(object));
    const store = await this.#stores.open(id);
    if (isFailure(store)) return store.code === "not-found";
    return (await removeFrom(store.destination, object, upload)).ok;
  }

  async #remove(row: Row): Promise<boolean> {
    const removed = await this.#isRemoved(row);
    const { id, attempts } = row;
    const { sql } = this.#storage;
    this.#next = undefined;
    if (removed) {
      sql.exec("DELETE FROM archive_leftovers WHERE id = ?1", id);
    } else {
      const retryAt = this.#clock.now() + backoffMs(attempts, LONGEST_WAIT_MS);
      sql.exec("UPDATE archive_leftovers SET attempts = attempts + 1, retry_at = ?2 WHERE id = ?1", id, retryAt);
    }
    return removed;
  }
}

/** Removes the object, and every upload of its name. */
export async function removeFrom(
  destination: Destination,
  object: string,
  upload: string | null,
): Promise<Done | DestinationFailure> {
  const hasId = upload !== null && upload !== STARTING;
  const aborted = hasId ? await destination.abortUpload(object, upload) : null;
  if (aborted !== null && !aborted.ok) return aborted;
  // An upload may have been begun whose id was lost.
  const others = upload === null ? undefined : await destination.abortUploads?.(object);
  if (others !== undefined && !others.ok) return others;
  return destination.delete(object);
}
