/** Deleting the backup of a database that is gone: what goes, in which order, and what a destination that fails does to it. */
import { describe, expect, test } from "vitest";
import { BackupDeletion, deletionOrder } from "../../../src/backup/continuous/deletion.ts";
import { sealCredentials } from "../../../src/backup/credentials.ts";
import { destinationFailure } from "../../../src/backup/destinations/destination.ts";
import type { BackupDeletionOrder } from "../../../src/contracts/backup-commands.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { failure } from "../../../src/core/errors.ts";
import { DELETION_JOB, type BackupJob } from "../../../src/contracts/restore-commands.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { asVersion } from "../../../src/core/versionstamp.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { History } from "../../support/workerd/backup-history.ts";
import { newDatabaseId, secretBox, TestBackup } from "../../support/workerd/backup.ts";
import { CopiedServer, copyOf } from "../../support/workerd/copied-storage.ts";
import { key, MovableClock, set, text, withStorage } from "../../support/workerd/engine.ts";
import { Side } from "../../support/workerd/two-histories.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

const place = {
  kind: "s3",
  endpoint: "https://s3.example.com",
  bucketName: "b",
  bucketRegion: "auto",
  accessKeyId: "k",
} as const;

/** An object that deletes, which a test evicts, and whose alarm it rings. */
class TestDeletion {
  readonly clock = new MovableClock();
  readonly store: MemoryDestination;
  readonly databaseId = newDatabaseId();
  readonly storage: SyncStorage;
  erased = 0;
  /** Requests of each slice that has run. */
  readonly slices: number[] = [];
  #deletion!: BackupDeletion;

  constructor(storage: SyncStorage, store = new MemoryDestination()) {
    this.storage = storage;
    this.store = store;
    this.evict();
  }

  evict(): void {
    this.#deletion = new BackupDeletion({
      storage: this.storage,
      clock: this.clock,
      secrets: secretBox(),
      openDestination: (_, credentials) =>
        credentials?.secretAccessKey === "the secret" ? this.store : failure("internal", "The secret is another one."),
      dueBy: () => undefined,
      erase: async () => void this.erased++,
    });
  }

  /** A bucket with a backup of so many log objects in each of two generations, and what it must not touch. */
  fill(objects: number): { readonly others: readonly string[] } {
    const { databaseId: id } = this;
    const others = [`${id}0/manifest.json`, `${id}-x/0/differential`, `0${id}/manifest.json`, `x/${id}/manifest.json`];
    const own = ["0000000000000001", "0000000000000002"].flatMap((generation) => [
      `${id}/${generation}/differential`,
      ...Array.from({ length: objects }, (_, i) => `${id}/${generation}/logs/${String(i).padStart(4, "0")}.bin`),
      `${id}/${generation}/snapshots/0.bin`,
    ]);
    for (const name of [...others, ...own, `${id}/manifest.json`, `${id}/probe`]) {
      this.store.objects.set(name, new Uint8Array(1));
    }
    return { others: others.toSorted() };
  }

  async order(more: Partial<BackupDeletionOrder> = {}): Promise<void> {
    const credentials = { accessKeyId: "k", secretAccessKey: "the secret", sessionToken: null };
    const where = { id: "backup", databaseId: more.databaseId ?? this.databaseId };
    const secret = await sealCredentials(secretBox(), credentials, where);
    if (typeof secret !== "string") throw new Error("not sealed");
    const destination = { ...place, prefix: "" };
    const own = [1, 2].map((start) => ({ start: asVersion(start), writers: [], sentUpTo: null }));
    this.#deletion.take({ ...where, destination, secret, objects: 10, arrivalsUntil: this.clock.now(), own, ...more });
  }

  /** Deletes what a database says is its own. */
  async delete({ databaseId, own }: BackupDeletionOrder): Promise<void> {
    await this.order({ databaseId, own: own ?? [] });
    await this.pass(MINUTE_MS);
  }

  /** Lets time pass, slice after slice. */
  async pass(ms: number, sliced: () => void = () => undefined): Promise<void> {
    const until = this.clock.time + ms;
    for (;;) {
      const task = this.#deletion.tasks.find((each) => (each.dueAt() ?? Infinity) <= until);
      if (task === undefined) break;
      this.clock.time = Math.max(this.clock.time, task.dueAt() ?? 0);
      const before = this.store.requests;
      await task.run();
      this.slices.push(this.store.requests - before);
      sliced();
      if (this.erased > 0) break;
    }
    this.clock.time = until;
  }

  job(command: "job" | "cancel" = "job"): BackupJob {
    const answer = this.#deletion.run({ command, jobId: DELETION_JOB });
    if (!answer.ok || answer.kind !== "job") throw new Error(JSON.stringify(answer));
    return answer.job;
  }

  /** Everything that is stored here, as text. */
  get rows(): string {
    return JSON.stringify(this.storage.sql.exec("SELECT * FROM backup_jobs").toArray());
  }
}

async function deletionTest(work: (tested: TestDeletion) => Promise<void>): Promise<void> {
  await withStorage((storage) => work(new TestDeletion(storage)));
}

describe("a backup is deleted", () => {
  test("whole, the manifest first, each generation's differential before the rest, and nothing of anybody else's (B29)", async () => {
    await deletionTest(async (tested) => {
      const { others } = tested.fill(30);
      const deleted: string[] = [];
      tested.store.fault = (method, name) => void (method === "delete" && deleted.push(name));
      await tested.order();
      await tested.pass(1_000);
      expect(tested.store.names).toEqual(others);
      expect(deleted[0]).toBe(`${tested.databaseId}/manifest.json`);
      for (const generation of [1, 2]) {
        const of = deleted.filter((name) => name.includes(`/000000000000000${generation}/`));
        expect(of[0]).toMatch(/differential$/);
        expect(of).toHaveLength(32);
      }
      expect(tested.job()).toMatchObject({ status: "completed", error: null, done: 66, total: 66 });
    });
  });

  test("in slices of at most 20 requests, with progress, whatever is evicted between them", async () => {
    await deletionTest(async (tested) => {
      const { others } = tested.fill(100);
      await tested.order({ objects: 205 });
      const seen: BackupJob[] = [];
      await tested.pass(10_000, () => {
        seen.push(tested.job());
        tested.evict();
      });
      expect(tested.store.names).toEqual(others);
      expect(Math.max(...tested.slices)).toBe(20);
      expect(tested.slices.length).toBeGreaterThan(10);
      expect(seen.map(({ done }) => done)).toEqual(seen.map(({ done }) => done).toSorted((a, b) => a - b));
      expect(seen[3]).toMatchObject({ status: "running", done: 57, total: 205, phase: "deleting the backup" });
    });
  });

  test("after a kill in the middle of a slice, from the place where the slice was cut off", async () => {
    await deletionTest(async (tested) => {
      const { others } = tested.fill(10);
      let left = 7;
      tested.store.fault = (method) => {
        if (method === "delete" && left-- === 0) throw new Error("killed");
        return undefined;
      };
      await tested.order();
      await expect(tested.pass(1_000)).rejects.toThrow("killed");
      tested.evict();
      await tested.pass(1_000);
      expect(tested.store.names).toEqual(others);
      expect(tested.job().status).toBe("completed");
    });
  });

  test("together with the objects that were still being sent when the database was deleted", async () => {
    await deletionTest(async (tested) => {
      const { others } = tested.fill(3);
      await tested.order({ arrivalsUntil: asUnixMs(tested.clock.time + 5 * MINUTE_MS) });
      await tested.pass(4 * MINUTE_MS);
      expect(tested.store.names).toEqual(others);
      expect(tested.job()).toMatchObject({
        status: "running",
        error: null,
        phase: "waiting for what may still arrive",
      });
      const late = [`${tested.databaseId}/manifest.json`, `${tested.databaseId}/0000000000000002/logs/9999.bin`];
      for (const name of late) tested.store.objects.set(name, new Uint8Array(1));
      await tested.pass(MINUTE_MS);
      expect(tested.store.names).toEqual(others);
      expect(tested.job().status).toBe("completed");
    });
  });

  test("once: giving the same order again changes nothing, also when the deletion is done", async () => {
    await deletionTest(async (tested) => {
      tested.fill(3);
      await tested.order();
      await tested.order({ objects: 77 });
      await tested.pass(1_000);
      const done = tested.job();
      tested.store.objects.set(`${tested.databaseId}/manifest.json`, new Uint8Array(1));
      await tested.order();
      await tested.pass(MINUTE_MS);
      expect(tested.job()).toEqual(done);
      expect(tested.store.objects.has(`${tested.databaseId}/manifest.json`)).toBe(true);
    });
  });
});

const down = destinationFailure("retry", "It is out of service.");

describe("a destination that fails", () => {
  test("is tried again, ever later, and the job says why it does not get on; then it goes on (B31)", async () => {
    await deletionTest(async (tested) => {
      const { others } = tested.fill(50);
      await tested.order();
      tested.store.fault = () => (tested.store.requests > 30 ? down : undefined);
      await tested.pass(2 * DAY_MS);
      expect(tested.job()).toMatchObject({ status: "running", error: down.message, finishedAt: null });
      expect(tested.slices.length, "about four in an hour").toBeLessThan(2 * 24 * 4 + 30);
      expect(tested.slices.length).toBeGreaterThan(2 * 24 * 4);
      tested.store.fault = () => undefined;
      await tested.pass(15 * MINUTE_MS);
      expect(tested.store.names).toEqual(others);
      expect(tested.job()).toMatchObject({ status: "completed", error: null });
    });
  });

  test("for a week is given up: the job names what is left and where, and the secret is gone (B31)", async () => {
    await deletionTest(async (tested) => {
      tested.fill(50);
      await tested.order({ destination: { ...place, prefix: "/backups/of/us" } });
      const sealed = /"secret\\":\\"1\./;
      expect(tested.rows).toMatch(sealed);
      const refused = destinationFailure("credentials", "The credentials were refused.");
      tested.store.fault = (method) => (method === "list" ? refused : undefined);
      await tested.pass(7 * DAY_MS - MINUTE_MS);
      expect(tested.job()).toMatchObject({ status: "running" });
      expect(tested.rows).toMatch(sealed);
      await tested.pass(16 * MINUTE_MS);
      const { databaseId } = tested;
      expect(tested.job()).toMatchObject({
        status: "failed",
        error: `Given up after 7 days. The credentials were refused. The rest of the backup lies in bucket b of https://s3.example.com below backups/of/us/${databaseId}/ (objects deleted: 1).`,
      });
      expect(tested.rows).not.toMatch(sealed);
      await tested.pass(DAY_MS);
      expect(tested.job().status).toBe("failed");
    });
  });

  test("a cancelled deletion leaves what is there, and the secret is gone", async () => {
    await deletionTest(async (tested) => {
      tested.fill(5);
      tested.store.fault = () => down;
      await tested.order();
      await tested.pass(MINUTE_MS);
      expect(tested.job("cancel")).toMatchObject({ status: "cancelled" });
      tested.store.fault = () => undefined;
      await tested.pass(DAY_MS);
      expect(tested.store.objects.has(`${tested.databaseId}/manifest.json`)).toBe(true);
      expect(tested.rows).not.toMatch(/1\.k1\./);
      expect(() => tested.job("cancel")).toThrow("conflict");
    });
  });
});

test("the job is kept for a month, and then nothing is", async () => {
  await deletionTest(async (tested) => {
    tested.fill(1);
    await tested.order();
    await tested.pass(30 * DAY_MS);
    expect(tested.job().status).toBe("completed");
    expect(tested.erased).toBe(0);
    await tested.pass(2 * DAY_MS);
    expect(tested.erased).toBe(1);
  });
});

describe("the deletion of a database that has a copy, together with its backup", () => {
  /** The one that is deleted, which has the generation or not, and the one that goes on. */
  async function twoOf(work: (store: MemoryDestination, x: Side, y: Side) => Promise<void>): Promise<void> {
    await withStorage(async (storage) => {
      const store = new MemoryDestination();
      const tested = new TestBackup(storage, { store });
      const x = new Side("x", async (run) => run(tested));
      tested.commit(set(key("shared"), text("by both")));
      await tested.enable();
      await x.settle();
      await x.write();
      await x.settle();
      const { databaseId, clock } = tested;
      const server = await CopiedServer.start(copyOf(storage), { store, databaseId }, clock.time);
      await work(store, x, new Side("y", (run) => server.do(run), new Map(x.states)));
    });
  }

  async function deleted(store: MemoryDestination, side: Side): Promise<readonly string[]> {
    const order = await side.do(({ storage, clock }) => deletionOrder(storage, false, clock.now()));
    if (order === null) throw new Error("there is no backup");
    const before = store.names;
    await withStorage(async (storage) => {
      const deletion = new TestDeletion(storage, store);
      await deletion.delete(order);
      expect(deletion.job()).toMatchObject({ status: "completed" });
    });
    return before.filter((name) => !store.names.includes(name));
  }

  async function goesOn(store: MemoryDestination, side: Side): Promise<void> {
    await side.write();
    await side.settle();
    await side.pass(2 * 60 * MINUTE_MS);
    expect((await side.info()).lastError).toBeNull();
    expect(await side.missing(store)).toEqual([]);
  }

  test("takes no object that the copy still needs, even before it knows that there is a copy", async () => {
    await twoOf(async (store, x, y) => {
      await y.write();
      await y.settle();
      expect(await deleted(store, x)).toEqual([]);
      await goesOn(store, y);
      expect((await y.info()).generations.map(({ state }) => state)).toEqual(["complete"]);
    });
  });

  test("takes no object that the copy still needs when the copy went on in the generation that both have", async () => {
    await twoOf(async (store, x, y) => {
      await x.write();
      await x.settle();
      expect(await deleted(store, y)).toEqual([]);
      await goesOn(store, x);
    });
  });

  test("takes its own generations, and what the manifest says of them, when each has its own", async () => {
    await twoOf(async (store, x, y) => {
      for (const side of [y, x]) {
        await side.write();
        await side.settle();
        for (const each of [x, y]) await each.pass(MINUTE_MS);
      }
      const own = (await x.info()).generations.find(({ foreign }) => !foreign);
      const taken = await deleted(store, x);
      expect(taken.length).toBeGreaterThan(3);
      expect(taken.filter((name) => !name.startsWith(own?.prefix ?? "?"))).toEqual([]);
      expect(store.names.filter((name) => name.startsWith(own?.prefix ?? "?"))).toEqual([]);
      const manifest = store.objects.get(`${await y.do(({ databaseId }) => databaseId)}/manifest.json`);
      expect(new TextDecoder().decode(manifest)).not.toContain(own?.prefix.split("/")[1]);
      await goesOn(store, y);
      // And the other, too, then leaves nothing.
      await deleted(store, y);
      expect(store.names).toEqual([]);
    });
  });
});

test("an order of an older version, which does not say whose the generations are, deletes all of them", async () => {
  await deletionTest(async (tested) => {
    const { others } = tested.fill(3);
    const { own: _, ...order } = { own: [], destination: { ...place, prefix: "" } };
    await tested.order({ ...order, own: undefined as never });
    await tested.pass(1_000);
    expect(tested.store.names).toEqual(others);
  });
});

test("an order names the backup that the database has, and how much there is; without a backup there is none", async () => {
  await withStorage(async (storage) => {
    const now = asUnixMs(5);
    const tested = new TestBackup(storage, { policy: { rangeBytes: 2_000 } });
    expect(deletionOrder(storage, false, now)).toBeNull();
    const history = new History(tested, 300, 9);
    const { id, destination } = await tested.enable();
    await history.write(100);
    await tested.settle();
    await tested.pass(120_000);
    const order = deletionOrder(storage, false, now);
    const listed = await tested.store.list(`${tested.databaseId}/`);
    expect(order).toMatchObject({ id, databaseId: tested.databaseId, destination, arrivalsUntil: now });
    expect(order?.objects).toBe(listed.ok ? listed.objects.length : 0);
    expect(deletionOrder(storage, true, now)?.arrivalsUntil).toBe(5 * MINUTE_MS + now);
    // A range was chosen and may be on its way, though the object that sent it has been stopped.
    const [generation] = (await tested.info()).generations;
    storage.sql.exec("UPDATE backup_generations SET pending_up_to = exported + 1");
    tested.reopen();
    expect(generation?.state).toBe("complete");
    expect(deletionOrder(storage, false, now)?.arrivalsUntil).toBe(5 * MINUTE_MS + now);
  });
});
