/** Databases that are filled from a backup, and jobs of databases: killed between any two steps, asked twice, refused. */
import { describe, expect, test } from "vitest";
import { failure, isFailure } from "../../src/core/errors.ts";
import type { Idempotency } from "../../src/contracts/idempotency.ts";
import type { Job } from "../../src/contracts/resources.ts";
import type { SyncStorage } from "../../src/core/storage.ts";
import { withStorage } from "../support/workerd/directory.ts";
import { turns } from "../support/fake-timers.ts";
import { killed, TestOrganization } from "../support/workerd/organization.ts";

const everything = { sort: "createdAt", order: "asc", query: null, limit: 100, cursor: null } as const;
const destination = {
  kind: "s3",
  endpoint: "https://s3.example",
  bucketName: "bucket",
  bucketRegion: "auto",
  accessKeyId: "id",
  secretAccessKey: "never in the clear",
  sessionToken: null,
  prefix: "",
} as const;

function keyed(key: string | null, fingerprint = "f"): Idempotency | null {
  return key === null ? null : { key, fingerprint };
}

interface Filled {
  readonly database: { readonly id: string };
  readonly job: Job;
}

/** The two ways in which a database is filled, and where its job is found. */
const WAYS = {
  fork: (o: TestOrganization, source: string, idempotency: Idempotency | null) =>
    o.service.run(o.root, null, "forks.create", {
      databaseId: source,
      at: "2026-01-01T00:00:00.000Z",
      generation: null,
      prefix: null,
      name: "fork",
      idempotency,
    }),
  "restore from a bucket": (o: TestOrganization, source: string, idempotency: Idempotency | null) =>
    o.service.run(o.root, null, "restores.createFromBucket", {
      destination,
      databaseId: source,
      at: "2026-01-01T00:00:00.000Z",
      generation: null,
      prefix: null,
      name: "again",
      idempotency,
    }),
};

function filledBy(answer: Awaited<ReturnType<(typeof WAYS)["fork"]>>): Filled {
  if (isFailure(answer)) throw new Error(answer.message);
  return answer;
}

/** Runs with an organization and a database in it. */
function inOrganization(
  run: (o: TestOrganization, source: string, storage: SyncStorage) => Promise<void>,
): () => Promise<void> {
  return () =>
    withStorage(async (storage) => {
      const o = await TestOrganization.make(storage);
      await run(o, await o.newDatabase(), storage);
    });
}

/** Ids of the databases that are seen, but for the source; each has its job. */
async function seen(o: TestOrganization, source: string): Promise<string[]> {
  const ids = (await o.run("databases.list", everything)).items.map(({ id }) => id).filter((id) => id !== source);
  for (const id of ids) expect(o.toldTo(id).jobs.size).toBe(1);
  return ids;
}

/** Nothing waits, and every object that was made a database of is seen or wiped. */
async function expectNothingLost(o: TestOrganization, source: string): Promise<void> {
  expect(o.organization.outbox.dueAt()).toBeNull();
  const ids = [source, ...(await seen(o, source))];
  for (const [id, { initialized, wiped }] of o.told) {
    const isGone = initialized === 0 || wiped > 0;
    expect([id, isGone]).toEqual([id, !ids.includes(id)]);
  }
}

describe.each(Object.entries(WAYS))("a database made by a %s", (way, begin) => {
  test(
    "is not seen before its job has begun",
    inOrganization(async (o, source) => {
      o.onStep = async () => void (await seen(o, source));
      const { database, job } = filledBy(await begin(o, source, null));
      expect(job).toMatchObject({ kind: "database.fork", databaseId: database.id, status: "running", done: 1 });
      expect(await seen(o, source)).toEqual([database.id]);
      expect([...o.toldTo(database.id).jobs]).toEqual([job.id]);
      await expectNothingLost(o, source);
    }),
  );

  test(
    "is finished or nothing is left of it, at whichever step the organization is killed",
    inOrganization(async (o, source) => {
      let steps = Number.POSITIVE_INFINITY;
      for (let killAt = 1; killAt <= steps; killAt++) {
        let step = 0;
        o.onStep = () => (++step === killAt ? killed() : undefined);
        const key = keyed(`${way} ${killAt}`);
        const before = await seen(o, source);
        const answered = begin(o, source, key).then(() => (steps = step));
        await Promise.race([answered, turns()]);
        o.onStep = () => {};
        o.restart();
        await seen(o, source);
        await o.settle();
        await expectNothingLost(o, source);
        const { database, job } = filledBy(await begin(o, source, key));
        expect((await seen(o, source)).toSorted()).toEqual([...before, database.id].toSorted());
        expect(await o.run("jobs.get", { jobId: job.id })).toMatchObject({ status: "running" });
        await expectNothingLost(o, source);
      }
      // Two objects are told and one is asked: before and after each.
      expect(steps).toBe(way === "fork" ? 8 : 6);
    }),
  );

  test(
    "is made once by requests with one key, also beside each other",
    inOrganization(async (o, source) => {
      const key = keyed("i");
      const answers = await Promise.all([begin(o, source, key), begin(o, source, key)]);
      const [first, second] = answers.map((answer) => filledBy(answer));
      expect(second).toEqual(first);
      expect(filledBy(await begin(o, source, key))).toEqual(first);
      expect(await begin(o, source, keyed("i", "another request"))).toMatchObject({ code: "conflict" });
      expect(await seen(o, source)).toHaveLength(1);
      await begin(o, source, null);
      expect(await seen(o, source)).toHaveLength(2);
    }),
  );

  test(
    "is not there when the job is refused, and its key is as new",
    inOrganization(async (o, source) => {
      o.refusal = failure("invalid", "The bucket is not there");
      expect(await begin(o, source, keyed("i"))).toEqual(o.refusal);
      expect(await seen(o, source)).toEqual([]);
      await o.settle();
      await expectNothingLost(o, source);
      o.refusal = null;
      filledBy(await begin(o, source, keyed("i")));
      expect(await seen(o, source)).toHaveLength(1);
    }),
  );

  test(
    "comes later when an object does not answer, and its key finds it",
    inOrganization(async (o, source) => {
      let asked = 0;
      o.onStep = (when) => {
        if (when === "before" && (way === "fork" ? ++asked === 3 : ++asked === 2)) throw new Error("out of order");
      };
      expect(await begin(o, source, keyed("i"))).toMatchObject({ code: "unavailable" });
      expect(await seen(o, source)).toEqual([]);
      await o.settle();
      const ids = await seen(o, source);
      expect(ids).toEqual([filledBy(await begin(o, source, keyed("i"))).database.id]);
    }),
  );

  test(
    "that was deleted is not made again by its key",
    inOrganization(async (o, source) => {
      const { database } = filledBy(await begin(o, source, keyed("i")));
      await o.run("databases.delete", { databaseId: database.id, deleteBackups: false });
      expect(await begin(o, source, keyed("i"))).toMatchObject({ code: "not-found" });
      expect(await seen(o, source)).toEqual([]);
    }),
  );
});

test(
  "a fork of a database that is deleted meanwhile is removed",
  inOrganization(async (o, source) => {
    let step = 0;
    // Before the new object is told.
    o.onStep = () => (++step === 3 ? killed() : undefined);
    void WAYS.fork(o, source, keyed("i"));
    await turns();
    o.onStep = () => {};
    o.restart();
    await o.run("databases.delete", { databaseId: source, deleteBackups: false });
    await o.settle();
    expect((await o.run("databases.list", everything)).items).toEqual([]);
    for (const { initialized, wiped } of o.told.values()) expect(wiped).toBeGreaterThanOrEqual(initialized > 0 ? 1 : 0);
    expect(o.organization.outbox.dueAt()).toBeNull();
  }),
);

test(
  "a destination's secret waits encrypted, and only for that database",
  inOrganization(async (o, source, { sql }) => {
    o.onStep = () => killed();
    void WAYS["restore from a bucket"](o, source, null);
    await turns();
    const [row] = sql.exec<{ filling: string }>("SELECT filling FROM outbox").toArray();
    expect(row?.filling).toMatch(/"sealed":"1\.k1\./);
    expect(row?.filling).not.toContain(destination.secretAccessKey);
    o.onStep = () => {};
    o.restart();
    sql.exec("UPDATE outbox SET filling = json_set(filling, '$.jobId', 'another')");
    await o.settle();
    expect(await seen(o, source)).toEqual([]);
  }),
);

describe("a restore in place", () => {
  const restore = (o: TestOrganization, databaseId: string, idempotency: Idempotency | null) =>
    o.service.run(o.root, null, "restores.create", {
      databaseId,
      at: "2026-01-01T00:00:00.000Z",
      prefix: null,
      idempotency,
    });

  test(
    "is one job for all requests with one key",
    inOrganization(async (o, id) => {
      const first = await restore(o, id, keyed("i"));
      expect(first).toMatchObject({ kind: "database.restore", status: "running" });
      expect(await restore(o, id, keyed("i"))).toEqual(first);
      expect(await restore(o, id, keyed("i", "another request"))).toMatchObject({ code: "conflict" });
      expect(o.toldTo(id).jobs.size).toBe(1);
      expect(await restore(o, id, null)).toMatchObject({ code: "conflict" });
    }),
  );

  test.each([
    ["before", 0],
    ["after", 1],
  ] as const)("killed %s the database was asked, the same key begins it once", (killAt, begun) =>
    inOrganization(async (o, id) => {
      o.onStep = (when) => (when === killAt ? killed() : undefined);
      void restore(o, id, keyed("i"));
      await turns();
      o.onStep = () => {};
      o.restart();
      const { jobs } = o.toldTo(id);
      expect(jobs.size).toBe(begun);
      expect(await restore(o, id, keyed("i"))).toMatchObject({ id: expect.any(String), status: "running" });
      expect(jobs.size).toBe(1);
    })(),
  );

  test(
    "that was refused leaves no job, and its key is as new",
    inOrganization(async (o, id) => {
      o.refusal = failure("unavailable", "The backup does not hold that yet");
      expect(await restore(o, id, keyed("i"))).toEqual(o.refusal);
      o.refusal = null;
      expect(await restore(o, id, keyed("i"))).toMatchObject({ status: "running" });
    }),
  );
});

test(
  "a deletion is stopped by nobody who could not have ordered it",
  inOrganization(async (o, id) => {
    const { job } = await o.run("databases.delete", { databaseId: id, deleteBackups: true });
    const cancel = { jobId: job?.id ?? "" };
    const backup = await o.newToken("b", { permissions: ["read", "backup"] });
    expect(await o.service.run(backup, null, "jobs.get", cancel)).toMatchObject({ kind: "database.delete" });
    expect(await o.service.run(backup, null, "jobs.cancel", cancel)).toMatchObject({ code: "forbidden" });
    expect(await o.service.run(o.root, null, "jobs.cancel", cancel)).toMatchObject({ code: "conflict" });
  }),
);
