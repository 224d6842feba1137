import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { toHex } from "../../src/core/bytes.ts";
import { encodeAtomicWrite } from "../../src/codec/datapath-requests.ts";
import { CLOCK_SET_BACK_MS } from "../../src/core/limits.ts";
import type { DatabaseObject } from "../../src/objects/database-object.ts";
import { passTime } from "../support/moved-date.ts";
import { commit, everything, newDatabase, read, TestWatch } from "../support/workerd/database-object.ts";
import { key, numeric, point, prefix, remove, set, text, u64, write } from "../support/workerd/engine.ts";

const a = key("a");
const never = asUnixMs(8e15);

test("the same setup again changes nothing, another one is a conflict", async () => {
  const stub = await newDatabase();
  await commit(stub, write([set(a, text("1"))]));
  const setup = await runInDurableObject(stub, (_instance, { storage }) =>
    JSON.parse(storage.sql.exec<{ setup: string }>("SELECT setup FROM identity").one().setup),
  );
  expect(await stub.initialize(setup)).toEqual({ initialized: true });
  expect(await stub.initialize({ ...setup, organizationId: "somebody else" })).toMatchObject({ code: "conflict" });
  expect((await read(stub, [point(a)]))[0]).toHaveLength(1);
});

test("a revoked token is refused at once, also after an eviction, its watches end, and another token's go on (T20)", async () => {
  const stub = await newDatabase();
  const one = { ...everything, tokenId: "one" };
  const two = { ...everything, tokenId: "two" };
  const [first, second] = [await TestWatch.open(stub, [a], one), await TestWatch.open(stub, [a], two)];
  await first.next();
  await second.next();
  second.acknowledge();
  await stub.revoke("one", never);
  expect(JSON.parse((await first.nextRaw()) as string)).toMatchObject({ code: "unauthenticated" });
  await expect.poll(() => first.closedWith?.code).toBe(1008);
  for (let i = 0; i < 2; i++) {
    await expect(read(stub, [point(a)], one)).rejects.toThrow("unauthenticated");
    await expect(commit(stub, write([set(a, text("1"))]), one)).rejects.toThrow("unauthenticated");
    await expect(TestWatch.open(stub, [a], one)).rejects.toThrow("unauthenticated");
    await evictDurableObject(stub);
  }
  await commit(stub, write([set(a, text("2"))]), two);
  expect((await second.next())[0]?.entryIfChanged?.value).toEqual(text("2"));
});

test("revocations and a deletion at the same moment end every watch, and asking again is no error (O12)", async () => {
  const stub = await newDatabase();
  const watches = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      TestWatch.open(stub, [a], { ...everything, tokenId: i % 2 === 0 ? "one" : "two" }),
    ),
  );
  for (const watch of watches) await watch.next();
  await Promise.all([
    stub.revoke("one", never),
    stub.revoke("one", never),
    stub.wipe({ deleteBackups: false }),
    stub.revoke("one", never),
    stub.wipe({ deleteBackups: false }),
    stub.revoke("two", never),
  ]);
  for (const watch of watches) await expect.poll(() => watch.closedWith?.code).toBe(1008);
});

test("a write that waits for its turn when its token is revoked is not applied (H3)", async () => {
  const stub = await newDatabase();
  await runInDurableObject(stub, async (instance: DatabaseObject) => {
    const grant = { ...everything, tokenId: "one" };
    const request = encodeAtomicWrite(write([set(a, text("1"))]));
    // The first one is on its way to the disk, and the second one waits behind it.
    const first = instance.atomicWrite(grant, request);
    const second = instance.atomicWrite(grant, request);
    await instance.revoke("one", never);
    expect(await first).toBeInstanceOf(Uint8Array);
    expect(await second).toMatchObject({ code: "unauthenticated" });
  });
});

test("a revocation is forgotten a day after the last data token of its was over, and not before (T20)", async () => {
  const stub = await newDatabase();
  await stub.revoke("old", asUnixMs(Date.now() + 60_000));
  const kept = () =>
    runInDurableObject(stub, (_i, { storage }) => storage.sql.exec("SELECT id FROM revoked_tokens").toArray());
  // The clock may be set back.
  passTime(60_001);
  await stub.revoke("new", never);
  expect(await kept()).toEqual([{ id: "new" }, { id: "old" }]);
  passTime(CLOCK_SET_BACK_MS);
  await stub.revoke("new", never);
  expect(await kept()).toEqual([{ id: "new" }]);
});

test("a wiped database keeps nothing but a tombstone: late requests are refused and write nothing, sockets are closed (T22)", async () => {
  const stub = await newDatabase();
  await commit(stub, write([set(a, new Uint8Array(5000), { expiresAt: Date.now() + 60_000 })]));
  const watch = await TestWatch.open(stub, [a]);
  await watch.next();
  await stub.wipe({ deleteBackups: false });
  expect(JSON.parse((await watch.nextRaw()) as string)).toMatchObject({ code: "not-found" });
  for (let i = 0; i < 2; i++) {
    await expect(read(stub, [point(a)])).rejects.toThrow("not-found");
    await expect(commit(stub, write([set(a, text("1"))]))).rejects.toThrow("not-found");
    const again = { organizationId: "nobody", databaseId: "database", jurisdiction: null };
    expect(await stub.initialize(again)).toMatchObject({ code: "conflict" });
    expect(await stub.stats()).toMatchObject({ code: "not-found" });
    await stub.revoke("x", never);
    await stub.wipe({ deleteBackups: false });
    const left = await runInDurableObject(stub, async (_instance, { storage }) => ({
      tables: storage.sql.exec("SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\'").toArray(),
      alarm: await storage.getAlarm(),
    }));
    expect(left).toEqual({ tables: [{ name: "tombstone" }], alarm: null });
    await evictDurableObject(stub);
  }
});

test("writers are told that their database is gone, whenever it is deleted: none of them meets a bug", async () => {
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  for (let round = 0; round < 5; round++) {
    const stub = await newDatabase();
    const big = new Uint8Array(200_000);
    const writer = async (name: number): Promise<string> => {
      for (let n = 0; ; n++) {
        const answer = await stub.atomicWrite(everything, encodeAtomicWrite(write([set(key(name, n), big)])));
        if (!(answer instanceof Uint8Array)) return answer.code;
      }
    };
    const writers = Array.from({ length: 30 }, (_, name) => writer(name));
    for (let turn = 0; turn < round; turn++) await stub.stats();
    await stub.wipe({ deleteBackups: false });
    expect(new Set(await Promise.all(writers))).toEqual(new Set(["not-found"]));
  }
  expect(log.mock.calls).toEqual([]);
  log.mockRestore();
});

test("counters: entries stay exact through every way of writing, also across evictions; reads and writes are counted", async () => {
  const stub = await newDatabase();
  const large = new Uint8Array(3000);
  await commit(stub, write([set(a, text("1")), set(key("b"), large), set(key("c"), text("1"))]));
  await commit(
    stub,
    write([set(a, large), set(key("b"), text("1")), numeric("sum", key("n"), u64(1n)), remove(key("c"))]),
  );
  await commit(stub, write([set(a, text("2")), remove(key("none")), numeric("sum", key("n"), u64(1n))]));
  await read(stub, [point(a), prefix(key("x"), 10)]);
  expect(await stub.stats()).toMatchObject({ entries: 3, reads: 2, writes: 9, readUnits: 2, watchers: 0 });
  const { versionstamp } = await commit(stub, write([remove(a)]));
  expect(await stub.stats()).toMatchObject({ entries: 2, versionstamp: toHex(versionstamp) });
  await evictDurableObject(stub);
  expect(await stub.stats()).toMatchObject({ entries: 2 });
});

test("a key prefix: reads see what lies under it, whatever else names another key is refused whole", async () => {
  const stub = await newDatabase();
  const grant = { ...everything, keyPrefix: toHex(key("tenant")) };
  const [inside, itself, beside, longer] = [key("tenant", 1), key("tenant"), key("other"), key("tenants", 1)];
  await commit(stub, write([inside, itself, beside, longer].map((name) => set(name, text("1")))));
  const all = { start: Uint8Array.of(0), end: Uint8Array.of(255), limit: 100, reverse: false };
  const seen = await read(stub, [all, { ...all, limit: 1, reverse: true }, point(beside), point(inside)], grant);
  expect(seen.map((entries) => entries.map((entry) => toHex(entry.key)))).toEqual([
    [toHex(itself), toHex(inside)],
    [toHex(inside)],
    [],
    [toHex(inside)],
  ]);
  for (const refused of [
    write([set(beside, text("2"))]),
    write([set(inside, text("2")), remove(longer)]),
    write([set(inside, text("2"))], [{ key: beside, version: null }]),
    write([numeric("sum", longer, u64(1n))]),
  ]) {
    await expect(commit(stub, refused, grant)).rejects.toThrow("forbidden");
  }
  const onBeside = write([set(inside, text("2")), remove(beside)]);
  await expect(commit(stub, onBeside, grant)).rejects.toThrow('under its key prefix; the request names ["other"]');
  expect((await read(stub, [point(inside)]))[0]?.[0]?.value).toEqual(text("1"));
  await commit(stub, write([set(inside, text("3")), set(itself, text("4"), { versionstampedKey: true })]), grant);
  const watch = await TestWatch.open(stub, [inside, beside], grant);
  expect(JSON.parse((await watch.nextRaw()) as string)).toMatchObject({ code: "forbidden" });
  expect(await (await TestWatch.open(stub, [inside], grant)).next()).toHaveLength(1);
});
