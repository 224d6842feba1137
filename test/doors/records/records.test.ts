/** TTL records over HTTP, through the Worker as it is deployed, to real objects. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { MAX_ENTRY_LINE_CHARACTERS, MAX_RECORD_KEYS, MAX_VALUE_BYTES } from "../../../src/core/limits.ts";
import { RestDatabase, type Answered } from "../rest/rest-client.ts";

let database: RestDatabase;
beforeAll(async () => void (database = await RestDatabase.make()));

const json = JSON.stringify;
const put = (path: string, body: unknown): Promise<Answered> =>
  database.ask("PUT", `records/${path}`, { body: json(body) });
const get = async (path: string) => (await database.ask("GET", `records${path}`)).json;
const check = (path: string, body: unknown): Promise<Answered> =>
  database.ask("POST", `records/${path}:checkAndWrite`, {
    body: json({ value: { by: "check" }, ...(body as object) }),
  });
const refused = async (asked: Promise<Answered>) => {
  const { status, json: body } = await asked;
  return `${status} ${body.detail}`;
};

let keys = 0;
const fresh = () => `key${(keys += 1)}`;
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe("one record", () => {
  test("is written, read and deleted (A2, A9, A10)", async () => {
    const key = fresh();
    const before = Date.now();
    const written = await put(key, { value: { index: 1 } });
    expect([written.status, written.text]).toEqual([200, "{}"]);
    expect(written.headers.get("cairn-versionstamp")).toMatch(/^[0-9a-f]{20}$/);
    const { [key]: record, ...others } = await get(`/${key}`);
    expect(others).toEqual({});
    expect(record).toEqual({
      value: { index: 1 },
      created_at: expect.stringMatching(ISO),
      expired_at: expect.stringMatching(ISO),
    });
    expect(Date.parse(record.created_at)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(record.created_at)).toBeLessThanOrEqual(Date.now());
    const day = Date.parse(record.expired_at) - before;
    expect(Math.abs(day - 86_400_000)).toBeLessThan(10_000);
    expect((await database.ask("DELETE", `records/${key}`)).text).toBe("{}");
    expect((await database.ask("DELETE", `records/${key}`)).text).toBe("{}");
    expect(await database.ask("GET", `records/${key}`)).toMatchObject({ status: 200, text: "{}" });
  });

  test("is the entry [kvs, key], which every other door sees, and the other way round (A1)", async () => {
    const key = fresh();
    await put(`${key}?namespace=shop`, { value: { type: "string", value: "no notation" }, minutesToExpire: null });
    const entry = await database.ask("GET", `entries/kvs/shop/${key}`);
    expect(entry.json.value).toMatchObject({ type: "object" });
    await database.put(`kvs/${key}`, { from: "entries" });
    expect(await get(`/${key}`)).toMatchObject({ [key]: { value: { from: "entries" }, expired_at: null } });
    // What is no record is left alone.
    await database.put(`kvs/~n5`, { n: 1 });
    await database.put(`kvs/deep/er/still`, { n: 1 });
    const { item } = await get("?pageSize=1000");
    expect(Object.keys(item)).not.toContain("5");
    expect(Object.keys(item)).not.toContain("still");
  });

  test("of a namespace and one without do not see each other, at any address (A8)", async () => {
    const key = fresh();
    const value = { index: 1 };
    for (const namespace of ["one", "two"]) await put(`${key}?namespace=${namespace}`, { value: { namespace } });
    expect(await get(`/${key}`)).toEqual({});
    expect((await get(`/${key}?namespace=one`))[key].value).toEqual({ namespace: "one" });
    const several = await database.ask("POST", "records:get?namespace=two", { body: json({ keys: [key] }) });
    expect(several.json[key].value).toEqual({ namespace: "two" });
    const condition = { value, operator: "<", unixtimeMs: 0 };
    const checked = (query: string) =>
      database.ask("POST", `records/${key}:checkAndWrite${query}`, { body: json(condition) });
    expect((await checked("?namespace=one")).status).toBe(404);
    expect((await checked("")).status).toBe(200);
    expect(Object.keys((await get("?namespace=two")).item)).toEqual([key]);
    await database.ask("DELETE", `records/${key}?namespace=one`);
    expect(await get(`/${key}?namespace=one`)).toEqual({});
    expect((await get(`/${key}`))[key].value).toEqual(value);
  });

  test("becomes new when it is written again (A4)", async () => {
    const key = fresh();
    await put(key, { value: {} });
    const first = (await get(`/${key}`))[key].created_at;
    await expect
      .poll(async () => {
        await put(key, { value: {} });
        return (await get(`/${key}`))[key].created_at > first;
      })
      .toBe(true);
  });

  test("is never returned after its expiry (A2)", async () => {
    const key = fresh();
    await put(key, { value: {}, minutesToExpire: 0.0001 });
    await expect.poll(() => get(`/${key}`)).toEqual({});
    expect((await check(key, { operator: "<", unixtimeMs: 0 })).status).toBe(200);
  });

  test.each<[unknown, number | null]>([
    [0.5, 30_000],
    [90, 5_400_000],
    [null, null],
  ])("expires after %s minutes (A5)", async (minutesToExpire, ms) => {
    const key = fresh();
    const before = Date.now();
    await put(key, { value: {}, minutesToExpire });
    const { expired_at } = (await get(`/${key}`))[key];
    const lasts = expired_at === null ? null : Date.parse(expired_at) - before;
    expect(lasts === null || ms === null ? lasts === ms : Math.abs(lasts - ms) < 10_000).toBe(true);
  });

  test("is not written over with ifAbsent (A9)", async () => {
    const key = fresh();
    expect((await put(key, { value: { n: 1 }, ifAbsent: true })).status).toBe(200);
    expect(await refused(put(key, { value: { n: 2 }, ifAbsent: true }))).toBe(
      "409 There is a record with this key already, and ifAbsent is true. Nothing was written.",
    );
    expect((await get(`/${key}`))[key].value).toEqual({ n: 1 });
  });

  test.each([".", "..", "a/b", "a b", "ключ", "50%", "a?b#c", "x:checkAndWrite", "__proto__", "\0"])(
    "may have the key %j (A7)",
    async (key) => {
      const dots = /^\.\.?$/.test(key);
      const encoded = encodeURIComponent(key);
      const path = dots ? `?key=${encoded}` : `/${encoded}`;
      expect((await database.ask("PUT", `records${path}`, { body: '{"value":{"n":1}}' })).status).toBe(200);
      const got = await get(path);
      expect(Object.keys(got)).toEqual([key]);
      const action = dots ? `records:checkAndWrite?key=${encoded}` : `records/${encoded}:checkAndWrite`;
      const body = json({ value: { n: 2 }, operator: ">=", unixtimeMs: 0 });
      expect((await database.ask("POST", action, { body })).status).toBe(200);
      expect((await database.ask("DELETE", `records${path}`)).status).toBe(200);
      expect(await get(`?key=${encoded}`)).toEqual({});
    },
  );
});

test("any key comes back from the path, the query and the body (A7)", async () => {
  const text = fc.string({ unit: "binary", minLength: 1, maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(text, text, async (key, namespace) => {
      const inNamespace = `namespace=${encodeURIComponent(namespace)}`;
      const inQuery = `records?key=${encodeURIComponent(key)}&${inNamespace}`;
      const inPath = /^\.\.?$/.test(key) ? inQuery : `records/${encodeURIComponent(key)}?${inNamespace}`;
      expect((await database.ask("PUT", inPath, { body: '{"value":{"n":1}}' })).status).toBe(200);
      for (const path of [inPath, inQuery, `records?${inNamespace}`]) {
        const { item, ...records } = (await database.ask("GET", path)).json;
        expect(Object.keys(item ?? records)).toContain(key);
      }
      const several = await database.ask("POST", `records:get?${inNamespace}`, { body: json({ keys: [key] }) });
      expect(Object.keys(several.json)).toEqual([key]);
    }),
    { numRuns: 40 },
  );
});

describe("several records", () => {
  test("come from one snapshot, each that there is, once (A3)", async () => {
    const [a, b, c] = [fresh(), fresh(), fresh()];
    await put(a, { value: { n: 1 } });
    await put(c, { value: { n: 3 } });
    const { json: got } = await database.ask("POST", "records:get", { body: json({ keys: [c, a, b, a] }) });
    expect(Object.keys(got)).toEqual([c, a]);
    expect((await database.ask("POST", "records%3Aget", { body: '{"keys":[]}' })).text).toBe("{}");
  });

  test("are at most a hundred (A3)", async () => {
    const ask = (count: number) =>
      database.ask("POST", "records:get", { body: json({ keys: Array.from({ length: count }, (_, i) => `${i}`) }) });
    expect((await ask(MAX_RECORD_KEYS)).status).toBe(200);
    expect(await refused(ask(MAX_RECORD_KEYS + 1))).toBe("400 keys has 101 members; the limit is 100.");
  });

  test("are listed in the order of their keys, a page at a time (A14)", async () => {
    const other = await database.another();
    const ask = async (query: string) => (await other.ask("GET", `records?${query}`)).json;
    for (const key of ["b", "a", "d", "c", "aa"]) await other.ask("PUT", `records/${key}`, { body: '{"value":{}}' });
    for (const key of ["a/x", "b/y"]) await other.put(`kvs/${key}`, {});
    const keysOf = async (query: string) => Object.keys((await ask(query)).item);
    expect(await keysOf("")).toEqual(["a", "aa", "b", "c", "d"]);
    expect(await keysOf("startKey=aa&stopKey=c")).toEqual(["aa", "b"]);
    expect(await keysOf("startKey=&stopKey=b")).toEqual(["a", "aa"]);
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const page: { item: object; isMoreResults: boolean; endCursor: string | null } = await ask(
        `pageSize=2&stopKey=d${cursor === null ? "" : `&startCursor=${cursor}`}`,
      );
      found.push(...Object.keys(page.item));
      cursor = page.endCursor;
      expect(page.isMoreResults).toBe(cursor !== null);
    } while (cursor !== null);
    expect(found).toEqual(["a", "aa", "b", "c"]);
    expect(await keysOf("namespace=a")).toEqual(["x"]);
  });

  test("are thirty in a page that says nothing (A14)", async () => {
    const other = await database.another();
    const mutations = Array.from({ length: 40 }, (_, i) => ({ type: "set", key: ["kvs", `${i + 100}`], value: { i } }));
    await other.ask("POST", "atomic?values=plain", { body: json({ mutations }) });
    const { json: page } = await other.ask("GET", "records");
    expect(Object.keys(page.item)).toHaveLength(30);
    expect(page.isMoreResults).toBe(true);
  });

  test("of a namespace are cleared, and nothing else is (A15)", async () => {
    const other = await database.another();
    const set = (...key: string[]) => ({ type: "set", key: ["kvs", ...key], value: {} });
    const many = Array.from({ length: 900 }, (_, i) => set("full", `${i}`));
    const others = [set("full"), set("fuller", "a"), set("full", "deep", "er"), set("b")];
    await other.ask("POST", "atomic?values=plain", { body: json({ mutations: [...many, ...others] }) });
    expect((await other.ask("POST", "records:clear?namespace=full")).json).toEqual({
      deleted: 900,
      isMoreResults: false,
      endCursor: null,
    });
    expect((await other.ask("GET", "count")).json.count).toBe(4);
    expect((await other.ask("POST", "records:clear")).json.deleted).toBe(2);
    expect((await other.ask("GET", "count")).json.count).toBe(2);
  });

  test("of a large namespace are cleared by several requests (A15)", async () => {
    const other = await database.another();
    const line = (i: number) => `{"key":["kvs","big","${i}"],"value":{}}`;
    const body = Array.from({ length: 10_001 }, (_, i) => line(i)).join("\n");
    await other.ask("POST", "import?values=plain", { body });
    const { json: first } = await other.ask("POST", "records:clear?namespace=big");
    expect(first).toMatchObject({ deleted: 10_000, isMoreResults: true });
    const { json: second } = await other.ask("POST", `records:clear?namespace=big&startCursor=${first.endCursor}`);
    expect(second).toEqual({ deleted: 1, isMoreResults: false, endCursor: null });
  });
});

describe("checkAndWrite", () => {
  test("writes where there is no record, whatever its condition (A11)", async () => {
    for (const operator of ["=", "<", "<=", ">", ">="]) {
      const key = fresh();
      expect(await check(key, { operator, unixtimeMs: 0 })).toMatchObject({ status: 200, text: "{}" });
      expect((await get(`/${key}`))[key].value).toEqual({ by: "check" });
    }
  });

  test("compares created_at, to the millisecond (A11)", async () => {
    const key = fresh();
    await put(key, { value: { by: "write" } });
    const at = Date.parse((await get(`/${key}`))[key].created_at);
    const results: Record<string, number> = {};
    for (const [operator, unixtimeMs] of [
      ["=", at + 1],
      ["<", at],
      ["<=", at - 1],
      [">", at],
      [">=", at + 1],
    ] as const) {
      results[operator] = (await check(key, { operator, unixtimeMs })).status;
    }
    expect(results).toEqual({ "=": 404, "<": 404, "<=": 404, ">": 404, ">=": 404 });
    expect((await get(`/${key}`))[key].value).toEqual({ by: "write" });
    expect(await refused(check(key, { operator: "<", unixtimeMs: at }))).toBe(
      `404 The record is there, and its created_at is not < ${at}. Nothing was written.`,
    );
    expect((await check(key, { operator: "=", unixtimeMs: at })).status).toBe(200);
  });

  test("of fifty that are sent together one writes, and 49 get 409 (A12)", async () => {
    const key = fresh();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        check(key, { value: { n }, operator: "<", unixtimeMs: Date.now() - 300_000 }),
      ),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, ...Array(49).fill(409)]);
    expect((await get(`/${key}`))[key].value).toEqual({ n: statuses.indexOf(200) });
    expect(answers.find(({ status }) => status === 409)?.json).toMatchObject({ code: "conflict" });
  });

  test("takes an expiry like a write (A5)", async () => {
    const key = fresh();
    await check(key, { operator: "<", unixtimeMs: 0, minutesToExpire: null });
    expect((await get(`/${key}`))[key].expired_at).toBeNull();
  });
});

describe("what is wrong is told (A17)", () => {
  const write = (path: string, body: string) => refused(database.ask("PUT", `records${path}`, { body }));
  const w = (body: string) => write("/k", body);

  test.each([
    ["", "The body is missing; it must be an object like"],
    ["[]", "The body is an array; it must be an object like"],
    ["{", "The body is not JSON:"],
    ["{}", 'value is missing; it must be an object, like {"index":1}.'],
    ['{"value":null}', "value is null; it must be an object"],
    ['{"value":[1]}', "value is an array; it must be an object"],
    ['{"value":"a"}', 'value is "a"; it must be an object'],
    ['{"value":{"a":NaN}}', "The body is not JSON:"],
    ['{"value":{},"minutesToExpire":0}', "minutesToExpire is 0; it must be a number above 0"],
    ['{"value":{},"minutesToExpire":-1}', "minutesToExpire is -1; it must be a number above 0"],
    ['{"value":{},"minutesToExpire":"5"}', 'minutesToExpire is "5"; it must be a number above 0'],
    ['{"value":{},"minutesToExpire":1e400}', "minutesToExpire is Infinity; the limit is"],
    ['{"value":{},"minutesToExpire":1e12}', "minutesToExpire is 1000000000000; the limit is"],
    ['{"value":{},"minutestoexpire":5}', 'The body has "minutestoexpire", which is not known here: it takes value,'],
    ['{"value":{},"ifAbsent":1}', "The body.ifAbsent is 1; it must be true or false."],
    [`{"value":${"[".repeat(3)}${"]".repeat(3)}}`, "value is an array"],
    [`{"value":{"a":${"[".repeat(600)}${"]".repeat(600)}}}`, "value: a value nested deeper than 500 levels"],
  ])("of a body: %.60s", async (body, message) => {
    const said = await w(body);
    expect(said).toContain(`400 ${message}`);
    expect(said).toMatch(/\.$/);
  });

  test("of a value that is too large, in the words that programs look for (A6)", async () => {
    const words = `400 The value size should be less than ${MAX_VALUE_BYTES + 1} bytes: `;
    expect(await w(json({ value: { a: "x".repeat(MAX_VALUE_BYTES) } }))).toContain(words);
    expect(await w(json({ value: { a: "x".repeat(MAX_ENTRY_LINE_CHARACTERS) } }))).toContain(words);
  });

  test.each([
    ["/", "key is empty; it must have at least one character."],
    ["?key=", "key is empty; it must have at least one character."],
    ["/a?key=b", "The request names a key in its path and one as key. Name one."],
    ["/a/b", "The path has a slash behind records/ that is not part of a key"],
    ["/%ff", "The key in the path is not percent-encoded UTF-8"],
    ["/%", "The key in the path is not percent-encoded UTF-8"],
    ["/a?namespace=", "namespace is empty"],
    ["/a?namespace=a&namespace=b", "The query has namespace more than once."],
    ["/a?expireIn=5", 'The query has "expireIn", which is not known here: it takes key, namespace.'],
    [`/${"x".repeat(2049)}`, "key is too long: the record's key has 2056 bytes as it is stored; the limit is 2048."],
    [`/${"%41".repeat(6000)}`, "The path of the key has 18000 characters; the limit is 16384."],
  ])("of a key: %.40s (A7)", async (path, message) => {
    expect(await write(path, '{"value":{}}')).toContain(`400 ${message}`);
  });

  test.each([
    [{}, "operator is missing; it must be"],
    [{ operator: "==", unixtimeMs: 0 }, 'operator is "=="; it must be "=", "<", "<=", ">", ">=".'],
    [{ operator: "<" }, "unixtimeMs is missing; it must be milliseconds since 1970, like 1795694400000."],
    [{ operator: "<", unixtimeMs: "0" }, 'unixtimeMs is "0"; it must be milliseconds'],
    [{ operator: "<", unixtimeMs: null }, "unixtimeMs is null; it must be milliseconds"],
    [{ operator: "<", unixtimeMs: 0, ifAbsent: true }, 'The body has "ifAbsent", which is not known here'],
    [{ operator: "<", unixtimeMs: 0, value: 1 }, "value is 1; it must be an object"],
  ])("of a condition: %j (A11)", async (body, message) => {
    expect(await refused(check(fresh(), body))).toContain(`400 ${message}`);
  });

  test.each([
    ["{}", "keys is missing; it must be an array."],
    ['{"keys":"a"}', 'keys is "a"; it must be an array.'],
    ['{"keys":["a",1]}', "keys[1] is 1; it must be a string."],
    ['{"keys":[""]}', "keys[0] is empty; it must have at least one character."],
    ['{"keys":["\\ud800"]}', "keys[0] has half of a surrogate pair"],
    ['{"keys":[],"namespace":"a"}', 'The body has "namespace", which is not known here: it takes keys.'],
  ])("of keys: %s (A3)", async (body, message) => {
    expect(await refused(database.ask("POST", "records:get", { body }))).toContain(`400 ${message}`);
  });

  test.each([
    ["pageSize=0", 'pageSize is "0"; it must be a whole number from 1 to 1000.'],
    ["pageSize=1001", 'pageSize is "1001"; it must be a whole number from 1 to 1000.'],
    ["pageSize=x", 'pageSize is "x"; it must be a whole number'],
    ["startCursor=!", "startCursor is no endCursor of a page"],
    ["startCursor=Amt2cwACYQA&startKey=b", "startCursor is no endCursor of a page"],
    ["startCursor=AmEA", "startCursor is no endCursor of a page"],
    ["limit=5", 'The query has "limit", which is not known here: it takes startKey,'],
  ])("of a page: %s (A14)", async (query, message) => {
    expect(await refused(database.ask("GET", `records?${query}`))).toContain(`400 ${message}`);
  });

  test.each([
    ["POST", "records/a", "405 POST is not allowed here: this address takes GET, HEAD, PUT, DELETE, OPTIONS."],
    ["PATCH", "records/a", "405"],
    ["PUT", "records", "405"],
    ["GET", "records:clear", "405"],
    ["DELETE", "records", "405"],
  ])("of a method: %s %s", async (method, path, message) => {
    expect(await refused(database.ask(method, path))).toContain(message);
  });

  test("whatever is sent is answered with 200 or 400, and the object goes on (A17)", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("records/k", "records/k:checkAndWrite", "records:get", "records:checkAndWrite?key=k"),
        fc.oneof(
          fc.json(),
          fc.string(),
          fc
            .record(
              {
                value: fc.jsonValue(),
                minutesToExpire: fc.oneof(fc.jsonValue(), fc.double()),
                operator: fc.oneof(fc.constantFrom("=", "<", ">="), fc.jsonValue()),
                unixtimeMs: fc.oneof(fc.jsonValue(), fc.double()),
                keys: fc.oneof(fc.array(fc.string()), fc.jsonValue()),
              },
              { requiredKeys: [] },
            )
            .map((body) => json(body)),
        ),
        async (path, body) => {
          const method = path === "records/k" ? "PUT" : "POST";
          const { status } = await database.ask(method, path, { body });
          expect([200, 400, 404]).toContain(status);
        },
      ),
      { numRuns: 150 },
    );
    expect((await put("k", { value: { still: "here" } })).status).toBe(200);
  });
});

describe("a token with a key prefix (A18)", () => {
  test("does what it may in its namespace, and nothing elsewhere", async () => {
    const { token } = await database.newToken({ keyPrefix: ["kvs", "mine"] });
    const ask = async (method: string, path: string, body?: string) => {
      const answer = await database.ask(method, path, { token, ...(body === undefined ? {} : { body }) });
      return answer.status;
    };
    const body = '{"value":{"n":1}}';
    const condition = '{"value":{"n":1},"operator":">=","unixtimeMs":0}';
    await put("theirs", { value: {} });
    expect(await ask("PUT", "records/a?namespace=mine", body)).toBe(200);
    expect(await ask("POST", "records/b:checkAndWrite?namespace=mine", condition)).toBe(200);
    expect(await ask("PUT", "records/a", body)).toBe(403);
    expect(await ask("PUT", "records/a?namespace=mines", body)).toBe(403);
    expect(await ask("POST", "records/a:checkAndWrite", condition)).toBe(403);
    expect(await ask("DELETE", "records/theirs")).toBe(403);
    expect(await ask("POST", "records:clear")).toBe(403);
    // A read shows what lies under the prefix. The namespace's own name is a key, which is the prefix.
    expect((await database.ask("GET", "records", { token })).json.item).toEqual({});
    expect((await database.ask("GET", "records/theirs", { token })).json).toEqual({});
    const { item } = (await database.ask("GET", "records?namespace=mine", { token })).json;
    expect(Object.keys(item)).toEqual(["a", "b"]);
    expect(await ask("POST", "records:clear?namespace=mine")).toBe(200);
    expect((await database.ask("GET", "records?namespace=mine", { token })).json.item).toEqual({});
  });
});
