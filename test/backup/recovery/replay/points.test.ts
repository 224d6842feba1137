/** Which moments a backup can give back: found by few requests, page by page, in both directions, over generations and gaps. */
import { describe, expect, test } from "vitest";
import { BackupBucket, type ReadProblem } from "../../../../src/backup/recovery/replay/backup-bucket.ts";
import type { Catalog } from "../../../../src/backup/recovery/replay/catalog.ts";
import { type PointPage, pointsAround } from "../../../../src/backup/recovery/replay/point-pages.ts";
import { loadHistories } from "../../../../src/backup/recovery/replay/histories.ts";
import { logObjectName } from "../../../../src/backup/format/object-names.ts";
import { logObjectsAround } from "../../../../src/backup/recovery/replay/log-index.ts";
import { highestVersion, resolveMoment, restorableRange } from "../../../../src/backup/recovery/replay/points.ts";
import type { Failure } from "../../../../src/core/errors.ts";
import {
  asVersion,
  LAST_ORDER,
  LAST_VERSION,
  type Version,
  versionstampHex,
} from "../../../../src/core/versionstamp.ts";
import { BackupWriter, type ModelState, writeBackup } from "../../../support/backup-writer.ts";
import { MemoryDestination } from "../../../support/memory-destination.ts";
import type { CommitDetail } from "../../../../src/backup/recovery/replay/commits.ts";
import { admitsKey } from "../../../../src/codec/key-prefix.ts";
import type { RestorePointInfo } from "../../../../src/contracts/restore-commands.ts";
import { toHex } from "../../../../src/core/bytes.ts";
import { type Effect, Encoding } from "../../../../src/core/operations.ts";

const databaseId = "5f0c-d";

function good<T extends { readonly ok: true }>(outcome: T | ReadProblem | Failure): T {
  if (!outcome.ok) throw new Error(JSON.stringify(outcome));
  return outcome;
}

interface Opened {
  readonly destination: MemoryDestination;
  readonly bucket: BackupBucket;
  readonly catalog: Catalog;
}

async function open(destination: MemoryDestination, withoutManifest = false): Promise<Opened> {
  const bucket = new BackupBucket(destination, databaseId);
  const { histories } = good(await loadHistories(bucket, withoutManifest));
  const [catalog] = histories;
  if (catalog === undefined || histories.length > 1) throw new Error(`${histories.length} histories`);
  return { destination, bucket, catalog };
}

async function written(seed: number): Promise<Opened & { writer: BackupWriter; points: Version[] }> {
  const destination = new MemoryDestination();
  const writer = await writeBackup(destination, databaseId, seed);
  return { ...(await open(destination)), writer, points: [...writer.points].toSorted((a, b) => a - b) };
}

async function collect(
  { bucket, catalog, destination }: Opened,
  from: Version,
  direction: "before" | "after",
  limit: number,
): Promise<Version[]> {
  const found: Version[] = [];
  let next: Version | null = from;
  while (next !== null) {
    const before = destination.requests;
    const page: PointPage = good(await pointsAround(bucket, catalog, next, { direction, limit, detail: null }));
    expect(destination.requests - before).toBeLessThanOrEqual(45);
    expect(page.points.length).toBeLessThanOrEqual(limit);
    found.push(...page.points.map(({ version }) => version));
    next = page.next;
  }
  return found;
}

describe("points", () => {
  test.for([1, 2])(
    "are every commit from the first differential on, once, both ways, at any page size (seed %i) (G7)",
    async (seed) => {
      const backup = await written(seed);
      const { points, writer } = backup;
      const { lastVersion } = writer;
      for (const limit of [1, 7, 1000]) {
        expect(await collect(backup, asVersion(0), "after", limit)).toEqual(points);
        expect(await collect(backup, lastVersion, "before", limit)).toEqual(points.toReversed());
      }
      for (const index of [0, 1, 30, points.length - 2]) {
        const point = points[index] ?? lastVersion;
        expect(await collect(backup, point, "after", 50)).toEqual(points.slice(index + 1));
        expect(await collect(backup, point, "before", 50)).toEqual(points.slice(0, index + 1).toReversed());
        expect(await collect(backup, asVersion(point - 1), "before", 50)).toEqual(points.slice(0, index).toReversed());
      }
    },
  );

  test("are the same without a manifest (G11)", async () => {
    const { destination, points } = await written(3);
    const listed = await open(destination, true);
    expect(await collect(listed, asVersion(0), "after", 100)).toEqual(points);
  });
});

describe("a moment", () => {
  test("is rounded down to the commit at or before it; what is outside is refused (G2)", async () => {
    const { bucket, catalog, points, writer } = await written(4);
    for (const [index, point] of points.entries()) {
      if (index % 7 > 0) continue;
      expect(good(await resolveMoment(bucket, catalog, point)).version).toBe(point);
      const between = asVersion(Math.max(point, (points[index + 1] ?? point + 2) - 1));
      expect(good(await resolveMoment(bucket, catalog, between)).version).toBe(point);
    }
    const late = asVersion(writer.lastVersion + 1e12);
    expect(good(await resolveMoment(bucket, catalog, late)).version).toBe(writer.lastVersion);
    const oldest = catalog.generations[0]?.consistentFrom ?? asVersion(0);
    expect(good(await resolveMoment(bucket, catalog, oldest)).version).toBe(oldest);
    const before = await resolveMoment(bucket, catalog, asVersion(oldest - 1));
    expect(before).toMatchObject({ ok: false, code: "not-found" });
    expect(before).toHaveProperty("message", expect.stringContaining(versionstampHex(oldest)));
  });

  test("is served by the newest generation that holds it", async () => {
    const { bucket, catalog, writer } = await written(5);
    const [older, newer] = writer.generations;
    const change = newer?.consistentFrom ?? asVersion(0);
    expect(good(await resolveMoment(bucket, catalog, change)).generation.place).toEqual(newer?.place);
    expect(good(await resolveMoment(bucket, catalog, asVersion(change - 1))).generation.place).toEqual(older?.place);
  });

  test("in a gap is refused with its cause, and one before or after it is not (G4)", async () => {
    const destination = new MemoryDestination();
    const writer = new BackupWriter(destination, databaseId, 6);
    const first = writer.begin();
    writer.randomCommit();
    await writer.snapshot(first, 5, async () => undefined);
    const last = writer.randomCommit();
    await writer.flush();
    Object.assign(first, { state: "ended", live: false });
    const lost = writer.randomCommit();
    const second = writer.begin();
    // The new generation begins with a commit that no other generation has.
    const begins = writer.commit([
      { type: "set", key: writer.key("begins"), value: new Uint8Array(3), encoding: Encoding.bytes, expiresAt: null },
    ]);
    await writer.snapshot(second, 5, async () => undefined);
    expect(second.consistentFrom).toBe(begins);
    first.gaps.push({ after: last, upTo: second.consistentFrom, cause: "The dog ate it." });
    const after = writer.randomCommit();
    await writer.flush();
    await writer.writeManifest();
    const { bucket, catalog } = await open(destination);
    expect(good(await resolveMoment(bucket, catalog, last)).version).toBe(last);
    expect(good(await resolveMoment(bucket, catalog, after)).version).toBe(after);
    const refused = await resolveMoment(bucket, catalog, lost);
    expect(refused).toMatchObject({ ok: false, code: "not-found" });
    expect(refused).toHaveProperty("message", expect.stringContaining("The dog ate it."));
    // What can be restored is listed, and nothing else (G7).
    const held = [first.consistentFrom, last, begins, after];
    for (const point of held)
      expect(good(await resolveMoment(bucket, catalog, asVersion(point ?? 0))).version).toBe(point);
    for (const limit of [1, 10]) {
      const opened = { destination, bucket, catalog };
      expect(await collect(opened, asVersion(0), "after", limit)).toEqual(held);
      expect(await collect(opened, last, "after", limit)).toEqual([begins, after]);
      expect(await collect(opened, after, "before", limit)).toEqual(held.toReversed());
      expect(await collect(opened, begins, "before", limit)).toEqual([begins, last, first.consistentFrom]);
    }
    const detail = { mostKeys: 9, mostKeyBytes: 999, prefix: writer.key("begins") };
    const changing = good(await pointsAround(bucket, catalog, last, { direction: "after", limit: 9, detail }));
    expect(changing.points.map(({ version }) => version)).toEqual([begins]);
  });
});

test("the range goes from the oldest differential to the newest commit, and every version seen lies below the highest", async () => {
  const { bucket, catalog, writer, destination } = await written(7);
  const { range } = good(await restorableRange(bucket, catalog));
  expect(range?.first.version).toBe(writer.generations[0]?.consistentFrom);
  expect(range?.last.version).toBe(writer.lastVersion);
  expect(good(await highestVersion(bucket, catalog.starts)).version).toBe(writer.lastVersion);
  const generation = writer.begin();
  const beyond = writer.randomCommit();
  await writer.flush();
  // A generation without a differential is not readable, and its versions were used all the same.
  expect(generation.consistentFrom).toBeNull();
  const later = await open(destination);
  expect(good(await highestVersion(later.bucket, later.catalog.starts)).version).toBe(beyond);
  expect(later.catalog.generations).toHaveLength(2);
});

test("the object at a version is found in a log of thousands by a few requests", async () => {
  const destination = new MemoryDestination();
  const writer = new BackupWriter(destination, databaseId, 8);
  const generation = writer.begin();
  await writer.snapshot(generation, 5, async () => undefined);
  // The marker of the empty snapshot.
  const versions: Version[] = [writer.lastVersion];
  // Dense stretches and days of silence.
  for (let stretch = 0; stretch < 5; stretch++) {
    for (let i = 0; i < 1_300; i++) versions.push(writer.commit([{ type: "delete", key: new Uint8Array() }], 4_000));
    writer.lastVersion = asVersion(writer.lastVersion + stretch * 86_400e6);
  }
  await writer.flush(1);
  const bucket = new BackupBucket(destination, databaseId);
  for (let i = 0; i < versions.length; i += 97) {
    for (const version of [versions[i] ?? 0, (versions[i] ?? 0) + 1, (versions[i + 1] ?? 2) - 1]) {
      const before = destination.requests;
      const around = good(await logObjectsAround(bucket, generation.place, asVersion(version)));
      expect(destination.requests - before).toBeLessThanOrEqual(25);
      const at = versions.filter((one) => one <= version).at(-1);
      expect(around.upTo.at(-1)?.first.version).toBe(at);
      expect(around.following[0]?.first.version).toBe(versions.find((one) => one > version));
    }
  }
});

test.each([
  [10, 2],
  [900, 2],
  [30_000, 12],
])("the end of a log of %i objects is found by %i requests at most", async (objects, most) => {
  const destination = new MemoryDestination();
  const writer = new BackupWriter(destination, databaseId, 9);
  const generation = writer.begin();
  await writer.snapshot(generation, 5, async () => undefined);
  const first = writer.lastVersion;
  for (let i = 0; i < objects; i++) {
    const version = asVersion(first + (i + 1) * 2_000_000);
    const stamp = { version, order: LAST_ORDER };
    destination.objects.set(logObjectName(generation.place, { first: stamp, last: stamp }), new Uint8Array());
  }
  const before = destination.requests;
  const around = good(
    await logObjectsAround(new BackupBucket(destination, databaseId), generation.place, LAST_VERSION),
  );
  expect(destination.requests - before).toBeLessThanOrEqual(most);
  expect(around.upTo.at(-1)?.first.version).toBe(first + objects * 2_000_000);
});

describe("a bucket that was made to be read without end", () => {
  class Endless extends MemoryDestination {
    readonly invent: (after: string) => { readonly name: string; readonly size: number }[];

    constructor(invent: (after: string) => { readonly name: string; readonly size: number }[]) {
      super();
      this.invent = invent;
    }

    override async list(_: string, { after = "" } = {}) {
      this.requests += 1;
      if (this.requests > 2_000) throw new Error("it was read without end");
      const objects = this.invent(after).map((object) => ({ ...object, modified: null }));
      return { ok: true, objects, next: objects.at(-1)?.name ?? null } as const;
    }
  }

  const hex16 = (number: number): string => number.toString(16).padStart(16, "0");

  test.for([
    ["generations", (after: string) => `${hex16(Number.parseInt(after.split("/")[1] || "0", 16) + 1)}/x`],
    ["objects that are none of ours", (after: string) => `0z${hex16(Number(after.split("/0z")[1] ?? 0) + 1)}`],
  ] as const)("has too many %s", async ([, next]) => {
    const endless = new Endless((after) => [{ name: `${databaseId}/${next(after)}`, size: 1 }]);
    const bucket = new BackupBucket(endless, databaseId);
    const catalog = await loadHistories(bucket, true);
    expect(catalog).toMatchObject({ ok: false, class: "bad", message: expect.stringContaining("1000 generations") });
    expect(endless.requests).toBeLessThan(1_100);
  });

  test("has log objects that begin where others did", async () => {
    const start = asVersion(1_000);
    const stamp = (version: number, order: string): string => `${hex16(version)}0000${order}`;
    const endless = new Endless((after) => {
      const first = Number.parseInt(after.slice(-16), 16);
      return Array.from({ length: 1_000 }, (_, i) => ({
        name: `${databaseId}/${hex16(start)}/logs/0001_${hex16(first)}_${stamp(first, "ffff")}_${stamp(first + i, "ffff")}.bin`,
        size: 1,
      }));
    });
    const found = await logObjectsAround(
      new BackupBucket(endless, databaseId),
      { databaseId, start },
      asVersion(2_000),
    );
    expect(found).toMatchObject({ ok: false, problem: expect.stringContaining("have passed") });
    expect(endless.requests).toBeLessThan(100);
  });

  test("is not asked again for what its manifest names", async () => {
    const { destination, writer } = await written(5);
    for (let i = 0; i < 20; i++) writer.begin();
    await writer.writeManifest();
    const before = destination.requests;
    const { catalog } = await open(destination);
    // The manifest, one look behind each generation that it names, and one at the end of the last that can be read.
    expect(destination.requests - before).toBeLessThanOrEqual(1 + 22 + 1);
    expect(catalog.starts.length).toBe(22);
  });
});

describe("with keys", () => {
  const all: CommitDetail = { mostKeys: 100, mostKeyBytes: 128 * 1024, prefix: null };

  async function pages(
    { bucket, catalog }: Opened,
    from: Version,
    direction: "before" | "after",
    limit: number,
    detail: CommitDetail,
  ): Promise<(readonly RestorePointInfo[])[]> {
    const found: (readonly RestorePointInfo[])[] = [];
    for (let next: Version | null = from; next !== null;) {
      const page: PointPage = good(await pointsAround(bucket, catalog, next, { direction, limit, detail }));
      found.push(page.points);
      next = page.next;
    }
    return found;
  }

  /** What the writer's states say of a commit. */
  function changedBetween(before: ModelState, after: ModelState): string[] {
    const names = new Set([...before.keys(), ...after.keys()]);
    return [...names].filter((name) => before.get(name)?.version !== after.get(name)?.version).toSorted();
  }

  test("each commit says what it set and what it deleted, in both directions (G36)", async () => {
    const backup = await written(21);
    const { writer, points } = backup;
    const versions = [...writer.history.keys()].toSorted((a, b) => a - b);
    for (const direction of ["after", "before"] as const) {
      const from = direction === "after" ? asVersion(0) : writer.lastVersion;
      const found = (await pages(backup, from, direction, 7, all)).flat();
      const sorted = direction === "after" ? found : found.toReversed();
      expect(sorted.map(({ version }) => version)).toEqual(points);
      for (const { version, changes } of sorted) {
        const index = versions.indexOf(version);
        const [before, after] = [versions[index - 1], version].map((one) => writer.history.get(one ?? asVersion(0)));
        if (before === undefined || after === undefined) continue;
        // A commit may delete what was not there, and set and delete one key: then the states are the same.
        const told = new Map(changes?.keys.map(({ key, change }) => [toHex(key), change]));
        for (const name of changedBetween(before, after)) {
          expect(told.get(name)).toBe(after.has(name) ? "set" : "delete");
        }
        expect(changes?.more).toBe(0);
      }
    }
  });

  test("a prefix leaves only the commits that changed something under it, and only those keys (G36)", async () => {
    const backup = await written(22);
    const prefix = backup.writer.key("k", 7);
    const everything = (await pages(backup, asVersion(0), "after", 50, all)).flat();
    const wanted = everything
      .map((point) => ({ ...point, keys: (point.changes?.keys ?? []).filter(({ key }) => admitsKey(prefix, key)) }))
      .filter(({ keys }) => keys.length > 0);
    expect(wanted.length).toBeGreaterThan(3);
    const under = { ...all, prefix };
    for (const [direction, from] of [
      ["after", asVersion(0)],
      ["before", backup.writer.lastVersion],
    ] as const) {
      const found = (await pages(backup, from, direction, 3, under)).flat();
      const sorted = direction === "after" ? found : found.toReversed();
      expect(sorted.map(({ version, changes }) => ({ version, keys: changes?.keys }))).toEqual(
        wanted.map(({ version, keys }) => ({ version, keys })),
      );
    }
  });

  test("bounds hold: so many keys of a commit with the number of the others, and so many bytes of a page", async () => {
    const destination = new MemoryDestination();
    const writer = new BackupWriter(destination, databaseId, 23);
    const generation = writer.begin();
    writer.randomCommit();
    await writer.snapshot(generation, 5, async () => undefined);
    const value = new Uint8Array(3);
    const sets = (commit: number, count: number): Effect[] =>
      Array.from({ length: count }, (_, i) => ({
        type: "set",
        key: writer.key("k".repeat(1000), commit, i),
        value,
        encoding: Encoding.bytes,
        expiresAt: null,
      }));
    const versions = [150, 1, 90, 90, 3].map((count, commit) => writer.commit(sets(commit, count)));
    await writer.flush(5);
    await writer.writeManifest();
    const backup = await open(destination);
    const from = asVersion((versions[0] ?? 0) - 1);
    const found = await pages(backup, from, "after", 1000, all);
    // 128 KiB of keys of 1,010 bytes, and of what is around each: 100 and the next one are too much, as are two times 90.
    expect(found.map((page) => page.map(({ changes }) => [changes?.keys.length, changes?.more]))).toEqual([
      [
        [100, 50],
        [1, 0],
      ],
      [[90, 0]],
      [
        [90, 0],
        [3, 0],
      ],
    ]);
    const backwards = await pages(backup, writer.lastVersion, "before", 1000, all);
    expect(
      backwards
        .flat()
        .map(({ version }) => version)
        .slice(0, 5),
    ).toEqual(versions.toReversed());
    expect(backwards.length).toBeGreaterThanOrEqual(3);
    const few = (await pages(backup, from, "after", 1000, { ...all, mostKeys: 2, mostKeyBytes: 3000 })).flat();
    expect(few.map(({ changes }) => [changes?.keys.length, changes?.more])).toEqual([
      [2, 148],
      [1, 0],
      [2, 88],
      [2, 88],
      [2, 1],
    ]);
  });
});
