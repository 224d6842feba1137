/** A database with archives at two destinations in memory, inside a Durable Object. */
import { Archives } from "../../../src/backup/archives/archives.ts";
import { ProcessPace } from "../../../src/backup/archives/courtesy.ts";
import type { ArchiveStore, ArchiveStores } from "../../../src/backup/archives/archive-service.ts";
import type { ArchiveInfo } from "../../../src/contracts/archive-commands.ts";
import type { BackupJob } from "../../../src/contracts/restore-commands.ts";
import { concatBytes } from "../../../src/core/bytes.ts";
import { type Failure, failure, isFailure } from "../../../src/core/errors.ts";
import { MAX_PROCESS_DOWNLOAD_BYTES } from "../../../src/core/archive-limits.ts";
import { ProcessMemory } from "../../../src/core/process-memory.ts";
import type { Timers } from "../../../src/core/timers.ts";
import type { KeyList } from "../../../src/core/key-list.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { systemEntropy, systemTimers } from "../../../src/objects/system.ts";
import { ARCHIVE_KEY } from "../archives.ts";
import { key, set, versionOf, write } from "./engine.ts";
import { MemoryDestination } from "../memory-destination.ts";
import { endlessRoom, TestRestore } from "./restore.ts";

const databaseId = "5f0c-a";
export const KEYS_TEXT = `${ARCHIVE_KEY.kid}:${btoa(String.fromCharCode(...ARCHIVE_KEY.secret))}`;

export class TestArchives {
  readonly storage: SyncStorage;
  readonly places: Record<string, MemoryDestination>;
  readonly restore: TestRestore;
  archives!: Archives;
  /** The names of the destinations that can be opened. */
  opened = new Set<string>();
  keys: KeyList | null = [ARCHIVE_KEY];
  timers: Timers = systemTimers;
  downloadMemory: ProcessMemory;
  /** What a full archive holds, and what a restore has taken over. */
  settings = '{"schedule":null}';
  adopted: string[] = [];
  readonly ended: ArchiveInfo[] = [];
  readonly forked: string[] = [];
  /** Other organizations of the deployment. */
  tenants: string[] = [];
  /** What another database answers that has an archive. */
  remote: (id: string, offset: number, length: number) => Uint8Array | Failure = () =>
    failure("not-found", "No archive");

  constructor(
    storage: SyncStorage,
    places: Record<string, MemoryDestination> = { east: new MemoryDestination(), west: new MemoryDestination() },
  ) {
    this.storage = storage;
    this.places = places;
    this.opened = new Set(Object.keys(places));
    this.restore = new TestRestore({ storage, destination: new MemoryDestination(), databaseId });
    this.downloadMemory = new ProcessMemory(MAX_PROCESS_DOWNLOAD_BYTES, this.restore.clock);
    this.#open();
  }

  get database() {
    return this.restore.database;
  }

  get clock() {
    return this.restore.clock;
  }

  /** Forgets everything that is not stored, as an eviction does. */
  reopen(): void {
    this.restore.reopen();
    this.#open();
  }

  slice(): Promise<void> {
    return this.restore.slice();
  }

  job(command: Parameters<TestRestore["job"]>[0]): Promise<BackupJob> {
    return this.restore.job(command);
  }

  finish(jobId: string, afterSlice?: Parameters<TestRestore["finish"]>[1]): Promise<BackupJob & { slices: number }> {
    return this.restore.finish(jobId, afterSlice);
  }

  async create(jobId: string, type: "full" | "database" = "database"): Promise<ArchiveInfo> {
    return good(await this.archives.create({ jobId, type, description: `archive ${jobId}`, origin: "request" }));
  }

  /** Made, sent and read back. */
  async made(jobId: string, type: "full" | "database" = "database"): Promise<ArchiveInfo> {
    const { id } = await this.create(jobId, type);
    await this.finish(jobId);
    return good(this.archives.get(id));
  }

  async file(id: string): Promise<Uint8Array> {
    const download = good(await this.archives.download(id, null));
    const pieces: Uint8Array[] = [];
    for await (const piece of download.body) pieces.push(piece);
    return concatBytes(pieces);
  }

  /** Runs the task that removes what must not stay. */
  async tidy(): Promise<void> {
    const due = this.archives.task.dueAt();
    if (due !== null && due <= this.clock.time) await this.archives.task.run();
  }

  /** Objects and uploads at all destinations. */
  get lying(): string[] {
    return Object.entries(this.places).flatMap(([name, { objects, uploads }]) => [
      ...[...objects.keys()].map((object) => `${name}: ${object}`),
      ...[...uploads.values()].map((upload) => `${name}: upload of ${upload.name}`),
    ]);
  }

  /** Rows that only a running job may have, after what is not needed any more was removed. */
  async working(): Promise<number> {
    await this.tidy();
    const count = (table: string): number =>
      this.storage.sql.exec<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).one().n;
    const others = this.storage.sql
      .exec(
        "SELECT name FROM sqlite_schema WHERE name LIKE '%\\_frozen' ESCAPE '\\' OR name LIKE '%\\_side' ESCAPE '\\'",
      )
      .toArray().length;
    const isMade =
      this.storage.sql.exec("SELECT 1 FROM sqlite_schema WHERE name = 'archive_spool'").toArray().length > 0;
    return (isMade ? count("archive_spool") : 0) + others;
  }

  #open(): void {
    const { storage, restore } = this;
    const { database, side, clock, service } = restore;
    this.archives = new Archives({
      storage,
      database,
      side,
      clock,
      entropy: systemEntropy,
      timers: this.timers,
      pace: new ProcessPace(),
      downloadMemory: this.downloadMemory,
      keys: this.keys,
      room: endlessRoom,
      databaseId,
      owner: "the tenant",
      isTenant: async (id) => this.tenants.includes(id),
      jurisdiction: "eu",
      breathe: async () => undefined,
      jobs: service.jobs,
      stores: this.#stores(),
      settings: { read: async () => this.settings, adopt: (json) => void this.adopted.push(json) },
      refusal: () => null,
      adopt: (adoption, also) => database.adopt(side, adoption, also),
      adopted: () => undefined,
      fork: {
        refusal: () => null,
        begun: () => void this.forked.push("begun"),
        adopted: () => void this.forked.push("adopted"),
        source: () => ({ archiveRange: async (id, offset, length) => this.remote(id, offset, length) }),
      },
      ended: (archive) => void this.ended.push(archive),
      noteJob: async () => undefined,
      dueBy: () => undefined,
    });
    service.attach(this.archives.workers);
  }

  #stores(): ArchiveStores {
    const store = (name: string, destination: MemoryDestination): ArchiveStore => ({
      destinationId: name,
      name,
      type: "s3",
      destination,
    });
    const open = async (id: string) => {
      const found = this.places[id];
      if (found === undefined) return failure("not-found", `There is no destination ${id}`);
      return this.opened.has(id) ? store(id, found) : failure("internal", "Its secret cannot be opened.");
    };
    return {
      enabled: async () =>
        Object.entries(this.places).map(([name, destination]) =>
          this.opened.has(name)
            ? store(name, destination)
            : { destinationId: name, name, type: "s3", destination: null, error: "Its secret cannot be opened." },
        ),
      open,
      openPlace: ({ destinationId }) => open(destinationId),
      noted: () => undefined,
    };
  }
}

export function good<T>(value: T): Exclude<T, Failure> {
  if (isFailure(value)) throw new Error(JSON.stringify(value));
  // What a failure is was just found out.
  return value as Exclude<T, Failure>;
}

/** Bytes that gzip cannot make smaller: the same for the same seed. */
function noise(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed + 1;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = state ^ (state >>> 15);
  }
  return new Uint8Array(words.buffer, 0, length);
}

export function fill(target: TestArchives, count: number, bytes: number): void {
  for (let i = 0; i < count; i += 8) {
    const entries = Array.from({ length: Math.min(8, count - i) }, (_, j) => set(key("k", i + j), noise(bytes, i + j)));
    versionOf(target.database.commit([write(entries)])[0]);
  }
}
