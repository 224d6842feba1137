/** `POST /cdb` as a door: who is let in, when an object is called, and the form of what comes back. */
import { beforeEach, describe, expect, test } from "vitest";
import { ApiKeyIds } from "../../../src/contracts/api-key-id.ts";
import type { OpenedApiKey } from "../../../src/contracts/api-keys.ts";
import type { DatabaseStub } from "../../../src/contracts/database.ts";
import type { DocumentAnswer, DocumentRequest } from "../../../src/contracts/document-commands.ts";
import type { Grant } from "../../../src/contracts/grant.ts";
import { signingKeys } from "../../../src/contracts/signing-keys.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { MAX_CALLER_TOKEN_CHARACTERS, MAX_DOCUMENTS_BODY_BYTES } from "../../../src/core/document-limits.ts";
import { ERROR_CODES, type ErrorCode, failure, type Failure, isFailure } from "../../../src/core/errors.ts";
import { REMEMBERED_GRANT_MS } from "../../../src/core/limits.ts";
import { ApiKeyGate } from "../../../src/doors/documents/api-key-gate.ts";
import { answeringFirst } from "../../../src/doors/http/answered-first.ts";
import { cdbDoor } from "../../../src/doors/documents/cdb.ts";
import { CAIRN_SIGNING_KEYS } from "../../support/deployment-secrets.ts";
import { FakeTimers } from "../../support/fake-timers.ts";

const DATABASE = "0190f3c2-5b1e-4d6f-9a53-6c1f4b7f2a10";
const OTHER = "0190f3c2-5b1e-4d6f-9a53-6c1f4b7f2a11";
const REQUEST_ID = "5f0c1c7e-2b1a-4a57-8a2f-000000000001";
const TOKEN = "s.payload.signature";
const END = asUnixMs(8e15);

const keys = signingKeys(CAIRN_SIGNING_KEYS);
if (isFailure(keys)) throw new Error(keys.message);
const apiKeyIds = new ApiKeyIds(keys);
const { id: keyId } = await apiKeyIds.make(DATABASE, "0123456789abcdef", null);
const { id: inEurope } = await apiKeyIds.make(DATABASE, "0123456789abcdef", "eu");

const grant: Grant = { tokenId: keyId, apiKey: keyId, read: true, write: true, expiresAt: END };
const subject = { appId: "shop", tableId: "orders", action: "get" };

/** What the door asked of objects, and what they answer. */
let called: unknown[];
let key: OpenedApiKey | Failure;
let answer: DocumentAnswer | Failure | Error;
let timers: FakeTimers;
let door: ReturnType<typeof cdbDoor>;

beforeEach(() => {
  called = [];
  key = { ok: true, secret: "s", requireExpiry: false, expiresAt: null };
  answer = { ok: true, isBatch: false, results: [{ subject, result: { ok: true, json: '{"ids":{"id":"a"}}' } }] };
  timers = new FakeTimers();
  const gate = new ApiKeyGate({
    apiKeyIds,
    clock: timers,
    apiKeys: (id, jurisdiction) => ({
      openApiKey: async (opened) => {
        called.push(["open", id, jurisdiction, opened]);
        return key;
      },
    }),
    // What is signed with the secret is a token that begins so.
    verifyToken: async (token, { secret }) =>
      token.startsWith(`${secret}.`) ? { ok: true, expiresAt: END } : failure("unauthenticated", "Not signed so."),
  });
  const documents = async (by: Grant, { text, ...more }: DocumentRequest): Promise<DocumentAnswer | Failure> => {
    called.push(["documents", by, text.length > 100 ? text.length : text, more]);
    if (answer instanceof Error) throw answer;
    return answer;
  };
  door = cdbDoor({
    gate,
    // The door calls nothing else of it.
    database: (id) => ({ documents, id }) as unknown as DatabaseStub,
    clock: timers,
    timers,
    entropy: { uuid: () => REQUEST_ID, bytes: (length) => new Uint8Array(length) },
    failureOfThrown: async (error, what, wanted) => failure("unavailable", `${String(error)} ${what} ${wanted}`),
  });
});

const signed = { envid: DATABASE, keyid: keyId, authorization: `Bearer ${TOKEN}` };

async function ask(headers: Readonly<Record<string, string>> = signed, body: BodyInit = "{}", method = "POST") {
  const sent = method === "POST" ? { body } : {};
  const request = new Request("https://cairn.test/cdb?x=1", { method, headers, ...sent });
  const response = await door(request, "/cdb");
  if (response === undefined) throw new Error("expected the door to take the path");
  const text = await response.text();
  // oxlint-disable-next-line typescript/no-unsafe-assignment -- each test compares what it reads of it
  const json = text === "" ? undefined : JSON.parse(text);
  return { status: response.status, headers: response.headers, text, json };
}

test("other paths are other doors'", () => {
  for (const path of ["/cdb/", "/cdbx", "/CDB", "/api/cdb", "/"]) {
    expect(door(new Request(`https://cairn.test${path}`), path)).toBeUndefined();
  }
});

test("a request goes to the key's database, with what the key is for (D30, D35)", async () => {
  const tables = [{ appId: "shop", tableId: null }];
  key = { ok: true, secret: "s", requireExpiry: false, expiresAt: null, tables };
  const { status, text, headers } = await ask({ ...signed, envid: DATABASE.toUpperCase() }, '{"a":"ä"}');
  expect([status, text]).toEqual([200, '{"ids":{"id":"a"}}']);
  expect(headers.get("content-type")).toBe("application/json");
  expect(headers.get("cache-control")).toBe("private, no-cache");
  expect(headers.has("cairn-object")).toBe(false);
  expect(called).toEqual([
    ["open", DATABASE, null, keyId],
    ["documents", grant, '{"a":"ä"}', { tables }],
  ]);
  await ask({ ...signed, keyid: inEurope });
  expect(called[2]).toEqual(["open", DATABASE, "eu", inEurope]);
  const ofEurope = { ...grant, tokenId: inEurope, apiKey: inEurope, jurisdiction: "eu" };
  expect(called[3]).toEqual(["documents", ofEurope, "{}", { tables }]);
});

test("the longest token that is taken reaches the object (D31)", async () => {
  await ask({ ...signed, authorization: `Bearer ${"s.".padEnd(MAX_CALLER_TOKEN_CHARACTERS, "x")}` });
  expect(called).toHaveLength(2);
});

test("a key is remembered for a minute, and then the object is asked again (D33)", async () => {
  const opens = () => called.filter((call) => Array.isArray(call) && call[0] === "open").length;
  for (let i = 0; i < 3; i++) await ask();
  await ask({ ...signed, authorization: `Bearer ${TOKEN}x` });
  expect(opens()).toBe(1);
  timers.advance(REMEMBERED_GRANT_MS - 1);
  await ask({ ...signed, authorization: `Bearer ${TOKEN}y` });
  expect(opens()).toBe(1);
  timers.advance(1);
  key = failure("unauthenticated", "Gone.");
  for (let i = 0; i < 3; i++) expect((await ask()).json.title).toBe("Gone.");
  expect(opens()).toBe(2);
});

test("a key that could not be opened for another reason is tried again at once", async () => {
  key = failure("unavailable", "Soon.");
  for (let i = 0; i < 2; i++) expect((await ask()).json.title).toBe("Soon.");
  expect(called).toHaveLength(2);
});

test("a grant ends with its token or its key, whichever is first (D34)", async () => {
  const end = asUnixMs(timers.now() + 1_000);
  key = { ok: true, secret: "s", requireExpiry: false, expiresAt: end };
  await ask();
  expect(called[1]).toEqual(["documents", { ...grant, expiresAt: end }, "{}", {}]);
  timers.advance(1_000);
  expect((await ask({ ...signed, authorization: `Bearer ${TOKEN}x` })).json.title).toContain("has ended");
});

test("strangers who know the id of a key reach its object once a minute, whatever they sign (D36)", async () => {
  for (let i = 0; i < 20; i++) {
    const { status, json, headers } = await ask({ ...signed, authorization: `Bearer ${i}.payload.signature` });
    expect([status, json.type, headers.get("cairn-object")]).toEqual([
      200,
      "unauthenticated",
      i === 0 ? null : "untouched",
    ]);
  }
  expect(called).toEqual([["open", DATABASE, null, keyId]]);
});

describe("strangers call no object, and the front is told so (D36)", () => {
  const long = "x".repeat(MAX_CALLER_TOKEN_CHARACTERS + 1);
  test.each<[string, Readonly<Record<string, string>>]>([
    ["no header", {}],
    ["no envid", { keyid: keyId, authorization: `Bearer ${TOKEN}` }],
    ["no keyid", { envid: DATABASE, authorization: `Bearer ${TOKEN}` }],
    ["no token", { envid: DATABASE, keyid: keyId }],
    ["another scheme", { ...signed, authorization: `Basic ${TOKEN}` }],
    ["another database", { ...signed, envid: OTHER }],
    ["no database", { ...signed, envid: "x".repeat(10_000) }],
    ["a path", { ...signed, envid: `${DATABASE}/x` }],
    ["a made-up key", { ...signed, keyid: `key_0123456789abcdef_${"0".repeat(24)}` }],
    ["a key of another form", { ...signed, keyid: "x".repeat(10_000) }],
    ["a key that is moved", { ...signed, keyid: keyId.replace("key_0123456789abcdef_", "key_0123456789abcdef_eu_") }],
    ["two keys", { ...signed, keyid: `${keyId}, ${keyId}` }],
    ["a huge token", { ...signed, authorization: `Bearer ${long}` }],
    ["an access token", { ...signed, keyid: "", authorization: "Bearer cairn_x" }],
  ])("%s", async (_, headers) => {
    const refused = await ask(headers);
    expect([refused.status, refused.json.errCode, refused.json.type]).toEqual([200, "1", "unauthenticated"]);
    expect(refused.headers.get("cairn-object")).toBe("untouched");
    expect(refused.text.length).toBeLessThan(1_500);
    expect(called).toEqual([]);
  });
});

test("a stranger's answer comes before the body, which is taken and dropped (D36)", async () => {
  const answeredFirst = answeringFirst(timers, (bytes) => new FixedLengthStream(bytes));
  let taken = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      taken += 1;
      if (taken > 50) controller.close();
      else controller.enqueue(new Uint8Array(1_000));
    },
  });
  const request = new Request("https://cairn.test/cdb", { method: "POST", body });
  const refused = await door(request, "/cdb");
  if (refused === undefined) throw new Error("expected the door to take the path");
  expect(taken).toBeLessThan(5);
  const early = await answeredFirst(request, refused);
  expect([early.status, (await early.text()).includes("unauthenticated")]).toEqual([200, true]);
  await expect.poll(() => taken).toBe(51);
});

describe("a failure", () => {
  test("is an object with its place and its request as texts of JSON (D37)", async () => {
    const result = failure("precondition-failed", "There is such a document.");
    answer = { ok: true, isBatch: false, results: [{ subject: { ...subject, action: "create" }, result }] };
    const about = { "cf-connecting-ip": "192.0.2.1", referer: "https://a.example/b", "user-agent": "curl" };
    const { status, json } = await ask({ ...signed, ...about });
    expect(status).toBe(200);
    expect(json).toEqual({
      errCode: "ConditionCheckFail",
      type: "precondition-failed",
      title: "There is such a document.",
      detail: JSON.stringify({ envId: DATABASE, keyId, appId: "shop", tableId: "orders", action: "create" }),
      instance: JSON.stringify({
        requestId: REQUEST_ID,
        clientIP: "192.0.2.1",
        referer: "https://a.example/b",
        userAgent: "curl",
        date: new Date(timers.now()).toISOString(),
      }),
    });
  });

  test("has null for what is not known, and repeats little of what was sent (D37)", async () => {
    answer = failure("invalid", "No.");
    const { json } = await ask();
    expect(JSON.parse(json.detail)).toEqual({ envId: DATABASE, keyId, appId: null, tableId: null, action: null });
    expect(JSON.parse(json.instance)).toMatchObject({ clientIP: null, referer: null, userAgent: null });
    const odd = `${"x".repeat(199)}😀`;
    const named = { appId: odd, tableId: "\ud800", action: "a\0\n" };
    answer = { ok: true, isBatch: false, results: [{ subject: named, result: failure("invalid", "No.") }] };
    const other = await ask({ ...signed, "user-agent": "u".repeat(5_000) });
    const detail = JSON.parse(other.json.detail);
    expect([detail.appId.length, detail.tableId, detail.action]).toEqual([200, "\ufffd", "a\0\n"]);
    expect(JSON.parse(other.json.instance).userAgent).toHaveLength(200);
  });

  test.each(Object.keys(ERROR_CODES))("%s has status 200 and its own type (D37)", async (code) => {
    // The keys are the codes.
    answer = failure(code as ErrorCode, "No.");
    const { status, json } = await ask();
    const errCode = code === "precondition-failed" ? "ConditionCheckFail" : "1";
    expect([status, json.errCode, json.type]).toEqual([200, errCode, code]);
  });

  test("of a call that threw is told like any other (D37)", async () => {
    answer = new Error("broken");
    expect((await ask()).json).toMatchObject({ type: "unavailable", title: "Error: broken database write." });
  });
});

test("a batch is answered in its order, each request on its own (D38)", async () => {
  const failed = { subject: { ...subject, tableId: "x" }, result: failure("not-found", "No.") };
  const done = { subject, result: { ok: true, json: "null" } } as const;
  answer = { ok: true, isBatch: true, results: [done, failed, done] };
  const { json } = await ask();
  expect(json).toMatchObject([null, { errCode: "1", type: "not-found" }, null]);
  expect(JSON.parse(json[1].detail)).toMatchObject({ tableId: "x" });
  answer = { ok: true, isBatch: true, results: [] };
  expect((await ask()).json).toEqual([]);
});

describe("what cannot be read", () => {
  test.each<[string, BodyInit, string]>([
    ["no UTF-8", Uint8Array.of(0x7b, 0xff, 0x7d), "invalid"],
    ["compressed", Uint8Array.of(0x1f, 0x8b, 8, 0), "invalid"],
    ["a byte too many", new Uint8Array(MAX_DOCUMENTS_BODY_BYTES + 1), "limit"],
  ])("has status 400: %s (D37)", async (_, body, type) => {
    const { status, json } = await ask(signed, body);
    expect([status, json.errCode, json.type]).toEqual([400, "1", type]);
    expect(called).toHaveLength(1);
  });

  test("the largest body is taken", async () => {
    expect((await ask(signed, new Uint8Array(MAX_DOCUMENTS_BODY_BYTES).fill(0x20))).status).toBe(200);
    expect(called[1]).toMatchObject(["documents", grant, MAX_DOCUMENTS_BODY_BYTES, {}]);
  });

  test.each(["GET", "HEAD", "PUT", "DELETE", "PATCH"])("%s is not allowed (D37)", async (method) => {
    const { status, headers, json } = await ask(signed, "", method);
    expect([status, headers.get("allow"), headers.get("cairn-object")]).toEqual([405, "POST, OPTIONS", "untouched"]);
    expect(json).toMatchObject({ errCode: "1", type: "unsupported" });
    expect(called).toEqual([]);
  });
});

test("pages of every origin may ask, and read what they get (D40)", async () => {
  const origin = "https://app.example.com";
  const preflight = await ask(
    { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization,envid,keyid" },
    "",
    "OPTIONS",
  );
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get("access-control-allow-methods")).toBe("POST");
  const allowed = preflight.headers.get("access-control-allow-headers")?.split(", ");
  expect(allowed).toEqual(expect.arrayContaining(["authorization", "content-type", "envid", "keyid"]));
  for (const headers of [signed, {}]) {
    const { headers: got } = await ask({ ...headers, origin });
    expect(got.get("access-control-allow-origin")).toBe(origin);
    expect(got.get("vary")).toBe("Origin");
  }
});
