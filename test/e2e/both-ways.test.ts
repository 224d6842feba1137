/**
 * A data request is answered the same by the front, which carries it over a session, and by the Worker itself: status, headers and body,
 * over HTTP/1.1 and HTTP/2, whatever is wrong with it.
 */
import { request, type IncomingHttpHeaders } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startManagedServer, Tenant } from "../support/management.ts";
import { MutationType, ValueEncoding } from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";
import { encodeRead, encodeWrite, rawKey, rawPoint, rawPrefix, rawSet } from "../support/raw-connect.ts";
import { SIGNING_KEYS, signDataToken } from "../support/data-token.ts";

const server = await startManagedServer({ CAIRN_SIGNING_KEYS: SIGNING_KEYS });
const tenant = await Tenant.make(server);
const databaseId = await tenant.newDatabase();
const session = connectHttp2(server.url);

afterAll(async () => {
  session.destroy();
  await server.close();
});

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

type Answer = readonly [status: number, headers: Readonly<Record<string, unknown>>, body: string];

/** What an answer says, without what is of its connection. */
function answerOf(status: number | undefined, headers: IncomingHttpHeaders, body: Buffer): Answer {
  const ofConnection = new Set(["connection", "keep-alive", "date", "transfer-encoding", "content-length", ":status"]);
  const kept = Object.entries(headers).filter(([name]) => !ofConnection.has(name));
  return [status ?? 0, Object.fromEntries(kept), body.toString("latin1")];
}

/** Over HTTP/1.1, at a URL or a Unix socket. */
async function overHttp1(at: object, { method, path, headers, body }: Request): Promise<Answer> {
  const sent = request({ ...at, agent: false, method, path, headers: { ...headers, "content-length": body.length } });
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  sent.on("response", (answer) => {
    buffer(answer).then((whole) => resolve(answerOf(answer.statusCode, answer.headers, whole)), reject);
  });
  sent.on("error", reject);
  sent.end(body);
  return promise;
}

async function overHttp2({ method, path, headers, body }: Request): Promise<Answer> {
  const stream = session.request({ ":method": method, ":path": path, ...headers, "content-length": body.length });
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  stream.on("response", ({ ":status": status, ...answered }) => {
    buffer(stream).then((whole) => resolve(answerOf(status, answered, whole)), reject);
  });
  stream.on("error", reject);
  stream.end(body);
  return promise;
}

const front = { host: "127.0.0.1", port: new URL(server.url).port };
const worker = { socketPath: join(server.folder, "data/run/http.sock") };

/** Each commit has a versionstamp of its own. */
function withoutStamp({ path }: Request, [status, headers, body]: Answer): Answer {
  const isCommit = status === 200 && path.endsWith("/atomic_write");
  return [status, headers, isCommit ? `${body.length} bytes` : body];
}

async function expectSame(sent: Request): Promise<Answer> {
  const byWorker = withoutStamp(sent, await overHttp1(worker, sent));
  const byFront = [await overHttp1(front, sent), await overHttp2(sent)].map((answer) => withoutStamp(sent, answer));
  expect(byFront).toEqual([byWorker, byWorker]);
  return byWorker;
}

const [a, b, number] = [rawKey("a"), rawKey("b"), rawKey("number")];
const manyKeys = Array.from({ length: 11 }, (_, i) => ({ ...rawPoint(rawKey(i)) }));
/** Those that change something are about what no read looks at. */
const bodies = {
  point: encodeRead({ ranges: [rawPoint(a)] }),
  ranges: encodeRead({ ranges: [rawPrefix("many"), rawPoint(b), { ...rawPrefix("many"), limit: 2, reverse: true }] }),
  "too many ranges": encodeRead({ ranges: manyKeys }),
  "a limit of 0": encodeRead({ ranges: [{ ...rawPoint(a), limit: 0 }] }),
  "a range that ends before it begins": encodeRead({ ranges: [{ start: b, end: a, limit: 1 }] }),
  "a failing check": encodeWrite({ checks: [{ key: a, versionstamp: new Uint8Array(0) }] }),
  "a bad key": encodeWrite({ mutations: [rawSet(Uint8Array.of(9), Uint8Array.of(1))] }),
  "a sum of other types": encodeWrite({
    mutations: [
      { key: a, mutationType: MutationType.SUM, value: { data: new Uint8Array(8), encoding: ValueEncoding.LE64 } },
    ],
  }),
  "a value just small enough": encodeWrite({ checks: [{ key: a }], mutations: [rawSet(b, new Uint8Array(60_000))] }),
  "a large read": encodeRead({ ranges: [{ ...rawPrefix("large"), limit: 100 }] }),
  garbage: Uint8Array.of(0xff, 0xff, 0xff, 1, 2, 3),
  compressed: new Uint8Array(gzipSync("{}")),
  "more than a read may have": new Uint8Array(65_537),
  nothing: new Uint8Array(0),
} as const;
const bodyNames = Object.keys(bodies).filter((name): name is keyof typeof bodies => name in bodies);

const tokens: Record<string, string> = {};

beforeAll(async () => {
  const connect = await tenant.connect(databaseId);
  await connect.write({
    mutations: [rawSet(a, Uint8Array.of(1)), rawSet(number, new Uint8Array(8), ValueEncoding.LE64)],
  });
  await connect.write({
    mutations: Array.from({ length: 10 }, (_, i) => rawSet(rawKey("many", i), Uint8Array.of(i))),
  });
  for (let i = 0; i < 8; i++) {
    await connect.write({ mutations: [rawSet(rawKey("large", i), new Uint8Array(60_000).fill(i))] });
  }
  connect.close();
  const exchanged = async (scopes: Readonly<Record<string, unknown>>) => {
    const narrow = await tenant.connect(databaseId, (await tenant.newToken(scopes)).token);
    narrow.close();
    return narrow.metadata.token;
  };
  Object.assign(tokens, {
    good: `Bearer ${connect.metadata.token}`,
    "in lower case": `bearer  ${connect.metadata.token}`,
    expired: `Bearer ${await signDataToken(databaseId, Date.now() - 5000)}`,
    "another database's": `Bearer ${await signDataToken("22222222-2222-4222-8222-222222222222")}`,
    "of nobody": `Bearer ${"A".repeat(40)}`,
    "too long": `Bearer ${"A".repeat(4000)}`,
    basic: "Basic dXNlcjpwYXNz",
    "that reads": `Bearer ${await exchanged({ permissions: ["read"] })}`,
    "that writes": `Bearer ${await exchanged({ permissions: ["write"] })}`,
    "with a prefix": `Bearer ${await exchanged({ permissions: ["read", "write"], keyPrefix: ["many"] })}`,
  });
});

const anyRequest = fc.record({
  token: fc.constantFrom(
    "good",
    "good",
    "in lower case",
    "expired",
    "another database's",
    "of nobody",
    "too long",
    "basic",
    "that reads",
    "that writes",
    "with a prefix",
    "none",
  ),
  operation: fc.constantFrom("snapshot_read", "atomic_write"),
  body: fc.constantFrom(...bodyNames),
  method: fc.constantFrom("POST", "POST", "POST", "POST", "PUT"),
  database: fc.constantFrom(databaseId, databaseId, databaseId, "22222222-2222-4222-8222-222222222222", "x"),
  headers: fc.record(
    {
      "content-type": fc.constantFrom("application/x-protobuf", "Application/X-Protobuf; v=1", "text/plain", ""),
      "x-denokv-database-id": fc.constantFrom(databaseId, databaseId, "x"),
      "x-transaction-domain-id": fc.constantFrom(databaseId, "x"),
      "x-denokv-version": fc.constantFrom("1", "2", "3", "4", "3.0", ""),
      "content-encoding": fc.constantFrom("gzip", "identity"),
    },
    { requiredKeys: [] },
  ),
});

type Chosen = typeof anyRequest extends fc.Arbitrary<infer One> ? One : never;

function requestOf({ token, operation, body, method, database, headers }: Chosen): Request {
  const authorization = tokens[token];
  const shown = authorization === undefined ? {} : { authorization };
  return { method, path: `/databases/${database}/${operation}`, headers: { ...headers, ...shown }, body: bodies[body] };
}

test.each(bodyNames)("%s", async (body) => {
  for (const operation of ["snapshot_read", "atomic_write"] as const) {
    const [status] = await expectSame(
      requestOf({ token: "good", operation, body, method: "POST", database: databaseId, headers: {} }),
    );
    expect([200, 400]).toContain(status);
  }
});

test("whatever is wrong with it", async () => {
  const statuses = new Set<number>();
  await fc.assert(
    fc.asyncProperty(anyRequest, async (one) => {
      const [status] = await expectSame(requestOf(one));
      statuses.add(status);
    }),
    { numRuns: 300, seed: 20_261_127 },
  );
  expect([...statuses].toSorted((x, y) => x - y)).toEqual([200, 400, 401, 403, 405, 415]);
});
