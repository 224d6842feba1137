/** What a backup takes for its own where another writer's lies: when it is enabled, when a number is taken, when the retention is over. */
import { expect, test } from "vitest";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { CopiedServer, copyOf } from "../../support/workerd/copied-storage.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";
import { Side, stateOf } from "../../support/workerd/two-histories.ts";

const DAY_MS = 24 * 3_600_000;

interface Copied {
  readonly store: MemoryDestination;
  readonly x: Side;
  /** Starts a server on a copy as the folder is now. */
  readonly copy: () => Promise<Side>;
}

/** A database that has a backup, or none yet. */
async function copied(backup: "enabled" | "none", work: (all: Copied) => Promise<void>): Promise<void> {
  await withStorage(async (storage) => {
    const store = new MemoryDestination();
    const tested = new TestBackup(storage, { store });
    const x = new Side("x", async (run) => run(tested));
    tested.commit(set(key("shared"), text("by both")));
    if (backup === "enabled") {
      await enable(x);
      await x.settle();
      await x.write();
      await x.settle();
    }
    const { databaseId } = tested;
    const copy = async (): Promise<Side> => {
      const server = await CopiedServer.start(copyOf(storage), { store, databaseId }, tested.clock.time);
      return new Side("y", (run) => server.do(run), new Map(x.states));
    };
    await work({ store, x, copy });
  });
}

async function enable(side: Side): Promise<void> {
  await side.do((tested) => tested.enable({ intervalMs: 500, retentionDays: 1 }));
}

async function disable(side: Side): Promise<void> {
  expect(await side.do((tested) => tested.backup.run({ command: "disable" }))).toEqual({ ok: true, backup: null });
}

/** Commits, and what takes a while. */
async function goOn(...sides: readonly Side[]): Promise<void> {
  for (let round = 0; round < 2; round++) {
    for (const side of sides) {
      await side.write();
      await side.settle();
    }
    for (const side of sides) await side.pass(70_000);
  }
}

/** The generations of a side, the own and those of others. */
async function foldersOf(side: Side): Promise<{ readonly own: string[]; readonly others: string[] }> {
  const { generations } = await side.info();
  const named = (isForeign: boolean): string[] =>
    generations.filter(({ foreign }) => foreign === isForeign).map(({ prefix }) => prefix);
  return { own: named(false), others: named(true) };
}

function below(store: MemoryDestination, prefix: string): string[] {
  return store.names.filter((name) => name.startsWith(prefix) && !name.endsWith("/generation.json"));
}

test("enabled anew, a backup takes over its own generations and none of another writer's (B34)", async () => {
  await copied("enabled", async ({ store, x, copy }) => {
    const y = await copy();
    await goOn(x, y);
    const [ofX, ofY] = [await foldersOf(x), await foldersOf(y)];
    expect(ofX.own.length + ofY.own.length).toBe(2);
    await disable(y);
    await goOn(x);
    await enable(y);
    await goOn(y, x);
    const now = await foldersOf(y);
    expect(now.own).toEqual([...ofY.own, expect.any(String)]);
    for (const [prefix] of [ofX.own]) expect(now.own).not.toContain(prefix);
    expect((await x.info()).lastError, "nothing of it was touched").toBeNull();
    expect(await foldersOf(x)).toEqual(ofX);
    expect((await y.missing(store)).length, "while it had no whole generation").toBeLessThan(4);
    expect(await x.missing(store)).toEqual([]);
  });
});

test("objects that another writer still needs are never deleted, however long ago their retention ended (B33)", async () => {
  await copied("enabled", async ({ store, x, copy }) => {
    const y = await copy();
    await goOn(y, x);
    const [left] = (await foldersOf(x)).others;
    expect((await foldersOf(y)).own).toEqual([left]);
    const kept = below(store, left ?? "?");
    for (let days = 0; days < 10; days++) {
      await x.write();
      await x.pass(DAY_MS);
    }
    expect((await foldersOf(x)).others, "it is only forgotten").toEqual([]);
    expect(below(store, left ?? "?")).toEqual(expect.arrayContaining(kept));
    await y.write();
    await y.pass(10 * DAY_MS);
    await y.settle();
    expect((await y.info()).lastError).toBeNull();
    const now = await y.do((tested) => tested.database.lastVersion);
    expect(await y.missing(store)).not.toContain(now);
  });
});

test("a backup that is enabled in two copies at the same moment begins two generations, though both choose the same number", async () => {
  await copied("none", async ({ store, x, copy }) => {
    // Both run ahead of their clocks by as much.
    await x.do((tested) => tested.restart());
    const y = await copy();
    await Promise.all([enable(x), enable(y)]);
    const start = async (side: Side): Promise<string | undefined> => (await foldersOf(side)).own[0];
    expect(await start(x), "as far as they know").toBe(await start(y));
    await Promise.all([x.settle(), y.settle()]);
    await goOn(x, y);
    const [ofX, ofY] = [await foldersOf(x), await foldersOf(y)];
    expect([...ofX.own, ...ofY.own].length).toBe(2);
    expect(ofX.own).not.toEqual(ofY.own);
    for (const side of [x, y]) {
      expect((await side.info()).lastError).toBeNull();
      const now = await side.do((tested) => ({ version: tested.database.lastVersion, state: stateOf(tested) }));
      side.states.set(now.version, now.state);
      expect((await side.missing(store)).length).toBeLessThan(3);
    }
  });
});

test("a copy that enables its backup anew before the original has noticed takes the history over, and the original its own", async () => {
  await copied("enabled", async ({ store, x, copy }) => {
    const y = await copy();
    await disable(y);
    await enable(y);
    await y.settle();
    await goOn(y);
    await x.write();
    await x.pass(2_000);
    expect((await x.info()).lastError?.message).toMatch(/Another server|has not stored it/);
    await goOn(x, y);
    for (const side of [x, y]) expect((await side.missing(store)).length).toBeLessThan(4);
  });
});
