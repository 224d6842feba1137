/** Messages that the organization's object, or the receiver's, dies of: each is tried twice, and then given up or held back. */
import { describe, expect, test } from "vitest";
import type { Idempotency } from "../../src/contracts/idempotency.ts";
import { withStorage } from "../support/workerd/directory.ts";
import { killed, TestOrganization } from "../support/workerd/organization.ts";

const MINUTE = 60_000;
const wishes = { name: "n", description: "", locationHint: null, jurisdiction: null, idempotency: null };
const key: Idempotency = { key: "i", fingerprint: "f" };

const destination = {
  kind: "s3",
  endpoint: "https://s3.example",
  bucketName: "bucket",
  bucketRegion: "auto",
  accessKeyId: "id",
  secretAccessKey: "secret",
  sessionToken: null,
  prefix: "",
} as const;

const restoreFrom = (o: TestOrganization, idempotency: Idempotency | null = key) =>
  o.service.run(o.root, null, "restores.createFromBucket", {
    destination,
    databaseId: "source",
    at: "2026-01-01T00:00:00.000Z",
    generation: null,
    prefix: null,
    name: "again",
    idempotency,
  });

/** A test with an organization of its own. */
function organizationTest(title: string, run: (o: TestOrganization) => Promise<void>): void {
  // The titles and the assertions are those of the callers.
  // oxlint-disable-next-line vitest/valid-title vitest/expect-expect
  test(title, () => withStorage(async (storage) => run(await TestOrganization.make(storage))));
}

/** Begins what kills the object, and lets it start again. */
async function dieOf(o: TestOrganization, work: () => Promise<unknown>): Promise<void> {
  void work();
  await new Promise((resolve) => setTimeout(resolve, 10));
  o.restart();
}

async function dieOfWhatIsDue(o: TestOrganization): Promise<void> {
  o.clock.pass(MINUTE);
  await dieOf(o, () => o.service.work());
}

const databases = async (o: TestOrganization): Promise<readonly string[]> =>
  (await o.run("databases.page", { sort: "createdAt", order: "asc", query: null, limit: 100, page: 1 })).items.map(
    ({ id }) => id,
  );

describe("a restore from a bucket", () => {
  organizationTest("of which the object dies twice is given up: the job says why, and nothing is left", async (o) => {
    let sent = 0;
    o.onStep = (when) => (when === "before" ? (sent++, killed()) : undefined);
    await dieOf(o, () => restoreFrom(o));
    await dieOfWhatIsDue(o);
    expect(sent).toBe(2);
    o.clock.pass(MINUTE);
    o.onStep = () => {};
    const outcome = await restoreFrom(o);
    expect(outcome).toMatchObject({
      code: "conflict",
      message: expect.stringMatching(/^Given up: the server ended 2 times/),
    });
    const jobId = o.organization.orders.madeBefore({ scopes: null, name: "root" }, key, o.clock.now());
    expect(jobId).toMatchObject({ status: "failed", error: "message" in outcome ? outcome.message : "" });
    await o.settle();
    expect(await restoreFrom(o)).toEqual(outcome);
    expect(await databases(o)).toEqual([]);
    expect([...o.told.values()].map(({ wiped, jobs }) => [wiped, jobs.size])).toEqual([[1, 0]]);
    expect(o.organization.outbox.dueAt()).toBeNull();
    // Another one, by another key, is made.
    expect(await restoreFrom(o, null)).toMatchObject({ job: { status: "running" } });
  });

  organizationTest("of which the object died once is made", async (o) => {
    o.onStep = () => killed();
    await dieOf(o, () => restoreFrom(o));
    o.onStep = () => {};
    o.clock.pass(MINUTE);
    await o.service.work();
    expect(await databases(o)).toHaveLength(1);
  });

  organizationTest("that fails between two deaths is not given up: they are not in a row", async (o) => {
    o.onStep = () => killed();
    await dieOf(o, () => restoreFrom(o));
    o.onStep = () => {
      throw new Error("out of order");
    };
    o.clock.pass(MINUTE);
    await o.service.work();
    o.onStep = () => killed();
    await dieOfWhatIsDue(o);
    o.onStep = () => {};
    await o.settle();
    expect(await databases(o)).toHaveLength(1);
  });

  organizationTest("of which the database's own object dies twice is given up", async (o) => {
    o.onStep = () => {
      throw Object.assign(new Error("exceeded its memory limit and was reset"), { durableObjectReset: true });
    };
    await restoreFrom(o);
    o.clock.pass(MINUTE);
    await o.service.work();
    o.onStep = () => {};
    await o.settle();
    expect(await databases(o)).toEqual([]);
    expect(await restoreFrom(o)).toMatchObject({ code: "conflict", message: expect.stringContaining("Given up") });
  });

  organizationTest("is sent once at a time, however many ask for it", async (o) => {
    o.onStep = () => new Promise((resolve) => setTimeout(resolve, 5));
    const requests = [restoreFrom(o), restoreFrom(o)];
    await new Promise((resolve) => setTimeout(resolve, 1));
    o.clock.pass(MINUTE);
    await Promise.all([...requests, o.service.work()]);
    expect([...o.told.values()].map(({ initialized }) => initialized)).toEqual([1]);
    expect(await databases(o)).toHaveLength(1);
  });
});

organizationTest(
  "messages that were under way beside one that kills the process are not given up with it",
  async (o) => {
    o.onStep = () => killed();
    for (let i = 0; i < 4; i++) void o.run("databases.create", wishes);
    await dieOf(o, () => restoreFrom(o));
    const all = [...o.told.keys()];
    expect(all).toHaveLength(5);
    const poison = all[2];
    o.onStep = (_, id) => (id === poison ? killed() : undefined);
    await dieOfWhatIsDue(o);
    o.onStep = () => {};
    await o.settle();
    expect((await databases(o)).toSorted()).toEqual(all.filter((id) => id !== poison).toSorted());
  },
);

organizationTest("a deletion of which the object dies is held back, ever longer, and its job says so", async (o) => {
  const id = await o.newDatabase();
  o.onStep = () => killed();
  await dieOf(o, () => o.run("databases.delete", { databaseId: id, deleteBackups: false }));
  await dieOfWhatIsDue(o);
  const jobId = o.organization.databases.get(id)?.deletionJob ?? "";
  let sent = 0;
  o.onStep = () => (sent++, killed());
  const held: number[] = [];
  for (let i = 0; i < 7; i++) {
    await o.service.work();
    expect(sent).toBe(i);
    expect(await o.run("jobs.get", { jobId })).toMatchObject({
      status: "running",
      error: `The server ended ${i + 2} times in a row while this was under way. It is tried again, after a while.`,
    });
    const due = o.service.dueAt() ?? 0;
    held.push((due - o.clock.now()) / MINUTE);
    // Objects that start meanwhile do not put it off.
    o.clock.pass((due - o.clock.now()) / 2);
    o.restart();
    await o.service.work();
    o.clock.pass(due - o.clock.now());
    await dieOf(o, () => o.service.work());
  }
  expect(held).toEqual([15, 30, 60, 120, 240, 360, 360]);
  o.onStep = () => {};
  await o.service.work();
  o.clock.pass(360 * MINUTE);
  await o.service.work();
  expect(await o.run("jobs.get", { jobId })).toMatchObject({ status: "completed", error: null });
  expect(o.toldTo(id).wiped).toBe(1);
});
