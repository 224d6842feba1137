import { expect, test } from "vitest";
import {
  MAX_COMMITS_PER_GROUP,
  MAX_GROUP_BYTES,
  MAX_GROUP_CHANGES,
  MAX_WAITING_WRITE_BYTES,
} from "../../src/core/limits.ts";
import { type AtomicWrite, Encoding } from "../../src/core/operations.ts";
import { type Failure, failure } from "../../src/core/errors.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import type { CommitOutcome } from "../../src/engine/commit-path.ts";
import { decidedWrite } from "../../src/engine/decided-write.ts";
import { changesOfIndexes } from "../../src/objects/changes-of-indexes.ts";
import { CommitQueue } from "../../src/objects/commit-queue.ts";
import { freeTurns } from "../support/free-turns.ts";

const write: AtomicWrite = { checks: [], mutations: [], enqueues: [] };

/** A queue whose flushes end when the test says so. */
class SlowDisk {
  readonly groups: number[] = [];
  readonly errors: unknown[] = [];
  flushes = 0;
  broken = false;
  version = 0;
  breaths = 0;
  /** Of each write. */
  derived = 0;
  /** How the turn of a long group comes about. null: the organization is alone. */
  turn: Promise<Failure | null> | null = null;
  #flushed: (() => void) | null = null;
  readonly queue = new CommitQueue({
    derivedChanges: () => this.derived,
    commit: (writes): CommitOutcome[] => {
      this.groups.push(writes.length);
      if (this.broken) throw new Error("broken");
      return writes.map(() => ({ ok: true, version: asVersion((this.version += 1)) }));
    },
    flushed: () => {
      this.flushes += 1;
      return new Promise((resolve) => (this.#flushed = resolve));
    },
    turns: Object.defineProperty({ ...freeTurns(), begin: () => this.turn }, "isAlone", {
      get: () => this.turn === null,
    }),
    breathe: async () => void (this.breaths += 1),
    onError: (error) => void this.errors.push(error),
  });

  async submit(bytes: number): Promise<CommitOutcome> {
    return this.queue.submit({ write, bytes });
  }

  async submitChanges(writes: number, changes: number): Promise<readonly CommitOutcome[]> {
    const deletion = { type: "delete", key: new Uint8Array(1) } as const;
    const large = { ...write, mutations: Array.from({ length: changes }, () => deletion) };
    return this.queue.submitAll(Array.from({ length: writes }, () => ({ write: large, bytes: 1 })));
  }

  /** Ends the flush that is under way and lets what follows from it happen. */
  async flush(): Promise<void> {
    this.#flushed?.();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

test("a write alone is applied at once; those that arrive during its flush form one group, in order (W30)", async () => {
  const disk = new SlowDisk();
  const first = disk.submit(100);
  expect(disk.groups).toEqual([1]);
  const others = Array.from({ length: 20 }, () => disk.submit(100));
  expect(disk.groups).toEqual([1]);
  await disk.flush();
  expect(disk.groups).toEqual([1, 20]);
  const versions = await Promise.all([first, ...others]);
  expect(versions.map((outcome) => (outcome.ok ? outcome.version : 0))).toEqual(
    Array.from({ length: 21 }, (_, i) => i + 1),
  );
  await disk.flush();
  await disk.submit(100);
  expect(disk.groups).toEqual([1, 20, 1]);
});

test("a group is bounded in commits and in bytes", async () => {
  const disk = new SlowDisk();
  const all = [disk.submit(1)];
  for (let i = 0; i < MAX_COMMITS_PER_GROUP + 5; i++) all.push(disk.submit(1));
  for (let i = 0; i < 2; i++) all.push(disk.submit(MAX_GROUP_BYTES - 1000));
  for (let i = 0; i < 6; i++) await disk.flush();
  await Promise.all(all);
  expect(disk.groups).toEqual([1, MAX_COMMITS_PER_GROUP, 6, 1]);
});

test("a group is bounded in changes, and after one with many of them others get a turn", async () => {
  const disk = new SlowDisk();
  const all = [disk.submit(1), disk.submitChanges(256, 1000)];
  for (let i = 0; i < 140; i++) await disk.flush();
  await Promise.all(all);
  const perGroup = MAX_GROUP_CHANGES / 1000;
  expect(disk.groups).toEqual([1, ...Array.from({ length: 256 / perGroup }, () => perGroup)]);
  expect(disk.breaths).toBe(256 / perGroup);
});

test("beside other organizations, what a write changes in derived tables counts as its own changes do", async () => {
  const disk = new SlowDisk();
  disk.derived = MAX_GROUP_CHANGES / 4;
  const write9 = async (): Promise<void> => {
    const all = Array.from({ length: 9 }, () => disk.submit(1));
    for (let i = 0; i < 5; i++) await disk.flush();
    await Promise.all(all);
  };
  await write9();
  expect(disk.groups).toEqual([1, 8]);
  disk.turn = Promise.resolve(null);
  await write9();
  expect(disk.groups.slice(2)).toEqual([4, 4, 1]);
  expect(disk.breaths).toBe(2);
});

test("a write changes about as much in the indexes as the documents that it writes are long", () => {
  const set = (key: number, length: number) =>
    ({
      type: "set",
      key: Uint8Array.of(key),
      value: new Uint8Array(length),
      encoding: Encoding.v8,
      expiresAt: null,
      versionstampedKey: false,
    }) as const;
  const follows = (key: Uint8Array) => key[0] === 1;
  const mutations = [set(1, 1_600), set(2, 1_600), { type: "delete", key: Uint8Array.of(1) } as const];
  const submitted = { write: { ...write, mutations }, bytes: 6_400 };
  expect(changesOfIndexes({ hasTables: true, follows }, submitted)).toBe(100 + 20 + 20);
  expect(changesOfIndexes({ hasTables: false, follows }, submitted)).toBe(0);
  // What it writes is decided later: the request tells how much it may be.
  const decided = decidedWrite({ versions: 1, maxMutations: 1, maxBytes: 1, decide: () => [] });
  expect(changesOfIndexes({ hasTables: true, follows }, { write: decided, bytes: 6_400 })).toBe(100);
});

test("a lone writer of many changes waits for the turns of others, too", async () => {
  const disk = new SlowDisk();
  for (let i = 0; i < 9; i++) {
    const alone = disk.submit(1);
    await disk.flush();
    await alone;
  }
  expect(disk.flushes).toBeLessThan(9);
  const few = disk.submitChanges(1, 1000);
  expect(disk.breaths).toBe(0);
  await few;
  const many = disk.submitChanges(3, 1000);
  await disk.flush();
  await many;
  expect(disk.breaths).toBe(1);
});

test("beside other organizations a write of many changes waits for its turn, those behind it wait, too, and a refused one is not applied", async () => {
  const disk = new SlowDisk();
  const { promise, resolve } = Promise.withResolvers<Failure | null>();
  const begun = async (): Promise<void> => {
    for (let i = 0; i < 40; i++) {
      const alone = disk.submit(1);
      await disk.flush();
      await alone;
    }
    disk.groups.length = 0;
  };
  await begun();
  disk.turn = promise;
  const long = disk.submitChanges(1, 100);
  const behind = disk.submit(1);
  await disk.flush();
  expect(disk.groups, "a short write does not pass it").toEqual([]);
  resolve(null);
  await disk.flush();
  expect([disk.groups, await long, await behind]).toMatchObject([[2], [{ ok: true }], { ok: true }]);
  await disk.flush();
  await begun();
  disk.turn = Promise.resolve(failure("unavailable", "Other long requests wait."));
  const refused = disk.submitChanges(1, 100);
  expect(await refused).toMatchObject([{ code: "unavailable" }]);
  expect(disk.groups).toEqual([]);
  expect(await disk.submit(1)).toMatchObject({ ok: true });
});

test("writes past what may wait are refused until the disk has caught up (W31)", async () => {
  const disk = new SlowDisk();
  const applied = [disk.submit(100)];
  const half = MAX_WAITING_WRITE_BYTES / 2;
  applied.push(disk.submit(half), disk.submit(half));
  expect(await disk.submit(100)).toMatchObject({ code: "unavailable" });
  await disk.flush();
  applied.push(disk.submit(100));
  await disk.flush();
  await disk.flush();
  expect((await Promise.all(applied)).every(({ ok }) => ok)).toBe(true);
});

test("a write larger than all that may wait waits alone, and the next one is refused (W31)", async () => {
  const disk = new SlowDisk();
  const first = disk.submit(1);
  const large = disk.submit(MAX_WAITING_WRITE_BYTES + 1);
  expect(await disk.submit(0)).toMatchObject({ code: "unavailable" });
  await disk.flush();
  await disk.flush();
  expect([await first, await large]).toMatchObject([{ ok: true }, { ok: true }]);
});

test("when applying a group throws, its writes are answered, and the next ones go on (W30)", async () => {
  const disk = new SlowDisk();
  const first = disk.submit(1);
  disk.broken = true;
  const lost = [disk.submit(1), disk.submit(1)];
  await disk.flush();
  disk.broken = false;
  const after = disk.submit(1);
  await disk.flush();
  expect(await first).toMatchObject({ ok: true });
  for (const outcome of await Promise.all(lost)) expect(outcome).toMatchObject({ code: "internal" });
  expect(await after).toMatchObject({ ok: true });
  expect(disk.errors).toEqual([new Error("broken")]);
});

test("a writer that has long been alone is followed to the disk only now and then, until it has company", async () => {
  const disk = new SlowDisk();
  for (let i = 0; i < 8; i++) {
    await disk.submit(1);
    expect(disk.flushes).toBe(i + 1);
    await disk.flush();
  }
  const alone = async (writes: number) => {
    for (let i = 0; i < writes; i++) expect(disk.queue.submit({ write, bytes: 1 })).toMatchObject({ ok: true });
  };
  await alone(24);
  expect(disk.flushes).toBe(8);
  await disk.submit(1);
  expect(disk.flushes).toBe(9);
  await disk.flush();
  await alone(31);
  expect(disk.flushes).toBe(9);

  const others = Array.from({ length: 5 }, () => disk.submit(1));
  await disk.flush();
  expect(disk.groups.slice(-2)).toEqual([1, 4]);
  await disk.flush();
  await Promise.all(others);
  const next = [disk.submit(1), disk.submit(1)];
  expect(disk.groups.slice(-2), "the second one waits for the first one's flush").toEqual([4, 1]);
  await disk.flush();
  await Promise.all(next);
  expect(disk.groups.slice(-2)).toEqual([1, 1]);
});

test("when the database goes, writes that wait are told so and not applied, and those that were applied are answered", async () => {
  const disk = new SlowDisk();
  const applied = disk.submit(100);
  const waiting = [disk.submit(MAX_WAITING_WRITE_BYTES / 2), disk.submit(MAX_WAITING_WRITE_BYTES / 2)];
  const gone = failure("not-found", "There is no such database");
  disk.queue.close(gone);
  expect(await Promise.all([...waiting, disk.submit(1)])).toEqual([gone, gone, gone]);
  await disk.flush();
  expect(await applied).toMatchObject({ ok: true });
  expect(await disk.submit(1)).toEqual(gone);
  expect(disk.groups).toEqual([1]);
});

test("a write that waited is asked about when its turn has come, and is not applied when it is refused (H3)", async () => {
  const disk = new SlowDisk();
  const first = disk.submit(1);
  const revoked = failure("unauthenticated", "The token was revoked");
  let why: Failure | null = null;
  const waiting = [1, 2].map(async (bytes) => disk.queue.submit({ write, bytes, refusal: () => why }));
  const other = disk.submit(1);
  why = revoked;
  await disk.flush();
  expect(await Promise.all(waiting)).toEqual([revoked, revoked]);
  expect([await first, await other]).toMatchObject([{ ok: true }, { ok: true }]);
  await disk.flush();
  // A group of which nothing is left is none.
  const [again, last] = [disk.submit(1), disk.queue.submit({ write, bytes: 1, refusal: () => revoked })];
  await disk.flush();
  expect([await again, await last]).toMatchObject([{ ok: true }, revoked]);
  expect(disk.groups).toEqual([1, 1, 1]);
});

test("writes that come together are one group, in their order, and find what is under way as any other (W30)", async () => {
  const disk = new SlowDisk();
  const together = (count: number, bytes = 1) =>
    disk.queue.submitAll(Array.from({ length: count }, () => ({ write, bytes })));
  const versions = (outcomes: readonly CommitOutcome[]) =>
    outcomes.map((outcome) => (outcome.ok ? outcome.version : 0));
  // Nothing is under way: they are applied at once.
  const first = together(3);
  expect(first).not.toBeInstanceOf(Promise);
  expect(versions(await first)).toEqual([1, 2, 3]);
  const second = together(2);
  const alone = disk.submit(1);
  const third = together(2);
  expect(disk.groups).toEqual([3]);
  await disk.flush();
  expect(disk.groups).toEqual([3, 5]);
  expect([versions(await second), versions([await alone]), versions(await third)]).toEqual([[4, 5], [6], [7, 8]]);
});

test("writes that come together are refused together when too much waits, and after the database is gone (W31)", async () => {
  const disk = new SlowDisk();
  const together = (bytes: number) =>
    disk.queue.submitAll([
      { write, bytes },
      { write, bytes },
    ]);
  const first = together(1);
  const waiting = together(MAX_WAITING_WRITE_BYTES / 2 - 1);
  expect(await together(2)).toEqual([
    expect.objectContaining({ code: "unavailable" }),
    expect.objectContaining({ code: "unavailable" }),
  ]);
  const why = failure("not-found", "Gone.");
  disk.queue.close(why);
  expect([(await first).map(({ ok }) => ok), await waiting, await together(1)]).toEqual([
    [true, true],
    [why, why],
    [why, why],
  ]);
});
