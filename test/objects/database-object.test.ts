import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { toHex } from "../../src/core/bytes.ts";
import { encodeWatch } from "../../src/codec/datapath-requests.ts";
import { MAX_WATCHERS } from "../../src/core/limits.ts";
import { Database } from "../../src/engine/database.ts";
import type { Env } from "../../src/objects/env.ts";
import { watchProtocol } from "../../src/contracts/database.ts";
import { LateWatchers } from "../../src/objects/late-watchers.ts";
import { WatchSockets } from "../../src/objects/watch-sockets.ts";
import { FakeTimers } from "../support/fake-timers.ts";
import { passTime } from "../support/moved-date.ts";
import { commit, everything, newDatabase, read, type Stub, TestWatch } from "../support/workerd/database-object.ts";
import { key, MovableClock, numeric, point, prefix, remove, set, text, u64, write } from "../support/workerd/engine.ts";

const a = key("a");
const b = key("b");

function expectNoEntry(state: { changed: boolean; entryIfChanged?: unknown } | undefined): void {
  expect(state?.changed).toBe(true);
  expect(state?.entryIfChanged).toBeUndefined();
}

test("an object that was never initialised refuses everything and writes nothing", async () => {
  // The plugin's environment is the deployment's.
  const stub = (env as unknown as Env).DATABASES.getByName("made up");
  expect(await stub.snapshotRead(everything, new Uint8Array())).toMatchObject({ ok: false, code: "not-found" });
  expect(await stub.atomicWrite(everything, new Uint8Array())).toMatchObject({ ok: false, code: "not-found" });
  const headers = { upgrade: "websocket", [watchProtocol.grantHeader]: JSON.stringify(everything) };
  const watch = await stub.fetch("http://object/watch", { headers });
  expect(watch.status).toBe(400);
  expect(await watch.json()).toMatchObject({ code: "not-found" });
  await runInDurableObject(stub, (_instance, state) => {
    expect(
      state.storage.sql.exec("SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\'").toArray(),
    ).toEqual([]);
  });
});

test("what was committed is there after an eviction, and versionstamps go on above it (W29, S7)", async () => {
  const stub = await newDatabase();
  let last = "";
  for (let i = 0; i < 5; i++) {
    const { status, versionstamp } = await commit(stub, write([numeric("sum", a, u64(1n))]));
    expect(status).toBe(1);
    expect(toHex(versionstamp) > last).toBe(true);
    last = toHex(versionstamp);
    await evictDurableObject(stub);
  }
  const [[entry] = []] = await read(stub, [point(a)]);
  expect(entry?.value).toEqual(u64(5n));
});

test("a database that does not start says in the log which and why", async () => {
  const stub = await newDatabase();
  await runInDurableObject(
    stub,
    (_instance, { storage }) => void storage.sql.exec("UPDATE meta SET name = 'other' WHERE name = 'schema_version'"),
  );
  await evictDurableObject(stub);
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  await expect(read(stub, [point(a)])).rejects.toThrow("one result");
  expect(log.mock.calls).toEqual([
    [expect.stringMatching(/^the database database \d+ does not start$/), expect.any(Error)],
  ]);
  log.mockRestore();
});

test("writes that arrive together are each applied once and answered in the order of their versionstamps (W30)", async () => {
  const stub = await newDatabase();
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, i) =>
      commit(stub, write([numeric("sum", a, u64(1n)), set(key("n", i), text(`${i}`))])),
    ),
  );
  expect(new Set(answers.map(({ versionstamp }) => toHex(versionstamp))).size).toBe(200);
  const [[entry] = [], all] = await read(stub, [point(a), prefix(key("n"), 900)]);
  expect(entry?.value).toEqual(u64(200n));
  expect(all).toHaveLength(200);
});

test("a grant that has ended, or that does not allow it, is refused", async () => {
  const stub = await newDatabase();
  await expect(read(stub, [point(a)], { ...everything, expiresAt: asUnixMs(Date.now() - 1) })).rejects.toThrow(
    "unauthenticated",
  );
  await expect(read(stub, [point(a)], { ...everything, read: false })).rejects.toThrow("forbidden");
  await expect(commit(stub, write([set(a, text("1"))]), { ...everything, write: false })).rejects.toThrow("forbidden");
  await expect(TestWatch.open(stub, [a], { ...everything, read: false })).rejects.toThrow("forbidden");
  expect(await read(stub, [point(a)])).toEqual([[]]);
});

test("an answer too large for one call is streamed, whole", async () => {
  const stub = await newDatabase();
  const value = new Uint8Array(1024 * 1024).fill(3);
  for (let i = 0; i < 12; i += 4) await commit(stub, write([0, 1, 2, 3].map((n) => set(key("big", i + n), value))));
  const { encodeSnapshotRead } = await import("../../src/codec/datapath-requests.ts");
  const request = encodeSnapshotRead([prefix(key("big"), 100)]);
  expect(await stub.snapshotRead(everything, request)).toEqual({ ok: true, large: true });
  const headers = { [watchProtocol.grantHeader]: JSON.stringify(everything) };
  const answers = await Promise.all(
    [1, 2, 3].map(async () => {
      const response = await stub.fetch("http://object/snapshot_read", { method: "POST", headers, body: request });
      expect(response.status).toBe(200);
      return (await response.arrayBuffer()).byteLength;
    }),
  );
  for (const size of answers) expect(size).toBeGreaterThan(12 * 1024 * 1024);
});

test("a read past the limit names its size, and the next one is answered (R17)", async () => {
  const stub = await newDatabase();
  const value = new Uint8Array(1024 * 1024);
  for (let i = 0; i < 77; i += 7)
    await commit(stub, write(Array.from({ length: 7 }, (_, n) => set(key("big", i + n), value))));
  const { encodeSnapshotRead } = await import("../../src/codec/datapath-requests.ts");
  const headers = { [watchProtocol.grantHeader]: JSON.stringify(everything) };
  const ask = (limit: number) =>
    stub.fetch("http://object/snapshot_read", {
      method: "POST",
      headers,
      body: encodeSnapshotRead([prefix(key("big"), limit)]),
    });
  const refused = await ask(77);
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({
    code: "limit",
    message: expect.stringMatching(/have 807\d{5} bytes.*batchSize/),
  });
  const answered = await ask(20);
  expect(answered.status).toBe(200);
  expect((await answered.arrayBuffer()).byteLength).toBeGreaterThan(20 * 1024 * 1024);
});

test("an expired entry is not read from its millisecond on, and is deleted by the alarm, telling watchers (R13, W34)", async () => {
  const stub = await newDatabase();
  const expiresAt = Date.now() + 60_000;
  await commit(stub, write([set(a, text("1"), { expiresAt }), set(b, new Uint8Array(5000), { expiresAt })]));
  const watch = await TestWatch.open(stub, [a]);
  expect((await watch.next())[0]?.entryIfChanged?.value).toEqual(text("1"));
  watch.acknowledge();
  expect(await runInDurableObject(stub, (_instance, { storage }) => storage.getAlarm())).toBeLessThan(
    expiresAt + 1_000,
  );
  passTime(60_000);
  expect(await read(stub, [point(a)])).toEqual([[]]);
  passTime(1_000);
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  const [state] = await watch.next();
  expectNoEntry(state);
  await runInDurableObject(stub, (_instance, { storage }) => {
    expect(
      storage.sql.exec("SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM large_values) AS n").one(),
    ).toEqual({ n: 0 });
  });
});

test("the alarm for an expiry stands at a whole second", async () => {
  const stub = await newDatabase();
  const second = Math.floor(Date.now() / 1000) * 1000;
  await commit(stub, write([set(a, text("1"), { expiresAt: second + 5_001 })]));
  const at = await runInDurableObject(stub, (_instance, { storage }) => storage.getAlarm());
  expect(at).toBeLessThanOrEqual(second + 6_000);
  expect(at).toBe(Math.floor((at ?? 0.5) / 1000) * 1000);
});

test("expired entries are deleted in batches, and the alarm is set again while there are more (W34)", async () => {
  const stub = await newDatabase();
  const expiresAt = Date.now() + 60_000;
  await commit(stub, write(Array.from({ length: 1000 }, (_, i) => set(key(i), text("x"), { expiresAt }))));
  await runInDurableObject(
    stub,
    (_instance, { storage }) => void storage.sql.exec("UPDATE entries SET expires_at = 1"),
  );
  const left = () =>
    runInDurableObject(
      stub,
      (_instance, { storage }) => storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM entries").one().n,
    );
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  expect(await left()).toBe(500);
  await expect.poll(left).toBe(0);
});

test("a lost alarm is found and set again when the object starts", async () => {
  const stub = await newDatabase();
  const expiresAt = Date.now() + 60_000;
  await commit(stub, write([set(a, text("1"), { expiresAt })]));
  const alarm = () => runInDurableObject(stub, (_instance, { storage }) => storage.getAlarm());
  await runInDurableObject(stub, (_instance, { storage }) => storage.deleteAlarm());
  expect(await alarm()).toBeNull();
  await evictDurableObject(stub);
  passTime(61_000);
  await read(stub, [point(b)]);
  // After the answer: a read waits for no bookkeeping.
  await expect.poll(alarm).not.toBeNull();
  await runDurableObjectAlarm(stub);
  await expect
    .poll(() => runInDurableObject(stub, (_i, { storage }) => storage.sql.exec("SELECT k FROM entries").toArray()))
    .toEqual([]);
});

const requests: [string, (stub: Stub) => Promise<unknown>][] = [
  ["read", (stub) => read(stub, [point(b)])],
  ["write", (stub) => commit(stub, write([set(b, text("1"))]))],
  ["backup command", (stub) => stub.backup({ command: "status" })],
  ["restore command", (stub) => stub.restore({ command: "jobs" })],
];

test.each(requests)("an alarm that is lost while the object is awake is set again by a %s", async (_, request) => {
  const stub = await newDatabase();
  await commit(stub, write([set(a, text("1"), { expiresAt: Date.now() + 60_000 })]));
  const alarm = () => runInDurableObject(stub, (_instance, { storage }) => storage.getAlarm());
  await runInDurableObject(stub, (_instance, { storage }) => storage.deleteAlarm());
  passTime(70_000);
  expect(await alarm()).toBeNull();
  await request(stub);
  await expect.poll(alarm).not.toBeNull();
});

test("a watcher gets the state of all its keys, then of all again whenever one has changed (O2)", async () => {
  const stub = await newDatabase();
  await commit(stub, write([set(a, text("1"))]));
  const watch = await TestWatch.open(stub, [a, b]);
  const [first, second] = await watch.next();
  expect(first?.entryIfChanged?.value).toEqual(text("1"));
  expectNoEntry(second);
  // Not acknowledged yet: what changes now is kept as one bit.
  for (let i = 2; i <= 50; i++) await commit(stub, write([set(a, text(`${i}`))]));
  await watch.silent();
  watch.acknowledge();
  const next = await watch.next();
  expect(next[0]?.entryIfChanged?.value).toEqual(text("50"));
  // Not as unchanged: Deno would take that for deleted.
  expectNoEntry(next[1]);
  watch.acknowledge();
  await commit(stub, write([set(b, text("b"))]));
  const both = await watch.next();
  expect(both.map((state) => state.entryIfChanged?.value)).toEqual([text("50"), text("b")]);
  watch.acknowledge();
  await commit(stub, write([set(key("elsewhere"), text("x"))]));
  await commit(stub, write([remove(key("nothing"))]));
  await watch.silent();
  await commit(stub, write([remove(a)]));
  expectNoEntry((await watch.next())[0]);
});

test("watchers outlive an object that sleeps, and changes that nobody remembered are told on the next acknowledgement (O14)", async () => {
  const stub = await newDatabase();
  const watch = await TestWatch.open(stub, [a]);
  await watch.next();
  await commit(stub, write([set(a, text("1"))]));
  await watch.silent();
  await evictDurableObject(stub);
  // The object forgot that it has something to tell.
  watch.acknowledge();
  expect((await watch.next())[0]?.entryIfChanged?.value).toEqual(text("1"));
  watch.acknowledge();
  await watch.silent();
  await evictDurableObject(stub);
  await commit(stub, write([set(a, text("2"))]));
  expect((await watch.next())[0]?.entryIfChanged?.value).toEqual(text("2"));
});

test("a watch of keys too long to be remembered is told to connect again after a sleep", async () => {
  const stub = await newDatabase();
  const keys = Array.from({ length: 10 }, (_, i) => key("k".repeat(2000), i));
  const watch = await TestWatch.open(stub, keys);
  await watch.next();
  watch.acknowledge();
  await watch.silent();
  await evictDurableObject(stub);
  await read(stub, [point(a)]);
  await expect.poll(() => watch.closedWith).toEqual({ code: 1012, reason: "connect again" });
});

test("a watcher that is gone leaves nothing behind (O15)", async () => {
  const stub = await newDatabase();
  const watches = await Promise.all(Array.from({ length: 20 }, () => TestWatch.open(stub, [a])));
  for (const watch of watches) await watch.next();
  const open = () => runInDurableObject(stub, (_i, state) => state.getWebSockets().length);
  expect(await open()).toBe(20);
  for (const watch of watches) watch.socket.close(1000);
  await expect.poll(open).toBe(0);
  await commit(stub, write([set(a, text("1"))]));
});

test("a watch more than a database takes is refused, and one that ends makes room (O16)", async () => {
  const stub = await newDatabase();
  await runInDurableObject(stub, async (_instance, state) => {
    const hub = new Database({ storage: state.storage, clock: new MovableClock() }).watches;
    const watchers = Array.from({ length: MAX_WATCHERS - 1 }, () => hub.add([a], () => undefined, { resumed: false }));
    const sockets = new WatchSockets(hub, [], new LateWatchers(hub, new FakeTimers(), new FakeTimers()));
    const ask = () => {
      const { 0: client, 1: server } = new WebSocketPair();
      state.acceptWebSocket(server);
      const watch = new TestWatch(client);
      sockets.opened(server, everything);
      sockets.message(server, encodeWatch([a]).buffer);
      return watch.nextRaw();
    };
    expect(await ask()).toBeInstanceOf(Uint8Array);
    expect(await ask()).toContain(`"unavailable","message":"This database has ${MAX_WATCHERS} watchers`);
    watchers[0]?.remove();
    expect(await ask()).toBeInstanceOf(Uint8Array);
  });
});

test("a door that says more on a watch than it may is told so and cut off", async () => {
  const stub = await newDatabase();
  for (const more of [encodeWatch([b]), "hello"]) {
    const watch = await TestWatch.open(stub, [a]);
    await watch.next();
    watch.socket.send(more);
    expect(JSON.parse((await watch.nextRaw()) as string)).toMatchObject({ ok: false, code: "invalid" });
    await expect.poll(() => watch.closedWith?.code).toBe(1008);
  }
});

test("a malformed watch is refused with a sentence and closed", async () => {
  const stub = await newDatabase();
  const watch = await TestWatch.open(stub, []);
  expect(JSON.parse((await watch.nextRaw()) as string)).toMatchObject({ ok: false, code: "invalid" });
  await expect.poll(() => watch.closedWith?.code).toBe(1008);
});
