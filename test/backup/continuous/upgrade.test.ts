/** Backups from before a generation said who writes it go on where they are. */
import { expect, test } from "vitest";
import { type Destination, destinationFailure } from "../../../src/backup/destinations/destination.ts";
import { isSealed, parseManifest, sealManifest } from "../../../src/backup/format/manifest.ts";
import { manifestName } from "../../../src/backup/format/object-names.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { type Guard, guarded } from "../../support/guarded-destination.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { CopiedServer, copyOf } from "../../support/workerd/copied-storage.ts";
import { key, set, withStorage } from "../../support/workerd/engine.ts";
import { Side, stateOf } from "../../support/workerd/two-histories.ts";

/** The tables as the version before left them. */
function downgrade({ sql }: SyncStorage): void {
  const columns = {
    backup: ["line", "notice", "notice_since", "notice_over", "inspected_at", "manifest_sha256", "renew_at"],
    backup_generations: [
      "owned",
      "claim",
      "claiming",
      "seen_head",
      "seen_sha256",
      "seen_objects",
      "verified_at",
      "abandoned",
    ],
    verification_schedule: ["automatic"],
    backup_jobs: ["begun", "noticed", "outcome"],
  };
  for (const [table, names] of Object.entries(columns)) {
    for (const name of names) sql.exec(`ALTER TABLE ${table} DROP COLUMN ${name}`);
  }
  sql.exec("DELETE FROM verification_schedule");
  sql.exec("DROP TABLE backup_claims");
  sql.exec("UPDATE backup_schema SET version = 5");
}

/** The bucket as that version would have filled it. */
function withoutRecords({ objects, names }: MemoryDestination, databaseId: string): void {
  for (const name of names) if (name.endsWith("/generation.json")) objects.delete(name);
  const bytes = objects.get(manifestName(databaseId));
  const json = JSON.parse(new TextDecoder().decode(bytes)) as { generations: Record<string, unknown>[] };
  const generations = json.generations.map(({ line: _line, follows: _follows, ...rest }) => rest);
  const { sha256: _, ...content } = { sha256: "", ...json, generations };
  const sealed = sealManifest(JSON.stringify(content, null, 2));
  expect(isSealed(new TextDecoder().decode(sealed))).toBe(true);
  objects.set(manifestName(databaseId), sealed);
}

interface Upgraded {
  readonly store: MemoryDestination;
  readonly tested: TestBackup;
  readonly x: Side;
  /** A copy of the folder as the version before left it. */
  readonly copy: () => Promise<Side>;
}

/** Two generations and what was committed to them, by the version before. It is started with `x.do((tested) => tested.restart())`. */
async function upgraded(
  work: (all: Upgraded) => Promise<void>,
  stopped: "idle" | "before" | "after" = "idle",
): Promise<void> {
  await withStorage(async (storage) => {
    const store = new MemoryDestination();
    let isStopping = false;
    const guard: Guard = async (request) => {
      if (!isStopping) return request();
      if (stopped === "after") await request();
      return destinationFailure("retry", "The server was stopped.");
    };
    const through = (to: Destination): Destination => {
      const whole = guarded(to, (request) => request());
      whole.putIfAbsent = guarded(to, guard).putIfAbsent;
      return whole;
    };
    const tested = new TestBackup(storage, { store, through, policy: { compactionBytes: 8_000 } });
    const x = new Side("x", async (run) => run(tested));
    await tested.enable({ intervalMs: 500 });
    await x.settle();
    for (let i = 0; i < 12; i++) {
      tested.commit(set(key("n", i), new Uint8Array(900)));
      await x.pass(2_000);
    }
    await x.settle();
    await x.write();
    await x.settle();
    await x.pass(70_000);
    expect((await x.info()).generations.length).toBeGreaterThan(1);
    isStopping = stopped !== "idle";
    if (isStopping) await x.write();
    await x.pass(600);
    const { n } = storage.sql.exec<{ n: number }>("SELECT count(pending_up_to) AS n FROM backup_generations").one();
    expect(n).toBe(isStopping ? 1 : 0);
    isStopping = false;
    downgrade(storage);
    withoutRecords(store, tested.databaseId);
    const left = copyOf(storage);
    const { databaseId } = tested;
    const copy = async (): Promise<Side> => {
      const server = await CopiedServer.start(left, { store, databaseId }, tested.clock.time);
      return new Side("y", (run) => server.do(run), new Map(x.states));
    };
    tested.restart();
    await work({ store, tested, x, copy });
  });
}

test("an existing backup goes on in the generation that it has, which then says who writes it", async () => {
  await upgraded(async ({ store, tested, x }) => {
    const before = (await x.info()).generations.map(({ prefix, state }) => ({ prefix, state }));
    await x.write();
    await x.settle();
    await x.pass(70_000);
    const info = await x.info();
    expect(info.lastError).toBeNull();
    expect(info.generations.map(({ prefix, state }) => ({ prefix, state }))).toEqual(before);
    expect(store.names.filter((name) => name.endsWith("/generation.json"))).toEqual([
      `${before.at(-1)?.prefix}generation.json`,
    ]);
    const manifest = parseManifest(
      tested.databaseId,
      store.objects.get(manifestName(tested.databaseId)) ?? new Uint8Array(),
    );
    expect(manifest.ok && new Set(manifest.manifest.generations.map(({ line }) => line))).toEqual(
      new Set([expect.stringMatching(/^[0-9a-f]{32}$/)]),
    );
    expect(info.verification).toMatchObject({ automatic: true });
    expect(await x.missing(store)).toEqual([]);
    await tested.pass(2 * 3_600_000);
    expect((await x.info()).lastError).toBeNull();
  });
});

test.for(["before", "after"] as const)(
  "an existing backup that was stopped while an object was being sent, just %s the object arrived, goes on as well",
  async (when) => {
    await upgraded(async ({ store, x }) => {
      await x.settle();
      await x.write();
      await x.settle();
      expect((await x.info()).lastError).toBeNull();
      expect(await x.missing(store)).toEqual([]);
    }, when);
  },
);

test("two copies of a folder from before it, started at the same time: each goes on in its own history", async () => {
  await upgraded(async ({ store, x, copy }) => {
    const y = await copy();
    for (let round = 0; round < 3; round++) {
      for (const side of [x, y]) await side.write();
      for (const side of [x, y]) await side.pass(2_000);
    }
    for (const side of [x, y]) await side.settle();
    for (const side of [x, y]) await side.pass(70_000);
    for (const side of [x, y]) {
      expect((await side.missing(store)).length).toBeLessThan(4);
      const live = (await side.info()).generations.filter(({ state, foreign }) => state === "complete" && !foreign);
      expect(live.length).toBe(1);
    }
    const prefixes = await Promise.all([x, y].map(async (side) => (await side.info()).generations.at(-1)?.prefix));
    expect(new Set(prefixes).size).toBe(2);
  });
});

test("an older copy from before it finds what the original has stored since", async () => {
  await upgraded(async ({ store, x, copy }) => {
    const y = await copy();
    await x.write();
    await x.settle();
    await y.write();
    await y.pass(3_000);
    expect((await y.info()).lastError?.message).toMatch(/Another server has been writing to this generation since/);
    await y.settle();
    expect((await y.missing(store)).length).toBeLessThan(2);
    expect(await x.missing(store)).toEqual([]);
    expect(await y.do(stateOf)).not.toBe(await x.do(stateOf));
  });
});
