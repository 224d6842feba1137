/** A job that brings entries back: killed at every transaction, beside writes of others, and over a state of the past that goes away. */
import { expect, test } from "vitest";
import { BackupJobs } from "../../../src/backup/jobs.ts";
import { RangeUndeletions } from "../../../src/backup/recovery/range-undeletions.ts";
import { encodeEntryList } from "../../../src/codec/entry-list.ts";
import { rangeOfPrefix } from "../../../src/codec/key-prefix.ts";
import { type BackupJob, PAST_IS_BEING_BUILT, type PastInfo } from "../../../src/contracts/restore-commands.ts";
import { compareBytes, toHex } from "../../../src/core/bytes.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { type Failure, failure, isFailure } from "../../../src/core/errors.ts";
import { Encoding, type StoredEntry } from "../../../src/core/operations.ts";
import { storageRefused } from "../../../src/core/storage-room.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { asVersion, NO_VERSION, versionstampHex } from "../../../src/core/versionstamp.ts";
import { Database } from "../../../src/engine/database.ts";
import { DyingStorage, killedAtEachTransaction } from "../../support/workerd/dying-storage.ts";
import { key, MovableClock, point, remove, set, text, withStorage, write } from "../../support/workerd/engine.ts";
import { endlessRoom } from "../../support/workerd/restore.ts";

const AT = asVersion(1_700_000_000_000_000);
/** Entries that the state of the past gives at a time. */
const PAGE = 5;

const past = (n: number, expiresAt: number | null = null): StoredEntry => ({
  key: key("k", n),
  value: text(`old ${n}`),
  encoding: Encoding.bytes,
  version: asVersion(AT - 100 + n),
  expiresAt: expiresAt === null ? null : asUnixMs(expiresAt),
});

/** The object of a database whose state at `AT` was `earlier`, in the form that a slice of the job needs. */
class UndeletingObject {
  readonly clock = new MovableClock();
  readonly earlier: readonly StoredEntry[];
  readonly pages: string[] = [];
  database!: Database;
  jobs!: BackupJobs;
  undeletions!: RangeUndeletions;
  opened: () => PastInfo | Failure = () => ({ version: AT, name: "past", ready: true });
  room = endlessRoom;
  readonly #storage: SyncStorage;

  constructor(storage: SyncStorage, earlier: readonly StoredEntry[]) {
    this.#storage = storage;
    this.earlier = earlier.toSorted((a, b) => compareBytes(a.key, b.key));
    this.reopen();
  }

  reopen(): void {
    this.database = new Database({ storage: this.#storage, clock: this.clock });
    this.jobs = new BackupJobs(this.#storage, this.clock, () => false);
    this.undeletions = new RangeUndeletions({
      jobs: this.jobs,
      database: this.database,
      room: {
        refusalOfJob: (bytes) => this.room.refusalOfJob(bytes),
        takeForJob: (bytes) => this.room.takeForJob(bytes),
      },
      openPast: async () => this.opened(),
      object: () => ({
        pastEntries: async ({ start, end }) => {
          this.pages.push(toHex(start));
          const found = this.earlier.filter(
            (one) => compareBytes(one.key, start) >= 0 && compareBytes(one.key, end) < 0,
          );
          return encodeEntryList({ entries: found.slice(0, PAGE), more: found.length > PAGE, readAt: NO_VERSION });
        },
      }),
    });
  }

  begin(force = false): void {
    const { start, end } = rangeOfPrefix(key("k"));
    const input = { at: versionstampHex(AT), start: toHex(start), end: toHex(end), force, total: this.earlier.length };
    if (isFailure(this.jobs.start("a", "undelete", input, AT))) throw new Error("it does not begin");
  }

  async slice(): Promise<void> {
    await this.jobs.slice(
      (job) => this.undeletions.slice(job),
      (job, why) => this.undeletions.giveUp(job.id, why),
    );
  }

  job(): BackupJob {
    const job = this.jobs.get("a");
    if (isFailure(job)) throw new Error(job.message);
    return job;
  }

  read(n: number): string | null {
    const entry = this.database.read([point(key("k", n))], 1e6)?.[0]?.[0];
    return entry === undefined ? null : new TextDecoder().decode(entry.value);
  }

  put(n: number, value: string): void {
    this.database.commit([write([set(key("k", n), text(value))])]);
  }
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

test.each([false, true])(
  "killed at any transaction it goes on, counts each entry once, and leaves what was written since (force: %s) (H29)",
  async (force) => {
    await withStorage(async (storage) => {
      const dying = new DyingStorage(storage);
      const over = 1_800_000_000_000;
      const object = new UndeletingObject(
        dying,
        numbers(23).map((n) => past(n, n === 4 ? over : null)),
      );
      object.put(2, "new 2");
      object.put(20, "new 20");
      object.begin(force);
      let looks = 0;
      const killed = await killedAtEachTransaction(
        { slice: () => object.slice(), reopen: () => object.reopen(), job: async () => object.job() },
        dying,
        ({ done, undeleted }) => {
          looks += 1;
          // What it says is what is there, at every moment.
          const back = numbers(23).filter((n) => object.read(n)?.startsWith("old")).length;
          expect(undeleted?.count).toBe(back);
          expect(done).toBe(Object.values(undeleted ?? {}).reduce((sum, one) => sum + one, 0));
          // Another client is always just ahead of it, and one behind it.
          if (looks === 2) object.put(12, "new 12");
        },
      );
      expect(killed).toBe(5);
      const skipped = force ? 0 : 3;
      expect(object.job()).toMatchObject({
        status: "completed",
        done: 23,
        undeleted: { count: 22 - skipped, skipped, unchanged: 0, expired: 1 },
      });
      const kept = force ? [] : [2, 12, 20];
      for (const n of numbers(23))
        expect(object.read(n)).toBe(n === 4 ? null : `${kept.includes(n) ? "new" : "old"} ${n}`);
      expect(object.database.countEntries()).toBe(22);
    });
  },
);

test("what it has brought back may be deleted again, and stays so (H29)", async () => {
  await withStorage(async (storage) => {
    const object = new UndeletingObject(
      storage,
      numbers(12).map((n) => past(n)),
    );
    object.begin();
    await object.slice();
    expect(object.read(0)).toBe("old 0");
    object.database.commit([write([remove(key("k", 0))])]);
    for (let i = 0; i < 5; i++) await object.slice();
    expect(object.job().status).toBe("completed");
    expect(object.read(0)).toBeNull();
  });
});

test("it waits while its state is built or cannot be reached, and says why (H29)", async () => {
  await withStorage(async (storage) => {
    const object = new UndeletingObject(storage, [past(1)]);
    object.begin();
    for (const [opened, error] of [
      [{ version: AT, name: "past", ready: false }, null],
      [PAST_IS_BEING_BUILT, null],
      [failure("unavailable", "The bucket does not answer."), "The bucket does not answer."],
    ] as const) {
      object.opened = () => opened;
      await object.slice();
      expect(object.job()).toMatchObject({ status: "running", error });
      expect(object.jobs.dueAt()).toBeGreaterThan(object.clock.now());
    }
    expect([object.undeletions.reading(), object.pages]).toEqual([AT, []]);
    object.opened = () => ({ version: AT, name: "past", ready: true });
    await object.slice();
    expect(object.job()).toMatchObject({ status: "completed", error: null });
    expect(object.undeletions.reading()).toBeNull();
  });
});

test.each([
  [
    "the moment is gone from the backup",
    { opened: failure("not-found", "The moment is gone.") },
    "The moment is gone.",
  ],
  ["there is no room", { room: storageRefused("SQLITE_FULL") }, storageRefused("SQLITE_FULL").message],
])(
  "when %s it fails, and what it has brought back stays (H29)",
  async (_, { opened, room }: { opened?: Failure; room?: Failure }, error) => {
    await withStorage(async (storage) => {
      const object = new UndeletingObject(
        storage,
        numbers(12).map((n) => past(n)),
      );
      object.begin();
      await object.slice();
      if (opened !== undefined) object.opened = () => opened;
      if (room !== undefined) object.room = { ...endlessRoom, refusalOfJob: async () => room };
      await object.slice();
      expect(object.job()).toMatchObject({ status: "failed", error, done: PAGE, undeleted: { count: PAGE } });
      expect([object.read(0), object.read(11)]).toEqual(["old 0", null]);
    });
  },
);

test("cancelled while it reads, it writes nothing more, and its counts stay (H29)", async () => {
  await withStorage(async (storage) => {
    const object = new UndeletingObject(
      storage,
      numbers(12).map((n) => past(n)),
    );
    object.begin();
    await object.slice();
    object.opened = () => {
      object.jobs.cancel("a");
      return { version: AT, name: "past", ready: true };
    };
    await object.slice();
    expect(object.job()).toMatchObject({ status: "cancelled", undeleted: { count: PAGE } });
    expect(object.database.countEntries()).toBe(PAGE);
  });
});
