/** A database that can be brought back, inside a Durable Object, over a backup that somebody else wrote. */
import type { Destination } from "../../../src/backup/destinations/destination.ts";
import type { Manifest } from "../../../src/backup/format/manifest.ts";
import type { SnapshotEntry } from "../../../src/backup/format/snapshot-range.ts";
import { StateDigest } from "../../../src/backup/format/state-digest.ts";
import type { JobRoom } from "../../../src/backup/recovery/restore.ts";
import { RestoreService } from "../../../src/backup/recovery/restore-service.ts";
import type { NewBackupDestination } from "../../../src/contracts/backup-destinations.ts";
import type { UnixMs } from "../../../src/core/clock.ts";
import { toHex } from "../../../src/core/bytes.ts";
import { failure } from "../../../src/core/errors.ts";
import type { RestoreAnswer, RestoreCommand, BackupJob, RestoreStub } from "../../../src/contracts/restore-commands.ts";
import type { Sql, SyncStorage } from "../../../src/core/storage.ts";
import { type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { Database } from "../../../src/engine/database.ts";
import { SideState } from "../../../src/engine/side-state.ts";
import { VerificationSchedule } from "../../../src/backup/recovery/verification-schedule.ts";
import { systemEntropy } from "../../../src/objects/system.ts";
import type { ModelState } from "../backup-writer.ts";
import { secretBox } from "./backup.ts";
import { MovableClock } from "./engine.ts";

const place: NewBackupDestination = { kind: "r2", prefix: "" };

/** Every backup of a test was made before. */
const LONG_AFTER = 1_900_000_000_000;

/** A disk without end. */
export const endlessRoom: JobRoom = { refusalOfJob: async () => null, takeForJob: () => null };

export interface TestRestoreOptions {
  readonly storage: SyncStorage;
  readonly destination: Destination;
  readonly databaseId: string;
  readonly clock?: MovableClock;
  /** What the database itself knows of its backup; null: the bucket's manifest is read. */
  readonly manifest?: () => Manifest;
  readonly objectName?: string;
  readonly object?: (name: string) => RestoreStub;
  readonly room?: JobRoom;
  readonly hasShipped?: (version: Version) => boolean;
}

export class TestRestore {
  readonly storage: SyncStorage;
  readonly clock: MovableClock;
  database!: Database;
  side!: SideState;
  service!: RestoreService;
  schedule!: VerificationSchedule;
  /** How often a restore told the backup. */
  restored = 0;
  /** What adoptions came to, in order. */
  readonly adopted: { readonly purpose: string; readonly asOf: UnixMs }[] = [];
  readonly #options: TestRestoreOptions;

  constructor(options: TestRestoreOptions) {
    this.#options = options;
    this.storage = options.storage;
    this.clock = options.clock ?? new MovableClock(LONG_AFTER);
    this.reopen();
  }

  /** Forgets everything that is not stored, as an eviction does. `secrets`: the deployment's keys are others from then on. */
  reopen(secrets = secretBox()): void {
    const { storage, clock } = this;
    const { destination, databaseId, manifest, hasShipped = () => true } = this.#options;
    this.database = new Database({ storage, clock });
    this.side = new SideState(storage, () => this.database.notePeak());
    this.schedule = new VerificationSchedule(storage, clock, () => ({ bytes: 0, objects: 0, rows: 0 }));
    const nothing = failure("not-found", "This database has no backup.");
    this.service = new RestoreService({
      storage,
      clock,
      entropy: systemEntropy,
      database: this.database,
      side: this.side,
      adopt: (adoption, also) => this.database.adopt(this.side, adoption, also),
      refusal: () => null,
      begun: () => undefined,
      adopted: (purpose, asOf) => void this.adopted.push({ purpose, asOf }),
      own: {
        source: async () =>
          manifest === undefined ? nothing : { ok: true, databaseId, destination: place, manifest: manifest() },
        hasShipped,
        ship: async (version) => hasShipped(version),
        storedUpTo: () => null,
        holds: () => false,
        isStopped: () => false,
        schedule: this.schedule,
        restored: () => {
          this.restored += 1;
        },
        settledAt: () => null,
        toBeVerified: () => ({ older: manifest?.().generations.map(({ start }) => start) ?? [], foreign: [] }),
        verified: () => undefined,
        inspectManifest: async () => ({ ok: true, problem: null }),
      },
      connect: () => destination,
      secrets,
      room: this.#options.room ?? endlessRoom,
      objectName: this.#options.objectName ?? databaseId,
      revoked: () => [],
      object: this.#options.object ?? noObject,
      otherDatabase: noObject,
      dueBy: () => undefined,
      breathe: async () => undefined,
      atTurn: async (work) => work(),
    });
  }

  /** Must succeed. */
  async ask(command: RestoreCommand): Promise<RestoreAnswer> {
    const answer = await this.service.run(command);
    if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
    return answer;
  }

  async job(command: RestoreCommand): Promise<BackupJob> {
    const answer = await this.ask(command);
    if (answer.kind !== "job") throw new Error(`no job but ${answer.kind}`);
    return answer.job;
  }

  /** Makes this database what the backup's was, from the bucket alone. */
  fork(
    jobId: string,
    at: Version | string,
    withoutManifest = false,
    generation: string | null = null,
  ): Promise<RestoreAnswer | { ok: false; code: string; message: string }> {
    const text = typeof at === "string" ? at : versionstampHex(at);
    const { databaseId } = this.#options;
    return this.service.run({
      command: "restore from",
      jobId,
      databaseId,
      destination: place,
      at: text,
      withoutManifest,
      generation,
    });
  }

  /** One slice, if the job is due. */
  async slice(): Promise<void> {
    const due = this.service.task.dueAt();
    if (due !== null && due <= this.clock.time) await this.service.task.run();
  }

  /** Until the job is over; returns what became of it, and how many slices it took. */
  async finish(
    jobId: string,
    afterSlice: (count: number) => void | Promise<void> = () => undefined,
  ): Promise<BackupJob & { slices: number }> {
    for (let slices = 1; slices < 2_000; slices++) {
      await this.slice();
      const job = await this.job({ command: "job", jobId });
      if (job.status !== "running") return { ...job, slices };
      await afterSlice(slices);
      this.clock.time += 1_000;
    }
    throw new Error("the job does not end");
  }

  /** Everything that is stored, as a text to compare. */
  stored(): string {
    return describe(this.database.scan(null, { maxBytes: Infinity, maxEntries: 1e9 }));
  }
}

/** A state as a text to compare: keys, values, encodings, versions, expiries. */
export function describe(entries: Iterable<SnapshotEntry>): string {
  return [...entries]
    .map(
      ({ key, value, encoding, version, expiresAt }) =>
        `${toHex(key)} ${encoding} ${version} ${expiresAt} ${toHex(value)}`,
    )
    .toSorted()
    .join("\n");
}

export function describeModel(state: ModelState | undefined): string {
  if (state === undefined) throw new Error("the model has no such state");
  return describe(state.values());
}

export function digestOf(entries: Iterable<SnapshotEntry>) {
  const digest = new StateDigest();
  for (const entry of entries) digest.add(entry);
  return digest.value();
}

/** Tables of the side that are left behind: none after a job is over. */
export function sideTables(sql: Sql): string[] {
  return sql
    .exec<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%_side'")
    .toArray()
    .map(({ name }) => name);
}

function noObject(name: string): RestoreStub {
  throw new Error(`nobody expected to be asked for the object ${name}`);
}
