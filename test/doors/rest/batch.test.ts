/** Several entries by HTTP: batches, atomic writes, counts. */
import { beforeAll, describe, expect, test } from "vitest";
import { keyJson, RestDatabase } from "./rest-client.ts";

let database: RestDatabase;

beforeAll(async () => {
  database = await RestDatabase.make();
  for (let i = 0; i < 3; i++) await database.put(`n/~n${i}`, i);
  await database.put("mine", "mine");
});

const stamp = expect.stringMatching(/^[0-9a-f]{20}$/);
const post = (path: string, body: unknown, token = database.token) =>
  database.ask("POST", path, { body: typeof body === "string" ? body : JSON.stringify(body), token });

describe("a batch", () => {
  test("has the entries in the order asked, null where there is none (H15)", async () => {
    const keys = [["n", 2], ["nothing"], ["n", 0], keyJson("n", 2)];
    const { status, json } = await post("entries:get?values=plain", { keys });
    expect(status).toBe(200);
    expect(json).toEqual({
      entries: [
        { key: keyJson("n", 2), value: 2, versionstamp: stamp },
        null,
        { key: keyJson("n", 0), value: 0, versionstamp: stamp },
        { key: keyJson("n", 2), value: 2, versionstamp: stamp },
      ],
    });
    expect((await post("entries%3Aget", { keys: [] })).json).toEqual({ entries: [] });
    const many = await post("entries:get", { keys: Array.from({ length: 1000 }, (_, i) => ["n", i]) });
    expect(many.json.entries.filter((entry: unknown) => entry !== null)).toHaveLength(3);
  });

  test("shows a token what lies under its prefix (H10)", async () => {
    const { token } = await database.newToken({ keyPrefix: ["n", 1], permissions: ["read"] });
    const { json } = await post("entries:get?values=plain", { keys: [["n", 0], ["n", 1], ["mine"]] }, token);
    expect(json.entries).toEqual([null, expect.objectContaining({ value: 1 }), null]);
  });

  test.each([
    ["[]", /^The body is an array; it must be an object like/],
    ["{}", /^keys is missing; it must be an array/],
    ['{"keys":[["a"],"b"]}', /^keys\[1\] is "b"; a key is an array/],
    [JSON.stringify({ keys: Array.from({ length: 1001 }, () => ["a"]) }), /^keys has 1001 members; the limit is 1000/],
    ["x".repeat(2 * 1024 * 1024 + 1), /2097153 bytes; the limit is 2097152/],
    ["{", /^The body is not JSON/],
  ])("that is malformed is said to be: %.30s (H11)", async (body, why) => {
    const { status, json } = await post("entries:get", body);
    expect([status, json.detail]).toEqual([400, expect.stringMatching(why)]);
  });

  test("has ten of the largest values, and is an error, whole, where its entries are larger together (H15)", async () => {
    const octets = { "content-type": "application/octet-stream" };
    const body = new Uint8Array(1024 * 1024);
    for (let i = 0; i < 12; i++) await database.ask("PUT", `entries/large/~n${i}`, { body, headers: octets });
    const batch = (count: number) =>
      post("entries:get", { keys: Array.from({ length: count }, (_, i) => ["large", i]) });
    const several = await Promise.all([batch(10), batch(10), batch(10), batch(1)]);
    expect(several.map(({ status, json }) => [status, json.entries.length])).toEqual([
      [200, 10],
      [200, 10],
      [200, 10],
      [200, 1],
    ]);
    const { status, json } = await batch(12);
    expect([status, json.code]).toEqual([400, "limit"]);
  });
});

describe("an atomic write", () => {
  test("is carried out whole, with one versionstamp (H16)", async () => {
    const { status, json } = await post("atomic?values=plain", {
      checks: [{ key: ["w", "a"], versionstamp: null }],
      mutations: [
        { type: "set", key: ["w", "a"], value: { n: 1 } },
        { type: "set", key: ["w", "log"], value: "first", versionstampedKey: true },
        { type: "sum", key: ["w", "u"], value: { type: "KvU64", value: "2" } },
        { type: "set", key: ["w", "e"], value: 1, expireIn: 60_000 },
        { type: "delete", key: ["w", "nothing"] },
      ],
    });
    expect([status, json]).toEqual([200, { ok: true, versionstamp: stamp }]);
    const { versionstamp } = json;
    const { entries } = (await database.ask("GET", `entries?values=plain&prefix=["w"]`)).json;
    expect(entries).toEqual([
      { key: keyJson("w", "a"), value: { n: 1 }, versionstamp },
      { key: keyJson("w", "e"), value: 1, versionstamp, expiresAt: expect.any(String) },
      { key: keyJson("w", "log", versionstamp), value: "first", versionstamp },
      { key: keyJson("w", "u"), value: { type: "KvU64", value: "2" }, versionstamp },
    ]);
  });

  test("whose checks fail says which, as 409 or as asked for (H16)", async () => {
    const wish = {
      checks: [
        { key: ["never"], versionstamp: null },
        { key: ["mine"], versionstamp: null },
        { key: ["mine"], versionstamp: "00000000000000010000" },
      ],
      mutations: [{ type: "delete", key: ["mine"] }],
    };
    const refused = await post("atomic", wish);
    expect(refused).toMatchObject({ status: 409, json: { code: "conflict", ok: false, failedChecks: [1, 2] } });
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    expect(await post("atomic?conflict=200", wish)).toMatchObject({
      status: 200,
      json: { ok: false, failedChecks: [1, 2] },
    });
    expect((await database.ask("GET", "entries/mine")).status).toBe(200);
  });

  test.each([
    ["{", /^The body is not JSON/],
    ["", /^The body is missing; it must be an object like/],
    ['{"mutations":{}}', /^mutations is an object; it must be an array/],
    ['{"mutations":[{"type":"put","key":["a"]}]}', /^mutations\[0\].type is "put"; it must be "set"/],
    ['{"mutations":[{"type":"set","key":[],"value":{"type":"null"}}]}', /^mutations\[0\].key has no parts/],
    ['{"mutations":[{"type":"set","key":["a"]}]}', /^mutations\[0\].value is missing/],
    [
      '{"mutations":[{"type":"set","key":["a"],"value":{"type":"null"},"expireIn":-1}]}',
      /^mutations\[0\].expireIn is -1/,
    ],
    ['{"checks":[{"key":["a"],"versionstamp":"new"}]}', /^checks\[0\].versionstamp is "new"/],
    [JSON.stringify({ mutations: Array(1001).fill(1) }), /^mutations has 1001 members; the limit is 1000/],
    ['{"mutations":[{"type":"sum","key":["mine"],"value":{"type":"KvU64","value":"1"}}]}', /^Failed to perform 'sum'/],
  ])("that is malformed is said to be, and writes nothing: %.60s (H11)", async (body, why) => {
    const { status, json } = await post("atomic", body);
    expect([status, json.detail]).toEqual([400, expect.stringMatching(why)]);
  });

  test("that would enqueue is not known here (H16)", async () => {
    expect(await post("atomic", { enqueues: [{ value: 1 }] })).toMatchObject({
      status: 501,
      json: { code: "unsupported" },
    });
    expect((await post("atomic", {})).json).toEqual({ ok: true, versionstamp: stamp });
  });

  test("is refused where it names a key outside the prefix, also to check it (H10)", async () => {
    const { token } = await database.newToken({ keyPrefix: ["n"] });
    const value = { type: "null" };
    for (const wish of [
      { checks: [{ key: ["mine"], versionstamp: null }] },
      {
        mutations: [
          { type: "set", key: ["n", 9], value },
          { type: "delete", key: ["mine"] },
        ],
      },
    ]) {
      expect(await post("atomic", wish, token)).toMatchObject({ status: 403, json: { code: "forbidden" } });
    }
    expect((await database.ask("GET", "entries/n/~n9")).status).toBe(404);
    const { token: reader } = await database.newToken({ permissions: ["read"] });
    expect((await post("atomic", {}, reader)).status).toBe(403);
  });
});

describe("a count", () => {
  const count = async (query: string, token = database.token) =>
    (await database.ask("GET", `count?${query}`, { token })).json;

  test("is of the keys that the selector names, at a version (H17)", async () => {
    expect(await count('prefix=["n"]')).toEqual({ count: 3, versionstamp: stamp });
    expect(await count('prefix=["n"]&start=["n",1]')).toMatchObject({ count: 2 });
    expect(await count('prefix=["nothing"]')).toMatchObject({ count: 0 });
    const before = (await count("")).count;
    await database.put("one-more", 1);
    const { versionstamp } = (await database.put("one-more", 2)).json;
    expect(await count("")).toMatchObject({ count: before + 1 });
    expect((await count("")).versionstamp >= versionstamp).toBe(true);
    expect((await database.ask("GET", "count?limit=1")).status).toBe(400);
  });

  test("does not count what a token may not see (H10)", async () => {
    const { token } = await database.newToken({ keyPrefix: ["n", 1] });
    expect(await count("", token)).toMatchObject({ count: 1 });
    expect(await count('prefix=["large"]', token)).toMatchObject({ count: 0 });
  });
});
