/** Snapshots, the change from one generation to the next, retention, and what happens when the log outgrows its bound. */
import { NO_VERSION } from "../../../src/core/versionstamp.ts";
import { expect, test } from "vitest";
import { type Destination, destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { type Manifest, parseManifest } from "../../../src/backup/format/manifest.ts";
import { guarded } from "../../support/guarded-destination.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { listGenerations, readGeneration } from "../../support/reference-reader.ts";
import { History } from "../../support/workerd/backup-history.ts";
import { openS3, TestBackup } from "../../support/workerd/backup.ts";
import { key, remove, set, text, withStorage } from "../../support/workerd/engine.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const down = destinationFailure("retry", "The destination is out of service.");

/** The real destination; what is stored and deleted is noted, and chosen requests are answered otherwise. */
class Watched {
  readonly done: string[] = [];
  /** The manifest that was stored last. */
  manifest = "";
  /** What it returns is answered instead. */
  fault: (what: "put" | "delete", name: string) => typeof down | "lost" | undefined = () => undefined;

  readonly through = (destination: Destination): Destination => {
    const note = async <T extends { readonly ok: true }>(
      what: "put" | "delete",
      name: string,
      work: () => Promise<T | typeof down>,
    ): Promise<T | typeof down> => {
      const fault = this.fault(what, name);
      if (fault !== undefined && fault !== "lost") return fault;
      const outcome = await work();
      this.done.push(`${what} ${name.split("/").slice(1).join("/")}`);
      return fault === undefined ? outcome : down;
    };
    const watched = guarded(destination, (work) => work());
    watched.put = (name, bytes) => note("put", name, () => destination.put(name, bytes));
    watched.putIfAbsent = (name, bytes) => note("put", name, () => destination.putIfAbsent(name, bytes));
    watched.putIfUnchanged = (name, bytes, etag) => {
      if (name.endsWith("manifest.json")) this.manifest = new TextDecoder().decode(bytes);
      return note("put", name, () => destination.putIfUnchanged(name, bytes, etag));
    };
    watched.delete = (name) => note("delete", name, () => destination.delete(name));
    return watched;
  };
}

async function manifestOf({ databaseId, store }: TestBackup): Promise<Manifest> {
  const got = await store.get(`${databaseId}/manifest.json`);
  const parsed = got.ok ? parseManifest(databaseId, got.bytes) : got;
  if (!parsed.ok) throw new Error(JSON.stringify(parsed));
  return parsed.manifest;
}

test("a snapshot's ranges are stored first, then the log up to them, then differential, once (B16)", async () => {
  await withStorage(async (storage) => {
    const watched = new Watched();
    const tested = new TestBackup(storage, { policy: { snapshotRangeEntries: 2 }, through: watched.through });
    const history = new History(tested, 400, 3);
    await history.write(150);
    await tested.enable({ intervalMs: 500 });
    for (let i = 0; i < 15; i++) {
      history.writeAtOnce(2);
      tested.clock.time += 300;
      await tested.ring();
    }
    await history.write(history.left);
    await tested.settle();
    const puts = watched.done.filter((done) => done.startsWith("put") && !done.endsWith(".json"));
    const differential = puts.findIndex((done) => done.endsWith("/differential"));
    const lastSnapshot = puts.findLastIndex((done) => done.includes("/snapshots/"));
    expect(puts.filter((done) => done.endsWith("/differential"))).toHaveLength(1);
    expect(lastSnapshot).toBeLessThan(differential);
    expect(puts.slice(0, lastSnapshot).filter((done) => done.includes("/logs/")).length).toBeGreaterThan(0);

    const { generations } = await history.check();
    const [generation] = generations;
    const logsBefore = puts.slice(0, differential).filter((done) => done.includes("/logs/")).length;
    const lastBefore = generation?.logs[logsBefore - 1]?.range.entries.at(-1);
    expect(lastBefore).toBeDefined();
    // It names the last commit that was stored when it was.
    expect(generation?.commits.indexOf(generation.consistentFrom ?? 0)).toBe(
      (generation?.logs.slice(0, logsBefore) ?? []).flatMap(({ range }) => range.entries.filter(isLast)).length - 1,
    );
  });
});

function isLast({ versionstamp }: { readonly versionstamp: Uint8Array }): boolean {
  return versionstamp[11] === 0xff;
}

test("writers who append keys faster than the snapshot is stored do not keep it from ending (B25)", async () => {
  await withStorage(async (storage) => {
    const tested = new TestBackup(storage, { policy: { snapshotRangeEntries: 5 } });
    let next = 0;
    const append = () => tested.commit(...Array.from({ length: 50 }, () => set(key("queue", next++), text("x"))));
    append();
    await tested.enable();
    for (let i = 0; i < 20; i++) {
      append();
      tested.clock.time += 300;
      await tested.ring();
    }
    const info = await tested.info();
    expect(info.generations).toMatchObject([{ state: "complete" }]);
    await tested.settle();
    const [folder = ""] = await listGenerations(openS3(), tested.databaseId);
    const generation = await readGeneration(openS3(), tested.databaseId, folder);
    expect(generation.snapshot.length).toBe(10);
    expect([...generation.states()].at(-1)?.entries.size).toBe(next);
  });
});

test("an empty database that nobody writes to gets a commit to stand on and a point to go back to", async () => {
  await withStorage(async (storage) => {
    const tested = new TestBackup(storage);
    await tested.enable();
    await tested.settle();
    await tested.pass(120_000);
    const [folder = ""] = await listGenerations(openS3(), tested.databaseId);
    const generation = await readGeneration(openS3(), tested.databaseId, folder);
    expect(generation.snapshot).toEqual([]);
    expect(generation.commits.length).toBe(2);
    expect(generation.points).toEqual([tested.database.lastVersion]);
    expect([...generation.states()].map(({ entries }) => entries.size)).toEqual([0]);
    const asleep = (tested.alarm ?? 0) - tested.clock.time;
    expect(asleep, "an idle database sleeps for most of an hour").toBeGreaterThan(50 * 60_000);
  });
});

test("a snapshot range whose answer was lost is sent again under another number, and both lie in the chain (B17)", async () => {
  await withStorage(async (storage) => {
    const watched = new Watched();
    const tested = new TestBackup(storage, { policy: { snapshotRangeEntries: 4 }, through: watched.through });
    const history = new History(tested, 120, 5);
    await history.write(60);
    await tested.enable();
    let lost = 0;
    watched.fault = (what, name) =>
      what === "put" && name.includes("/snapshots/") && lost++ % 3 === 1 ? "lost" : undefined;
    await history.write(60);
    await tested.settle();
    const { generations } = await history.check();
    const objects = generations[0]?.snapshot ?? [];
    const hashes = objects.map(({ range }) => Buffer.from(range.previousSha256).toString("hex"));
    expect(new Set(hashes).size, "ranges").toBeLessThan(objects.length);
    let before = "0".repeat(64);
    for (const [i, { sha256 }] of objects.entries()) {
      expect(hashes[i]).toBe(before);
      // Where the next one follows the same object, this one is an attempt that was made again.
      if (hashes[i + 1] !== before) before = sha256;
    }
    const { snapshot } = (await manifestOf(tested)).generations[0] ?? {};
    expect(snapshot?.head?.sha256).toBe(objects.at(-1)?.sha256);
  });
});

test("a range of which nothing is left when it is sent again leaves no object behind", async () => {
  await withStorage(async (storage) => {
    const watched = new Watched();
    const tested = new TestBackup(storage, { through: watched.through });
    tested.commit(set(key("a"), text("1")), set(key("b"), text("2")));
    await tested.enable();
    let lost = 0;
    watched.fault = (what, name) =>
      what === "put" && name.includes("/snapshots/") && lost++ === 0 ? "lost" : undefined;
    await tested.ring();
    tested.commit(remove(key("a")), remove(key("b")));
    const info = await tested.settle();
    expect(info.generations[0]).toMatchObject({ state: "complete" });
    const [folder = ""] = await listGenerations(openS3(), tested.databaseId);
    const generation = await readGeneration(openS3(), tested.databaseId, folder);
    expect(generation.snapshot).toEqual([]);
    expect([...generation.states()].at(-1)?.entries.size).toBe(0);
  });
});

test("when the log outgrows its snapshot a new generation begins, both get the log until it is complete, and no commit is missing (B22)", async () => {
  await withStorage(async (storage) => {
    const watched = new Watched();
    const policy = { compactionBytes: 20_000, snapshotRangeEntries: 20, rangeBytes: 4_000 };
    const tested = new TestBackup(storage, { policy, through: watched.through });
    const history = new History(tested, 700, 8);
    await history.write(50);
    await tested.enable();
    let both = 0;
    let mostLive = 0;
    while (history.left > 0) {
      await history.write(10, 100);
      const live = (await tested.info()).generations.filter(({ state }) => /snapshotting|complete/.test(state));
      mostLive = Math.max(mostLive, live.length);
      if (live.length === 2) both += 1;
    }
    const info = await tested.settle();
    expect(mostLive).toBe(2);
    expect(both).toBeGreaterThan(1);
    expect(info.generations.length).toBeGreaterThan(2);
    const { generations } = await history.check();
    expect(history.missing(generations)).toEqual([]);
    for (const [i, next] of generations.slice(1).entries()) {
      expect(generations[i]?.points.at(-1)).toBeGreaterThanOrEqual(next.consistentFrom ?? Infinity);
    }
    const manifest = await manifestOf(tested);
    expect(manifest.generations.map(({ start }) => start)).toEqual(
      (await listGenerations(openS3(), tested.databaseId)).map((folder) => Number.parseInt(folder, 16)),
    );
  });
});

test("a generation is deleted when a newer one holds all that is promised: from the manifest, then differential, then the rest (B23)", async () => {
  await withStorage(async (storage) => {
    const watched = new Watched();
    const tested = new TestBackup(storage, {
      policy: { compactionBytes: 10_000 },
      through: watched.through,
    });
    const history = new History(tested, 400, 21);
    await tested.enable({ retentionDays: 2 });
    await history.write(200, 200);
    let info = await tested.settle();
    const [oldest, ...newer] = info.generations;
    expect(oldest?.state).toBe("retired");
    expect(newer.length).toBeGreaterThan(0);
    const dueAt = oldest?.deletedAfter ?? 0;
    expect(dueAt).toBeGreaterThan(tested.clock.time + 1.9 * DAY_MS);

    watched.done.length = 0;
    await tested.pass(dueAt - tested.clock.time - 1_000);
    expect(watched.done.filter((done) => done.startsWith("delete"))).toEqual([]);
    const folder = oldest?.prefix.split("/")[1] ?? "";
    expect(watched.manifest).toContain(folder);
    // Interrupted in the middle, it goes on.
    let deletions = 0;
    watched.fault = (what) => {
      if (what !== "delete") return undefined;
      expect(watched.manifest).not.toContain(folder);
      return deletions++ === 3 ? down : undefined;
    };
    await tested.pass(61_000);
    tested.reopen();
    watched.fault = () => undefined;
    await tested.pass(120_000);
    const [first, ...rest] = watched.done.filter((done) => done.startsWith("delete"));
    expect(first).toBe(`delete ${folder}/differential`);
    expect(rest.length).toBeGreaterThan(3);
    info = await tested.info();
    expect(info.generations.some(({ prefix }) => prefix === oldest?.prefix)).toBe(false);
    expect(await listGenerations(openS3(), tested.databaseId)).not.toContain(folder);
    expect((await manifestOf(tested)).generations.length).toBe(info.generations.length);
    await history.write(history.left, 200);
    await tested.settle();
    await history.check();
  });
});

test("where the bucket locks its objects the backup goes on, and what cannot be deleted is asked for rarely, and said (B24)", async () => {
  await withStorage(async (storage) => {
    const locked = destinationFailure("credentials", "A lock forbids to delete an object.");
    const watched = new Watched();
    const store = new MemoryDestination();
    const tested = new TestBackup(storage, { policy: { compactionBytes: 1_000 }, through: watched.through, store });
    const history = new History(tested, 240, 22);
    const prefixes = async () => (await tested.info()).generations.map(({ prefix }) => prefix);
    // There is a commit every six hours, and the object sleeps in between.
    const sleepThrough = async (days: number) => {
      for (let quarter = 0; quarter < 4 * days; quarter++) {
        await history.write(1);
        await tested.pass(DAY_MS / 4);
        tested.reopen();
      }
    };
    await tested.enable({ retentionDays: 1 });
    await history.write(100, 200);
    await tested.settle();
    const [held = "", ...others] = await prefixes();
    expect(others.length).toBeGreaterThan(2);
    let asked = 0;
    const refuseHeld: typeof watched.fault = (what, name) => {
      if (what !== "delete" || !name.startsWith(held)) return undefined;
      asked += 1;
      return locked;
    };
    watched.fault = refuseHeld;
    // One that is held keeps no other.
    await sleepThrough(2);
    expect(await prefixes()).toEqual([held, others.at(-1)]);
    asked = 0;
    await sleepThrough(9);
    expect(asked).toBeGreaterThan(30);
    // A generation that is deleted meanwhile begins the waits anew, once.
    expect(asked).toBeLessThan(80);
    // What else there is to do is not held up, and what goes well does not hide it: another generation begins and takes over.
    const { lastError, generations } = await tested.info();
    expect(lastError).not.toBeNull();
    await history.write(50, 200);
    const later = await tested.settle();
    expect(later.generations.length).toBeGreaterThan(generations.length);
    expect(later.lastError?.since).toBe(lastError?.since);
    watched.fault = () => down;
    await history.write(history.left, 200);
    watched.fault = refuseHeld;
    await tested.pass(61_000);
    expect((await tested.settle()).lastError).toMatchObject({
      message: "Generations older than the retention stay in the bucket. A lock forbids to delete an object.",
    });
    watched.fault = () => undefined;
    await sleepThrough(2);
    const after = await tested.info();
    expect(after.lastError).toBeNull();
    expect(after.generations.map(({ state }) => state)).toEqual(["complete"]);
    await history.check();
  });
});

test("no more generations are kept than a manifest may name: logs grow longer first, then the oldest goes", async () => {
  await withStorage(async (storage) => {
    const generations = 16;
    const store = new MemoryDestination();
    const tested = new TestBackup(storage, { policy: { compactionBytes: 1_000, generations }, store });
    const history = new History(tested, 1_200, 23);
    await tested.enable({ retentionDays: 30 });
    const logs: number[] = [];
    let most = 0;
    while (history.left > 0) {
      await history.write(20, 300);
      const kept = (await tested.info()).generations.filter(({ state }) => state !== "deleting");
      most = Math.max(most, kept.length);
      logs.splice(0, logs.length, ...kept.filter(({ state }) => state === "retired").map(({ bytes }) => bytes));
    }
    expect(most).toBeGreaterThan(generations / 2);
    expect(most).toBeLessThanOrEqual(generations + 1);
    expect(logs.at(-1)).toBeGreaterThan(4 * (logs[0] ?? Infinity));
    // Where outages end generations, none of which outgrows its log, the oldest go.
    for (let i = 0; i < generations; i++) {
      storage.transactionSync(() => tested.backup.restored(tested.database.lastVersion));
      tested.commit(set(key("n"), text(String(i))));
      await tested.settle();
    }
    const kept = (await tested.info()).generations.filter(({ state }) => state !== "deleting");
    expect(kept.length).toBeLessThanOrEqual(generations);
    expect((await manifestOf(tested)).generations.length).toBeLessThanOrEqual(generations);
  });
});

test("an outage that outgrows the bound breaks the generation, marked with its gap, and a new one begins when it is over (B9)", async () => {
  await withStorage(async (storage) => {
    const watched = new Watched();
    const tested = new TestBackup(storage, {
      policy: { backlogBytes: 100_000, rangeBytes: 5_000 },
      through: watched.through,
    });
    const history = new History(tested, 900, 4);
    await history.write(30);
    await tested.enable();
    await tested.settle();
    await history.write(100);
    await tested.settle();
    watched.fault = () => down;
    await history.write(300);
    const during = await tested.info();
    expect(during.generations).toMatchObject([{ state: "ended" }]);
    expect(during.status).toEqual({ code: "active" });
    expect(during.lastError?.message).toBe(down.message);
    expect(tested.database.log.firstAfter(NO_VERSION), "nothing is kept for a backup that has a gap").toBeNull();
    await history.write(100);
    watched.fault = () => undefined;
    await tested.pass(31_000);
    await history.write(history.left);
    const info = await tested.settle();
    expect(info.generations).toMatchObject([
      { state: "ended", endedBecause: expect.stringMatching(/100000 bytes/) },
      { state: "complete", endedBecause: null },
    ]);
    expect(info.lastError).toBeNull();
    const { generations } = await history.check();
    const { gaps } = (await manifestOf(tested)).generations[0] ?? {};
    // The gap begins with the first commit that was lost: until then the database held what the last point has.
    expect(gaps).toEqual([
      {
        after: Math.min(...history.missing(generations)) - 1,
        upTo: generations[1]?.consistentFrom,
        cause: expect.stringMatching(/100000 bytes/),
      },
    ]);
    const lost = history.missing(generations);
    expect(lost.length).toBeGreaterThan(100);
    const [gap] = gaps ?? [];
    for (const version of lost) {
      expect(version).toBeGreaterThan(gap?.after ?? Infinity);
      expect(version).toBeLessThanOrEqual(gap?.upTo ?? 0);
    }
  });
});

test("an ended generation is deleted only when the one after it is complete and old enough (B23)", async () => {
  await withStorage(async (storage) => {
    const watched = new Watched();
    const store = new MemoryDestination();
    const tested = new TestBackup(storage, { policy: { backlogBytes: 5_000 }, through: watched.through, store });
    await tested.enable({ retentionDays: 1 });
    await tested.settle();
    watched.fault = () => down;
    for (let i = 0; i < 20; i++) tested.commit(set(key("a"), new Uint8Array(500)));
    await tested.pass(1.2 * DAY_MS);
    expect((await tested.info()).generations).toMatchObject([{ state: "ended", deletedAfter: null }]);
    watched.fault = () => undefined;
    await tested.settle();
    await tested.pass(DAY_MS - 60_000);
    expect((await tested.info()).generations).toMatchObject([{ state: "ended" }, { state: "complete" }]);
    await tested.pass(120_000);
    expect((await tested.info()).generations).toMatchObject([{ state: "complete" }]);
  });
});
