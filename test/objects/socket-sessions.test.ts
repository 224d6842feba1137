/** Sockets at a database's real object: order, watches, sleep, ends. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { encodeSnapshotRead } from "../../src/codec/datapath-requests.ts";
import { encodeClientFrame, type SentRequest } from "../../src/codec/socket-client.ts";
import { MAX_SOCKET_FRAME_BYTES, MAX_SOCKET_WATCHES } from "../../src/core/limits.ts";
import { toHex } from "../../src/core/bytes.ts";
import type { ReadRange } from "../../src/core/operations.ts";
import { versionOfHex } from "../../src/core/versionstamp.ts";
import { passTime } from "../support/moved-date.ts";
import { turns } from "../support/fake-timers.ts";
import {
  ack,
  prefixRequest,
  readRequest,
  type Said,
  tokenRequest,
  unwatch,
  watchRequest,
  writeRequest,
} from "../support/socket-client.ts";
import { commit, everything, newDatabase, read, type Stub } from "../support/workerd/database-object.ts";
import { key, numeric, point, prefix, remove, set, text, u64, write } from "../support/workerd/engine.ts";
import { openSession } from "../support/workerd/sessions.ts";

const a = key("a");
const b = key("b");
const put = (value: string, target = a) => write([set(target, text(value))]);
const stamp = expect.stringMatching(/^[0-9a-f]{20}$/);
const byId = (said: readonly Said[]) => said.toSorted(([x], [y]) => x - y);

describe("requests", () => {
  test("of one frame are carried out in order, and their answers come together (N8, N12, N15)", async () => {
    const client = await openSession(await newDatabase());
    client.send(
      readRequest(7, point(a)),
      writeRequest(3, put("1")),
      writeRequest(9, put("2", b)),
      readRequest(1, point(a), point(b)),
    );
    expect(await client.next(4)).toEqual([
      [7, "read", []],
      [3, "written", stamp],
      [9, "written", stamp],
      [1, "read", ["1"], ["2"]],
    ]);
    expect(client.frames).toHaveLength(1);
  });

  test("that read between writes see those before them, and not those behind (N12)", async () => {
    const client = await openSession(await newDatabase());
    client.send(
      ...Array.from({ length: 40 }, (_, i) => [
        writeRequest(2 * i + 1, put(String(i))),
        readRequest(2 * i + 2, point(a)),
      ]).flat(),
    );
    const reads = (await client.next(80)).filter(([, what]) => what === "read");
    expect(reads).toEqual(Array.from({ length: 40 }, (_, i) => [2 * i + 2, "read", [String(i)]]));
  });

  test("that write, one after the other, are one commit group, each whole or not at all (N13)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub);
    const missing = { ...put("x"), checks: [{ key: b, version: asUnixMs(5) as never }] };
    const wrong = write([numeric("sum", a, u64(1n))]);
    client.send(
      writeRequest(1, put("1")),
      writeRequest(2, missing),
      writeRequest(3, wrong),
      writeRequest(4, put("4", b)),
    );
    const said = byId(await client.next(4));
    expect(said).toEqual([
      [1, "written", stamp],
      [2, "failed checks", [0]],
      [3, "error", "type-mismatch", expect.stringContaining("non-U64")],
      [4, "written", stamp],
    ]);
    expect(await read(stub, [point(b)])).toMatchObject([[{ value: text("4") }]]);
  });

  test("of frames that come together are applied in the order in which they were sent (N14)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub);
    const count = 200;
    for (let i = 1; i <= count; i++) client.send(writeRequest(i, put(String(i))));
    const said = byId(await client.next(count));
    const stamps = said.map(([, , versionstamp]) => String(versionstamp));
    expect(stamps).toEqual(stamps.toSorted());
    expect(new Set(stamps).size).toBe(count);
    client.send(readRequest(1, point(a)));
    expect(await client.next(1)).toEqual([[1, "read", [String(count)]]]);
  });

  test("see what others were answered before (N14)", async () => {
    const stub = await newDatabase();
    const [one, other] = [await openSession(stub), await openSession(stub)];
    for (let i = 1; i <= 20; i++) {
      one.send(writeRequest(i, put(String(i))));
      await one.next(1);
      other.send(readRequest(i, point(a)));
      expect(await other.next(1)).toEqual([[i, "read", [String(i)]]]);
    }
  });

  test("that are wrong fail alone (N10, N11)", async () => {
    const client = await openSession(await newDatabase());
    client.send(
      { type: "read", id: 1, body: Uint8Array.of(9) },
      { type: "write", id: 2, body: Uint8Array.of(0x12, 0) },
      watchRequest(3),
      readRequest(4, prefix(a, 1001)),
      readRequest(5, point(a)),
    );
    expect(byId(await client.next(5))).toEqual([
      [1, "error", "invalid", expect.stringContaining("is not valid protobuf")],
      [2, "error", "invalid", "mutations[0]: its type is 0, which is not known."],
      [3, "error", "invalid", "The watch names no keys; it needs at least one."],
      [4, "error", "limit", expect.stringContaining("1001 entries")],
      [5, "read", []],
    ]);
    client.socket.send(new Uint8Array([0x0a, 4, 8, 1, 122, 0]));
    expect(await client.next(1)).toEqual([[1, "error", "unsupported", expect.stringContaining("requests[0]")]]);
  });

  test("that the grant does not allow are refused (N16)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub, { ...everything, write: false, keyPrefix: toHex(a) });
    client.send(writeRequest(1, put("1")), watchRequest(2, b), readRequest(3, prefix(new Uint8Array(0), 5), point(b)));
    expect(byId(await client.next(3))).toEqual([
      [1, "error", "forbidden", expect.any(String)],
      [2, "error", "forbidden", expect.any(String)],
      [3, "read", [], []],
    ]);
  });

  test("whose answer would be too large are told to ask for less (N26)", async () => {
    const stub = await newDatabase();
    for (let i = 0; i < 12; i += 4)
      await commit(stub, write([0, 1, 2, 3].map((n) => set(key("big", i + n), new Uint8Array(1024 * 1024).fill(3)))));
    const client = await openSession(stub);
    client.send(readRequest(1, prefix(key("big"), 100)), readRequest(2, prefix(key("big"), 10)));
    const [tooLarge, large] = byId(await client.next(2));
    expect(tooLarge).toEqual([1, "error", "limit", expect.stringContaining("11534336 bytes")]);
    expect(large?.[2]).toHaveLength(10);
  });

  test("may name a limit of their own for the answer (N26)", async () => {
    const stub = await newDatabase();
    await commit(stub, write([set(a, new Uint8Array(1000).fill(0x61)), set(b, new Uint8Array(10))]));
    const client = await openSession(stub);
    const bytes = a.length + 1000;
    const limited = (id: number, maxBytes: number, ...ranges: ReadRange[]): SentRequest => {
      return { type: "read", id, body: encodeSnapshotRead(ranges), maxBytes };
    };
    client.send(
      limited(1, bytes, point(a)),
      limited(2, bytes - 1, point(a)),
      limited(3, bytes, point(a), point(b)),
      limited(4, 0xffff_ffff, point(b)),
    );
    const [, ...rest] = byId(await client.next(4));
    expect(rest.map(([id, what, code]) => [id, what, code])).toEqual([
      [2, "error", "limit"],
      [3, "error", "limit"],
      [4, "read", ["\0".repeat(10)]],
    ]);
  });

  test("in text are answered in text, on the same socket (N7)", async () => {
    const client = await openSession(await newDatabase());
    client.socket.send(
      JSON.stringify({ id: 1, write: { mutations: [{ type: "set", key: ["a"], value: { n: 1 } }] }, values: "plain" }),
    );
    expect(await client.nextText()).toEqual({ responses: [{ id: 1, write: { ok: true, versionstamp: stamp } }] });
    client.send(readRequest(1, point(b)));
    expect(await client.next(1)).toEqual([[1, "read", []]]);
    client.socket.send(
      JSON.stringify({
        requests: [
          { id: 1, watch: [["a"]], values: "plain" },
          { id: 2, read: [{ key: ["a"] }] },
        ],
      }),
    );
    const entry = { key: [{ type: "string", value: "a" }], versionstamp: stamp };
    expect(await client.nextText()).toEqual({
      responses: [
        { id: 1, watch: [{ ...entry, value: { n: 1 } }] },
        { id: 2, read: [[{ ...entry, value: { type: "object", value: { n: { type: "number", value: 1 } } } }]] },
      ],
    });
  });
});

describe("watches", () => {
  test("tell the state at once, then one state for each acknowledgement, the last one always (N18)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub);
    client.send(watchRequest(1, a, b));
    expect(await client.next(1)).toEqual([[1, "watch", null, null]]);
    for (let i = 1; i <= 50; i++) await commit(stub, put(String(i)));
    await turns();
    expect(client.frames).toHaveLength(1);
    client.send(ack(1));
    expect(await client.next(1)).toEqual([[1, "watch", "50", null]]);
    client.send(ack(1), writeRequest(2, put("b", b)), readRequest(3, point(b)));
    expect(byId(await client.next(3))).toEqual([
      [1, "watch", "50", "b"],
      [2, "written", stamp],
      [3, "read", ["b"]],
    ]);
    client.send(ack(1));
    await commit(stub, write([remove(a)]));
    expect(await client.next(1)).toEqual([[1, "watch", null, "b"]]);
  });

  test("end when they are told to, and their id is free again (N19)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub);
    client.send(watchRequest(1, a), unwatch(2, 1), unwatch(3, 77), watchRequest(1, b));
    // An id is free only when the answer has come.
    expect(await client.closed()).toEqual({
      code: 4400,
      why: expect.stringContaining("The id 1 is that of a request"),
    });
    const again = await openSession(stub);
    again.send(watchRequest(1, a), unwatch(2, 1), unwatch(3, 77));
    expect(await again.next(3)).toEqual([
      [1, "watch", null],
      [2, "done"],
      [3, "done"],
    ]);
    again.send(watchRequest(1, b));
    expect(await again.next(1)).toEqual([[1, "watch", null]]);
    again.send(ack(1), ack(5));
    await commit(stub, put("1"));
    await commit(stub, put("2", b));
    expect(await again.next(1)).toEqual([[1, "watch", "2"]]);
  });

  test("are limited on one socket (N26)", async () => {
    const client = await openSession(await newDatabase());
    const requests = Array.from({ length: MAX_SOCKET_WATCHES }, (_, i) => watchRequest(i + 1, key(i)));
    client.send(...requests);
    await client.next(MAX_SOCKET_WATCHES);
    client.send(watchRequest(1000, a));
    expect(await client.next(1)).toEqual([
      [1000, "error", "limit", "This socket has 256 watches, which is the limit. Open another socket."],
    ]);
  });

  test("go on when the object has slept, and miss nothing (N23)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub);
    client.send(watchRequest(1, a), watchRequest(2, b));
    await client.next(2);
    client.send(ack(1), ack(2));
    await turns();
    await evictDurableObject(stub);
    await commit(stub, put("1"));
    expect(await client.next(1)).toEqual([[1, "watch", "1"]]);
    await commit(stub, put("2"));
    await evictDurableObject(stub);
    // The object has forgotten that there is something to tell.
    client.send(ack(1), writeRequest(3, put("b", b)));
    expect(byId(await client.next(3))).toEqual([
      [1, "watch", "2"],
      [2, "watch", "b"],
      [3, "written", stamp],
    ]);
  });

  test("that are too much to be remembered make the socket connect again after a sleep (N23)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub);
    client.send(watchRequest(1, ...Array.from({ length: 10 }, (_, i) => key("k".repeat(2000), i))));
    await client.next(1);
    await turns();
    await evictDurableObject(stub);
    await read(stub, [point(a)]);
    expect(await client.closed()).toEqual({ code: 1012, why: expect.stringContaining("connect again") });
  });

  test("of a socket that is gone leave nothing behind (N23)", async () => {
    const stub = await newDatabase();
    const clients = await Promise.all(Array.from({ length: 20 }, () => openSession(stub)));
    for (const client of clients) client.send(watchRequest(1, a));
    for (const client of clients) await client.next(1);
    const watchers = async () => (await stub.stats()) as { watchers?: number };
    expect((await watchers()).watchers).toBe(20);
    for (const client of clients) client.socket.close(1000);
    await expect.poll(async () => (await watchers()).watchers).toBe(0);
  });
});

describe("watches of prefixes", () => {
  const users = key("users");
  const user = (id: number) => key("users", id);
  const attachedTo = (stub: Stub) =>
    runInDurableObject(stub, (_instance, state): unknown => state.getWebSockets()[0]?.deserializeAttachment());
  const versionOf = (said: Said | undefined) => versionOfHex(String(said?.[3])) ?? null;

  test("tell the state, then which keys have changed and to what (N27)", async () => {
    const stub = await newDatabase();
    await commit(stub, write([set(user(1), text("1")), set(users, text("all")), set(key("userspace"), text("x"))]));
    const client = await openSession(stub);
    client.send(prefixRequest(1, users));
    expect(await client.next(1)).toEqual([[1, "reset", { '["users"]': "all", '["users",1]': "1" }, stamp]]);
    client.send(ack(1));
    await commit(stub, write([set(user(2), text("2"))]));
    expect(await client.next(1)).toEqual([[1, "changes", { '["users",2]': "2" }, stamp]]);
    // Not acknowledged yet: what changes now is told together.
    for (let i = 0; i < 5; i++) await commit(stub, write([set(user(2), text(String(i))), remove(user(1))]));
    await commit(stub, write([set(key("userspace"), text("y"))]));
    client.send(ack(1));
    expect(await client.next(1)).toEqual([[1, "changes", { '["users",1]': null, '["users",2]': "4" }, stamp]]);
    client.send(ack(1), unwatch(2, 1));
    expect(await client.next(1)).toEqual([[2, "done"]]);
    await commit(stub, write([set(user(3), text("3"))]));
    await turns();
    expect(client.frames.flat()).toHaveLength(4);
  });

  test("have options, and go on after the last version that was seen (N27, N28)", async () => {
    const stub = await newDatabase();
    await commit(stub, write([set(user(1), text("1"))]));
    const client = await openSession(stub);
    client.send(
      prefixRequest(1, users, { keysOnly: true }),
      prefixRequest(2, users, { updatesOnly: true, ignoreDeletes: true }),
    );
    const [first, second] = byId(await client.next(2));
    expect([first, second]).toEqual([
      [1, "reset", { '["users",1]': "no value" }, stamp],
      [2, "changes", {}, stamp],
    ]);
    client.send(ack(2));
    await commit(stub, write([remove(user(1))]));
    await commit(stub, write([set(user(2), text("2"))]));
    const changes = await client.next(1);
    expect(changes).toEqual([[2, "changes", { '["users",2]': "2" }, stamp]]);
    client.send(
      prefixRequest(3, users, { after: versionOf(first) }),
      prefixRequest(4, users, { after: versionOf(changes[0]), updatesOnly: true }),
    );
    expect(byId(await client.next(2))).toEqual([
      [3, "changes", { '["users",1]': null, '["users",2]': "2" }, stamp],
      [4, "changes", {}, stamp],
    ]);
    client.send(ack(3), ack(4));
    await commit(stub, write([set(user(4), text("4"))]));
    expect(byId(await client.next(2))).toEqual([
      [3, "changes", { '["users",4]': "4" }, stamp],
      [4, "changes", { '["users",4]': "4" }, stamp],
    ]);
  });

  test("go on when the object has slept, and miss nothing, deletes included (N23, N28)", async () => {
    const stub = await newDatabase();
    await commit(stub, write([set(user(1), text("1")), set(user(2), text("2"))]));
    const client = await openSession(stub);
    client.send(prefixRequest(1, users), prefixRequest(2, users, { keysOnly: true }));
    await client.next(2);
    client.send(ack(1));
    await commit(stub, write([set(user(3), text("3"))]));
    expect(await client.next(1)).toEqual([[1, "changes", { '["users",3]': "3" }, stamp]]);
    client.send(ack(1));
    // What is attached follows a moment later, for which the object stays awake.
    await expect.poll(() => attachedTo(stub)).toMatchObject({ watches: [{ isUnderWay: false }, { isUnderWay: true }] });
    await evictDurableObject(stub);
    await commit(stub, write([remove(user(2))]));
    expect(await client.next(1)).toEqual([[1, "changes", { '["users",2]': null }, stamp]]);
    client.send(ack(2));
    // What changed before the sleep is not known any more.
    const left = { '["users",1]': "no value", '["users",3]': "no value" };
    expect(await client.next(1)).toEqual([[2, "reset", left, stamp]]);
  });

  test("outside of the token's prefix are refused, and the whole keyspace is (N17)", async () => {
    const client = await openSession(await newDatabase(), { ...everything, keyPrefix: toHex(users) });
    client.send(
      prefixRequest(1, new Uint8Array(0)),
      prefixRequest(2, key("other")),
      prefixRequest(3, users),
      prefixRequest(4, user(1)),
    );
    expect(byId(await client.next(4))).toEqual([
      [1, "error", "forbidden", expect.any(String)],
      [2, "error", "forbidden", expect.any(String)],
      [3, "reset", {}, stamp],
      [4, "reset", {}, stamp],
    ]);
  });

  test("say the same in text (N7, N27)", async () => {
    const stub = await newDatabase();
    await commit(stub, put("x"));
    const client = await openSession(stub);
    client.socket.send(JSON.stringify({ id: 1, watchPrefix: [], keysOnly: true }));
    expect(await client.nextText()).toEqual({
      responses: [
        {
          id: 1,
          prefix: { reset: true, keys: [{ key: [{ type: "string", value: "a" }], versionstamp: stamp }], upTo: stamp },
        },
      ],
    });
  });
});

test("a ping is answered without waking the object (N23)", async () => {
  const stub = await newDatabase();
  const client = await openSession(stub);
  await evictDurableObject(stub);
  client.socket.send("ping");
  expect(await client.nextText()).toBe("pong");
  const answeredAt = await runInDurableObject(stub, (_instance, state) =>
    state.getWebSockets().map((socket) => state.getWebSocketAutoResponseTimestamp(socket)),
  );
  expect(answeredAt).toEqual([expect.any(Date)]);
});

describe("a socket ends", () => {
  test("with its client's code when that closes it, also after a sleep (N33)", async () => {
    const stub = await newDatabase();
    const [awake, slept] = [await openSession(stub), await openSession(stub)];
    awake.socket.close(3000);
    expect((await awake.closed()).code).toBe(3000);
    await evictDurableObject(stub);
    slept.socket.close(3001);
    expect((await slept.closed()).code).toBe(3001);
  });

  test("when its token does (N21)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub, { ...everything, expiresAt: asUnixMs(Date.now() + 60_000) });
    const lasting = await openSession(stub);
    passTime(61_000);
    client.send(readRequest(1, point(a)));
    expect(await client.next(1)).toMatchObject([[1, "error", "unauthenticated", expect.any(String)]]);
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await client.closed()).toEqual({ code: 4401, why: expect.stringContaining("The token has expired") });
    lasting.send(readRequest(1, point(a)));
    expect(await lasting.next(1)).toEqual([[1, "read", []]]);
  });

  test("when its token is revoked, and no other does (N22)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub);
    const other = await openSession(stub, { ...everything, tokenId: "other" });
    await evictDurableObject(stub);
    await stub.revoke("test", asUnixMs(Date.now() + 1e6));
    expect(await client.closed()).toEqual({ code: 4401, why: "The token was revoked." });
    other.send(readRequest(1, point(a)));
    expect(await other.next(1)).toEqual([[1, "read", []]]);
  });

  test("when its database is deleted (N22)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub);
    client.send(watchRequest(1, a));
    await client.next(1);
    await stub.wipe({ deleteBackups: false });
    expect(await client.closed()).toEqual({ code: 4404, why: "There is no such database." });
  });

  test.each<[string, number, RegExp, string | Uint8Array<ArrayBuffer>]>([
    ["protobuf that is cut off", 4400, /^The frame is not valid protobuf/, Uint8Array.of(0x0a, 50, 8)],
    ["a request without an id", 4400, /its id is missing/, Uint8Array.of(0x0a, 2, 0x12, 0)],
    ["no JSON", 4400, /^The frame is not JSON/, "hello"],
    ["an id twice", 4400, /^The id 5 is that of a request/, encodeClientFrame([readRequest(5), readRequest(5)])],
    [
      "too many requests",
      4429,
      /^The frame has 257 requests/,
      encodeClientFrame(Array.from({ length: 257 }, (_, i) => readRequest(i + 1))),
    ],
    [
      "a frame too large",
      4429,
      /^The frame has 10485761 bytes; the limit is 10485760\.$/,
      new Uint8Array(MAX_SOCKET_FRAME_BYTES + 1),
    ],
  ])("when it says %s: %i (N9, N10, N24, N26)", async (_, code, why, message) => {
    const stub = await newDatabase();
    const [client, other] = [await openSession(stub), await openSession(stub)];
    client.socket.send(message);
    expect(await client.closed()).toEqual({ code, why: expect.stringMatching(why) });
    other.send(writeRequest(1, put("1")));
    expect(await other.next(1)).toMatchObject([[1, "written", stamp]]);
  });
});

test("a token that is refused changes nothing (N20)", async () => {
  const client = await openSession(await newDatabase());
  client.send(tokenRequest(1, "x".repeat(40)), readRequest(2, point(a)));
  expect(await client.next(2)).toEqual([
    [1, "error", expect.any(String), expect.any(String)],
    [2, "read", []],
  ]);
});

test("whatever bytes come, the socket is answered or closed, and others go on (N10)", async () => {
  const stub = await newDatabase();
  const other = await openSession(stub);
  const valid = encodeClientFrame([
    readRequest(1, point(a)),
    writeRequest(2, put("1")),
    watchRequest(3, b),
    unwatch(4, 3),
    ack(3),
  ]);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .tuple(fc.nat(valid.length - 1), fc.nat(7))
      .map(([at, bit]) => valid.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte))),
    fc.nat(valid.length).map((length) => valid.slice(0, length)),
  );
  let id = 0;
  await fc.assert(
    fc.asyncProperty(bytes, fc.boolean(), async (message, asText) => {
      const client = await openSession(stub);
      client.socket.send(asText ? new TextDecoder().decode(message) : new Uint8Array(message));
      id += 1;
      other.send(readRequest(id, point(key("untouched"))));
      expect(await other.next(1)).toEqual([[id, "read", []]]);
      client.socket.close(1000);
    }),
    { numRuns: 150 },
  );
});
