/** The past by HTTP: reads at a moment, what a key was, what differs, and what is brought back. Over real objects and a bucket. */
import { beforeAll, describe, expect, test } from "vitest";
import { keyJson, RestDatabase } from "./rest-client.ts";

let database: RestDatabase;
/** Versionstamps: when there were three orders; when they had gone; when one of them had been written again. */
let [full, emptied, rewritten] = ["", "", ""];

beforeAll(async () => {
  database = await RestDatabase.make();
  await database.put("kept", "before");
  await menu("create", { ids: { id: "soup" }, columns: { price: 5 } });
  await database.keepBackup();
  for (const n of [1, 2]) await database.put(`orders/~n${n}`, { n });
  await database.put("orders/~n1", { n: 1, changed: true });
  const passing = new Date(Date.now() + 100).toISOString();
  await database.put("orders/~n4", "passing", { "cairn-expires-at": passing });
  full = (await database.put("orders/~n3", { n: 3 })).json.versionstamp;
  const deletion = await database.ask("POST", "entries:delete", { body: '{"selector":{"prefix":["orders"]}}' });
  emptied = deletion.json.versionstamp;
  await database.put("kept", "after");
  await menu("update", { ids: { id: "soup" }, columns: { price: 6 } });
  rewritten = (await database.put("orders/~n2", { n: "new" })).json.versionstamp;
}, 60_000);

function menu(action: string, members: object, at = "") {
  const body = JSON.stringify(members);
  return database.ask("POST", `tables/shop/menu:${action}${at === "" ? "" : `?at=${at}`}`, { body });
}

/** As clients do: a 503 is asked again. */
async function ask(method: string, path: string, body?: object, token = database.token) {
  for (let tries = 0; ; tries++) {
    const sending = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await database.ask(method, path, { ...sending, token });
    if (answer.status !== 503 || tries > 100) return answer;
    await scheduler.wait(50);
  }
}

const prefix = `prefix=${encodeURIComponent('["orders"]')}`;

describe("a read at a moment", () => {
  test("gives what was there then, whatever is there now (H24)", async () => {
    expect((await ask("GET", `entries/kept?at=${full}&values=plain`)).json.value).toBe("before");
    expect((await ask("GET", "entries/kept?values=plain")).json.value).toBe("after");
    const { entries } = (await ask("GET", `entries?at=${full}&values=plain&${prefix}`)).json;
    expect(entries.map(({ value }: { value: unknown }) => value)).toEqual(
      expect.arrayContaining([{ n: 1, changed: true }, { n: 2 }, { n: 3 }]),
    );
    expect((await ask("GET", `count?at=${emptied}&${prefix}`)).json.count).toBe(0);
    expect((await ask("POST", `entries:get?at=${full}&values=plain`, { keys: [["orders", 2]] })).json.entries).toEqual([
      expect.objectContaining({ value: { n: 2 } }),
    ]);
    expect((await ask("GET", `export?at=${full}&${prefix}`)).text.split("\n").length).toBeGreaterThan(3);
    expect((await ask("HEAD", `entries/orders/~n3?at=${emptied}`)).status).toBe(404);
  });

  test("gives documents and tables as they were, and no search (D39)", async () => {
    const soup = { ids: { id: "soup" } };
    expect((await ask("POST", `tables/shop/menu:get?at=${full}`, soup)).json.columns).toEqual({ price: 5 });
    expect((await menu("get", soup)).json.columns).toEqual({ price: 6 });
    const many = { ids: { id: "soup" }, endIds: { id: "a" } };
    expect((await menu("getMany", many, full)).json.data).toEqual([{ ...soup, columns: { price: 5 } }]);
    expect((await ask("GET", `tables/shop/menu?at=${full}`)).json).toMatchObject({ tableId: "menu", inferred: true });
    expect((await ask("GET", `tables?at=${full}`)).json.items).toHaveLength(1);
    expect((await menu("search", {}, full)).status).toBe(400);
    expect((await menu("update", { ...soup, columns: {} }, full)).status).toBe(400);
  });

  test("that there was not, or that is none, is said (H24, H11)", async () => {
    expect(await ask("GET", "entries/kept?at=yesterday")).toMatchObject({ status: 400, json: { code: "invalid" } });
    expect((await ask("GET", "entries/kept?at=2001-01-01T00:00:00Z")).status).toBe(404);
    expect((await ask("PUT", `entries/kept?at=${full}`, {})).json.detail).toContain('"at", which is not known here');
    const other = await database.another();
    expect([404, 409]).toContain((await other.ask("GET", `entries/a?at=${full}`)).status);
  });

  test("shows a token what lies under its prefix (H10)", async () => {
    const { token } = await database.newToken({ keyPrefix: ["orders", 3] });
    const { entries } = (await ask("GET", `entries?at=${full}`, undefined, token)).json;
    expect(entries.map(({ key }: { key: unknown }) => key)).toEqual([keyJson("orders", 3)]);
    expect((await ask("GET", `entries/kept?at=${full}`, undefined, token)).status).toBe(404);
  });
});

describe("the history of a key", () => {
  test("names its versions, the newest first, page by page (H25)", async () => {
    const { versions } = (await ask("GET", `history?key=${encodeURIComponent('["orders",1]')}`)).json;
    expect(versions.map(({ change }: { change: string }) => change)).toEqual(["delete", "set", "set"]);
    const [, newest, oldest] = versions;
    const at = async (stamp: string) => (await ask("GET", `entries/orders/~n1?at=${stamp}&values=plain`)).json.value;
    expect([await at(newest.versionstamp), await at(oldest.versionstamp)]).toEqual([{ n: 1, changed: true }, { n: 1 }]);
    const seen: string[] = [];
    let cursor = "";
    for (let pages = 0; pages < 10; pages++) {
      const page = (await ask("GET", `history?key=${encodeURIComponent('["orders",1]')}&limit=1${cursor}`)).json;
      seen.push(...page.versions.map(({ versionstamp }: { versionstamp: string }) => versionstamp));
      if (page.cursor === undefined) break;
      cursor = `&cursor=${page.cursor}`;
    }
    expect(seen).toEqual(versions.map(({ versionstamp }: { versionstamp: string }) => versionstamp));
  });

  test("is of that key, not of those under it, and not for who may not see it (H10, H25)", async () => {
    expect((await ask("GET", 'history?key=["orders"]')).json.versions).toEqual([]);
    const { token } = await database.newToken({ keyPrefix: ["orders"] });
    expect((await ask("GET", 'history?key=["kept"]', undefined, token)).status).toBe(403);
    expect((await ask("GET", "history")).json.detail).toMatch(/names no key/);
  });
});

describe("a diff", () => {
  test("names the keys that differ between two moments, or from then to now (H26)", async () => {
    const changesOf = (json: { changes: { key: unknown; change: string }[] }) =>
      json.changes.map(({ key, change }) => [key, change]);
    expect(changesOf((await ask("GET", `diff?from=${full}&to=${emptied}&${prefix}`)).json)).toEqual(
      expect.arrayContaining([1, 2, 3].map((n) => [keyJson("orders", n), "deleted"])),
    );
    const now = (await ask("GET", `diff?from=${full}`)).json;
    expect(changesOf(now)).toEqual(
      expect.arrayContaining([
        [keyJson("kept"), "updated"],
        [keyJson("orders", 1), "deleted"],
        [keyJson("orders", 2), "updated"],
      ]),
    );
    const two = now.changes.find(
      ({ key }: { key: unknown }) => JSON.stringify(key) === JSON.stringify(keyJson("orders", 2)),
    );
    expect(two.to).toBe(rewritten);
    expect(changesOf((await ask("GET", `diff?from=${emptied}&${prefix}`)).json)).toEqual([
      [keyJson("orders", 2), "created"],
    ]);
    const pages: unknown[] = [];
    let cursor = "";
    for (let i = 0; i < 20; i++) {
      const page = (await ask("GET", `diff?from=${full}&limit=1${cursor}`)).json;
      pages.push(...changesOf(page));
      if (page.cursor === undefined) break;
      cursor = `&cursor=${page.cursor}`;
    }
    expect(pages).toEqual(changesOf(now));
    expect((await ask("GET", "diff")).json.detail).toMatch(/^from is missing/);
    const { token } = await database.newToken({ keyPrefix: ["kept"] });
    expect(changesOf((await ask("GET", `diff?from=${full}`, undefined, token)).json)).toEqual([
      [keyJson("kept"), "updated"],
    ]);
  });
});

describe("an undelete", () => {
  const selector = { prefix: ["orders"] };
  const values = async () =>
    (await ask("GET", `entries?values=plain&${prefix}`)).json.entries.map(({ value }: { value: unknown }) => value);

  test("lists before what it would do, and is refused outside of the token's prefix (H10, H27)", async () => {
    const { json } = await ask("POST", "undelete", { at: full, selector, dryRun: true });
    expect(json).toMatchObject({ count: 2, skipped: 1, unchanged: 0 });
    expect(json.entries.map(({ key }: { key: unknown }) => key)).toEqual([keyJson("orders", 1), keyJson("orders", 3)]);
    expect(await values()).toEqual([{ n: "new" }]);
    const { token } = await database.newToken({ keyPrefix: ["kept"] });
    expect((await ask("POST", "undelete", { at: full, selector }, token)).status).toBe(403);
    const { token: writer } = await database.newToken({ permissions: ["write"] });
    expect((await ask("POST", "undelete", { at: full, selector }, writer)).status).toBe(403);
  });

  test("brings back what is gone, as one commit, and leaves what was written since (H27)", async () => {
    const { json } = await ask("POST", "undelete", { at: full, selector });
    expect(json).toMatchObject({ count: 2, skipped: 1, unchanged: 0 });
    expect(json.expired).toBeLessThanOrEqual(1);
    const { entries } = (await ask("GET", `entries?values=plain&${prefix}`)).json;
    expect(entries.map(({ value }: { value: unknown }) => value)).toEqual([
      { n: 1, changed: true },
      { n: "new" },
      { n: 3 },
    ]);
    expect(entries[0].versionstamp).toBe(entries[2].versionstamp);
    const again = { at: full, prefix: ["orders"] };
    expect((await ask("POST", "undelete", again)).json).toMatchObject({ count: 0, skipped: 3 });
  });

  test("puts back what was written since, where it is told to, and one key alone (H27)", async () => {
    const one = { at: full, key: ["orders", 2], force: true };
    expect((await ask("POST", "undelete", one)).json).toMatchObject({ count: 1 });
    expect((await values())[1]).toEqual({ n: 2 });
    const kept = { at: full, key: ["kept"] };
    expect((await ask("POST", "undelete", kept)).json).toMatchObject({ count: 0, skipped: 1 });
  });

  test.each([
    [{}, /^at is missing/],
    [{ at: "latest" }, /must name a key, a prefix or a selector/],
    [{ at: "latest", key: ["a"], selector: {} }, /must name a key, a prefix or a selector/],
    [{ at: "latest", key: "a" }, /^key is "a"; a key is an array/],
    [{ at: "never", key: ["a"] }, /is no moment/],
  ])("that is malformed is said to be: %j (H11)", async (body, why) => {
    expect(await ask("POST", "undelete", body)).toMatchObject({
      status: 400,
      json: { detail: expect.stringMatching(why) },
    });
  });
});

test("records are read as they were, one, several and a page (A21)", async () => {
  const write = (index: number) => ask("PUT", "records/coupon", { value: { index } });
  const at = (await write(1)).headers.get("cairn-versionstamp");
  await write(2);
  const indexOf = (records: Record<string, { value: { index: number } }>) => records["coupon"]?.value.index;
  expect(indexOf((await ask("GET", "records/coupon")).json)).toBe(2);
  expect(indexOf((await ask("GET", `records/coupon?at=${at}`)).json)).toBe(1);
  expect(indexOf((await ask("POST", `records:get?at=${at}`, { keys: ["coupon"] })).json)).toBe(1);
  expect(indexOf((await ask("GET", `records?at=${at}`)).json.item)).toBe(1);
  expect((await ask("DELETE", `records/coupon?at=${at}`)).status).toBe(400);
});
