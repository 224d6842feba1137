/** One entry by HTTP: values both ways, conditions, expiry, bytes, and what is refused. */
import { beforeAll, describe, expect, test } from "vitest";
import { keyJson, RestDatabase } from "./rest-client.ts";

let database: RestDatabase;
let keys = 0;
const newKey = () => `k${(keys += 1)}`;

const stamp = expect.stringMatching(/^[0-9a-f]{16}0000$/);

beforeAll(async () => void (database = await RestDatabase.make()));

describe("a value", () => {
  test("is put and got in the notation, with its versionstamp as ETag (H1, H5)", async () => {
    const body =
      '{"type":"Map","value":[[{"type":"bigint","value":"1"},{"type":"Date","value":"2026-11-26T00:00:00.000Z"}]]}';
    const put = await database.ask("PUT", "entries/users/alice", { body });
    expect(put).toMatchObject({ status: 200, json: { ok: true, versionstamp: stamp } });
    const { versionstamp } = put.json;
    expect(put.headers.get("etag")).toBe(`"${versionstamp}"`);
    const got = await database.ask("GET", "entries/users/alice");
    expect(got.json).toEqual({ key: keyJson("users", "alice"), value: JSON.parse(body), versionstamp });
    expect(got.status).toBe(200);
    expect(got.headers.get("etag")).toBe(`"${versionstamp}"`);
    expect(got.headers.get("cairn-versionstamp")).toBe(versionstamp);
    expect(got.headers.get("content-type")).toBe("application/json");
  });

  test("is plain JSON both ways where the request says so (H6)", async () => {
    const key = newKey();
    const value = { name: "Alice", tags: ["a", null, true, 1.5], deep: { er: {} } };
    await database.put(key, value);
    expect((await database.ask("GET", `entries/${key}?values=plain`)).json.value).toEqual(value);
    expect((await database.ask("GET", `entries/${key}`, { headers: { "cairn-values": "plain" } })).json.value).toEqual(
      value,
    );
    expect((await database.ask("GET", `entries/${key}`)).json.value.type).toBe("object");
    expect(await database.ask("GET", `entries/${key}?values=yaml`)).toMatchObject({
      status: 400,
      json: { code: "invalid", detail: 'values is "yaml"; it can be plain or notation.' },
    });
  });

  test("of bytes goes as bytes, in and out (H7)", async () => {
    const key = newKey();
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i);
    const octets = { "content-type": "application/octet-stream" };
    expect((await database.ask("PUT", `entries/${key}`, { body: bytes, headers: octets })).status).toBe(200);
    const got = await database.ask("GET", `entries/${key}`);
    expect(got.json.value).toMatchObject({ type: "Uint8Array", byteLength: 300 });
    const raw = await database.raw(`entries/${key}`, { accept: "application/octet-stream" });
    expect(raw.headers.get("content-type")).toBe("application/octet-stream");
    expect(new Uint8Array(await raw.arrayBuffer())).toEqual(bytes);
    const types = async (accept: string) =>
      (await database.raw(`entries/${key}`, { accept })).headers.get("content-type");
    expect(await types("application/octet-stream, */*;q=0.1")).toBe("application/octet-stream");
    expect(await types("application/json, application/octet-stream;q=0.5")).toBe("application/json");
    const text = newKey();
    await database.put(text, "no bytes");
    expect(
      await database.ask("GET", `entries/${text}`, { headers: { accept: "application/octet-stream" } }),
    ).toMatchObject({
      status: 406,
      json: { code: "type-mismatch" },
    });
  });

  test("of bytes inside a V8 value is bytes too, and the limit of a value holds (H7)", async () => {
    const key = newKey();
    await database.ask("PUT", `entries/${key}`, { body: '{"type":"Uint8Array","value":"AQID","byteLength":3}' });
    const raw = await database.raw(`entries/${key}`, { accept: "application/octet-stream" });
    expect([...new Uint8Array(await raw.arrayBuffer())]).toEqual([1, 2, 3]);
    const octets = { "content-type": "application/octet-stream" };
    const large = await database.ask("PUT", `entries/${key}`, {
      body: new Uint8Array(1024 * 1024 + 1),
      headers: octets,
    });
    expect(large).toMatchObject({ status: 400, json: { code: "limit", detail: expect.stringContaining("1048576") } });
    const largest = await database.ask("PUT", `entries/${key}`, { body: new Uint8Array(1024 * 1024), headers: octets });
    expect(largest.status).toBe(200);
  });
});

describe("a key", () => {
  test.each([
    ["~n1.5/~i-12/~btrue/~uAP8B", '[1.5,{"type":"bigint","value":"-12"},true,{"type":"Uint8Array","value":"AP8B"}]'],
    ["~s/~~tilde/a%2Fb", '["","~tilde","a/b"]'],
  ])("of the path is that of the JSON: %s (H2)", async (path, json) => {
    await database.ask("PUT", `entries/${path}`, { body: '{"type":"number","value":7}' });
    const got = await database.ask("GET", `entries?key=${encodeURIComponent(json)}`);
    expect(got.json.value).toEqual({ type: "number", value: 7 });
    expect((await database.ask("DELETE", `entries?key=${encodeURIComponent(json)}`)).status).toBe(200);
    expect((await database.ask("GET", `entries/${path}`)).status).toBe(404);
  });

  test.each([
    ["entries/", /names no key/],
    ["entries/a/", /Segment 2 of the path of the key, "", is empty/],
    ["entries/~x", /begins with ~ and no letter of a type/],
    ["entries/%ff", /not percent-encoded UTF-8/],
    ["entries?key=nonsense", /^key is not JSON: .*\. A key is an array in JSON, like \["users",1\]\.$/],
    ["entries?key=[]", /^key has no parts/],
    ["entries/a?key=[1]", /a key in its path and one as key/],
    [`entries/${"x".repeat(2048)}`, /2050 bytes as it is stored; the limit is 2048/],
  ])("that is malformed is said to be: %s (H2, H11)", async (path, why) => {
    const got = await database.ask("GET", path);
    expect(got.status).toBe(400);
    expect(got.headers.get("content-type")).toBe("application/problem+json");
    expect(got.json.detail).toMatch(why);
  });
});

describe("no entry", () => {
  test("is 404 with a sentence that names the key, and to HEAD without it (H1)", async () => {
    const got = await database.ask("GET", "entries/not/there");
    expect(got).toMatchObject({
      status: 404,
      json: { code: "not-found", status: 404, detail: 'There is no entry with the key ["not","there"].' },
    });
    expect(await database.ask("HEAD", "entries/not/there")).toMatchObject({ status: 404, text: "" });
  });

  test("is left by a delete, also by one of nothing (H1)", async () => {
    const key = newKey();
    await database.put(key, 1);
    for (let i = 0; i < 2; i++) {
      expect(await database.ask("DELETE", `entries/${key}`)).toMatchObject({
        status: 200,
        json: { ok: true, versionstamp: stamp },
      });
    }
    expect((await database.ask("GET", `entries/${key}`)).status).toBe(404);
  });
});

describe("a condition", () => {
  const match = (tag: string) => ({ "if-match": tag });
  const none = (tag: string) => ({ "if-none-match": tag });

  test("that holds lets a write through, and one that does not is 412 with what is there (H8)", async () => {
    const key = newKey();
    const first = (await database.put(key, 1, none("*"))).json.versionstamp;
    const refused = await database.put(key, 2, none("*"));
    expect(refused).toMatchObject({
      status: 412,
      json: { status: 412, code: "conflict", versionstamp: first, detail: expect.stringContaining(first) },
    });
    expect(refused.headers.get("etag")).toBe(`"${first}"`);
    const second = (await database.put(key, 2, match(`"${first}"`))).json.versionstamp;
    expect((await database.put(key, 3, match(`"${first}"`))).json).toMatchObject({ versionstamp: second });
    expect((await database.ask("DELETE", `entries/${key}`, { headers: match(`"${first}"`) })).status).toBe(412);
    expect((await database.ask("DELETE", `entries/${key}`, { headers: match(`"${second}"`) })).status).toBe(200);
    expect((await database.put(key, 4, match(`"${second}"`))).json).toMatchObject({ status: 412, versionstamp: null });
  });

  test("of any kind that HTTP knows is judged (H8)", async () => {
    const key = newKey();
    expect((await database.put(key, 1, match("*"))).status).toBe(412);
    const first = (await database.put(key, 1)).json.versionstamp;
    const foreign = '"ffffffffffffffffffff"';
    expect((await database.put(key, 2, match(`${foreign}, "${first}"`))).status).toBe(200);
    expect((await database.put(key, 3, match(foreign))).status).toBe(412);
    expect((await database.put(key, 3, match("*"))).status).toBe(200);
    expect((await database.put(key, 4, none(`"${first}"`))).status).toBe(200);
    const { versionstamp } = (await database.ask("GET", `entries/${key}`)).json;
    expect((await database.put(key, 5, none(`W/"${versionstamp}"`))).status).toBe(412);
    expect((await database.put(key, 5, match(`W/"${versionstamp}"`))).status).toBe(412);
    expect((await database.put(key, 5, match("no tag"))).json).toMatchObject({
      status: 400,
      detail: expect.stringContaining("The header If-Match"),
    });
  });

  test("of a read is 304 without a body (H8)", async () => {
    const key = newKey();
    const { versionstamp } = (await database.put(key, 1)).json;
    const again = await database.ask("GET", `entries/${key}`, { headers: none(`"${versionstamp}"`) });
    expect(again).toMatchObject({ status: 304, text: "" });
    expect(again.headers.get("etag")).toBe(`"${versionstamp}"`);
    await database.put(key, 2);
    expect((await database.ask("GET", `entries/${key}`, { headers: none(`"${versionstamp}"`) })).status).toBe(200);
    expect((await database.ask("GET", `entries/${key}`, { headers: match(`"${versionstamp}"`) })).status).toBe(412);
  });

  test("with a token that may not read tells it nothing of what is there (H8, H10)", async () => {
    const key = newKey();
    await database.put(key, 1);
    const { token } = await database.newToken({ permissions: ["write"] });
    const refused = await database.ask("PUT", `entries/${key}`, {
      body: '{"type":"null"}',
      headers: none("*"),
      token,
    });
    expect(refused.status).toBe(412);
    expect(refused.text).not.toMatch(/[0-9a-f]{20}/);
    expect((await database.ask("DELETE", `entries/${key}`, { headers: match("*"), token })).status).toBe(403);
  });
});

describe("an expiry", () => {
  test("is set by time or by what is left, and shown (H9)", async () => {
    const [key, other] = [newKey(), newKey()];
    const at = "2099-01-02T03:04:05.678Z";
    await database.put(key, 1, { "cairn-expires-at": at });
    const got = await database.ask("GET", `entries/${key}`);
    expect(got.json.expiresAt).toBe(at);
    expect(got.headers.get("cairn-expires-at")).toBe(at);
    const before = Date.now();
    await database.ask("PUT", `entries/${other}?expireIn=60000`, { body: '{"type":"null"}' });
    const { expiresAt } = (await database.ask("GET", `entries/${other}`)).json;
    expect(Date.parse(expiresAt) - before).toBeGreaterThanOrEqual(60_000);
    expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(60_000);
    await database.put(other, 1, { "cairn-expires-at": "4070908800000" });
    expect((await database.ask("HEAD", `entries/${other}`)).headers.get("cairn-expires-at")).toBe(
      "2099-01-01T00:00:00.000Z",
    );
  });

  test.each(["2001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0"])(
    "in the past, as at %s, lets the write succeed, and leaves nothing (H9)",
    async (at) => {
      const key = newKey();
      expect((await database.put(key, 1, { "cairn-expires-at": at })).status).toBe(200);
      expect((await database.ask("GET", `entries/${key}`)).status).toBe(404);
    },
  );

  test.each([
    ["?expireIn=-1", {}, /^expireIn is "-1"; it must be a whole number from 0/],
    ["?expireIn=1e3", {}, /^expireIn/],
    ["", { "cairn-expires-at": "tomorrow" }, /^The header Cairn-Expires-At is "tomorrow"/],
    ["?expireIn=1", { "cairn-expires-at": "2099-01-01T00:00:00Z" }, /Send one of them/],
  ])("that says nothing clear is refused: %s %s (H9, H11)", async (query, headers, why) => {
    const got = await database.ask("PUT", `entries/never${query}`, { body: '{"type":"null"}', headers });
    expect(got).toMatchObject({ status: 400, json: { detail: expect.stringMatching(why) } });
  });
});

describe("what is refused", () => {
  test.each([
    ["", /The body is empty/],
    ["{", /^The body is not JSON/],
    ["1", /^value is 1; a value is an object/],
    ['{"type":"Temporal","value":1}', /^value.type is "Temporal"/],
    [`{"type":"string","value":"${"x".repeat(1024 * 1024)}"}`, /1048\d+ bytes as it is stored; the limit is 1048576/],
  ])("a body like %.30s (H11)", async (body, why) => {
    const got = await database.ask("PUT", "entries/never", { body });
    expect(got).toMatchObject({ status: 400, json: { detail: expect.stringMatching(why) } });
  });

  test("a method and a parameter that are not known (H11)", async () => {
    const patched = await database.ask("PATCH", "entries/a", { body: "{}" });
    expect(patched).toMatchObject({ status: 405, json: { code: "unsupported" } });
    expect(patched.headers.get("allow")).toBe("GET, HEAD, PUT, DELETE, OPTIONS");
    expect(await database.ask("GET", "entries/a?vlaues=plain")).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining('"vlaues", which is not known here: it takes key, values') },
    });
    expect((await database.ask("GET", "entries/a?values=plain&values=plain")).json.detail).toMatch(/more than once/);
  });
});
