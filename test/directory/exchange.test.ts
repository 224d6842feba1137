/** What an exchange writes, and that one whose record is there goes on where nothing can be written. */
import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import type { OrganizationStub } from "../../src/contracts/management.ts";
import { DirectoryAuthority } from "../../src/directory/directory-authority.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { accessTokens, dataTokens, exchangeToken, ok, withStorage } from "../support/workerd/directory.ts";
import { ORGANIZATION_ID, TestOrganization } from "../support/workerd/organization.ts";

const minute = 60_000;

interface Counted {
  readonly o: TestOrganization;
  readonly storage: CountingStorage;
  readonly databaseId: string;
}

async function withOrganization(run: (parts: Counted) => Promise<void>): Promise<void> {
  await withStorage(async (inner) => {
    const storage = new CountingStorage(inner);
    const o = await TestOrganization.make(storage);
    await run({ o, storage, databaseId: await o.newDatabase() });
  });
}

test("a client that exchanges every minute has two rows written an hour, and none where nothing changes", async () => {
  await withOrganization(async ({ o, storage, databaseId }) => {
    const written: number[] = [];
    for (let i = 0; i < 180; i++) {
      // The organization sleeps in between.
      const rows = storage.count(() => {
        o.restart();
        ok(o.service.exchange(o.root, databaseId));
      });
      expect(rows.read).toBeLessThanOrEqual(60);
      if (rows.written > 0) written.push(i, rows.written);
      o.clock.pass(minute);
    }
    // The record, and when the token was last used.
    expect(written).toEqual([0, 2, 60, 1, 61, 1, 120, 1, 122, 1]);
  });
});

describe("without writing", () => {
  test("a grant ends no later than its record, which a revocation reaches", async () => {
    await withOrganization(async ({ o, storage, databaseId }) => {
      const recorded = ok(o.service.exchange(o.root, databaseId));
      const until = o.clock.now() + 135 * minute;
      o.clock.pass(30 * minute);
      const rows = storage.count(() => {
        const again = ok(o.service.exchange(o.root, databaseId, "unrecorded"));
        expect(again).toEqual({ ...recorded, expiresAt: o.clock.now() + 75 * minute });
      });
      expect(rows.written).toBe(0);
      o.clock.time = asUnixMs(until - 10 * minute);
      expect(o.service.exchange(o.root, databaseId, "unrecorded")).toMatchObject({ expiresAt: until });
      const other = await o.newToken("other", {});
      await o.run("tokens.revoke", { tokenId: o.root.tokenId, minted: "keep" }, other);
      expect(o.toldTo(databaseId).revoked.get(o.root.tokenId)).toBe(until);
      expect(o.service.exchange(o.root, databaseId, "unrecorded")).toMatchObject({ code: "unauthenticated" });
    });
  });

  test("nothing is granted without a record, or shortly before it ends, but for a token that ends itself", async () => {
    await withOrganization(async ({ o, databaseId }) => {
      const unavailable = { code: "unavailable" };
      expect(o.service.exchange(o.root, databaseId, "unrecorded")).toMatchObject(unavailable);
      ok(o.service.exchange(o.root, databaseId));
      const expiresAt = asUnixMs(o.clock.now() + 127 * minute);
      const ending = await o.newToken("ending", { expiresAt });
      o.clock.pass(125 * minute + 1);
      expect(o.service.exchange(o.root, databaseId, "unrecorded")).toMatchObject(unavailable);
      ok(o.service.exchange(ending, databaseId));
      expect(o.service.exchange(ending, databaseId, "unrecorded")).toMatchObject({ expiresAt });
      expect(o.service.exchange(ending, crypto.randomUUID(), "unrecorded")).toMatchObject({ code: "not-found" });
    });
  });
});

describe("where the organization cannot write", () => {
  const databaseId = crypto.randomUUID();
  const full = new Error("database or disk is full: SQLITE_FULL");

  async function exchangeWith(exchange: OrganizationStub["exchange"], thrown: Error = full) {
    const asked: string[] = [];
    const authority = new DirectoryAuthority({
      accessTokens,
      dataTokens,
      clock: { now: () => asUnixMs(1_800_000_000_000) },
      organization: () => ({
        async exchange(caller, id, mode) {
          asked.push(mode ?? "recorded");
          if (mode === undefined) throw thrown;
          return exchange(caller, id, mode);
        },
      }),
      pastKeeper: () => {
        throw new Error("not asked here");
      },
    });
    const { token } = ok(await accessTokens.mint(ORGANIZATION_ID, "0".repeat(16), null, null));
    const answer = await exchangeToken(authority, token, databaseId).catch((error: unknown) => error);
    return { asked, answer };
  }

  test("a token whose expiry is covered by an earlier record is exchanged although a new one cannot be made", async () => {
    const expiresAt = asUnixMs(1_800_000_000_000 + 20 * minute);
    const grant = { tokenId: "0".repeat(16), read: true, write: true, expiresAt };
    const { asked, answer } = await exchangeWith(async () => grant);
    expect(asked).toEqual(["recorded", "unrecorded"]);
    expect(answer).toMatchObject({ expiresAt });
  });

  test("else the client is told why it could not be written; one that is refused is told that", async () => {
    const unavailable = { ok: false, code: "unavailable", message: "No." } as const;
    expect((await exchangeWith(async () => unavailable)).answer).toBe(full);
    const refused = { ok: false, code: "unauthenticated", message: "Revoked." } as const;
    expect((await exchangeWith(async () => refused)).answer).toEqual(refused);
  });

  test("one that has too much to do is not asked twice", async () => {
    const overloaded = Object.assign(new Error("overloaded"), { overloaded: true });
    const { asked, answer } = await exchangeWith(() => Promise.reject(new Error("not asked")), overloaded);
    expect(asked).toEqual(["recorded"]);
    expect(answer).toBe(overloaded);
  });
});

describe("a clock that is ahead and is set back", () => {
  test("leaves no grant of a token that was revoked meanwhile: its databases are told, though they seemed to have none (T20)", async () => {
    await withOrganization(async ({ o, databaseId }) => {
      const other = await o.newToken("other", {});
      const { expiresAt } = ok(o.service.exchange(o.root, databaseId));
      o.clock.pass(20 * 60 * minute);
      await o.run("tokens.revoke", { tokenId: o.root.tokenId, minted: "keep" }, other);
      expect(o.toldTo(databaseId).revoked.get(o.root.tokenId)).toBeGreaterThanOrEqual(expiresAt);
    });
  });

  test("ends no token before its time: it is judged by the clock of whoever verified it", async () => {
    await withOrganization(async ({ o, databaseId }) => {
      const token = await o.newToken("short", { expiresAt: asUnixMs(o.clock.now() + 10 * minute) });
      const askedAt = o.clock.now();
      o.clock.pass(60 * minute);
      expect(o.service.exchange(token, databaseId)).toMatchObject({ code: "unauthenticated" });
      expect(o.service.exchange(token, databaseId, "recorded", askedAt)).toMatchObject({ tokenId: "short" });
      expect(await o.service.run(token, null, "databases.get", { databaseId })).toMatchObject({
        code: "unauthenticated",
      });
      expect(await o.service.run(token, null, "databases.get", { databaseId }, askedAt)).toMatchObject({
        id: databaseId,
      });
    });
  });
});
