/**
 * Everything that a request can have wrong, against the running server: each is refused with a sentence that names the problem,
 * nothing is written, and the database's object lives on through all of it. A restart would show: a watch that stays open over
 * the whole file would be told its state once more.
 */
import { createHmac } from "node:crypto";
import { createConnection } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MutationType, ValueEncoding } from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";
import {
  type Answer,
  encodeRead,
  encodeWatch,
  encodeWrite,
  exchange,
  type Operation,
  RawConnect,
  rawKey,
  rawPoint,
  rawPrefix,
  rawSet,
  type RawWatch,
} from "../support/raw-connect.ts";
import { SIGNING_KEYS, signDataToken } from "../support/data-token.ts";
import { startTestServer } from "../support/server.ts";

const server = await startTestServer({ CAIRN_SIGNING_KEYS: SIGNING_KEYS });
const connect = await RawConnect.open(server);
const workerd = server.workerdPid();
const witness = rawKey("witness");
const untouched = rawKey("untouched");
let watch: RawWatch;
let before: Answer;

const small = Uint8Array.of(1);
const [a, b] = [rawKey("bad", "a"), rawKey("bad", "b")];
const good = { start: a, end: b, limit: 1 };

/** Everything there is but the witness. */
function everything(): Promise<Answer> {
  return connect.post(
    "snapshot_read",
    encodeRead({ ranges: [{ ...rawPrefix("bad"), limit: 500 }, rawPoint(untouched)] }),
  );
}

beforeAll(async () => {
  await connect.write({ mutations: [rawSet(witness, small), rawSet(untouched, small)] });
  await connect.write({ mutations: [rawSet(rawKey("bad", "bytes"), small)] });
  before = await everything();
  watch = await connect.watch(witness);
  await watch.next();
});

afterAll(async () => {
  connect.close();
  await server.close();
});

function expectRefused(answer: Answer, status: number, sentence: RegExp): void {
  const text = answer.body.toString();
  expect(text).toMatch(sentence);
  expect([answer.status, answer.contentType]).toEqual([status, "text/plain; charset=utf-8"]);
  // A sentence, not a stack or a dump of the input.
  expect(text).toMatch(/^[^\n]{10,300}$/);
}

/** Numbers that the protocol does not know, past the types of the generated code. */
const ofUnknownType = Object.assign(rawSet(a, small), { mutationType: 7 });
const ofUnknownEncoding = Object.assign(rawSet(a, small), { value: { data: small, encoding: 9 } });

const sumOf = (data: Uint8Array, encoding: ValueEncoding) => ({
  key: a,
  mutationType: MutationType.SUM,
  value: { data, encoding },
});

const requests: [string, Operation, Uint8Array, RegExp][] = [
  ["a negative limit", "snapshot_read", encodeRead({ ranges: [{ ...good, limit: -1 }] }), /ranges\[0\].* limit is -1/],
  ["a limit of 0", "snapshot_read", encodeRead({ ranges: [good, { ...good, limit: 0 }] }), /ranges\[1\].* limit is 0/],
  [
    "start after end",
    "snapshot_read",
    encodeRead({ ranges: [{ start: b, end: a, limit: 1 }] }),
    /start lies after its end/,
  ],
  [
    "a bound of 2,050 bytes",
    "snapshot_read",
    encodeRead({ ranges: [{ start: a, end: new Uint8Array(2050).fill(255), limit: 1 }] }),
    /end has 2050 bytes.* 2049/,
  ],
  ["11 ranges", "snapshot_read", encodeRead({ ranges: Array.from({ length: 11 }, () => good) }), /11 ranges.* 10/],
  [
    "1,001 entries",
    "snapshot_read",
    encodeRead({
      ranges: [
        { ...good, limit: 501 },
        { ...good, limit: 500 },
      ],
    }),
    /1001 entries.* 1000/,
  ],
  ["a watch of nothing", "watch", new Uint8Array(0), /names no keys/],
  [
    "a watch of 11 keys",
    "watch",
    encodeWatch({ keys: Array.from({ length: 11 }, () => ({ key: a })) }),
    /11 keys.* 10/,
  ],
  [
    "a watch of half a key",
    "watch",
    encodeWatch({ keys: [{ key: a.subarray(0, 4) }] }),
    /keys\[0\].* not a well-formed/,
  ],
  [
    "an unknown mutation type",
    "atomic_write",
    encodeWrite({ mutations: [ofUnknownType] }),
    /mutations\[0\].* type is 7/,
  ],
  [
    "no mutation type",
    "atomic_write",
    encodeWrite({ mutations: [rawSet(b, small), { key: a, value: { data: small, encoding: ValueEncoding.BYTES } }] }),
    /mutations\[1\].* type is 0/,
  ],
  [
    "an unknown encoding",
    "atomic_write",
    encodeWrite({ mutations: [rawSet(b, small), ofUnknownEncoding] }),
    /mutations\[1\].* encoding 9/,
  ],
  ["no value", "atomic_write", encodeWrite({ mutations: [{ key: a, mutationType: MutationType.SET }] }), /no value/],
  [
    "a KvU64 of 7 bytes",
    "atomic_write",
    encodeWrite({ mutations: [rawSet(a, new Uint8Array(7), ValueEncoding.LE64)] }),
    /LE64 value has 7 bytes.* 8/,
  ],
  ["an empty key", "atomic_write", encodeWrite({ mutations: [rawSet(new Uint8Array(0), small)] }), /missing or empty/],
  [
    "a malformed key",
    "atomic_write",
    encodeWrite({ mutations: [rawSet(Uint8Array.of(3), small)] }),
    /not a well-formed/,
  ],
  [
    "a key of 2,049 bytes",
    "atomic_write",
    encodeWrite({ mutations: [rawSet(rawKey("x".repeat(2047)), small)] }),
    /key has 2049 bytes.* 2048/,
  ],
  [
    "a versionstamped key that gets too long",
    "atomic_write",
    encodeWrite({
      mutations: [
        { ...rawSet(rawKey("x".repeat(2025)), small), mutationType: MutationType.SET_SUFFIX_VERSIONSTAMPED_KEY },
      ],
    }),
    /2049 bytes with its versionstamp/,
  ],
  [
    "a value of 1 MiB and a byte",
    "atomic_write",
    encodeWrite({ mutations: [rawSet(a, new Uint8Array(1024 * 1024 + 1))] }),
    /value has 1048577 bytes.* 1048576/,
  ],
  [
    "a write of more than 8 MiB",
    "atomic_write",
    encodeWrite({ mutations: Array.from({ length: 9 }, (_, i) => rawSet(rawKey("bad", i), new Uint8Array(950_000))) }),
    /bytes of keys and values.* 8388608/,
  ],
  [
    "1,001 mutations",
    "atomic_write",
    encodeWrite({ mutations: Array.from({ length: 1001 }, (_, i) => rawSet(rawKey("bad", i), small)) }),
    /1001 mutations.* 1000/,
  ],
  [
    "101 checks",
    "atomic_write",
    encodeWrite({ checks: Array.from({ length: 101 }, () => ({ key: a })), mutations: [rawSet(a, small)] }),
    /101 checks.* 100/,
  ],
  [
    "a versionstamp of 9 bytes",
    "atomic_write",
    encodeWrite({ checks: [{ key: a, versionstamp: new Uint8Array(9) }], mutations: [rawSet(a, small)] }),
    /checks\[0\].* versionstamp has 9 bytes.* 10/,
  ],
  [
    "a check of a malformed key",
    "atomic_write",
    encodeWrite({ checks: [{ key: Uint8Array.of(2, 97) }], mutations: [rawSet(a, small)] }),
    /checks\[0\].* not a well-formed/,
  ],
  [
    "an expiry past what a date can hold",
    "atomic_write",
    encodeWrite({ mutations: [{ ...rawSet(a, small), expireAtMs: 2n ** 62n }] }),
    /expire_at_ms/,
  ],
  [
    "a range of a sum on a set",
    "atomic_write",
    encodeWrite({ mutations: [{ ...rawSet(a, small), sumClamp: true }] }),
    /sum_clamp go with sum alone/,
  ],
  [
    "a sum of raw bytes",
    "atomic_write",
    encodeWrite({ mutations: [rawSet(b, small), sumOf(small, ValueEncoding.BYTES)] }),
    /unsupported value type/,
  ],
  [
    "a sum of what is no V8 value",
    "atomic_write",
    encodeWrite({ mutations: [rawSet(b, small), sumOf(Uint8Array.of(0xff, 0x0f, 0x49), ValueEncoding.V8)] }),
    /Some of the parameters are not valid V8 values/,
  ],
  [
    "a sum on a stored value of another type",
    "atomic_write",
    encodeWrite({
      mutations: [rawSet(b, small), { ...sumOf(new Uint8Array(8), ValueEncoding.LE64), key: rawKey("bad", "bytes") }],
    }),
    /non-U64 value in the database/,
  ],
  [
    "an enqueued message",
    "atomic_write",
    encodeWrite({ mutations: [rawSet(b, small)], enqueues: [{ payload: small }] }),
    /enqueue/,
  ],
  ["a read that is no protobuf", "snapshot_read", Uint8Array.of(0x0a, 0xff), /snapshot read is not valid protobuf/],
  ["a write that is no protobuf", "atomic_write", Uint8Array.of(0x07), /atomic write is not valid protobuf/],
  ["a watch that is no protobuf", "watch", Uint8Array.of(0x0a, 0x05, 0x0a), /watch is not valid protobuf/],
  ["text", "atomic_write", new TextEncoder().encode('{"hello": "world"}'), /not valid protobuf/],
  ["a group of old protobuf", "atomic_write", Uint8Array.of(0x0b, 0x0c), /wire type 3/],
];

describe("a body with", () => {
  test.each(requests)("%s", async (_title, operation, body, sentence) => {
    expectRefused(await connect.post(operation, body), 400, sentence);
  });

  test("a good message cut off anywhere is refused or is a whole message of its own", async () => {
    const whole = encodeWrite({
      checks: [{ key: untouched }],
      mutations: [rawSet(a, small), { key: b, mutationType: MutationType.DELETE }],
    });
    for (let length = 1; length < whole.length; length++) {
      const { status } = await connect.post("atomic_write", whole.subarray(0, length));
      // 200: the check, which fails, and what comes before the cut.
      expect([200, 400]).toContain(status);
    }
  });

  test("more than the limit is refused, announced or not", async () => {
    const large = new Uint8Array(10 * 1024 * 1024);
    expectRefused(await connect.post("atomic_write", large), 400, /body of the request has 10485760 bytes.* 9437184/);
  });

  test("no announced length and no end is cut off at the limit", async () => {
    const { hostname, port, pathname } = new URL(connect.url("atomic_write"));
    const socket = createConnection({ host: hostname, port: Number(port) });
    const answer: string[] = [];
    socket.on("data", (text: Buffer) => answer.push(text.toString("latin1")));
    // The server closes while there is more to come: a reset is as good as an end.
    socket.on("error", () => undefined);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    const headers = Object.entries(connect.headers({ host: hostname, "transfer-encoding": "chunked" }));
    socket.write(
      `POST ${pathname} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
    );
    const MOST_CHUNKS = 2048;
    const chunk = `10000\r\n${"\0".repeat(0x1_0000)}\r\n`;
    let sent = 0;
    for (; sent < MOST_CHUNKS && socket.writable && answer.length === 0; sent++) {
      if (!socket.write(chunk)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), closed]);
    }
    await closed;
    // The reset may overtake the sentence, which only a body that ends is sure to get.
    expect(answer.join("")).toMatch(
      /^$|^HTTP\/1.1 400 [^]*body of the request has at least \d+ bytes; the limit is 9437184/,
    );
    expect(sent, "the limit, what is read on and dropped, and what is in the buffers on the way").toBeLessThan(
      MOST_CHUNKS,
    );
  });

  test("bytes damaged at random is a good answer or a 4xx, never more", async () => {
    let seed = 12_345;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
      return seed % below;
    };
    const samples: [Operation, Uint8Array][] = requests
      .filter(([, , body]) => body.length > 0 && body.length < 3000)
      .map(([, operation, body]) => [operation, body]);
    for (let round = 0; round < 600; round++) {
      const [operation, sample] = samples[random(samples.length)] ?? ["watch", small];
      if (operation === "watch") continue;
      const body = sample.slice(0, 1 + random(sample.length));
      for (let i = 0; i < 1 + random(4); i++) body[random(body.length)] = random(256);
      // What a damaged write may write is below no other test's keys; a check that fails keeps it from writing at all.
      const guarded =
        operation === "atomic_write" ? Uint8Array.of(...encodeWrite({ checks: [{ key: untouched }] }), ...body) : body;
      const { status, body: text } = await connect.post(operation, guarded);
      expect([200, 400], `${operation} ${Buffer.from(guarded).toString("hex")}: ${text.toString()}`).toContain(status);
    }
  });
});

describe("a request with", () => {
  const read = encodeRead({ ranges: [good] });
  const otherId = "00000000-0000-4000-8000-000000000000";
  const withHeaders = (headers: Record<string, string | undefined>): Promise<Answer> =>
    connect.post("snapshot_read", read, { headers: connect.headers(headers) });

  test.each([
    ["a wrong content type", { "content-type": "application/json" }, 415, /must be application\/x-protobuf/],
    ["a content type that begins right", { "content-type": "application/x-protobuffer" }, 415, /must be application/],
    ["no token", { authorization: undefined }, 401, /token is missing or malformed/],
    ["another scheme", { authorization: "Basic eDp5" }, 401, /token is missing or malformed/],
    ["a made-up token", { authorization: "Bearer something" }, 401, /not a data token/],
    ["the access token", { authorization: `Bearer ${server.accessToken}` }, 401, /not a data token/],
    ["another database in its header", { "x-denokv-database-id": otherId }, 400, /another database than the URL/],
    [
      "another database in the header of version 1",
      { "x-denokv-version": undefined, "x-denokv-database-id": undefined, "x-transaction-domain-id": otherId },
      400,
      /x-transaction-domain-id names another database/,
    ],
    ["an unknown version", { "x-denokv-version": "4" }, 400, /x-denokv-version.* 1, 2, 3/],
    ["a version that is no number", { "x-denokv-version": "three" }, 400, /x-denokv-version/],
  ])("%s", async (_title, headers, status, sentence) => {
    expectRefused(await withHeaders(headers), status, sentence);
  });

  test("a token that this test signed as the server does is let in: the refusals below are for their own reasons", async () => {
    const token = await signDataToken(server.databaseId);
    expect(token).toHaveLength(40);
    expect((await withHeaders({ authorization: `Bearer ${token}` })).status).toBe(200);
  });

  const keysOf = (kid: string, byte: number): string => `${kid}:${Buffer.alloc(32, byte).toString("base64")}`;
  test.each([
    ["an expired token", () => signDataToken(server.databaseId, Date.now() - 1_000), /expired/],
    ["a token for another database", () => signDataToken(otherId), /not a data token .* for this database/],
    [
      "a token of another deployment",
      () => signDataToken(server.databaseId, undefined, keysOf("test", 8)),
      /not a data token/,
    ],
    [
      "a token of an unknown key",
      () => signDataToken(server.databaseId, undefined, keysOf("other", 7)),
      /not a data token/,
    ],
  ])("%s", async (_title, sign, sentence) => {
    expectRefused(await withHeaders({ authorization: `Bearer ${await sign()}` }), 401, sentence);
  });

  test("a token of before, a JWT, signed with the server's own key", async () => {
    const claims = { sub: "t", scope: "read write", aud: server.databaseId, exp: Math.floor(Date.now() / 1000) + 600 };
    const header = { alg: "HS256", typ: "JWT", kid: "test" };
    const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    const token = `${signed}.${createHmac("sha256", Buffer.alloc(32, 7)).update(signed).digest("base64url")}`;
    expectRefused(await withHeaders({ authorization: `Bearer ${token}` }), 401, /not a data token/);
  });

  test("a token tampered with anywhere (T16)", async () => {
    const token = await signDataToken(server.databaseId);
    for (let i = 0; i < token.length; i++) {
      const changed = token.slice(0, i) + (token[i] === "A" ? "B" : "A") + token.slice(i + 1);
      expectRefused(await withHeaders({ authorization: `Bearer ${changed}` }), 401, /not a data token/);
    }
  });

  test("another database in its URL", async () => {
    const url = connect.url("snapshot_read", otherId);
    expectRefused(await connect.post("snapshot_read", read, { url }), 401, /for this database/);
  });

  test("another method", async () => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await connect.post("snapshot_read", new Uint8Array(0), { method });
      expectRefused(answer, 405, /not allowed here: KV Connect uses POST/);
    }
  });

  test("a path that leads nowhere", async () => {
    for (const path of ["/", "/databases", `/databases/${server.databaseId}`, `/databases/${server.databaseId}/drop`]) {
      expect((await connect.post("watch", read, { url: `${server.url}${path}` })).status).toBe(404);
    }
  });
});

describe("an exchange with", () => {
  async function expectRefusal(response: Promise<Response>, status: number, sentence: RegExp): Promise<void> {
    const answer = await response;
    expect(await answer.text()).toMatch(sentence);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([status, "text/plain; charset=utf-8"]);
  }

  test.each([
    ["versions that nobody knows", '{"supportedVersions":[4,5]}', /none of the versions.* 1, 2, 3/],
    ["no versions", '{"supportedVersions":[]}', /none of the versions/],
    ["versions that are no numbers", '{"supportedVersions":["3"]}', /must be JSON like/],
    ["another object", '{"versions":[3]}', /must be JSON like/],
    ["an array", "[1,2,3]", /must be JSON like/],
    ["what is no JSON", "supportedVersions=3", /must be JSON like/],
    ["a body that is too large", `{"supportedVersions":[${"1,".repeat(5000)}3]}`, /body of the request has.* 4096/],
  ])("%s", async (_title, body, sentence) => {
    await expectRefusal(exchange(server, body), 400, sentence);
  });

  test("a wrong token", async () => {
    await expectRefusal(exchange(server, undefined, { token: "wrong" }), 401, /not one that this deployment minted/);
  });

  test("another database", async () => {
    const url = server.connectUrl.replace(server.databaseId, "00000000-0000-4000-8000-000000000000");
    await expectRefusal(exchange(server, undefined, { url }), 404, /no such database/);
    await expectRefusal(
      exchange(server, undefined, { url, token: "wrong" }),
      401,
      /not one that this deployment minted/,
    );
  });
});

test("after all that nothing was written, and the object is the one that was there before (W28)", async () => {
  const after = await everything();
  expect([after.status, after.body.toString("hex")]).toEqual([200, before.body.toString("hex")]);
  await connect.write({ mutations: [rawSet(witness, Uint8Array.of(2))] });
  // A new object would have told the state of before first.
  expect([...((await watch.next()).keys[0]?.entryIfChanged?.value ?? [])]).toEqual([2]);
  watch.vanish();
  expect(server.workerdPid()).toBe(workerd);
  expect(server.log()).toBe("");
});
