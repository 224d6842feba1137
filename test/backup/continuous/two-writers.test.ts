/**
 * Two servers on copies of one data folder, whose backups go to one place: whoever finds what another has put there leaves the
 * generation and begins one of its own. Nothing that was stored is written over or deleted, and both histories come back.
 */
import { describe, expect, inject, test } from "vitest";
import type {
  Destination,
  DestinationFailure,
  Done,
  PutIfAbsentDone,
} from "../../../src/backup/destinations/destination.ts";
import { R2Destination } from "../../../src/backup/destinations/r2.ts";
import { type Guard, guarded } from "../../support/guarded-destination.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { openS3At } from "../../support/open-s3.ts";
import { realTiming } from "../../support/timing.ts";
import { CopiedServer, copyOf } from "../../support/workerd/copied-storage.ts";
import { openS3, TestBackup } from "../../support/workerd/backup.ts";
import { testBucket } from "../../support/workerd/test-bucket.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";
import { Side } from "../../support/workerd/two-histories.ts";

/** Names that are written more than once. */
const CHANGING = /\.json$/;

/** Immutable objects as they were: none may ever be changed, and none deleted while it is somebody's. */
function immutable({ objects }: MemoryDestination): Map<string, string> {
  const kept = [...objects].filter(([name]) => !CHANGING.test(name));
  return new Map(kept.map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64")]));
}

interface Split<Store extends Destination = MemoryDestination> {
  readonly store: Store;
  readonly databaseId: string;
  readonly x: Side;
  /** Starts a server on a copy as the folder is now. */
  readonly copy: () => Promise<Side>;
}

/** A database with a complete generation and some commits in it, which can be copied. */
async function split(
  work: (split: Split) => Promise<void>,
  through?: (store: Destination) => Destination,
): Promise<void> {
  await splitIn(new MemoryDestination(), work, through);
}

async function splitIn<Store extends Destination>(
  store: Store,
  work: (split: Split<Store>) => Promise<void>,
  through: (store: Destination) => Destination = (inner) => inner,
): Promise<void> {
  await withStorage(async (storage) => {
    const tested = new TestBackup(storage, { store, through });
    const x = new Side("x", async (run) => run(tested));
    tested.commit(set(key("shared"), text("by both")));
    await tested.enable({ intervalMs: 500 });
    await x.settle();
    for (let i = 0; i < 3; i++) {
      await x.write();
      await x.pass(1_000);
    }
    const { databaseId } = tested;
    const copy = async (): Promise<Side> => {
      const server = await CopiedServer.start(copyOf(storage), { store, databaseId }, tested.clock.time);
      return new Side("y", (run) => server.do(run), new Map(x.states));
    };
    await work({ store, databaseId, x, copy });
  });
}

/** What had been on its way when one took over from the other was looked at by then, and what was found is not shown any more. */
async function later(...sides: readonly Side[]): Promise<void> {
  for (const side of sides) {
    await side.pass(70_000);
    await side.pass(3_600_000);
    expect((await side.info()).lastError).toBeNull();
  }
}

/** What each side says of its generations: the state, and whether it is another's. */
async function generationsOf(side: Side): Promise<string[]> {
  return (await side.info()).generations.map(({ state, foreign }) => (foreign ? `${state}, foreign` : state));
}

test("an older copy that is started later leaves what the original has gone on with", async () => {
  await split(async ({ store, x, copy }) => {
    const y = await copy();
    for (let i = 0; i < 3; i++) {
      await x.write();
      await x.pass(1_000);
    }
    const before = immutable(store);
    await y.pass(5_000);
    await y.write();
    await y.pass(600);
    const { lastError, status } = await y.info();
    expect(status).toEqual({ code: "active" });
    expect(lastError?.message).toMatch(/this database has not stored it.*a generation of its own/);
    await y.settle();
    expect((await y.info()).lastError, "it is shown for a while").toEqual(lastError);
    await x.write();
    await x.settle();
    await y.write();
    await y.settle();
    await later(x, y);
    expect(await generationsOf(x)).toEqual(["complete"]);
    expect(await generationsOf(y)).toEqual(["ended, foreign", "complete"]);
    for (const [name, bytes] of before) expect([name, immutable(store).get(name)]).toEqual([name, bytes]);
    expect(await x.missing(store)).toEqual([]);
    // What it wrote before its own generation was whole, and nothing that it shares with the original.
    expect((await y.missing(store)).length).toBeLessThan(2);
  });
});

test("a copy that writes before the original goes on keeps the generation; the original leaves it (B33)", async () => {
  await split(async ({ store, x, copy }) => {
    const y = await copy();
    await y.write();
    await y.settle();
    const before = immutable(store);
    await x.write();
    await x.pass(600);
    expect((await x.info()).lastError?.message).toMatch(/Another server has been writing to this generation since/);
    await x.write();
    await x.settle();
    await y.write();
    await y.settle();
    await later(x, y);
    expect(await generationsOf(x)).toEqual(["ended, foreign", "complete"]);
    expect(await generationsOf(y)).toEqual(["complete"]);
    for (const [name, bytes] of before) expect([name, immutable(store).get(name)]).toEqual([name, bytes]);
    expect(await y.missing(store)).toEqual([]);
    expect((await x.missing(store)).length).toBeLessThan(3);
  });
});

test("two that start at once give their first commits the same versionstamp, and neither writes over the other's object (B33)", async () => {
  await split(async ({ store, x, copy }) => {
    await x.do((tested) => tested.restart());
    const y = await copy();
    const [one, other] = [await x.write(), await y.write()];
    expect(one).toBe(other);
    await x.pass(600);
    const stored = immutable(store);
    await y.pass(600);
    await y.settle();
    for (const [name, bytes] of stored) expect([name, immutable(store).get(name)]).toEqual([name, bytes]);
    await x.settle();
    await later(x, y);
    expect(await x.missing(store)).toEqual([]);
    await y.missing(store);
  });
});

test("a copy of a copy, and all of them restarted: each goes on in its own history", async () => {
  await split(async ({ store, x, copy }) => {
    const sides = [x, await copy(), await copy()];
    for (let round = 0; round < 4; round++) {
      for (const side of sides) {
        await side.write();
        await side.pass(3_000);
      }
      for (const side of sides) await side.do((tested) => tested.restart());
    }
    for (const side of sides) {
      await side.write();
      await side.settle();
    }
    await later(...sides);
    for (const side of sides) expect((await side.missing(store)).length).toBeLessThan(3);
    const live = await Promise.all(sides.map(async (side) => (await side.info()).lastObject?.name.split("/")[1]));
    expect(new Set(live).size, "generations that are written to").toBe(3);
  });
});

test("an object that was being sent for minutes when the other writer took over is removed when it arrives", async () => {
  let meanwhile: (() => Promise<void>) | null = null;
  const through = (store: Destination): Destination => {
    const slow = guarded(store, (work) => work());
    const { putIfAbsent } = slow;
    slow.putIfAbsent = async (name, bytes) => {
      const work = name.includes("/logs/") ? meanwhile : null;
      if (work !== null) meanwhile = null;
      await work?.();
      return putIfAbsent(name, bytes);
    };
    return slow;
  };
  await split(async ({ store, x, copy }) => {
    const y = await copy();
    await x.write();
    meanwhile = async () => {
      for (let minutes = 0; minutes < 4; minutes++) {
        await y.write();
        await y.pass(60_000);
      }
    };
    await x.pass(1_000);
    expect((await x.info()).lastError?.message).toMatch(/Another server has been writing/);
    await x.write();
    await x.settle();
    await y.write();
    await y.pass(3 * 60_000);
    expect((await y.info()).lastError).toBeNull();
    expect(await y.missing(store)).toEqual([]);
    await x.missing(store);
  }, through);
});

/** A store that knows no conditions, and does not say so: it replaces what is there. */
class Unconditional extends MemoryDestination {
  override async putIfAbsent(name: string, bytes: Uint8Array): Promise<PutIfAbsentDone | DestinationFailure> {
    const put = await this.put(name, bytes);
    return put.ok ? { ok: true, alreadyThere: false } : put;
  }

  override putIfUnchanged(name: string, bytes: Uint8Array): Promise<Done | DestinationFailure> {
    return this.put(name, bytes);
  }
}

describe("at the same moment: everything that one does, at each request of the other's export", () => {
  test.for([
    ["before it is carried out, by a server that runs", "before", "running", "conditional"],
    ["after it was, by a server that runs", "after", "running", "conditional"],
    ["before it is carried out, by one that has just started", "before", "starting", "conditional"],
    ["after it was, by one that has just started", "after", "starting", "conditional"],
    ["in a store without conditions, before it is carried out", "before", "starting", "unconditional"],
    ["in a store without conditions, after it was", "after", "starting", "unconditional"],
  ] as const)("%s", async ([, when, how, kind]) => {
    let at = 1;
    for (let met = true; met; at++) {
      met = false;
      let guard: Guard = (work) => work();
      const through = (store: Destination): Destination => guarded(store, (work) => guard(work));
      const bucket = kind === "conditional" ? new MemoryDestination() : new Unconditional();
      const interleave = async ({ store, x, copy }: Split): Promise<void> => {
        const y = await copy();
        if (how === "starting") await x.do((tested) => tested.restart());
        const meanwhile = async (): Promise<void> => {
          met = true;
          await y.write();
          await y.pass(1_000);
        };
        let count = 0;
        guard = async (work) => {
          count += 1;
          const isNow = count === at;
          if (isNow && when === "before") await meanwhile();
          const outcome = await work();
          if (isNow && when === "after") await meanwhile();
          return outcome;
        };
        await x.write();
        await x.pass(1_000);
        guard = (work) => work();
        const stored = [[...x.stored], [...y.stored]];
        for (const side of [x, y, x, y]) {
          await side.write();
          await side.pass(2_000);
        }
        for (const side of [x, y]) {
          await side.settle();
          await side.pass(70_000);
        }
        for (const [i, side] of [x, y].entries()) {
          const missing = await side.missing(store);
          const lost = missing.filter((version) => stored[i]?.includes(version));
          expect(lost, `what ${side.name} was told is stored, at request ${at}`).toEqual([]);
        }
      };
      await splitIn(bucket, interleave, through);
    }
    expect(at, "requests of one export, and one more").toBeGreaterThan(3);
    expect(at).toBeLessThan(40);
  });
});

/** What lies in the log folders, by name. */
async function logsIn(store: Destination): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const page = await store.list("");
  if (!page.ok) throw new Error(page.message);
  for (const { name } of page.objects.filter((object) => object.name.includes("/logs/"))) {
    const got = await store.get(name);
    if (!got.ok) throw new Error(got.message);
    found.set(name, Buffer.from(got.bytes).toString("base64"));
  }
  return found;
}

/** A server that says that it knows no conditions. */
const refusingConditions: typeof fetch = async (input, init) => {
  const headers = new Headers(init?.headers);
  if (!headers.has("if-none-match") && !headers.has("if-match")) return fetch(input, init);
  return new Response("<Error><Code>NotImplemented</Code></Error>", { status: 501 });
};

test.for([
  ["R2, over its binding", (): Destination => new R2Destination(testBucket(), "two/", realTiming)],
  ["S3, over HTTP", (): Destination => openS3("two/")],
  [
    "S3 that answers 501 to conditions",
    (): Destination => openS3At(inject("s3"), { prefix: "no-conditions/", fetch: refusingConditions }),
  ],
] as const)(
  "in %s two copies that start at once keep to themselves, and both come back to their ends",
  async ([, open]) => {
    await splitIn(open(), async ({ store, x, copy }) => {
      await x.do((tested) => tested.restart());
      const y = await copy();
      expect(await x.write(), "the versionstamps are the same").toBe(await y.write());
      await x.pass(600);
      const stored = await logsIn(store);
      await y.pass(600);
      await y.settle();
      expect((await y.info()).lastError?.message).toMatch(/Another server has been writing to this generation since/);
      for (const side of [x, y]) {
        await side.write();
        await side.settle();
      }
      const afterwards = await logsIn(store);
      for (const [name, bytes] of stored) expect([name, afterwards.get(name)]).toEqual([name, bytes]);
      expect(await generationsOf(x)).toEqual(["complete"]);
      expect(await generationsOf(y)).toEqual(["ended, foreign", "complete"]);
      expect(await x.missing(store)).toEqual([]);
      expect((await y.missing(store)).length, "what it wrote before its own snapshot").toBeLessThan(2);
    });
  },
);
