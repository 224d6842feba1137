/** Text frames of sockets: they say the same as binary ones, and what is wrong with a request is said of it alone. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeAtomicWrite, decodeSnapshotRead, decodeWatch } from "../../src/codec/datapath.ts";
import { encodeKey, type Key } from "../../src/codec/key-codec.ts";
import { encodeV8 } from "../../src/codec/v8/codec.ts";
import { decodePrefixWatch } from "../../src/codec/socket-prefix.ts";
import type { SocketRequest } from "../../src/codec/socket.ts";
import {
  decodeTextFrame,
  textOfDone,
  textOfError,
  textOfFrame,
  textOfPrefix,
  textOfRead,
  textOfWatch,
  textOfWrite,
} from "../../src/codec/socket-text.ts";
import { failure } from "../../src/core/errors.ts";
import { Encoding, type Entry } from "../../src/core/operations.ts";
import { asVersion } from "../../src/core/versionstamp.ts";

function key(...parts: Key): Uint8Array {
  const encoded = encodeKey(parts);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

function v8(value: unknown): Uint8Array {
  const encoded = encodeV8(value);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

/** What a request asks for, its body decoded. */
function meaning(request: SocketRequest): unknown {
  switch (request.type) {
    case "read":
      return decodeSnapshotRead(request.body);
    case "write":
      return decodeAtomicWrite(request.body);
    case "watch":
      return decodeWatch(request.body);
    case "watchPrefix":
      return decodePrefixWatch(request.body);
    default:
      return request;
  }
}

function ask(json: unknown): unknown {
  const decoded = decodeTextFrame(typeof json === "string" ? json : JSON.stringify(json));
  return decoded.ok ? decoded.requests.map(meaning) : [decoded.code, decoded.message];
}

describe("requests", () => {
  test("reads name keys, prefixes and ranges", () => {
    const read = [
      { key: ["users", 1] },
      { prefix: ["users"], limit: 7, reverse: true },
      { prefix: ["users"], start: ["users", 5] },
      { prefix: [] },
      { start: ["a"], end: ["b"] },
    ];
    const users = key("users");
    expect(ask({ id: 1, read })).toEqual([
      {
        ok: true,
        ranges: [
          { start: key("users", 1), end: Uint8Array.of(...key("users", 1), 0), limit: 1, reverse: false },
          { start: Uint8Array.of(...users, 0), end: Uint8Array.of(...users, 0xff), limit: 7, reverse: true },
          { start: key("users", 5), end: Uint8Array.of(...users, 0xff), limit: 100, reverse: false },
          { start: new Uint8Array(0), end: Uint8Array.of(0xff), limit: 100, reverse: false },
          { start: key("a"), end: key("b"), limit: 100, reverse: false },
        ],
      },
    ]);
  });

  test("reads may name a limit of their own", () => {
    const read = [{ key: ["a"] }];
    const frame = decodeTextFrame(JSON.stringify({ id: 1, read, maxBytes: 7 }));
    expect(frame).toMatchObject({ requests: [{ type: "read", maxBytes: 7 }] });
    for (const maxBytes of [0, -1, 1.5, "7", null, 2 ** 32]) {
      const refused = decodeTextFrame(JSON.stringify({ id: 1, read, maxBytes }));
      expect(refused).toMatchObject({ requests: [{ type: "refused", why: { code: "invalid" } }] });
    }
  });

  test("writes have checks and mutations of every type", () => {
    const stamp = "000000000000000f0000";
    const write = {
      checks: [
        { key: ["a"], versionstamp: null },
        { key: ["a"], versionstamp: stamp },
        { key: ["a"], versionstamp: "ffffffffffffffffffff" },
      ],
      mutations: [
        { type: "set", key: ["a"], value: { type: "string", value: "x" }, expiresAt: 5 },
        { type: "set", key: ["a"], value: { type: "KvU64", value: "1" }, versionstampedKey: true },
        { type: "delete", key: ["a"] },
        {
          type: "sum",
          key: ["a"],
          value: { type: "number", value: 2 },
          max: { type: "number", value: 9 },
          clamp: true,
        },
        { type: "min", key: ["a"], value: { type: "KvU64", value: "1" } },
      ],
    };
    const le64 = { value: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), encoding: Encoding.le64 };
    const none = { sumMin: null, sumMax: null, clamp: false };
    expect(ask({ id: 1, write })).toEqual([
      {
        ok: true,
        write: {
          checks: [null, 15, "other"].map((version) => ({ key: key("a"), version })),
          mutations: [
            { type: "set", key: key("a"), value: v8("x"), encoding: 1, expiresAt: 5, versionstampedKey: false },
            { type: "set", key: key("a"), ...le64, expiresAt: null, versionstampedKey: true },
            { type: "delete", key: key("a") },
            { type: "sum", key: key("a"), value: v8(2), encoding: 1, sumMin: null, sumMax: v8(9), clamp: true },
            { type: "min", key: key("a"), ...le64, ...none },
          ],
          enqueues: [],
        },
      },
    ]);
  });

  test("watches of prefixes have options", () => {
    const options = { after: "000000000000000f0000", updatesOnly: true, ignoreDeletes: true, keysOnly: true };
    const none = { after: null, updatesOnly: false, ignoreDeletes: false, keysOnly: false };
    expect(
      ask({
        requests: [
          { id: 1, watchPrefix: ["users"], ...options },
          { id: 2, watchPrefix: [] },
        ],
      }),
    ).toEqual([
      { ok: true, prefix: key("users"), ...options, after: 15 },
      { ok: true, prefix: new Uint8Array(0), ...none },
    ]);
  });

  test("several stand in one frame, and plain values are taken where the request says so", () => {
    const mutations = [{ type: "set", key: ["a"], value: { name: "Ada" } }];
    const requests = [
      { id: 1, watch: [["a"], ["b"]] },
      { id: 2, unwatch: 1 },
      { ack: 1 },
      { id: 3, token: "t" },
      { id: 4, write: { mutations }, values: "plain" },
      { id: 5, write: { mutations } },
    ];
    const write = {
      checks: [],
      mutations: [
        {
          type: "set",
          key: key("a"),
          value: v8({ name: "Ada" }),
          encoding: 1,
          expiresAt: null,
          versionstampedKey: false,
        },
      ],
      enqueues: [],
    };
    expect(ask({ requests })).toEqual([
      { ok: true, keys: [key("a"), key("b")] },
      { type: "unwatch", id: 2, watch: 1, plain: false },
      { type: "ack", id: 0, watch: 1, plain: false },
      { type: "token", id: 3, token: "t", plain: false },
      { ok: true, write },
      { type: "refused", id: 5, plain: false, why: expect.objectContaining({ code: "invalid" }) },
    ]);
  });

  test.each([
    ["[]", "The frame is an array; it must be an object"],
    ["{", "The frame is not JSON: "],
    ['{"requests":1}', "requests is 1; it must be an array."],
    ['{"requests":[1]}', "requests[0] is 1; it must be an object"],
    ['{"watch":[["a"]]}', "requests[0]: its id is missing; it must be from 1 to 4294967295."],
    ['{"id":-1,"watch":[["a"]]}', "requests[0]: its id is missing; it must be from 1 to 4294967295."],
    // There is no id to answer.
    ['{"ack":"1"}', 'ack is "1"; it must be the id of a watch.'],
    ['{"requests":[{"ack":0},{"ack":-1}]}', "ack is 0; it must be the id of a watch."],
    ['{"id":1.5,"ack":1}', "requests[0]: its id is missing; it must be from 1 to 4294967295."],
  ])("a frame like %s is refused whole", (text, why) => {
    expect(ask(text)).toEqual(["invalid", expect.stringContaining(why)]);
  });

  test("more than 256 of them are one limit", () => {
    const requests = Array.from({ length: 257 }, () => ({ ack: 1 }));
    expect(ask({ requests })).toEqual(["limit", "The frame has 257 requests; the limit is 256."]);
  });

  test.each<[object, string]>([
    [
      {},
      "requests[0]: it asks for nothing that this server knows: a read, a write, a watch of keys or of a prefix, a feed, unwatch, ack or token.",
    ],
    [{ read: [], ack: 1 }, "requests[0]: it asks for more than one thing: read, ack."],
    [{ read: [], values: "raw" }, 'requests[0]: its values is "raw"; it can be "plain".'],
    [{ read: {} }, "read is an object; it must be an array."],
    [{ read: [{ key: "a" }] }, 'read[0].key is "a"; a key is an array of its parts, for example ["users", 1].'],
    [{ read: [{ prefix: ["a"], limit: 0 }] }, "read[0].limit is 0; it must be from 1 to 1000."],
    [{ read: [{ prefix: ["a"], limit: 1e9 }] }, "read[0].limit is 1000000000; it must be from 1 to 1000."],
    [{ read: [{ prefix: ["a"], reverse: 1 }] }, "read[0].reverse is 1; it must be true or false."],
    [{ read: [{ start: ["a"] }] }, 'read[0].end is missing; a key is an array of its parts, for example ["users", 1].'],
    [{ read: [{ prefix: ["b"], start: ["a"] }] }, "read[0].start does not begin with the parts of the prefix."],
    [{ read: [{ prefix: ["b"], end: ["c"] }] }, "read[0].end does not begin with the parts of the prefix."],
    [
      { read: [{ key: ["b"], prefix: ["b"] }] },
      'read[0] has "prefix", which is not known here: it takes key, limit, reverse.',
    ],
    [{ read: [{ prefix: ["b"], limt: 1 }] }, 'read[0] has "limt", which is not known here'],
    [{ read: [], limit: 1 }, 'requests[0] has "limit", which is not known here: it takes id, values, read, maxBytes.'],
    [{ watch: [["a"]], after: "00000000000000010000" }, 'requests[0] has "after", which is not known here'],
    [
      { write: { mutation: [{ type: "delete", key: ["a"] }] } },
      'write has "mutation", which is not known here: it takes checks, mutations, enqueues.',
    ],
    [
      { write: { mutations: [{ type: "set", key: ["a"], value: { type: "null" }, expiresIn: 1 }] } },
      'write.mutations[0] has "expiresIn", which is not known here',
    ],
    [{ write: { mutations: [{ type: "delete", key: ["a"], value: 1 }] } }, 'write.mutations[0] has "value"'],
    [
      { write: { mutations: [{ type: "sum", key: ["a"], value: 1, expiresAt: 1 }] } },
      'write.mutations[0] has "expiresAt", which is not known here: it takes type, key, value, min, max, clamp.',
    ],
    [{ watch: [[true], 5] }, 'watch[1] is 5; a key is an array of its parts, for example ["users", 1].'],
    [{ watchPrefix: ["a"], after: "x" }, 'after is "x"; it must be the last upTo of a watch.'],
    [{ watchPrefix: ["a"], keysOnly: 1 }, "keysOnly is 1; it must be true or false."],
    [{ watchPrefix: "a" }, 'watchPrefix is "a"; a key is an array of its parts'],
    [{ unwatch: 0 }, "unwatch is 0; it must be the id of a watch."],
    [{ ack: "1" }, 'ack is "1"; it must be the id of a watch.'],
    [{ token: 1 }, "token is 1; it must be a data token."],
    [{ write: [] }, "write is an array; it must be an object like"],
    [
      { write: { checks: [{ key: ["a"] }] } },
      'write.checks[0].versionstamp is missing; it must be 20 hexadecimal digits, or null for "no entry".',
    ],
    [
      { write: { mutations: [{ type: "put", key: ["a"] }] } },
      'write.mutations[0].type is "put"; it must be "set", "delete", "sum", "min" or "max".',
    ],
    [{ write: { mutations: [{ type: "set", key: ["a"] }] } }, "write.mutations[0].value is missing."],
    [
      { write: { mutations: [{ type: "set", key: ["a"], value: { type: "null" }, expiresAt: -1 }] } },
      "write.mutations[0].expiresAt is -1; it must be a time from 1970 on",
    ],
  ])("a request like %j fails alone", (request, why) => {
    expect(ask({ requests: [{ id: 1, ...request }, { ack: 3 }] })).toEqual([
      {
        type: "refused",
        id: 1,
        plain: expect.any(Boolean),
        why: expect.objectContaining({ message: expect.stringContaining(why) }),
      },
      expect.objectContaining({ type: "ack" }),
    ]);
  });

  test("whatever JSON comes is decoded or refused, and never throws", () => {
    const member = fc.constantFrom(
      "id",
      "read",
      "write",
      "watch",
      "watchPrefix",
      "after",
      "unwatch",
      "ack",
      "token",
      "values",
      "requests",
      "key",
      "prefix",
      "limit",
      "checks",
      "mutations",
      "type",
      "value",
    );
    const { json } = fc.letrec<{ json: unknown }>((tie) => ({
      json: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        fc.constantFrom(1, 0, -1, "a", "set", "sum", true, null, ["a"], 4_294_967_296),
        fc.array(tie("json"), { maxLength: 3 }),
        fc.dictionary(member, tie("json"), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(json, (frame) => {
        expect(ask(frame)).toBeInstanceOf(Array);
      }),
      { numRuns: 2000 },
    );
  });
});

test("an entry that was read may stand as a check (N10)", () => {
  const entry = { key: ["a"], value: { type: "null" }, versionstamp: "000000000000000f0000", expiresAt: 1 };
  expect(ask({ id: 1, write: { checks: [entry] } })).toMatchObject([
    { ok: true, write: { checks: [{ version: 15 }] } },
  ]);
});

test("a bound of a range may be a byte longer than a key (N26)", () => {
  const [longest, longer] = ["x".repeat(2047), "x".repeat(2048)];
  expect(ask({ id: 1, read: [{ start: ["a"], end: [longest] }] })).toMatchObject([{ ok: true }]);
  expect(ask({ id: 1, read: [{ prefix: [], start: [longest] }] })).toMatchObject([{ ok: true }]);
  const why = { code: "limit", message: "read[0].end has 2050 bytes as it is stored; the limit is 2049." };
  expect(ask({ id: 1, read: [{ start: ["a"], end: [longer] }] })).toMatchObject([{ type: "refused", why }]);
  expect(ask({ id: 1, read: [{ key: [longest] }] })).toMatchObject([{ type: "refused", why: { code: "limit" } }]);
});

test.each([0, "1970-01-01T00:00:00Z", 1])(
  "a set whose expiry is %j is over, and not without an expiry (W12)",
  (expiresAt) => {
    const mutations = [{ type: "set", key: ["a"], value: { type: "null" }, expiresAt }];
    expect(ask({ id: 1, write: { mutations } })).toMatchObject([
      { ok: true, write: { mutations: [{ expiresAt: 1 }] } },
    ]);
  },
);

describe("answers", () => {
  const entry: Entry = { key: key("a"), value: v8({ n: 1 }), encoding: Encoding.v8, version: asVersion(15) };
  const inNotation = {
    key: [{ type: "string", value: "a" }],
    value: { type: "object", value: { n: { type: "number", value: 1 } } },
    versionstamp: "000000000000000f0000",
  };

  test("are JSON, their values in the notation or plain", () => {
    const texts = [
      textOfRead(1, [[entry], []], false),
      textOfRead(2, [[entry]], true),
      textOfWatch(3, [entry, null], false),
      textOfPrefix(8, { reset: true, keys: [{ key: entry.key, version: entry.version, entry }], upTo: null }, true),
      textOfPrefix(
        9,
        {
          reset: false,
          keys: [
            { key: entry.key, version: entry.version, entry: null },
            { key: entry.key, version: null, entry: null },
          ],
          upTo: asVersion(16),
        },
        false,
      ),
      textOfWrite(4, { ok: true, version: asVersion(15) }),
      textOfWrite(5, { ok: false, failedChecks: [0, 2] }),
      textOfDone(6),
      textOfError(7, failure("limit", 'Too "much"')),
    ].map(String);
    expect(JSON.parse(textOfFrame(texts))).toEqual({
      responses: [
        { id: 1, read: [[inNotation], []] },
        { id: 2, read: [[{ ...inNotation, value: { n: 1 } }]] },
        { id: 3, watch: [inNotation, null] },
        { id: 8, prefix: { reset: true, keys: [{ ...inNotation, value: { n: 1 } }], upTo: null } },
        {
          id: 9,
          prefix: {
            reset: false,
            keys: [
              { key: inNotation.key, versionstamp: inNotation.versionstamp },
              { key: inNotation.key, versionstamp: null },
            ],
            upTo: "00000000000000100000",
          },
        },
        { id: 4, write: { ok: true, versionstamp: "000000000000000f0000" } },
        { id: 5, write: { ok: false, failedChecks: [0, 2] } },
        { id: 6, done: true },
        { id: 7, error: { code: "limit", message: 'Too "much".' } },
      ],
    });
  });

  test("that would be too long are the error that says so", () => {
    const large = { ...entry, value: v8("x".repeat(1_000_000)) };
    const many = Array.from({ length: 20 }, () => large);
    expect(textOfRead(1, [many.slice(0, 10)], false)).toEqual(expect.any(String));
    expect(textOfRead(1, [many], false)).toMatchObject({
      code: "limit",
      message: expect.stringContaining("16777216 characters"),
    });
    expect(textOfWatch(1, many, false)).toMatchObject({ code: "limit" });
  });
});

test("a request with too many members is refused before they are looked at (N26)", () => {
  const id = 1;
  const not = "this is no range, key or check";
  const members = (count: number) => Array.from({ length: count }, () => not);
  const limit = (what: string) => ["refused", { ok: false, code: "limit", message: what }];
  const refusal = (json: unknown) => {
    const decoded = decodeTextFrame(JSON.stringify(json));
    const [request] = decoded.ok ? decoded.requests : [];
    return request?.type === "refused" ? [request.type, request.why] : decoded;
  };
  expect(refusal({ id, read: members(11) })).toEqual(limit("read has 11 members; the limit is 10."));
  expect(refusal({ id, watch: members(11) })).toEqual(limit("watch has 11 members; the limit is 10."));
  expect(refusal({ id, write: { checks: members(101) } })).toEqual(
    limit("write.checks has 101 members; the limit is 100."),
  );
  expect(refusal({ id, write: { mutations: members(1001) } })).toEqual(
    limit("write.mutations has 1001 members; the limit is 1000."),
  );
  expect(refusal({ id, write: { enqueues: [{ value: 1 }] } })).toMatchObject(["refused", { code: "unsupported" }]);
});
