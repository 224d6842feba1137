/** Removes archives: everywhere, or at one destination. One that a job uses stays. */
import type { ArchivePlace } from "../../contracts/archive-commands.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import type { BackupJobs } from "../jobs.ts";
import type { CheckInput } from "./archive-checker.ts";
import type { ArchiveRows, StoredArchive } from "./archive-rows.ts";
import type { ArchiveStores } from "./archive-service.ts";
import { removeFrom } from "./leftovers.ts";

export interface RemovalParts {
  readonly jobs: BackupJobs;
  readonly rows: ArchiveRows;
  readonly stores: ArchiveStores;
}

export class ArchiveRemoval {
  readonly #jobs: BackupJobs;
  readonly #rows: ArchiveRows;
  readonly #stores: ArchiveStores;

  constructor({ jobs, rows, stores }: RemovalParts) {
    this.#jobs = jobs;
    this.#rows = rows;
    this.#stores = stores;
  }

  async destroy(id: string): Promise<{ readonly ok: true } | Failure> {
    const archive = this.#rows.stored(id);
    if (isFailure(archive)) return archive;
    const busy = this.#inUse(archive);
    if (busy !== null) return busy;
    const remaining: ArchivePlace[] = [];
    for (const place of archive.places) {
      if (place.status !== "stored") continue;
      const error = await this.#removeAt(place, archive);
      if (error !== null) remaining.push({ ...place, error });
    }
    const again = this.#rows.stored(id);
    if (isFailure(again)) return again;
    const nowBusy = this.#inUse(again);
    if (nowBusy !== null) return nowBusy;
    const [first] = remaining;
    if (first === undefined) {
      this.#rows.remove(archive.id);
      return { ok: true };
    }
    this.#rows.setPlaces(archive.id, remaining);
    return failure(
      "unavailable",
      `The archive ${id} could not be removed at "${first.name}", and stays in the list: ${first.error ?? ""} Try again, or remove the destination first`,
    );
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
