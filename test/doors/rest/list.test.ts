/** Pages of entries by HTTP: selectors, order, cursors, keys alone, and where a page ends. */
import { beforeAll, describe, expect, test } from "vitest";
import { keyJson, RestDatabase } from "./rest-client.ts";

let database: RestDatabase;

beforeAll(async () => {
  database = await RestDatabase.make();
  for (let i = 0; i < 7; i++) await database.put(`n/~n${i}`, i);
  await database.put("n", "the prefix itself");
  await database.put("other", null, { "cairn-expires-at": "2099-01-01T00:00:00.000Z" });
});

// oxlint-disable-next-line typescript/no-explicit-any -- what a page has, the tests compare
type Page = any;

const key = (...parts: readonly (string | number)[]) => encodeURIComponent(JSON.stringify(parts));
const page = async (query: string, token = database.token): Promise<Page> => {
  const { status, json, text } = await database.ask("GET", `entries?values=plain&${query}`, { token });
  if (status !== 200) throw new Error(text);
  return json;
};
const values = ({ entries }: Page) => entries.map(({ value }: { value: unknown }) => value);

describe("a page", () => {
  test.each([
    ["", ["the prefix itself", 0, 1, 2, 3, 4, 5, 6, null]],
    ["prefix=[]", ["the prefix itself", 0, 1, 2, 3, 4, 5, 6, null]],
    [`prefix=${key("n")}`, [0, 1, 2, 3, 4, 5, 6]],
    [`prefix=${key("n")}&start=${key("n", 4)}`, [4, 5, 6]],
    [`prefix=${key("n")}&end=${key("n", 2)}`, [0, 1]],
    [`start=${key("n", 2)}&end=${key("n", 4)}`, [2, 3]],
    [`start=${key("n", 5)}`, [5, 6, null]],
    [`prefix=${key("n")}&reverse=true`, [6, 5, 4, 3, 2, 1, 0]],
    [`prefix=${key("nothing")}`, []],
    [`start=${key("n", 2)}&end=${key("n", 2)}`, []],
  ])("has what the selector names, in order: %s (H13)", async (query, expected) => {
    const got = await page(query);
    expect(values(got)).toEqual(expected);
    expect(got).not.toHaveProperty("cursor");
  });

  test.each(["false", "true"])(
    "goes on at its cursor, which the last one has not: reverse=%s (H14)",
    async (reverse) => {
      for (const limit of [1, 3, 7]) {
        const pages: unknown[][] = [];
        let cursor = "";
        for (let more = true; more;) {
          const got = await page(`prefix=${key("n")}&limit=${limit}&reverse=${reverse}${cursor}`);
          pages.push(values(got));
          more = got.cursor !== undefined;
          cursor = `&cursor=${got.cursor}`;
        }
        const all = [0, 1, 2, 3, 4, 5, 6];
        expect(pages.flat()).toEqual(reverse === "true" ? all.toReversed() : all);
        expect(pages.map(({ length }) => length)).toEqual(
          Array.from({ length: Math.ceil(7 / limit) }, (_, i) => Math.min(limit, 7 - i * limit)),
        );
      }
    },
  );

  test("of keys has no values, and expiries where there are any (H13)", async () => {
    const { json } = await database.ask("GET", `entries?keysOnly=true&start=${key("n", 6)}`);
    const stamp = expect.stringMatching(/^[0-9a-f]{20}$/);
    expect(json).toEqual({
      entries: [
        { key: keyJson("n", 6), versionstamp: stamp },
        { key: keyJson("other"), versionstamp: stamp, expiresAt: "2099-01-01T00:00:00.000Z" },
      ],
    });
    const reversed = await page("keysOnly=true&reverse=true&limit=1");
    expect(reversed).toMatchObject({ entries: [{ key: keyJson("other") }], cursor: expect.any(String) });
  });

  test("ends early where its entries are large, and its cursor goes on (H14)", async () => {
    const large = await database.another();
    const octets = { "content-type": "application/octet-stream" };
    for (let i = 0; i < 5; i++)
      await large.ask("PUT", `entries/large/~n${i}`, { body: new Uint8Array(700_000).fill(i), headers: octets });
    const first = await large.ask("GET", "entries?limit=1000");
    expect(first.json.entries).toHaveLength(2);
    const second = await large.ask("GET", `entries?limit=1000&cursor=${first.json.cursor}`);
    expect(second.json.entries.map((entry: Page) => entry.key)).toEqual([keyJson("large", 2), keyJson("large", 3)]);
    const last = await large.ask("GET", `entries?limit=1000&cursor=${second.json.cursor}`);
    expect(last.json.entries).toHaveLength(1);
    expect(last.json).not.toHaveProperty("cursor");
  });

  test("ends early where its text is long, whatever its bytes are (H14)", async () => {
    const dense = await database.another();
    // Each null is a byte, and 28 characters.
    const nulls = `{"type":"Array","value":[${Array(120_000).fill('{"type":"null","value":null}').join(",")}]}`;
    for (let i = 0; i < 4; i++) {
      const put = await dense.ask("PUT", `entries/~n${i}`, { body: nulls });
      expect(put.text).toContain('"ok":true');
    }
    const first = await dense.ask("GET", "entries?limit=1000");
    expect(first.json.entries).toHaveLength(2);
    const second = await dense.ask("GET", `entries?limit=1000&cursor=${first.json.cursor}`);
    expect(second.json.entries).toHaveLength(2);
    expect(second.json).not.toHaveProperty("cursor");
  });

  test("shows a token what lies under its prefix, however it asks (H10)", async () => {
    const { token } = await database.newToken({ keyPrefix: ["n", 3] });
    for (const query of ["", `prefix=${key("n")}`, `start=${key("a")}`, "reverse=true"])
      expect(values(await page(query, token))).toEqual([3]);
    expect(values(await page(`prefix=${key("other")}`, token))).toEqual([]);
    // "other" is behind the token's prefix.
    const outside = await page("reverse=true&limit=1");
    expect(values(await page(`reverse=true&cursor=${outside.cursor}`, token))).toEqual([3]);
    expect(values(await page(`cursor=${outside.cursor}`, token))).toEqual([]);
  });
});

test.each([
  ["limit=0", /^limit is "0"; it must be a whole number from 1 to 1000/],
  ["limit=1001", /^limit/],
  ["limit=ten", /^limit/],
  ["reverse=yes", /^reverse is "yes"; it must be true or false/],
  ["keysOnly=1", /^keysOnly/],
  ["prefix=users", /^prefix is not JSON: .*\. A key is an array in JSON, like \["users",1\]\.$/],
  ["prefix={}", /^prefix is an object; a key is an array/],
  ['prefix=["a"]&start=["b"]', /^start does not begin with the parts of the prefix/],
  ['start=["b"]&end=["a"]', /^start is behind end/],
  ["cursor=%00", /^cursor does not come from a page/],
  ["cursor=AAAA", /^cursor does not come from a page/],
  ['prefix=["n"]&cursor=AmEA', /^cursor belongs to another selector/],
  ["key=1&prefix=[]", /"prefix", which is not known here/],
])("what a page cannot be asked is said: %s (H11)", async (query, why) => {
  const got = await database.ask("GET", `entries?${query}`);
  expect(got).toMatchObject({ status: 400, json: { detail: expect.stringMatching(why) } });
});
