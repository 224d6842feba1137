/** Removes archives: everywhere, or at one destination. One that a job uses stays. */
import type { ArchivePlace } from "../../contracts/archive-commands.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import type { BackupJobs } from "../jobs.ts";
import type { CheckInput } from "./archive-checker.ts";
import type { SyncStorage } from "../../core/storage.ts";
import type { ArchiveRows, StoredArchive } from "./archive-rows.ts";
import type { ArchiveStores } from "./archive-service.ts";
import { type Leftovers, removeFrom } from "./leftovers.ts";

export interface RemovalParts {
  readonly storage: SyncStorage;
  readonly jobs: BackupJobs;
  readonly rows: ArchiveRows;
  readonly stores: ArchiveStores;
  readonly leftovers: Pick<Leftovers, "destroying" | "destroyed">;
}

export class ArchiveRemoval {
  readonly #storage: SyncStorage;
  readonly #jobs: BackupJobs;
  readonly #rows: ArchiveRows;
  readonly #stores: ArchiveStores;
  readonly #leftovers: RemovalParts["leftovers"];
  /** Archives that are being removed at this moment. */
  readonly #underWay = new Set<number>();

  constructor({ storage, jobs, rows, stores, leftovers }: RemovalParts) {
    this.#storage = storage;
    this.#jobs = jobs;
    this.#rows = rows;
    this.#stores = stores;
    this.#leftovers = leftovers;
  }

  /**
   * From the first removal on the archive is not shown any more: after a kill nobody sees an archive that lies at fewer places than it says,
   * and `resume` goes on. One that a destination does not remove is shown again, with the places that are left.
   */
  async destroy(id: string): Promise<{ readonly ok: true } | Failure> {
    const archive = this.#storage.transactionSync(() => {
      const found = this.#rows.stored(id);
      if (isFailure(found)) return found;
      const busy = this.#inUse(found);
      if (busy !== null) return busy;
      this.#rows.setDestroying(found.id);
      this.#leftovers.destroying(found.id);
      return found;
    });
    if (isFailure(archive)) return archive;
    const remaining = await this.#removeEverywhere(archive);
    const [first] = remaining;
    if (first === undefined) return { ok: true };
    this.#storage.transactionSync(() => {
      this.#rows.setRemaining(archive.id, remaining);
      this.#leftovers.destroyed(archive.id);
    });
    return failure(
      "unavailable",
      `The archive ${id} could not be removed at "${first.name}", and stays in the list: ${first.error ?? ""} Try again, or remove the destination first`,
    );
  }

  /** Goes on with a destruction that was interrupted. Returns whether the archive is gone. */
  async resume(id: number): Promise<boolean> {
    if (this.#underWay.has(id)) return false;
    const archive = this.#rows.destroying(id);
    return archive === null || (await this.#removeEverywhere(archive)).length === 0;
  }

  /** Returns where it still lies. Nowhere: the archive is gone. */
  async #removeEverywhere(archive: StoredArchive): Promise<readonly ArchivePlace[]> {
    this.#underWay.add(archive.id);
    const remaining: ArchivePlace[] = [];
    try {
      for (const place of archive.places) {
        if (place.status !== "stored") continue;
        const error = await this.#removeAt(place, archive);
        if (error !== null) remaining.push({ ...place, error });
      }
    } finally {
      this.#underWay.delete(archive.id);
    }
    if (remaining.length > 0) return remaining;
    this.#storage.transactionSync(() => {
      this.#rows.remove(archive.id);
      this.#leftovers.destroyed(archive.id);
    });
    return [];
  }

  async removeCopy(id: string, destinationId: string): Promise<{ readonly ok: true } | Failure> {
    const archive = this.#rows.completed(id);
    if (isFailure(archive)) return archive;
    const busy = this.#inUse(archive);
    if (busy !== null) return busy;
    const place = archive.places.find((one) => one.destinationId === destinationId);
    if (place === undefined) return { ok: true };
    const others = archive.places.some((one) => one.status === "stored" && one !== place);
    if (!others) return failure("conflict", `The archive ${id} lies nowhere else: destroy it instead`);
    const error = place.status === "stored" ? await this.#removeAt(place, archive) : null;
    if (error !== null)
      return failure("unavailable", `The archive ${id} could not be removed at "${place.name}": ${error}`);
    const again = this.#rows.stored(id);
    if (isFailure(again)) return { ok: true };
    this.#rows.setPlaces(
      archive.id,
      again.places.filter((one) => one.destinationId !== destinationId),
    );
    return { ok: true };
  }

  #inUse({ id, status, jobId }: StoredArchive): Failure | null {
    const { running } = this.#jobs;
    if (running === null) return null;
    const reads = running.kind === "archive restore" || running.kind === "archive verification";
    // The service wrote it, from a value of this type.
    const isRead = reads && (JSON.parse(running.input) as CheckInput).archiveId === String(id);
    if (!isRead && !(status === "running" && running.id === jobId)) return null;
    return failure(
      "conflict",
      `The job ${running.id} (${running.kind}) is using the archive ${id}: wait for it or cancel it`,
    );
  }

  /** Returns why it is still there. null: it is not there any more. */
  async #removeAt(place: ArchivePlace, { object }: StoredArchive): Promise<string | null> {
    const store = await this.#stores.openPlace(place, object);
    if (isFailure(store)) return store.code === "not-found" ? null : store.message;
    const removed = await removeFrom(store.destination, object, null);
    return removed.ok ? null : removed.message;
  }
}
