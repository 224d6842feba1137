/** Objects that vanish from the bucket: they are noticed in a bounded time, said to be gone, and another generation begins. */
import { describe, expect, test } from "vitest";
import { type Destination, destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { manifestName } from "../../../src/backup/format/object-names.ts";
import { parseManifest } from "../../../src/backup/format/manifest.ts";
import type { BackupPolicy } from "../../../src/backup/continuous/policy.ts";
import { type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { guarded } from "../../support/guarded-destination.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";
import { TestRestore } from "../../support/workerd/restore.ts";
import { stateOf } from "../../support/workerd/two-histories.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

class Vanishing {
  readonly tested: TestBackup;
  readonly store: MemoryDestination;
  /** How many, by what is asked. */
  readonly requests = new Map<string, number>();
  #count = 0;

  constructor(storage: DurableObjectStorage, policy: Partial<BackupPolicy> = {}) {
    this.store = new MemoryDestination();
    const count = <Args extends unknown[], T>(what: string, work: (...args: Args) => T): ((...args: Args) => T) => {
      return (...args) => {
        this.requests.set(what, (this.requests.get(what) ?? 0) + 1);
        return work(...args);
      };
    };
    const counted = guarded(this.store, (work) => work());
    counted.get = count("get", counted.get);
    counted.head = count("head", counted.head);
    counted.list = count("list", counted.list);
    counted.putIfAbsent = count("put", counted.putIfAbsent);
    counted.putIfUnchanged = count("put", counted.putIfUnchanged);
    this.tested = new TestBackup(storage, { store: this.store, through: () => counted, policy });
  }

  write(): Version {
    this.#count += 1;
    return this.tested.commit(set(key("n", this.#count % 5), text(`${this.#count}`)));
  }

  /** Commits now and then for so long. */
  async busy(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10_000) {
      this.write();
      await this.tested.pass(10_000);
    }
  }

  /** The names of what lies there now, those that match. */
  names(pattern: RegExp): string[] {
    return this.store.names.filter((name) => pattern.test(name));
  }

  /** The state at this version by what the database knows; else why there is none. */
  async restored(at: Version): Promise<string> {
    const { databaseId } = this.tested;
    const manifest = await this.tested.manifest();
    return withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination: this.store, databaseId, manifest: () => manifest });
      target.database.closeNow();
      const answer = await target.service.run({ command: "restore", jobId: "a", at: versionstampHex(at) });
      if (!answer.ok) return answer.message;
      const { error } = await target.finish("a");
      return error ?? target.stored();
    });
  }

  /** The range that is promised. */
  async range(): Promise<{ first: Version; last: Version } | null> {
    const { databaseId } = this.tested;
    const manifest = await this.tested.manifest();
    return withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination: this.store, databaseId, manifest: () => manifest });
      const answer = await target.ask({ command: "range" });
      if (answer.kind !== "range") throw new Error(answer.kind);
      return answer.range === null ? null : { first: answer.range.first.version, last: answer.range.last.version };
    });
  }
}

/** A backup that has been going on for some hours. */
async function vanishing(work: (subject: Vanishing) => Promise<void>): Promise<void> {
  await withStorage(async (storage) => {
    const subject = new Vanishing(storage);
    for (let i = 0; i < 5; i++) subject.write();
    await subject.tested.enable();
    await subject.busy(MINUTE_MS);
    await subject.tested.settle();
    await subject.tested.pass(2 * HOUR_MS);
    await work(subject);
  });
}

test("an emptied bucket is noticed by the next commit: it is said, and a new generation begins that gives everything back (B35)", async () => {
  await vanishing(async (subject) => {
    const { tested, store } = subject;
    const old = tested.database.lastVersion;
    store.objects.clear();
    const first = subject.write();
    await tested.pass(2_000);
    const { lastError, generations } = await tested.info();
    expect(lastError?.message).toMatch(/^Everything below [0-9a-f-]+\/[0-9a-f]{16}\/ is gone from the bucket\. A new/);
    expect(generations.map(({ state }) => state)).toEqual(["damaged", expect.any(String)]);
    await tested.settle();
    const second = subject.write();
    await tested.settle();
    await tested.pass(2 * MINUTE_MS);
    const range = await subject.range();
    expect(range?.first).toBeGreaterThan(old);
    expect(range?.last).toBe(second);
    expect(await subject.restored(second)).toBe(stateOf(tested));
    expect(await subject.restored(old)).toMatch(/lies before the oldest moment/);
    expect(first).toBeLessThan(second);
    // By the bucket alone, too.
    const { databaseId } = tested;
    const now = stateOf(tested);
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination: store, databaseId });
      expect(await target.fork("a", second)).toMatchObject({ ok: true });
      expect(await target.finish("a")).toMatchObject({ status: "completed" });
      expect(target.stored()).toBe(now);
    });
    await tested.pass(2 * HOUR_MS);
    expect((await tested.info()).lastError, "when it has been made good for a while").toBeNull();
  });
});

test("when the bucket was emptied, older generations are missed at once with the newest (B35)", async () => {
  await withStorage(async (storage) => {
    const subject = new Vanishing(storage, { compactionAgeMs: MINUTE_MS });
    const { tested, store } = subject;
    await tested.enable();
    await tested.settle();
    for (let minutes = 0; minutes < 50; minutes += 2) {
      subject.write();
      await tested.pass(2 * MINUTE_MS);
    }
    const before = (await tested.info()).generations.length;
    expect(before).toBeGreaterThan(20);
    store.objects.clear();
    subject.write();
    await tested.pass(10_000);
    const { generations } = await tested.info();
    expect(generations.filter(({ state }) => state === "damaged")).toHaveLength(before);
    expect((await subject.range())?.first, "only what is there is promised").toBe(generations.at(-1)?.after);
    expect((await tested.info()).lastError?.message).toMatch(/^Everything below /);
  });
});

test("an emptied bucket is noticed within an hour when nobody writes (B35)", async () => {
  await vanishing(async (subject) => {
    const { tested, store } = subject;
    store.objects.clear();
    await tested.pass(HOUR_MS + 1_000);
    expect((await tested.info()).lastError?.message).toMatch(/is gone from the bucket/);
    await tested.settle();
    expect(await subject.restored(tested.database.lastVersion)).toBe(stateOf(tested));
  });
});

test("a bucket that is emptied again and again gets one new generation an hour, and the backup says when the next one begins", async () => {
  await vanishing(async (subject) => {
    const { tested, store } = subject;
    let generations = 0;
    const said: (string | undefined)[] = [];
    const lags: number[] = [];
    for (let minute = 0; minute < 180; minute += 3) {
      store.objects.clear();
      await subject.busy(3 * MINUTE_MS);
      generations = Math.max(generations, (await tested.info()).generations.length);
      said.push((await tested.info()).lastError?.message);
      lags.push((await tested.info()).lagMs);
    }
    expect(lags[10], "nothing is stored while it waits").toBeGreaterThan(25 * MINUTE_MS);
    expect(said[10]).toMatch(/less than an hour ago: a new generation begins at 20/);
    expect(generations, "one in each hour, what it replaced, and the one before").toBeLessThanOrEqual(6);
    await tested.pass(HOUR_MS);
    expect((await tested.settle()).lagMs).toBe(0);
    expect(await subject.restored(tested.database.lastVersion)).toBe(stateOf(tested));
  });
});

describe("one object that is gone", () => {
  test.for([
    ["a log object", /\/logs\//, -1],
    ["one that was stored just before another", /\/logs\//, -2],
    ["the end of the snapshot", /\/snapshots\//, -1],
    ["what says that the snapshot is whole", /\/differential$/, -1],
    ["the generation's record", /\/generation\.json$/, -1],
  ] as const)(
    "%s, is named within five minutes of writing, and another generation begins (B35)",
    async ([, pattern, index]) => {
      await vanishing(async (subject) => {
        const { tested, store } = subject;
        await subject.busy(MINUTE_MS);
        const gone = subject.names(pattern).at(index) ?? "";
        store.objects.delete(gone);
        await subject.busy(5 * MINUTE_MS + 10_000);
        const { lastError, generations } = await tested.info();
        expect(lastError?.message).toMatch(/gone from the bucket\. A new generation begins/);
        const named = gone.includes("/logs/") ? gone.slice(0, gone.lastIndexOf("/")) : gone;
        expect(lastError?.message).toContain(named);
        expect(generations.length).toBe(2);
        const last = subject.write();
        await tested.settle();
        expect(await subject.restored(last)).toBe(stateOf(tested));
        // Whatever the range promises is there.
        const range = await subject.range();
        expect(await subject.restored(range?.first ?? last)).not.toMatch(/object/);
      });
    },
  );

  test("of a generation that is not written to any more, is named within a day, and nothing of it is promised (B35)", async () => {
    await withStorage(async (storage) => {
      const subject = new Vanishing(storage);
      const { tested, store } = subject;
      await tested.enable();
      await tested.settle();
      for (let days = 0; days < 8; days++) {
        await subject.busy(MINUTE_MS);
        await tested.pass(24 * HOUR_MS);
      }
      const [older, newer] = (await tested.info()).generations;
      expect([older?.state, newer?.state]).toEqual(["retired", "complete"]);
      const gone = subject.names(/\/differential$/)[0] ?? "";
      store.objects.delete(gone);
      await tested.pass(24 * HOUR_MS);
      const info = await tested.info();
      expect(info.generations.map(({ state }) => state)).toEqual(["damaged", "complete"]);
      expect(info.generations[0]?.endedBecause).toContain(gone);
      expect((await subject.range())?.first).toBe(newer?.after);
    });
  });
});

test("a range of a snapshot that is gone before it is whole is missed, also when another one has arrived twice", async () => {
  await withStorage(async (storage) => {
    const store = new MemoryDestination();
    let [ranges, harmed] = [0, 0];
    const through = (to: MemoryDestination): Destination => {
      const lossy = guarded(to, (work) => work());
      const { putIfAbsent } = lossy;
      lossy.putIfAbsent = async (name, bytes) => {
        const put = await putIfAbsent(name, bytes);
        if (!name.includes("/snapshots/") || harmed === 2) return put;
        ranges += 1;
        if (ranges === 3) {
          harmed += 1;
          return destinationFailure("retry", "The answer was lost.");
        }
        if (ranges === 5) {
          harmed += 1;
          store.objects.delete(store.names.find((one) => one.includes("/snapshots/")) ?? "");
        }
        return put;
      };
      return lossy;
    };
    const tested = new TestBackup(storage, {
      store,
      through: () => through(store),
      policy: { snapshotRangeEntries: 3 },
    });
    for (let i = 0; i < 24; i++) tested.commit(set(key("n", 100 + i), text(`first ${1_000 + i}`)));
    await tested.enable();
    // One of them is new each time, so that what is sent again is another object.
    for (let i = 0; i < 30; i++) {
      tested.commit(set(key("n", 100 + (i % 24)), text(`again ${1_000 + i}`)));
      await tested.pass(1_000);
    }
    expect(harmed).toBe(2);
    expect((await tested.info()).lastError?.message).toMatch(
      /^Of \d+ objects in .*\/snapshots\/ only \d+ are there\. A new/,
    );
    await tested.settle();
    const { databaseId, database } = tested;
    const now = stateOf(tested);
    const manifest = await tested.manifest();
    await withStorage(async (inner) => {
      const target = new TestRestore({ storage: inner, destination: store, databaseId, manifest: () => manifest });
      await target.fork("a", database.lastVersion);
      expect(await target.finish("a")).toMatchObject({ status: "completed" });
      expect(target.stored()).toBe(now);
    });
  });
});

describe("the manifest", () => {
  test.for([
    ["deleted", () => null, /is gone from the bucket/],
    ["altered", (now: Uint8Array) => now.map((byte, i) => (i === 40 ? byte ^ 1 : byte)), /was altered or cut short/],
    [
      "replaced by an outdated one",
      (_now: Uint8Array, before: Uint8Array) => before,
      /is not the one that was written last/,
    ],
  ] as const)("%s, is written anew within an hour, and that is said (B36)", async ([, harm, said]) => {
    await withStorage(async (storage) => {
      const subject = new Vanishing(storage);
      const { tested, store } = subject;
      await tested.enable();
      await tested.settle();
      await tested.pass(2 * MINUTE_MS);
      const name = manifestName(tested.databaseId);
      const before = store.objects.get(name) ?? new Uint8Array();
      await subject.busy(2 * MINUTE_MS);
      await tested.pass(10 * MINUTE_MS);
      const whole = store.objects.get(name) ?? new Uint8Array();
      expect(whole).not.toEqual(before);
      const harmed = harm(whole, before);
      if (harmed === null) store.objects.delete(name);
      else store.objects.set(name, harmed);
      await tested.pass(HOUR_MS + MINUTE_MS);
      expect((await tested.info()).lastError?.message).toMatch(said);
      const read = parseManifest(tested.databaseId, store.objects.get(name) ?? new Uint8Array());
      const known = await tested.manifest();
      expect(read.ok && read.manifest.generations).toEqual(known.generations);
      await tested.pass(HOUR_MS + MINUTE_MS);
      expect((await tested.info()).lastError).toBeNull();
    });
  });
});

test("a store that says not found and cannot be listed has lost nothing: nothing is left for that", async () => {
  await vanishing(async (subject) => {
    const { tested, store } = subject;
    const notFound = destinationFailure("not-found", "There is no such object.");
    const down = destinationFailure("retry", "Out of service.");
    store.fault = (method) => (method === "get" ? notFound : method === "list" ? down : undefined);
    subject.write();
    await tested.pass(10 * MINUTE_MS);
    expect((await tested.info()).lastError?.message).toBe("Out of service.");
    expect((await tested.info()).generations.map(({ state }) => state)).toEqual(["complete"]);
    store.fault = () => undefined;
    await tested.settle();
    expect(await tested.info()).toMatchObject({ lastError: null, generations: [{ state: "complete" }] });
  });
});

test("looking for missing objects costs what the page says: one request for each object, and six in an hour without writes", async () => {
  await vanishing(async (subject) => {
    const { tested, requests } = subject;
    requests.clear();
    await tested.pass(10 * HOUR_MS);
    expect(Object.fromEntries(requests)).toEqual({ get: 20, head: 30 });
    // Without a pause, at the default interval, after the first minutes.
    const busy = async (seconds: number): Promise<void> => {
      for (let i = 0; i < seconds; i++) {
        subject.write();
        await tested.pass(1_000);
      }
    };
    await busy(300);
    requests.clear();
    await busy(600);
    const puts = 600 / 2 + 600 / 60;
    const [lists, looks] = [requests.get("list") ?? 0, (requests.get("get") ?? 0) + (requests.get("head") ?? 0) - puts];
    expect(Math.abs((requests.get("put") ?? 0) - puts)).toBeLessThanOrEqual(2);
    expect(lists).toBe(2);
    expect(looks).toBeLessThanOrEqual(2 * 5 + 2);
  });
});
