/** How many tokens there may be, for whom, and what is revoked with one. */
import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { MAX_DELEGATED_TOKENS, MAX_ENDED_TOKENS, MAX_TOKENS } from "../../src/core/limits.ts";
import type { Page, Scopes, TokenInfo } from "../../src/contracts/resources.ts";
import { type Failure, isFailure } from "../../src/core/errors.ts";
import { migrate } from "../../src/core/migrations.ts";
import { ORGANIZATION_SCHEMA } from "../../src/directory/organization-schema.ts";
import { Organization } from "../../src/directory/organization.ts";
import { EVERY_SCOPE } from "../../src/directory/scopes.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { turns } from "../support/fake-timers.ts";
import { ok, withStorage } from "../support/workerd/directory.ts";
import { callerOf, killed, ORGANIZATION_ID, TestOrganization } from "../support/workerd/organization.ts";

const DAY = 86_400_000;

/** Has a token of this id and these scopes mint another; without the secrets, which do not matter here. */
function mint(o: TestOrganization, id: string, by: TokenInfo, scopes: Partial<Scopes> = {}): TokenInfo | Failure {
  const who = { scopes: by.scopes, name: by.id };
  const token = { id, name: id, secretHash: new Uint8Array(32), signingKey: "k1" };
  return o.organization.createToken(
    who,
    { token, scopes: { ...by.scopes, ...scopes }, idempotency: null },
    o.clock.now(),
  );
}

async function listed(o: TestOrganization): Promise<TokenInfo[]> {
  const tokens: TokenInfo[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<TokenInfo> = await o.run("tokens.list", {
      limit: 100,
      cursor,
    });
    tokens.push(...page.items);
    cursor = page.next;
  } while (cursor !== null);
  return tokens;
}

async function living(o: TestOrganization): Promise<string[]> {
  return (await listed(o))
    .filter(({ revokedAt }) => revokedAt === null)
    .map(({ id }) => id)
    .toSorted();
}

async function revoke(o: TestOrganization, tokenId: string, minted: "keep" | "revoke" = "keep") {
  return o.service.run(o.root, null, "tokens.revoke", { tokenId, minted });
}

/** The organization's first token, and two with admin for one database each. */
async function delegated(o: TestOrganization): Promise<{ root: TokenInfo; a: TokenInfo; b: TokenInfo; of: string[] }> {
  const of = [await o.newDatabase(), await o.newDatabase()];
  const root = { ...(await listed(o))[0], id: "root", scopes: EVERY_SCOPE } as TokenInfo;
  const [a, b] = of.map((id, i) => ok(mint(o, `admin-${i}`, root, { databases: [id] })));
  if (a === undefined || b === undefined) throw new Error("expected two tokens");
  return { root, a, b, of };
}

function inOrganization(title: string, run: (o: TestOrganization, counting: CountingStorage) => Promise<void>): void {
  // The titles and the assertions are those of the callers.
  // oxlint-disable-next-line vitest/valid-title vitest/expect-expect
  test(title, () =>
    withStorage(async (storage) => {
      const counting = new CountingStorage(storage);
      await run(await TestOrganization.make(counting), counting);
    }),
  );
}

describe("room for tokens", () => {
  inOrganization("a token that lists its databases uses up its own alone, with all that it minted (T26)", async (o) => {
    const { root, a, b } = await delegated(o);
    const child = ok(mint(o, "child", a));
    for (let i = 1; i < MAX_DELEGATED_TOKENS; i++) ok(mint(o, `a-${i}`, i % 2 === 0 ? a : child));
    for (const minter of [a, child]) {
      expect(mint(o, "one-more", minter)).toMatchObject({
        code: "limit",
        message: `At most ${MAX_DELEGATED_TOKENS} tokens that are neither revoked nor expired are minted with a token that lists its databases, and with those that it minted.`,
      });
    }
    expect(mint(o, "b-1", b)).toMatchObject({ id: "b-1", createdBy: b.id });
    expect(mint(o, "root-1", root)).toMatchObject({ id: "root-1" });
    await revoke(o, "a-1");
    expect(mint(o, "one-more", child)).toMatchObject({ id: "one-more" });
  });

  inOrganization("the organization's own is bounded, and what expires or is revoked makes room (T26)", async (o) => {
    const { root, a } = await delegated(o);
    const soon = asUnixMs(o.clock.now() + 1000);
    for (let i = 3; i < MAX_TOKENS; i++) ok(mint(o, `t-${i}`, root, i < 10 ? { expiresAt: soon } : {}));
    const refused = mint(o, "one-more", root);
    expect(refused).toMatchObject({
      code: "limit",
      message: `An organization has at most ${MAX_TOKENS} tokens that are neither revoked nor expired.`,
    });
    expect(mint(o, "delegated", a)).toMatchObject({ id: "delegated" });
    await revoke(o, "t-20");
    expect(mint(o, "one-more", root)).toMatchObject({ id: "one-more" });
    expect(isFailure(mint(o, "two-more", root))).toBe(true);
    o.clock.pass(1000);
    for (let i = 3; i < 10; i++) expect(mint(o, `u-${i}`, root)).toMatchObject({ id: `u-${i}` });
    expect(mint(o, "three-more", root)).toEqual(refused);
  });

  inOrganization(
    "minting reads and writes as many rows among a thousand ended ones as among a few",
    async (o, counting) => {
      const { root } = await delegated(o);
      const soon = asUnixMs(o.clock.now() + 1000);
      const endSome = async (prefix: string, count: number) => {
        for (let i = 0; i < count; i++) {
          ok(mint(o, `${prefix}-r-${i}`, root));
          ok(mint(o, `${prefix}-e-${i}`, root, { expiresAt: soon }));
          await revoke(o, `${prefix}-r-${i}`);
        }
      };
      const cost = (id: string) => counting.count(() => void ok(mint(o, id, root)));
      await endSome("few", 5);
      o.clock.pass(1000);
      const few = cost("one");
      o.clock.pass(-1000);
      await endSome("many", 450);
      o.clock.pass(1000);
      expect(cost("another")).toEqual(few);
      expect(few.read).toBeLessThan(30);
    },
  );

  inOrganization("what has ended stays for a month, and a bounded number of it", async (o) => {
    const { root } = await delegated(o);
    for (let i = 0; i < MAX_ENDED_TOKENS + 50; i++) {
      ok(mint(o, `t-${i}`, root));
      await revoke(o, `t-${i}`);
      o.clock.pass(1);
    }
    const ended = (await listed(o)).filter(({ revokedAt }) => revokedAt !== null).map(({ id }) => id);
    expect(ended).toHaveLength(MAX_ENDED_TOKENS);
    expect([ended[0], ended.at(-1)]).toEqual(["t-50", `t-${MAX_ENDED_TOKENS + 49}`]);
    o.clock.pass(30 * DAY - 60_000);
    await o.service.work();
    expect(await listed(o)).toHaveLength(MAX_ENDED_TOKENS + 3);
    o.clock.pass(2 * DAY);
    await o.settle();
    expect((await listed(o)).map(({ id }) => id).toSorted()).toEqual(["admin-0", "admin-1", "root"]);
    expect(o.service.dueAt()).toBeNull();
  });

  inOrganization(
    "one whose minted ones live stays until its month is over, and then they are its minter's",
    async (o) => {
      const { root, a, of } = await delegated(o);
      let last = ok(mint(o, "chain-0", a));
      for (let i = 1; i <= MAX_ENDED_TOKENS; i++) {
        const next = ok(mint(o, `chain-${i}`, last));
        await revoke(o, last.id);
        last = next;
      }
      expect(mint(o, "one-more", last)).toMatchObject({
        code: "limit",
        message: `${MAX_ENDED_TOKENS} tokens that ended within the last 30 days are kept because tokens that were minted with them are kept. Revoke those with ?minted=revoke.`,
      });
      expect(mint(o, "elsewhere", root)).toMatchObject({ id: "elsewhere" });
      o.clock.pass(31 * DAY);
      await o.settle();
      expect(mint(o, "one-more", last)).toMatchObject({ id: "one-more" });
      const caller = await callerOf("late");
      const token = { id: "late", name: "late", secretHash: caller.secretHash, signingKey: "k1" };
      const scopes = { ...last.scopes, databases: [of[0] ?? ""] };
      ok(
        o.organization.createToken(
          { scopes: last.scopes, name: last.id },
          { token, scopes, idempotency: null },
          o.clock.now(),
        ),
      );
      await revoke(o, a.id, "revoke");
      expect(await living(o)).toEqual(["admin-1", "elsewhere", "root"]);
      expect(o.service.exchange(caller, of[0] ?? "")).toMatchObject({ code: "unauthenticated" });
    },
  );

  inOrganization("a page of those within one's scopes looks past a bounded number of others", async (o, counting) => {
    const { root, a } = await delegated(o);
    for (let i = 0; i < 1500; i++) ok(mint(o, `t-${i}`, root));
    ok(mint(o, "mine", a));
    o.clock.pass(1);
    const pages: string[][] = [];
    let cursor: string | null = null;
    do {
      const page: Page<TokenInfo> = ok(
        o.organization.listTokens({ scopes: a.scopes, name: a.id }, { limit: 10, cursor }),
      );
      pages.push(page.items.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== null);
    expect(pages.flat().toSorted()).toEqual(["admin-0", "mine"]);
    expect(pages.length).toBeGreaterThan(1);
    const who = { scopes: a.scopes, name: a.id };
    const { read } = counting.count(() => void ok(o.organization.listTokens(who, { limit: 10, cursor: null })));
    expect(read).toBeLessThan(1100);
  });

  test("tokens that were there before are counted, and know what they minted", () =>
    withStorage(async (storage) => {
      migrate(storage, { ...ORGANIZATION_SCHEMA, migrations: ORGANIZATION_SCHEMA.migrations.slice(0, 2) });
      const insert = (id: string, by: string, revokedAt: number | null) =>
        storage.sql.exec(
          `INSERT INTO tokens (id, secret_hash, signing_key, name, permissions, databases, created_by, created_at, revoked_at)
           VALUES (?1, x'00', 'k1', ?1, '["admin"]', '"all"', ?2, 1, ?3)`,
          id,
          by,
          revokedAt,
        );
      storage.sql.exec(
        "INSERT INTO organization (one, id, name, state, created_at, updated_at) VALUES (1, ?1, 'n', 'ready', 1, 1)",
        ORGANIZATION_ID,
      );
      insert("root", "deployment", null);
      insert("gone", "root", 5);
      insert("child", "gone", null);
      const organization = new Organization(storage, null);
      const who = { scopes: null, name: "deployment" };
      ok(organization.revokeToken(who, { tokenId: "root", minted: "revoke" }, asUnixMs(9)));
      while (organization.revokeMinted(asUnixMs(9)) !== null);
      const { items } = ok(organization.listTokens(who, { limit: 10, cursor: null }));
      expect(items.map(({ id, revokedAt }) => [id, revokedAt])).toEqual([
        ["child", 9],
        ["gone", 5],
        ["root", 9],
      ]);
      expect(storage.sql.exec("SELECT * FROM token_pools").toArray()).toEqual([{ pool: "", live: 0, ended: 3 }]);
    }));
});

describe("revoking what a token minted", () => {
  /** leaked → child → grandchild, of which the child was revoked before; and one beside them. */
  async function family(o: TestOrganization) {
    const { root, of } = await delegated(o);
    const [database = ""] = of;
    const leaked = ok(mint(o, "leaked", root));
    const child = ok(mint(o, "child", leaked));
    const caller = await callerOf("grandchild");
    const token = { id: "grandchild", name: "g", secretHash: caller.secretHash, signingKey: "k1" };
    const who = { scopes: child.scopes, name: "child" };
    ok(o.organization.createToken(who, { token, scopes: EVERY_SCOPE, idempotency: null }, o.clock.now()));
    ok(mint(o, "beside", root));
    await revoke(o, "child");
    ok(o.service.exchange(caller, database));
    return { caller, database };
  }

  inOrganization(
    "alone it leaves them; with minted=revoke it reaches all under it, and nobody else (T19)",
    async (o) => {
      const { caller, database } = await family(o);
      await revoke(o, "leaked");
      expect(o.service.exchange(caller, database)).toMatchObject({ tokenId: "grandchild" });
      expect(await living(o)).toEqual(["admin-0", "admin-1", "beside", "grandchild", "root"]);
      expect(await revoke(o, "leaked", "revoke")).toMatchObject({ id: "leaked" });
      expect(o.service.exchange(caller, database)).toMatchObject({ code: "unauthenticated" });
      expect(o.toldTo(database).revoked.has("grandchild")).toBe(true);
      expect(await living(o)).toEqual(["admin-0", "admin-1", "beside", "root"]);
      expect([o.organization.outbox.dueAt(), o.organization.cascades.dueAt()]).toEqual([null, null]);
    },
  );

  inOrganization("reaches the API keys that were made under it, also by tokens that are gone (T19)", async (o) => {
    const { root, of } = await delegated(o);
    const [database = "", second = ""] = of;
    const by = (token: TokenInfo) => ({ scopes: token.scopes, name: token.id });
    const leaked = ok(mint(o, "leaked", root));
    const gone = ok(mint(o, "gone", leaked));
    const beside = ok(mint(o, "beside", root));
    for (const token of [leaked, gone, beside])
      expect(o.organization.noteKeyMaker(by(token), database)).toBeUndefined();
    expect(o.organization.noteKeyMaker(by(gone), second)).toBeUndefined();
    await revoke(o, "gone");
    expect(o.organization.noteKeyMaker(by(gone), second)).toMatchObject({ code: "unauthenticated" });
    // It is removed when it was over for long enough; what it made counts as made by its minter.
    o.clock.time = asUnixMs(o.clock.time + 40 * DAY);
    o.organization.housekeep(o.clock.now());
    await revoke(o, "leaked");
    expect((await listed(o)).map(({ id }) => id)).not.toContain("gone");
    expect(o.toldTo(database).keysOf).toEqual(new Set());
    o.outOfOrder.add(second);
    expect(await revoke(o, "leaked", "revoke")).toMatchObject({ code: "unavailable" });
    o.outOfOrder.clear();
    o.restart();
    expect(await revoke(o, "leaked", "revoke")).toMatchObject({ id: "leaked" });
    expect(o.toldTo(database).keysOf).toEqual(new Set(["leaked", "gone"]));
    expect(o.toldTo(second).keysOf).toEqual(new Set(["gone"]));
  });

  inOrganization("is not answered before every database has it", async (o) => {
    const { caller, database } = await family(o);
    o.outOfOrder.add(database);
    expect(await revoke(o, "leaked", "revoke")).toMatchObject({ code: "unavailable" });
    expect(o.service.exchange(caller, database)).toMatchObject({ code: "unauthenticated" });
    o.restart();
    expect(await revoke(o, "leaked", "revoke")).toMatchObject({ code: "unavailable" });
    o.outOfOrder.clear();
    expect(await revoke(o, "leaked", "revoke")).toMatchObject({ id: "leaked" });
    expect(o.toldTo(database).revoked.has("grandchild")).toBe(true);
  });

  inOrganization("killed between any two steps, it is carried on by the alarm (T18)", async (o) => {
    const { database } = await family(o);
    const root = (await listed(o)).find(({ id }) => id === "beside");
    if (root === undefined) throw new Error("expected a token");
    for (let i = 0; i < 450; i++) ok(mint(o, `many-${i}`, root));
    const caller = await callerOf("a-first");
    const token = { id: "a-first", name: "f", secretHash: caller.secretHash, signingKey: "k1" };
    ok(
      o.organization.createToken(
        { scopes: EVERY_SCOPE, name: "beside" },
        { token, scopes: EVERY_SCOPE, idempotency: null },
        o.clock.now(),
      ),
    );
    ok(o.service.exchange(caller, database));
    o.onStep = () => killed();
    void revoke(o, "beside", "revoke");
    await turns();
    o.onStep = () => {};
    o.restart();
    const left = (await living(o)).filter((id) => id.startsWith("many"));
    expect([left.length > 200, left.length < 450]).toEqual([true, true]);
    await o.settle();
    expect((await living(o)).filter((id) => id.startsWith("many"))).toEqual([]);
    expect(o.toldTo(database).revoked.has("a-first")).toBe(true);
  });
});
