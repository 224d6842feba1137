/**
 * Archives measured inside one object: made and restored as a database's object does it, and the same bytes by a bare loop. The file lies
 * in a table of the object, so no network is measured. Time stands still in an object while it computes, so the sender of a task takes the
 * time.
 */
import { MAX_PROCESS_DOWNLOAD_BYTES } from "../../../src/core/archive-limits.ts";
import { ProcessMemory } from "../../../src/core/process-memory.ts";
import { Archives } from "../../../src/backup/archives/archives.ts";
import { ProcessPace } from "../../../src/backup/archives/courtesy.ts";
import type { ArchiveStore } from "../../../src/backup/archives/archive-service.ts";
import type { JobWorker } from "../../../src/backup/jobs.ts";
import { BackupJobs } from "../../../src/backup/jobs.ts";
import { gunzip, gzip } from "../../../src/codec/archive/gzip.ts";
import { concatBytes, unshared } from "../../../src/core/bytes.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { failure, isFailure } from "../../../src/core/errors.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { Database } from "../../../src/engine/database.ts";
import { SideState } from "../../../src/engine/side-state.ts";
import { entryKey, pointOf, setOf, writeOf } from "../operations.ts";
import type { ArchiveTask } from "./archive-task.ts";
import { SqlDestination } from "./sql-destination.ts";

const VALUE_BYTES = 1_000;
const CHUNK_BYTES = 512 * 1024;
const KEY = { kid: "bench", secret: new Uint8Array(32).fill(3) };

const clock = { now: () => asUnixMs(Date.now()) };

export class ArchiveTasks {
  readonly #storage: SyncStorage;
  readonly #database: Database;
  readonly #jobs: BackupJobs;
  readonly #archives: Archives;
  readonly #destination: SqlDestination;
  readonly #pace = new ProcessPace();

  constructor(storage: SyncStorage, breathe: () => Promise<void>) {
    this.#storage = storage;
    this.#database = new Database({ storage, clock, onUse: () => (this.#pace.operations += 1) });
    this.#jobs = new BackupJobs(storage, clock, () => false);
    const destination = new SqlDestination(storage.sql, breathe);
    this.#destination = destination;
    const store: ArchiveStore = { destinationId: "here", name: "here", type: "local", destination };
    const side = new SideState(storage);
    this.#archives = new Archives({
      storage,
      database: this.#database,
      side,
      clock,
      entropy: { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)), uuid: () => crypto.randomUUID() },
      downloadMemory: new ProcessMemory(MAX_PROCESS_DOWNLOAD_BYTES, clock),
      pace: this.#pace,
      timers: {
        after(ms, callback) {
          const timer = setTimeout(callback, ms);
          return () => clearTimeout(timer);
        },
      },
      keys: [KEY],
      room: { refusalOfJob: async () => null, takeForJob: () => null },
      databaseId: "bench",
      owner: "bench",
      isTenant: async () => false,
      jurisdiction: null,
      breathe,
      jobs: this.#jobs,
      stores: {
        enabled: async () => [store],
        open: async (id) => (id === "here" ? store : failure("not-found", "There is no such destination.")),
        openPlace: async () => store,
        noted: () => undefined,
      },
      settings: { read: async () => "{}", adopt: () => undefined },
      refusal: () => null,
      adopt: (adoption, also) => this.#database.adopt(side, adoption, also),
      adopted: () => undefined,
      fork: {
        refusal: () => null,
        begun: () => undefined,
        adopted: () => undefined,
        source: () => {
          throw new Error("nothing is forked");
        },
      },
      ended: () => undefined,
      noteJob: async () => undefined,
      dueBy: () => undefined,
    });
    storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS bare_file (n INTEGER PRIMARY KEY, iv BLOB NOT NULL, bytes BLOB NOT NULL)",
    );
  }

  async run(task: ArchiveTask): Promise<{ readonly bytes: number }> {
    switch (task.task) {
      case "archive fill":
        return this.#fill(task.from, task.to);
      case "archive make":
        this.#destination.keeps = task.keeps;
        return this.#make();
      case "archive restore":
        return this.#restore();
      case "archive bare make":
        return this.#bareMake();
      case "archive bare restore":
        return this.#bareRestore();
      case "archive get": {
        const found = this.#database.read([pointOf(entryKey(task.index))], 1_000_000);
        return { bytes: found?.[0]?.[0]?.value.length ?? 0 };
      }
    }
  }

  #fill(from: number, to: number): { bytes: number } {
    for (let start = from; start < to; start += 500) {
      const mutations = Array.from({ length: Math.min(500, to - start) }, (_, i) =>
        setOf(entryKey(start + i), valueLike(start + i)),
      );
      this.#database.commit([writeOf(mutations)]);
    }
    return { bytes: this.#storage.sql.databaseSize };
  }

  async #make(): Promise<{ bytes: number }> {
    const before = this.#newest;
    if (before !== null) await this.#archives.destroy(before);
    const jobId = crypto.randomUUID();
    const made = await this.#archives.create({ jobId, type: "database", description: "", origin: "request" });
    if (isFailure(made)) throw new Error(made.message);
    await this.#finish(jobId, this.#archives.workers.archive);
    const archive = this.#archives.get(made.id);
    if (isFailure(archive) || archive.status !== "completed") throw new Error(JSON.stringify(archive));
    return { bytes: archive.size ?? 0 };
  }

  /** Asked of the storage: the runtime evicts an object that has computed for long. */
  get #newest(): string | null {
    return this.#archives.list({ sort: [], page: 1, pageSize: 1, filter: {} }).archives[0]?.id ?? null;
  }

  async #restore(): Promise<{ bytes: number }> {
    const jobId = crypto.randomUUID();
    const id = this.#newest;
    if (id === null) throw new Error("expected an archive");
    const job = await this.#archives.restore({ jobId, id, safetyArchive: false });
    if (isFailure(job)) throw new Error(job.message);
    await this.#finish(jobId, this.#archives.workers["archive restore"]);
    const done = this.#jobs.get(jobId);
    if (isFailure(done) || done.status !== "completed") throw new Error(JSON.stringify(done));
    return { bytes: this.#database.counters().entries };
  }

  async #finish(jobId: string, worker: JobWorker): Promise<void> {
    while (this.#jobs.isRunning(jobId)) {
      await this.#jobs.slice(
        (job) => worker.slice(job),
        () => undefined,
      );
    }
  }

  async #bareMake(): Promise<{ bytes: number }> {
    const { sql } = this.#storage;
    sql.exec("DELETE FROM bare_file");
    const key = await crypto.subtle.importKey("raw", KEY.secret, "AES-GCM", false, ["encrypt"]);
    let [after, bytes] = [new Uint8Array(), 0];
    for (;;) {
      const parts: Uint8Array[] = [];
      let size = 0;
      const page =
        "SELECT e.k, coalesce(e.v, l.v) AS v FROM entries e LEFT JOIN large_values l ON l.id = e.large WHERE e.k > ?1 ORDER BY e.k LIMIT 500";
      for (const row of sql.exec<{ k: ArrayBuffer; v: ArrayBuffer }>(page, after)) {
        const [k, v] = [new Uint8Array(row.k), new Uint8Array(row.v)];
        const head = new Uint8Array(8);
        new DataView(head.buffer).setUint32(0, k.length);
        new DataView(head.buffer).setUint32(4, v.length);
        parts.push(head, k, v);
        size += k.length + v.length;
        after = k;
      }
      if (size === 0) return { bytes };
      const compressed = await gzip(concatBytes(parts));
      const iv = crypto.getRandomValues(new Uint8Array(12));
      const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, unshared(compressed)));
      sql.exec("INSERT INTO bare_file (iv, bytes) VALUES (?1, ?2)", iv, sealed);
      bytes += sealed.length;
    }
  }

  async #bareRestore(): Promise<{ bytes: number }> {
    const { sql } = this.#storage;
    sql.exec("DROP TABLE IF EXISTS bare_rows");
    sql.exec("CREATE TABLE bare_rows (k BLOB PRIMARY KEY, v BLOB NOT NULL)");
    const key = await crypto.subtle.importKey("raw", KEY.secret, "AES-GCM", false, ["decrypt"]);
    let [n, rows] = [0, 0];
    for (;;) {
      const [row] = sql
        .exec<{ n: number; iv: ArrayBuffer; bytes: ArrayBuffer }>(
          "SELECT * FROM bare_file WHERE n > ?1 ORDER BY n LIMIT 1",
          n,
        )
        .toArray();
      if (row === undefined) return { bytes: rows };
      n = row.n;
      const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: row.iv }, key, row.bytes);
      const content = await gunzip(new Uint8Array(plain), 4 * CHUNK_BYTES);
      if (content === null) throw new Error("expected a gzip stream");
      const view = new DataView(content.buffer, content.byteOffset, content.length);
      this.#storage.transactionSync(() => {
        for (let at = 0; at < content.length;) {
          const [k, v] = [view.getUint32(at), view.getUint32(at + 4)];
          const value = content.subarray(at + 8 + k, at + 8 + k + v);
          sql.exec("INSERT INTO bare_rows (k, v) VALUES (?1, ?2)", content.subarray(at + 8, at + 8 + k), value);
          at += 8 + k + v;
          rows += 1;
        }
      });
    }
  }
}

/** 1,000 bytes that gzip makes about half as long, as it does with JSON. */
function valueLike(seed: number): Uint8Array<ArrayBuffer> {
  const value = new Uint8Array(VALUE_BYTES);
  let state = seed + 1;
  for (let i = 0; i < VALUE_BYTES; i++) {
    if (i % 4 === 0) state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    value[i] = 0x61 + ((state >>> (8 * (i % 4))) & 0x0f);
  }
  return value;
}
