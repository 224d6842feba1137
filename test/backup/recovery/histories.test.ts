/** What a bucket alone gives back: by what lies there, also where the manifest does not name it, and where two histories do. */
import { describe, expect, test } from "vitest";
import { manifestName } from "../../../src/backup/format/object-names.ts";
import { timeOfVersion, type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { CopiedServer, copyOf } from "../../support/workerd/copied-storage.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";
import { TestRestore } from "../../support/workerd/restore.ts";
import { Side, stateOf } from "../../support/workerd/two-histories.ts";

interface Asked {
  readonly at: Version | string;
  readonly generation?: string | null;
  readonly withoutManifest?: boolean;
}

/** The state that a restore from the bucket alone comes to; else why not. */
async function restored(
  store: MemoryDestination,
  databaseId: string,
  { at, generation = null, withoutManifest = false }: Asked,
): Promise<string> {
  return withStorage(async (storage) => {
    const target = new TestRestore({ storage, destination: store, databaseId });
    const answer = await target.fork("a", at, withoutManifest, generation);
    if (!answer.ok) return `${answer.code}: ${answer.message}`;
    const { error } = await target.finish("a");
    return error ?? target.stored();
  });
}

function time(version: Version): string {
  return new Date(timeOfVersion(version)).toISOString();
}

describe("an outdated manifest", () => {
  /** Two generations; the manifest is the one from when there was only the first. */
  async function outdated(
    work: (store: MemoryDestination, tested: TestBackup, before: { version: Version; state: string }) => Promise<void>,
  ): Promise<void> {
    await withStorage(async (storage) => {
      const store = new MemoryDestination();
      const tested = new TestBackup(storage, { store, policy: { compactionBytes: 8_000 } });
      tested.commit(set(key("a"), text("1")));
      await tested.enable();
      await tested.settle();
      const before = { version: tested.commit(set(key("a"), text("2"))), state: stateOf(tested) };
      await tested.pass(70_000);
      const name = manifestName(tested.databaseId);
      const old = store.objects.get(name) ?? new Uint8Array();
      for (let i = 0; i < 20; i++) {
        tested.commit(set(key("n", i), new Uint8Array(800)));
        await tested.pass(2_000);
      }
      await tested.settle();
      expect((await tested.info()).generations.length).toBeGreaterThan(1);
      tested.commit(set(key("last"), text("3")));
      await tested.pass(3_000);
      store.objects.set(name, old);
      await work(store, tested, before);
    });
  }

  test("does not hide the newer generation: what was last is what comes back (G26)", async () => {
    await outdated(async (store, { databaseId, database }, before) => {
      const now = stateOf({ database } as TestBackup);
      expect(await restored(store, databaseId, { at: database.lastVersion })).toBe(now);
      expect(await restored(store, databaseId, { at: "latest" })).toBe(now);
      expect(await restored(store, databaseId, { at: before.version })).toBe(before.state);
    });
  });

  test("does not hide it either when the newer generation is from before generations had records", async () => {
    await outdated(async (store, { databaseId, database }) => {
      for (const name of store.names) if (name.endsWith("/generation.json")) store.objects.delete(name);
      const now = stateOf({ database } as TestBackup);
      expect(await restored(store, databaseId, { at: database.lastVersion })).toBe(now);
    });
  });

  test("a newer generation whose last snapshot object is missing is damaged, which its record shows", async () => {
    await outdated(async (store, { databaseId, database }) => {
      const gone = store.names.filter((name) => name.includes("/snapshots/")).at(-1) ?? "";
      store.objects.delete(gone);
      expect(await restored(store, databaseId, { at: database.lastVersion })).toContain(`${gone} is missing`);
    });
  });
});

describe("two histories in one bucket", () => {
  interface Two {
    readonly store: MemoryDestination;
    readonly databaseId: string;
    readonly x: Side;
    readonly y: Side;
    /** A commit of both, and one of each, with the states. */
    readonly shared: readonly [Version, string];
    readonly ofX: readonly [Version, string];
    readonly ofY: readonly [Version, string];
    readonly generations: { readonly x: string; readonly y: string };
  }

  async function two(work: (both: Two) => Promise<void>): Promise<void> {
    await withStorage(async (storage) => {
      const store = new MemoryDestination();
      const tested = new TestBackup(storage, { store });
      const { databaseId } = tested;
      tested.commit(set(key("both"), text("1")));
      await tested.enable({ intervalMs: 500 });
      const x = new Side("x", async (run) => run(tested));
      await x.settle();
      const shared = await x.write();
      await x.settle();
      const started = tested.clock.time + 137;
      const server = await CopiedServer.start(copyOf(storage), { store, databaseId }, started);
      const y = new Side("y", (run) => server.do(run), new Map(x.states));
      for (const side of [x, y]) {
        await side.pass(2_000);
        await side.write();
        await side.settle();
        await side.write();
        await side.settle();
        await side.pass(65_000);
      }
      const last = async (side: Side): Promise<readonly [Version, string]> => {
        const [version, state] = [...side.states].at(-1) ?? [];
        if (version === undefined || state === undefined) throw new Error("nothing was written");
        return [version, state];
      };
      const generation = async (side: Side): Promise<string> =>
        (await side.info()).generations.at(-1)?.prefix.split("/").at(-2) ?? "";
      await work({
        store,
        databaseId,
        x,
        y,
        shared: [shared, x.states.get(shared) ?? ""],
        ofX: await last(x),
        ofY: await last(y),
        generations: { x: await generation(x), y: await generation(y) },
      });
    });
  }

  test("share what lies before; the versionstamp of a commit says whose state is meant, and so does a generation (G25)", async () => {
    await two(async ({ store, databaseId, shared, ofX, ofY, generations }) => {
      const from = (asked: Asked): Promise<string> => restored(store, databaseId, asked);
      expect(await from({ at: shared[0] })).toBe(shared[1]);
      expect(await from({ at: time(shared[0]) })).toBe(shared[1]);
      expect(await from({ at: ofX[0] })).toBe(ofX[1]);
      expect(await from({ at: ofY[0] })).toBe(ofY[1]);
      const later = "latest";
      expect(await from({ at: later, generation: generations.x })).toBe(ofX[1]);
      expect(await from({ at: later, generation: generations.y })).toBe(ofY[1]);
      expect(generations.x).not.toBe(generations.y);
    });
  });

  test("a time at which they differ is refused, and both are named; so it is without the manifest (G25)", async () => {
    await two(async ({ store, databaseId, ofX, ofY, generations }) => {
      for (const withoutManifest of [false, true]) {
        for (const at of [time(ofX[0] > ofY[0] ? ofX[0] : ofY[0]), "latest"]) {
          const said = await restored(store, databaseId, { at, withoutManifest });
          expect(said).toMatch(/^conflict: The bucket holds 2 histories of this database( at .*)?, because /);
          expect(said).toContain(generations.x);
          expect(said).toContain(generations.y);
        }
      }
    });
  });

  test("the manifest names both histories, whichever writer stores it; a history that it does not name is found as well", async () => {
    await two(async ({ store, databaseId, x, y, ofX, ofY }) => {
      await x.write();
      await x.pass(65_000);
      await y.write();
      await y.pass(65_000);
      const name = manifestName(databaseId);
      const both = store.objects.get(name) ?? new Uint8Array();
      for (const side of [x, y]) {
        const shown = (await side.info()).generations;
        expect(shown.filter(({ foreign }) => foreign).length).toBe(side === y ? 1 : 0);
      }
      expect(await restored(store, databaseId, { at: ofY[0] })).toBe(ofY[1]);
      // As one of the two would have left it that knew nothing of the other.
      const own = await x.do((tested) => tested.manifest());
      expect(JSON.parse(new TextDecoder().decode(both)).generations.length).toBeGreaterThan(own.generations.length);
      store.objects.delete(name);
      await x.write();
      await x.pass(65_000);
      expect(await restored(store, databaseId, { at: ofY[0] })).toBe(ofY[1]);
      expect(await restored(store, databaseId, { at: ofX[0] })).toBe(ofX[1]);
    });
  });

  test("a generation that does not exist, or is not named as one, is refused", async () => {
    await two(async ({ store, databaseId, shared }) => {
      const from = (generation: string): Promise<string> => restored(store, databaseId, { at: shared[0], generation });
      expect(await from("00000000000000ff")).toMatch(/^not-found: The bucket has no such generation/);
      for (const wrong of ["", "ff", "0006444c9be62a4000", "xyz"])
        expect(await from(wrong)).toMatch(/^invalid: A generation is named/);
    });
  });

  test("the database itself forks the other's state, by naming its generation", async () => {
    await two(async ({ store, databaseId, x, ofY, generations }) => {
      const manifest = await x.do((tested) => tested.manifest());
      await withStorage(async (storage) => {
        const target = new TestRestore({ storage, destination: store, databaseId, manifest: () => manifest });
        const at = versionstampHex(ofY[0]);
        expect(await target.ask({ command: "resolve", at, generation: generations.y })).toMatchObject({
          points: [{ version: ofY[0] }],
        });
        const own = await target.service.run({ command: "resolve", at });
        expect(own.ok && own.kind === "points" ? own.points : null).not.toEqual([{ version: ofY[0] }]);
      });
    });
  });
});
