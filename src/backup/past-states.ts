/**
 * The states of the past that can be read: each is built in an object of its own, which wipes itself when nobody has read it for a
 * while. Here it is known which there are, at most two: for another one the least recently asked for goes.
 */
import type { Clock } from "../core/clock.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_PAST_STATES } from "../core/limits.ts";
import { type PastInfo, pastName, type RestoreStub } from "../core/restore-commands.ts";
import type { SyncStorage } from "../core/storage.ts";
import { asVersion, type Version } from "../core/versionstamp.ts";
import type { OpenBackup } from "./own-backup.ts";
import type { ResolvedMoment } from "./replay/points.ts";
import { hasBackupTables } from "./schema.ts";

/** Such an object has this one job. */
const JOB_ID = "past";

export interface PastStatesOptions {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  readonly object: (name: string) => RestoreStub;
}

export class PastStates {
  readonly #options: PastStatesOptions;

  constructor(options: PastStatesOptions) {
    this.#options = options;
  }

  /** Whether the state of exactly this commit was asked for before, so that nobody needs to look in the bucket. */
  knows(version: Version): boolean {
    const { storage } = this.#options;
    if (!hasBackupTables(storage)) return false;
    return storage.sql.exec("SELECT 1 FROM past_states WHERE version = ?1", version).toArray().length > 0;
  }

  /** null: its object holds nothing, and is to be given `build`. */
  async find(databaseId: string, version: Version): Promise<PastInfo | Failure | null> {
    const name = pastName(databaseId, version);
    const stub = this.#options.object(name);
    const answer = await stub.restore({ command: "job", jobId: JOB_ID });
    if (!answer.ok) return answer.code === "not-found" ? null : answer;
    if (answer.kind !== "job") return null;
    const { status, error } = answer.job;
    if (status === "running" || status === "completed") {
      this.#touch(version);
      return { version, name, ready: status === "completed" };
    }
    // Whoever asks next begins anew.
    await stub.discard();
    return failure("conflict", `The state of that moment could not be built: ${error ?? "it was cancelled"}`);
  }

  async build(
    { bucket, destination }: OpenBackup,
    { generation, version }: ResolvedMoment,
  ): Promise<PastInfo | Failure> {
    const { databaseId } = bucket;
    await this.#makeRoom(databaseId, version);
    const name = pastName(databaseId, version);
    const received = await this.#options.object(name).receive({
      purpose: "past",
      jobId: JOB_ID,
      databaseId,
      destination,
      version,
      floor: version,
      generation: JSON.stringify(generation),
    });
    return received.ok ? { version, name, ready: false } : received;
  }

  async discardAll(databaseId: string): Promise<void> {
    const { storage, object } = this.#options;
    if (!hasBackupTables(storage)) return;
    for (const { version } of storage.sql.exec<{ version: number }>("SELECT version FROM past_states").toArray()) {
      await object(pastName(databaseId, asVersion(version))).discard();
      storage.sql.exec("DELETE FROM past_states WHERE version = ?1", version);
    }
  }

  async #makeRoom(databaseId: string, version: Version): Promise<void> {
    const { storage, object } = this.#options;
    this.#touch(version);
    const others = storage.sql
      .exec<{ version: number }>("SELECT version FROM past_states WHERE version <> ?1 ORDER BY used_at DESC", version)
      .toArray();
    for (const other of others.slice(MAX_PAST_STATES - 1)) {
      await object(pastName(databaseId, asVersion(other.version))).discard();
      storage.sql.exec("DELETE FROM past_states WHERE version = ?1", other.version);
    }
  }

  #touch(version: Version): void {
    this.#options.storage.sql.exec(
      "INSERT INTO past_states (version, used_at) VALUES (?1, ?2) ON CONFLICT (version) DO UPDATE SET used_at = excluded.used_at",
      version,
      this.#options.clock.now(),
    );
  }
}
