/** Requests put together at random from good and bad pieces: none is an error of the server, and each that is refused says why. */
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { type Answered, RestDatabase } from "./rest-client.ts";

let database: RestDatabase;
let reader: string;

beforeAll(async () => {
  database = await RestDatabase.make();
  ({ token: reader } = await database.newToken({ keyPrefix: ["k"], permissions: ["read"] }));
  for (let i = 0; i < 5; i++) await database.put(`k/~n${i}`, { i });
});

const part = fc.oneof(
  fc.constantFrom(
    "k",
    "~n1",
    "~nNaN",
    "~n-0",
    "~i-12",
    "~btrue",
    "~uAP8B",
    "~s",
    "~~",
    "~x",
    "~",
    "%",
    "%ff",
    "%00",
    ".",
    "..",
    "",
    "a%2Fb",
    "ü",
  ),
  fc.string({ unit: "binary", maxLength: 5 }),
);
const json: fc.Arbitrary<string> = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.constantFrom(
    "[]",
    '["k"]',
    '["k",1]',
    "[[]]",
    '[{"type":"bigint","value":"x"}]',
    '[{"type":"Uint8Array","value":"?"}]',
    "{",
    "\ufeff[1]",
    "[1e999]",
    '["\\ud800"]',
  ),
);
const query = fc.dictionary(
  fc.constantFrom(
    "key",
    "prefix",
    "start",
    "end",
    "limit",
    "reverse",
    "cursor",
    "keysOnly",
    "values",
    "expireIn",
    "conflict",
    "overwrite",
    "from",
    "throwOnError",
    "access_token",
    "offset",
    "x",
  ),
  fc.oneof(json, fc.constantFrom("true", "plain", "1", "-1", "1000", "9007199254740993", "AmEA", "-1")),
  { maxKeys: 3 },
);
const value = fc.oneof(
  json,
  fc.constantFrom(
    '{"type":"string","value":1}',
    '{"type":"v8","value":"AAAA"}',
    '{"type":"Map","value":[[1]]}',
    '{"type":"RegExp","value":"/(/"}',
    '{"type":"KvU64","value":"-1"}',
  ),
);
const body = fc.oneof(
  value,
  json.map((keys) => `{"keys":${keys}}`),
  json.map((prefix) => `{"selector":{"prefix":${prefix}},"dryRun":true}`),
  fc
    .tuple(json, value)
    .map(([key, set]) => `{"mutations":[{"type":"set","key":${key},"value":${set}}],"checks":${key}}`),
  fc
    .array(fc.tuple(json, value))
    .map((lines) => lines.map(([key, set]) => `{"key":${key},"value":${set}}`).join("\r\n")),
  fc.string({ unit: "binary" }),
);
const path = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .array(part, { maxLength: 4 })
      .map(
        (parts) =>
          `entries/${parts.map((one) => (/^[~%.]/.test(one) ? one : encodeURIComponent(one.toWellFormed()))).join("/")}`,
      ),
  },
  fc.constantFrom(
    "entries",
    "entries:get",
    "entries:delete",
    "atomic",
    "count",
    "export",
    "import",
    "jobs/x",
    "entries%3aget",
    "feed",
  ),
);
const headers = fc.dictionary(
  fc.constantFrom(
    "if-match",
    "if-none-match",
    "cairn-expires-at",
    "cairn-values",
    "accept",
    "content-type",
    "content-encoding",
  ),
  fc.constantFrom(
    "*",
    '"00000000000000010000"',
    "W/x",
    "plain",
    "application/octet-stream",
    "gzip",
    "2099-01-01T00:00:00Z",
    "tomorrow",
    "",
  ),
  { maxKeys: 2 },
);
const request = fc.record({
  method: fc.constantFrom("GET", "GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"),
  path,
  query,
  headers,
  body,
  asReader: fc.boolean(),
});

function isExplained({ status, text, json: problem, headers: sent }: Answered, method: string): boolean {
  if (status < 400 || method === "HEAD") return text === "" || status === 200;
  const isProblem = sent.get("content-type") === "application/problem+json";
  return isProblem && problem.status === status && /[^.\s][.?!…]$/.test(problem.detail);
}

test("a key of dots that a client takes out of the path deletes no database", async () => {
  for (const where of ["entries/..", "entries/a/../..", "entries/%2e%2e", ""]) {
    const answered = await database.ask("DELETE", where, { token: database.token });
    expect([where, answered.status, answered.json.code]).toEqual([where, 404, "not-found"]);
  }
  const head = await database.ask("HEAD", "entries/..", { token: database.token });
  expect([head.status, head.text]).toEqual([404, ""]);
  expect((await database.put("before", 1)).status).toBe(200);
});

test("no request is an error of the server, and each that is refused says why (H11)", async () => {
  await fc.assert(
    fc.asyncProperty(request, async ({ method, path: where, query: asked, headers: sent, body: text, asReader }) => {
      const search = new URLSearchParams(asked);
      const takesBody = method !== "GET" && method !== "HEAD";
      const answered = await database.ask(method, `${where}?${search}`, {
        headers: sent,
        ...(takesBody ? { body: text } : {}),
        token: asReader ? reader : database.token,
      });
      expect([200, 204, 304, 400, 401, 403, 404, 405, 406, 409, 412, 501]).toContain(answered.status);
      expect(isExplained(answered, method)).toBe(true);
    }),
    { numRuns: 1500 },
  );
  expect((await database.put("after", 1)).status).toBe(200);
});
