import { isFailure } from "../../src/core/errors.ts";
import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import type { Ordering } from "../../src/contracts/management.ts";
import type { DatabaseInfo, Page } from "../../src/contracts/resources.ts";
import { EVERY_SCOPE } from "../../src/directory/scopes.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { ok, withStorage } from "../support/workerd/directory.ts";
import { ORGANIZATION_ID, TestOrganization } from "../support/workerd/organization.ts";

const oldestFirst: Ordering = { sort: "createdAt", order: "asc", query: null };

/** Ids in the order in which they were made; two each share their time. */
function fill({ organization }: TestOrganization, count: number): string[] {
  const ids = Array.from({ length: count }, () => crypto.randomUUID());
  for (const [index, id] of ids.entries()) {
    const createdAt = asUnixMs(1000 + Math.floor(index / 2));
    const nothing = { name: "", description: "", locationHint: null, jurisdiction: null, feed: null };
    organization.databases.add({ id, organizationId: ORGANIZATION_ID, createdAt, updatedAt: createdAt, ...nothing });
    organization.databases.becomeReady(id);
  }
  return ids.toSorted((a, b) => Math.floor(ids.indexOf(a) / 2) - Math.floor(ids.indexOf(b) / 2) || (a < b ? -1 : 1));
}

describe("lists of databases", () => {
  test("by cursor and by page give every database once, in order, in both directions", () =>
    withStorage(async (storage) => {
      const o = await TestOrganization.make(storage);
      const ids = fill(o, 25);
      for (const order of ["asc", "desc"] as const) {
        const ordering = { ...oldestFirst, order };
        const expected = order === "asc" ? ids : ids.toReversed();
        const byCursor: string[] = [];
        for (let cursor: string | null = null, first = true; first || cursor !== null; first = false) {
          const page: Page<DatabaseInfo> = ok(o.organization.databases.list(EVERY_SCOPE, ordering, 4, cursor));
          byCursor.push(...page.items.map(({ id }) => id));
          cursor = page.next;
        }
        expect(byCursor).toEqual(expected);
        const pages = [1, 2, 3, 4, 5, 6, 7, 8].map((page) =>
          o.organization.databases.page(EVERY_SCOPE, ordering, 4, page),
        );
        expect(pages.flatMap(({ items }) => items.map(({ id }) => id))).toEqual(expected);
        expect(pages.map(({ total }) => total)).toEqual(pages.map(() => 25));
      }
    }));

  test("hold the databases that the scopes cover and the query names, and count only these", () =>
    withStorage(async (storage) => {
      const o = await TestOrganization.make(storage);
      const [a = "", b = "", c = ""] = fill(o, 3);
      const { databases } = o.organization;
      const scopes = { ...EVERY_SCOPE, databases: [c, a] };
      expect(databases.page(scopes, oldestFirst, 10, 1)).toMatchObject({ items: [{ id: a }, { id: c }], total: 2 });
      expect(databases.page(EVERY_SCOPE, { ...oldestFirst, query: b }, 10, 1)).toMatchObject({
        items: [{ id: b }],
        total: 1,
      });
      expect(
        databases.page(EVERY_SCOPE, { ...oldestFirst, query: b.slice(3, 12).toUpperCase() }, 10, 1).items,
      ).toMatchObject([{ id: b }]);
      expect(databases.page(scopes, { ...oldestFirst, query: b }, 10, 1)).toEqual({ items: [], total: 0 });
      // By cursor in names too, which need not differ.
      for (const id of [a, b]) databases.describe(id, "Orders Ä (100%)", "", asUnixMs(5000));
      databases.describe(c, "logs", "", asUnixMs(5000));
      const found = (query: string) =>
        ok(databases.list(EVERY_SCOPE, { ...oldestFirst, query }, 10, null)).items.map(({ id }) => id);
      for (const query of ["orders", "RDERS", "Ä", "100%"]) expect([query, found(query)]).toEqual([query, [a, b]]);
      for (const query of ["Log", c.slice(9, 20), c.toUpperCase()]) expect([query, found(query)]).toEqual([query, [c]]);
      for (const query of ["%", "_", "ordersx", "'"])
        expect([query, found(query).length]).toEqual([query, query === "%" ? 2 : 0]);
      expect(databases.page(EVERY_SCOPE, { ...oldestFirst, query: "orders" }, 10, 1)).toEqual({ items: [], total: 0 });
      expect(databases.page(EVERY_SCOPE, { ...oldestFirst, query: "%" }, 10, 1).total).toBe(0);
    }));

  test("by updatedAt follow changes", () =>
    withStorage(async (storage) => {
      const o = await TestOrganization.make(storage);
      const [a = "", b = ""] = fill(o, 2);
      await o.run("databases.update", { databaseId: a, name: "later", description: null, feed: null });
      const page = o.organization.databases.page(EVERY_SCOPE, { ...oldestFirst, sort: "updatedAt" }, 10, 1);
      expect(page.items.map(({ id }) => id)).toEqual([b, a]);
    }));

  test.each([
    "",
    "x",
    "e30",
    btoa("[1,2,3]"),
    btoa('["createdAt asc ",1.5,"x"]'),
    btoa('["createdAt desc ",1,"x"]'),
    "é",
  ])("the cursor %j is refused", (cursor) =>
    withStorage(async (storage) => {
      const o = await TestOrganization.make(storage);
      expect(isFailure(o.organization.databases.list(EVERY_SCOPE, oldestFirst, 4, cursor))).toBe(true);
    }),
  );

  test("stay flat: with 10,000 databases a create, a get and a page of 20 read and write what they do with 100", () =>
    withStorage(async (storage) => {
      const counting = new CountingStorage(storage);
      const o = await TestOrganization.make(counting);
      const { organization } = o;
      const { databases } = organization;
      const costs = (ids: readonly string[]) => {
        const half = ids.length / 2;
        const { total } = databases.page(EVERY_SCOPE, oldestFirst, 1, 1);
        const middle = ok(databases.list(EVERY_SCOPE, oldestFirst, half, null)).next;
        const who = { scopes: EVERY_SCOPE, name: "root" };
        const wishes = { name: "", description: "", locationHint: null, jurisdiction: null, idempotency: null };
        const works: (() => unknown)[] = [
          () => organization.createDatabase(who, wishes, crypto.randomUUID(), o.clock.now(), null),
          () => databases.list(EVERY_SCOPE, oldestFirst, 20, middle),
          () => organization.database(who, ids[half] ?? ""),
          () => databases.page(EVERY_SCOPE, oldestFirst, 20, 1),
          () => databases.page(EVERY_SCOPE, oldestFirst, 20, Math.ceil(total / 20)),
        ];
        return works.map((work) => counting.count(() => void work()));
      };
      const few = costs(fill(o, 100));
      const many = costs(fill(o, 9900));
      expect(many).toEqual(few);
    }));
});
