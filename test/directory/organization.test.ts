import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { failure, isFailure } from "../../src/core/errors.ts";
import type { Input } from "../../src/contracts/management.ts";
import type { SyncStorage } from "../../src/core/storage.ts";
import { Organization } from "../../src/directory/organization.ts";
import { EVERY_SCOPE } from "../../src/directory/scopes.ts";
import { turns } from "../support/fake-timers.ts";
import { ok, withStorage } from "../support/workerd/directory.ts";
import { callerOf, killed, TestOrganization } from "../support/workerd/organization.ts";

const hour = 3_600_000;
const everything = { sort: "createdAt", order: "asc", query: null, limit: 100, cursor: null } as const;
const wishes = { name: "n", description: "d", locationHint: null, jurisdiction: null };

function idempotent(key: string, fingerprint = "f"): Input<"databases.create"> {
  return { ...wishes, idempotency: { key, fingerprint } };
}

/** A test with an organization of its own. */
function organizationTest(title: string, run: (o: TestOrganization, storage: SyncStorage) => Promise<void>): void {
  // The titles and the assertions are those of the callers.
  // oxlint-disable-next-line vitest/valid-title vitest/expect-expect
  test(title, () => withStorage(async (storage) => run(await TestOrganization.make(storage), storage)));
}

async function listed(o: TestOrganization): Promise<string[]> {
  return (await o.run("databases.list", everything)).items.map(({ id }) => id);
}

/** As the pages with numbers say, from the count that is kept in the organization's row. */
function readyDatabases({ organization }: TestOrganization): number {
  return organization.databases.page(EVERY_SCOPE, { sort: "createdAt", order: "asc", query: null }, 1, 1).total;
}

describe("creating a database", () => {
  organizationTest("its object is initialized before it is seen", async (o) => {
    o.onStep = (when) => {
      if (when === "before") expect(readyDatabases(o)).toBe(0);
    };
    const id = await o.newDatabase();
    expect(o.toldTo(id).initialized).toBe(1);
    expect(await listed(o)).toEqual([id]);
    expect(o.organization.outbox.dueAt()).toBeNull();
  });

  for (const when of ["before", "after"] as const) {
    organizationTest(`killed ${when} its object was told, it is not seen, and is there after a while`, async (o) => {
      o.onStep = (step) => (step === when ? killed() : undefined);
      void o.run("databases.create", idempotent("i"));
      await turns();
      o.onStep = () => {};
      o.restart();
      expect([...o.told.values()].map(({ initialized }) => initialized)).toEqual([when === "before" ? 0 : 1]);
      expect(await listed(o)).toEqual([]);
      await o.settle();
      const [id] = await listed(o);
      expect([...o.told.keys()]).toEqual([id]);
      expect(readyDatabases(o)).toBe(1);
      expect(await o.run("databases.create", idempotent("i"))).toMatchObject({ id });
    });
  }

  organizationTest(
    "an object that does not answer is asked again, the request says so, its key finds it later",
    async (o) => {
      const original = o.toldTo.bind(o);
      let asked = 0;
      o.onStep = (when) => {
        if (when === "before" && ++asked <= 3) throw new Error("out of order");
      };
      const answer = await o.service.run(o.root, null, "databases.create", idempotent("i"));
      expect(answer).toMatchObject({ code: "unavailable" });
      expect(await listed(o)).toEqual([]);
      expect(o.alarmAt).toBeGreaterThan(o.clock.now());
      await o.settle();
      const [id = ""] = await listed(o);
      expect(await o.run("databases.create", idempotent("i"))).toMatchObject({ id });
      expect(original(id).initialized).toBe(1);
    },
  );

  organizationTest(
    "the same idempotency key answers with the same one for a day, with another request it is a conflict",
    async (o) => {
      const first = await o.run("databases.create", idempotent("i"));
      expect(await o.run("databases.create", idempotent("i"))).toEqual(first);
      expect(await o.service.run(o.root, null, "databases.create", idempotent("i", "g"))).toMatchObject({
        code: "conflict",
      });
      const other = await o.newToken("other", {});
      expect((await o.run("databases.create", idempotent("i"), other)).id).not.toBe(first.id);
      o.clock.pass(24 * hour);
      expect((await o.run("databases.create", idempotent("i"))).id).not.toBe(first.id);
      expect(await listed(o)).toHaveLength(3);
    },
  );

  organizationTest(
    "one whose object refuses it is given up at once: nothing is left, and it can be asked for again",
    async (o) => {
      o.refusing = "There is another database with this id.";
      const make = () => o.service.run(o.root, null, "databases.create", idempotent("i"));
      expect(await make()).toMatchObject({
        code: "unavailable",
        message: expect.stringContaining("could not be made"),
      });
      const [refused = ""] = o.told.keys();
      expect(o.organization.outbox.dueAt()).toBeNull();
      expect(o.toldTo(refused).wiped).toBe(0);
      expect(
        await o.service.run(o.root, null, "databases.delete", { databaseId: refused, deleteBackups: false }),
      ).toEqual({ job: null });
      o.refusing = null;
      const { id } = ok(await make());
      expect(id).not.toBe(refused);
      expect(await make()).toMatchObject({ id });
      expect(await listed(o)).toEqual([id]);
    },
  );

  organizationTest(
    "one whose object does not answer is given up after an hour, and does not keep the organization from being deleted",
    async (o) => {
      o.onStep = () => {
        throw new Error("out of order");
      };
      expect(await o.service.run(o.root, null, "databases.create", idempotent("i"))).toMatchObject({
        code: "unavailable",
      });
      const [id = ""] = o.told.keys();
      o.clock.pass(hour - 60_000);
      await o.service.work();
      expect(o.organization.databases.get(id)?.state).toBe("creating");
      expect(await o.service.run(o.root, null, "organization.delete", null)).toMatchObject({ code: "conflict" });
      o.clock.pass(hour);
      await o.service.work();
      expect(o.organization.databases.get(id)?.state).toBe("deleted");
      expect(await o.run("organization.delete", null)).toEqual({ deleted: true });
      // Perhaps it was made, and only the answer was lost.
      o.onStep = () => {};
      await o.settle();
      expect(o.toldTo(id)).toMatchObject({ initialized: 0, wiped: 1 });
      expect(o.organization.outbox.dueAt()).toBeNull();
    },
  );

  organizationTest(
    "the answer that a database will appear names an Idempotency-Key only when the request had one",
    async (o) => {
      o.onStep = () => {
        throw new Error("out of order");
      };
      const keyed = await o.service.run(o.root, null, "databases.create", idempotent("i"));
      const unkeyed = await o.service.run(o.root, null, "databases.create", { ...wishes, idempotency: null });
      expect([keyed, unkeyed].map((answer) => isFailure(answer) && answer.message)).toEqual([
        "The database is being made and will appear. The same request with the same Idempotency-Key answers with it.",
        "The database is being made and will appear in the list. The same request again makes another one.",
      ]);
    },
  );

  organizationTest("the key of a database that was deleted makes no other", async (o) => {
    const { id } = await o.run("databases.create", idempotent("i"));
    await o.run("databases.delete", { databaseId: id, deleteBackups: false });
    expect(await o.service.run(o.root, null, "databases.create", idempotent("i"))).toMatchObject({ code: "conflict" });
  });
});

describe("a jurisdiction", () => {
  organizationTest(
    "is kept where the platform knows them, and elsewhere refused before anything is made",
    async (o) => {
      const inEurope = { ...wishes, jurisdiction: "eu", idempotency: null } as const;
      expect(await o.run("databases.create", inEurope)).toMatchObject({ jurisdiction: "eu" });
      o.knowsJurisdictions = false;
      expect(await o.service.run(o.root, null, "databases.create", inEurope)).toMatchObject({ code: "unsupported" });
      expect(await listed(o)).toHaveLength(1);
      expect(o.told.size).toBe(1);
    },
  );
});

describe("deleting a database", () => {
  organizationTest("it is gone at once, its data with the job, and asking twice answers the same", async (o) => {
    const id = await o.newDatabase();
    const { job } = await o.run("databases.delete", { databaseId: id, deleteBackups: false });
    expect(job).toMatchObject({ kind: "database.delete", databaseId: id, status: "completed", done: 1, total: 1 });
    expect(o.toldTo(id).wiped).toBe(1);
    expect(await listed(o)).toEqual([]);
    expect(await o.run("databases.delete", { databaseId: id, deleteBackups: false })).toEqual({ job });
    expect(o.toldTo(id).wiped).toBe(1);
    expect(await o.run("jobs.get", { jobId: job?.id ?? "" })).toEqual(job);
  });

  for (const when of ["before", "after"] as const) {
    organizationTest(`killed ${when} its object was told, it is gone, and wiped after a while`, async (o) => {
      const id = await o.newDatabase();
      o.onStep = (step) => (step === when ? killed() : undefined);
      void o.run("databases.delete", { databaseId: id, deleteBackups: false });
      await turns();
      o.onStep = () => {};
      o.restart();
      expect(o.toldTo(id).wiped).toBe(when === "before" ? 0 : 1);
      expect(await o.service.run(o.root, null, "databases.get", { databaseId: id })).toMatchObject({
        code: "not-found",
      });
      const jobId = o.organization.databases.get(id)?.deletionJob ?? "";
      expect(await o.run("jobs.get", { jobId })).toMatchObject({ status: "running" });
      await o.settle();
      expect(o.toldTo(id).wiped).toBeGreaterThan(0);
      expect(await o.run("jobs.get", { jobId })).toMatchObject({ status: "completed", error: null });
    });
  }

  organizationTest("its job is kept for a week, after that the answer has none", async (o) => {
    const id = await o.newDatabase();
    const { job } = await o.run("databases.delete", { databaseId: id, deleteBackups: false });
    o.clock.pass(7 * 24 * hour - 1);
    await o.service.work();
    expect(await o.run("jobs.get", { jobId: job?.id ?? "" })).toEqual(job);
    o.clock.pass(25 * hour);
    await o.service.work();
    expect(await o.service.run(o.root, null, "jobs.get", { jobId: job?.id ?? "" })).toMatchObject({
      code: "not-found",
    });
    expect(await o.run("databases.delete", { databaseId: id, deleteBackups: false })).toEqual({ job: null });
    expect(o.service.dueAt()).toBeNull();
  });

  organizationTest(
    "a job that nobody asks about is dropped after a month, unless its database could not be told",
    async (o) => {
      const [told, untold] = [await o.newDatabase(), await o.newDatabase()];
      o.outOfOrder.add(untold);
      const jobOf = (id: string) => o.organization.databases.get(id)?.deletionJob ?? "";
      for (const databaseId of [told, untold]) {
        await o.service.run(o.root, null, "databases.delete", { databaseId, deleteBackups: true }).catch(String);
      }
      o.clock.pass(31 * 24 * hour);
      await o.service.work();
      expect(await o.service.run(o.root, null, "jobs.get", { jobId: jobOf(told) })).toMatchObject({
        code: "not-found",
      });
      expect(await o.run("jobs.get", { jobId: jobOf(untold) })).toMatchObject({ status: "running" });
    },
  );

  organizationTest("a database that never existed is not found", async (o) => {
    const input = { databaseId: crypto.randomUUID(), deleteBackups: false };
    expect(await o.service.run(o.root, null, "databases.delete", input)).toMatchObject({ code: "not-found" });
  });
});

describe("authentication", () => {
  organizationTest("a wrong secret and an unknown token are told the same (T4)", async (o) => {
    const unknown = await o.service.run(await callerOf("nobody"), null, "organization.get", null);
    const wrong = await o.service.run(await callerOf("root", "guess"), null, "organization.get", null);
    expect(unknown).toMatchObject({ code: "unauthenticated" });
    expect(wrong).toEqual(unknown);
  });

  organizationTest("only who has the secret learns that a token was revoked or has expired (T4)", async (o) => {
    const revoked = await o.newToken("revoked", {});
    const ending = await o.newToken("ending", { expiresAt: asUnixMs(o.clock.now() + hour) });
    await o.run("tokens.revoke", { tokenId: "revoked", minted: "keep" });
    expect(await o.service.run(ending, null, "organization.get", null)).toMatchObject({ name: "name" });
    o.clock.pass(hour);
    expect(await o.service.run(revoked, null, "organization.get", null)).toMatchObject({
      message: expect.stringContaining("revoked"),
    });
    expect(await o.service.run(ending, null, "organization.get", null)).toMatchObject({
      message: expect.stringContaining("expired"),
    });
    expect(await o.service.run(await callerOf("revoked", "guess"), null, "organization.get", null)).toMatchObject({
      message: expect.not.stringContaining("revoked"),
    });
  });

  organizationTest("the last use is written at most once an hour", async (o, { sql }) => {
    const start = o.clock.now();
    const lastUsed = () =>
      sql.exec<{ at: number | null }>("SELECT last_used_at AS at FROM tokens WHERE id = 'root'").one().at;
    expect(lastUsed()).toBeNull();
    await o.run("organization.get", null);
    o.clock.pass(hour - 1);
    await o.run("organization.get", null);
    expect(lastUsed()).toBe(start);
    o.clock.pass(1);
    await o.run("organization.get", null);
    expect(lastUsed()).toBe(start + hour);
  });

  organizationTest("a token keeps its secret as a SHA-256 and nothing else (T2)", async (o, { sql }) => {
    const caller = await o.newToken("t", {});
    const [row] = sql.exec<{ secret_hash: ArrayBuffer }>("SELECT secret_hash FROM tokens WHERE id = 't'").toArray();
    expect(new Uint8Array(row?.secret_hash ?? new ArrayBuffer(0))).toEqual(caller.secretHash);
  });
});

describe("exchange", () => {
  organizationTest("grants what the token allows, no longer than it lives (T13)", async (o) => {
    const id = await o.newDatabase();
    const prefix = "026100";
    const caller = await o.newToken("t", {
      permissions: ["read"],
      keyPrefix: prefix,
      expiresAt: asUnixMs(o.clock.now() + 5000),
    });
    const grant = o.service.exchange(caller, id);
    expect(grant).toEqual({
      tokenId: "t",
      read: true,
      write: false,
      keyPrefix: prefix,
      expiresAt: o.clock.now() + 5000,
    });
    o.clock.pass(5000);
    expect(o.service.exchange(caller, id)).toMatchObject({ code: "unauthenticated" });
  });

  organizationTest("a token without an end is granted a little more than a data token lives", async (o) => {
    const id = await o.newDatabase();
    expect(o.service.exchange(o.root, id)).toMatchObject({
      read: true,
      write: true,
      expiresAt: o.clock.now() + 75 * 60_000,
    });
  });

  organizationTest("backup reads; admin and metrics alone open nothing (T7)", async (o) => {
    const id = await o.newDatabase();
    expect(o.service.exchange(await o.newToken("b", { permissions: ["backup"] }), id)).toMatchObject({
      read: true,
      write: false,
    });
    for (const permission of ["admin", "metrics"] as const) {
      const caller = await o.newToken(permission, { permissions: [permission] });
      expect(o.service.exchange(caller, id)).toMatchObject({ code: "forbidden" });
    }
  });

  organizationTest("a database that is not covered and one that does not exist are told the same (T21)", async (o) => {
    const [a, b] = [await o.newDatabase(), await o.newDatabase()];
    const caller = await o.newToken("t", { databases: [a] });
    expect(o.service.exchange(caller, a)).toMatchObject({ tokenId: "t" });
    const notCovered = o.service.exchange(caller, b);
    expect(notCovered).toMatchObject({ code: "not-found" });
    expect(o.service.exchange(caller, crypto.randomUUID())).toEqual(notCovered);
  });

  organizationTest("is recorded once for an hour's worth of them", async (o, { sql }) => {
    const id = await o.newDatabase();
    const recorded = () => sql.exec<{ until: number }>("SELECT until FROM exchanges").toArray();
    o.service.exchange(o.root, id);
    const before = recorded();
    expect(before).toHaveLength(1);
    o.clock.pass(hour);
    o.service.exchange(o.root, id);
    expect(recorded()).toEqual(before);
    o.clock.pass(1);
    o.service.exchange(o.root, id);
    expect(recorded()[0]?.until).toBeGreaterThan(before[0]?.until ?? 0);
  });
});

describe("revocation", () => {
  organizationTest(
    "reaches exactly the databases that the token was exchanged to, until the last grant is over",
    async (o) => {
      const [a, b, c] = [await o.newDatabase(), await o.newDatabase(), await o.newDatabase()];
      const caller = await o.newToken("t", {});
      const grants = [a, b].map((id) => ok(o.service.exchange(caller, id)));
      o.service.exchange(o.root, c);
      expect(await o.run("tokens.revoke", { tokenId: "t", minted: "keep" })).toMatchObject({
        id: "t",
        revokedAt: o.clock.now(),
      });
      for (const [index, id] of [a, b].entries()) {
        expect(o.toldTo(id).revoked.get("t")).toBeGreaterThanOrEqual(
          grants[index]?.expiresAt ?? Number.POSITIVE_INFINITY,
        );
      }
      expect(o.toldTo(c).revoked.size).toBe(0);
      expect(o.service.exchange(caller, a)).toMatchObject({ code: "unauthenticated" });
      expect(o.service.exchange(o.root, a)).toMatchObject({ tokenId: "root" });
    },
  );

  organizationTest(
    "is not answered before every database has it, and goes on by itself until they have (T17)",
    async (o) => {
      const [a, b] = [await o.newDatabase(), await o.newDatabase()];
      const caller = await o.newToken("t", {});
      for (const id of [a, b]) o.service.exchange(caller, id);
      o.outOfOrder.add(b);
      const revoke = () => o.service.run(o.root, null, "tokens.revoke", { tokenId: "t", minted: "keep" });
      expect(await revoke()).toMatchObject({ code: "unavailable" });
      expect(o.service.exchange(caller, a)).toMatchObject({ code: "unauthenticated" });
      expect(o.toldTo(a).revoked.has("t")).toBe(true);
      o.restart();
      expect(await revoke()).toMatchObject({ code: "unavailable" });
      o.outOfOrder.clear();
      await o.settle();
      expect(o.toldTo(b).revoked.has("t")).toBe(true);
      expect(await revoke()).toMatchObject({ id: "t" });
    },
  );

  for (const when of ["before", "after"] as const) {
    organizationTest(
      `killed ${when} a database was told, the token is refused, and the database knows after a while (T18)`,
      async (o) => {
        const id = await o.newDatabase();
        const caller = await o.newToken("t", {});
        o.service.exchange(caller, id);
        o.onStep = (step) => (step === when ? killed() : undefined);
        void o.run("tokens.revoke", { tokenId: "t", minted: "keep" });
        await turns();
        o.onStep = () => {};
        o.restart();
        expect(o.service.exchange(caller, id)).toMatchObject({ code: "unauthenticated" });
        await o.settle();
        expect(o.toldTo(id).revoked.has("t")).toBe(true);
        expect(o.organization.outbox.dueAt()).toBeNull();
      },
    );
  }

  organizationTest("reaches more databases than one batch holds", async (o) => {
    const caller = await o.newToken("t", {});
    const ids = await Promise.all(Array.from({ length: 250 }, () => o.newDatabase()));
    for (const id of ids) o.service.exchange(caller, id);
    await o.run("tokens.revoke", { tokenId: "t", minted: "keep" });
    expect(ids.filter((id) => o.toldTo(id).revoked.has("t"))).toHaveLength(250);
  });

  organizationTest(
    "of a token that the caller's does not cover is not found, as one that does not exist",
    async (o) => {
      const [a, b] = [await o.newDatabase(), await o.newDatabase()];
      const narrow = await o.newToken("narrow", { databases: [a] });
      await o.newToken("mine", { databases: [a], permissions: ["read"] });
      await o.newToken("others", { databases: [b], permissions: ["read"] });
      expect(await o.service.run(narrow, null, "tokens.revoke", { tokenId: "mine", minted: "keep" })).toMatchObject({
        id: "mine",
      });
      const refused = await o.service.run(narrow, null, "tokens.revoke", { tokenId: "others", minted: "keep" });
      expect(refused).toMatchObject({ code: "not-found" });
      expect(await o.service.run(narrow, null, "tokens.revoke", { tokenId: "none", minted: "keep" })).toEqual(refused);
      const seen = await o.run("tokens.list", { limit: 100, cursor: null }, narrow);
      expect(seen.items.map(({ id }) => id).toSorted()).toEqual(["mine", "narrow"]);
    },
  );
});

describe("deleting the organization", () => {
  organizationTest(
    "is refused while it has databases; after it nothing of it works, and the index is told",
    async (o, storage) => {
      const id = await o.newDatabase();
      expect(await o.service.run(o.root, null, "organization.delete", null)).toMatchObject({ code: "conflict" });
      await o.run("databases.delete", { databaseId: id, deleteBackups: false });
      await o.run("organization.delete", null);
      expect(o.forgotten).toEqual([o.organization.id]);
      expect(await o.service.run(o.root, null, "organization.get", null)).toMatchObject({ code: "unauthenticated" });
      const deployment = { kind: "deployment" } as const;
      expect(await o.service.run(deployment, null, "organization.get", null)).toMatchObject({ code: "not-found" });
      expect(new Organization(storage, null).checkAlive()).toMatchObject({ code: "conflict" });
    },
  );
});

describe("usage", () => {
  const counters = { reads: 10, writes: 5, readUnits: 20, writeUnits: 7, bytes: 1000 };

  organizationTest(
    "what a report adds to the one before counts in the quarter of an hour that it is about",
    async (o) => {
      const id = await o.newDatabase();
      const at = (minutes: number) => asUnixMs(1_800_000_000_000 + minutes * 60_000);
      o.clock.time = at(5);
      o.service.reportUsage(id, counters, at(5));
      o.service.reportUsage(id, counters, at(5));
      // Used in the third quarter of an hour, told in the fourth.
      o.clock.time = at(45.1);
      o.service.reportUsage(id, { ...counters, reads: 12, bytes: 900 }, at(30));
      // A database's clock that is ahead of this one.
      o.service.reportUsage(id, { ...counters, reads: 13, bytes: 900 }, at(61));
      const { buckets } = await o.run("analytics.get", {
        since: asUnixMs(1_800_000_000_000),
        until: asUnixMs(1_800_000_000_000 + 75 * 60_000),
      });
      const nothing = { reads: 0, writes: 0, readUnits: 0, writeUnits: 0 };
      expect(buckets).toEqual([
        { start: 1_800_000_000_000, ...counters },
        { start: 1_800_000_900_000, ...nothing, bytes: 1000 },
        { start: 1_800_001_800_000, ...nothing, reads: 2, bytes: 900 },
        { start: 1_800_002_700_000, ...nothing, reads: 1, bytes: 900 },
        { start: 1_800_003_600_000, ...nothing, bytes: 900 },
      ]);
      expect(await o.run("metrics.get", null)).toMatchObject({
        totals: { reads: 13, writes: 5, bytes: 900 },
        databases: 1,
      });
    },
  );

  organizationTest("counters that a crash set back count nothing twice", async (o) => {
    const id = await o.newDatabase();
    o.service.reportUsage(id, counters, o.clock.now());
    o.service.reportUsage(id, { ...counters, reads: 8 }, o.clock.now());
    o.service.reportUsage(id, { ...counters, reads: 9 }, o.clock.now());
    expect(await o.run("metrics.get", null)).toMatchObject({ totals: { reads: 11 } });
  });

  organizationTest("a deleted database's bytes are gone, its reads stay counted, its late report is not", async (o) => {
    const id = await o.newDatabase();
    o.service.reportUsage(id, counters, o.clock.now());
    await o.run("databases.delete", { databaseId: id, deleteBackups: false });
    o.service.reportUsage(id, { ...counters, reads: 100 }, o.clock.now());
    expect(await o.run("metrics.get", null)).toMatchObject({
      totals: { reads: 10, bytes: 0 },
      databases: 0,
      perDatabase: [],
    });
  });
});

organizationTest(
  "a disk without room for another database makes none, and answers for those that were made",
  async (o) => {
    const made = await o.run("databases.create", idempotent("k"));
    o.noRoom = failure("insufficient-storage", "There is no room.");
    const create = (input: Input<"databases.create">) => o.service.run(o.root, null, "databases.create", input);
    expect(await create({ ...wishes, idempotency: null })).toEqual(o.noRoom);
    expect(await create(idempotent("another"))).toEqual(o.noRoom);
    expect(await create(idempotent("k"))).toMatchObject({ id: made.id });
    const fork = { databaseId: made.id, at: "then", generation: null, prefix: null, name: "fork", idempotency: null };
    expect(await o.service.run(o.root, null, "forks.create", fork)).toEqual(o.noRoom);
    expect((await o.run("databases.list", everything)).items).toHaveLength(1);
    o.noRoom = null;
    expect(await create(idempotent("another"))).toMatchObject({ name: "n" });
  },
);
