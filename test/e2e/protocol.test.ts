/** KV Connect by hand: the exchange in each version, the limits from below, and what no client of today sends. */
import { afterAll, describe, expect, test } from "vitest";
import { startTestServer } from "../support/server.ts";
import { MutationType, ValueEncoding } from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";
import { exchange, RawConnect, rawKey, rawPoint, rawPrefix, rawSet, type Metadata } from "../support/raw-connect.ts";

const server = await startTestServer();
const connect = await RawConnect.open(server);

afterAll(async () => {
  connect.close();
  await server.close();
});

describe("the exchange", () => {
  test.each([
    ["no body", undefined, 1],
    ["version 1", "[1]", 1],
    ["version 2", "[2]", 2],
    ["version 3", "[3]", 3],
    ["several", "[2,1]", 2],
    ["versions to come", "[3,4,99]", 3],
  ])("%s: the newest version that both speak", async (_title, versions, version) => {
    const body = versions === undefined ? undefined : `{"supportedVersions":${versions}}`;
    const answer = await exchange(server, body);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/json");
    const metadata = (await answer.json()) as Metadata;
    expect(Object.keys(metadata).toSorted()).toEqual(["databaseId", "endpoints", "expiresAt", "token", "version"]);
    expect(metadata).toMatchObject({ version, databaseId: server.databaseId });
    const [endpoint] = metadata.endpoints;
    expect(endpoint).toMatchObject({ consistency: "strong" });
    expect(endpoint?.url).toMatch(version === 1 ? /^http:\/\/127\.0\.0\.1:\d+\/.*[^/]$/ : /[^/]$/);
    const minutes = (Date.parse(metadata.expiresAt) - Date.now()) / 60_000;
    expect(minutes).toBeGreaterThan(59);
    expect(minutes).toBeLessThan(61);

    const base = new URL(endpoint?.url ?? "", server.connectUrl);
    const headers: Record<string, string> =
      version === 1
        ? { "x-transaction-domain-id": metadata.databaseId }
        : { "x-denokv-database-id": metadata.databaseId, "x-denokv-version": `${version}` };
    const read = await fetch(`${base.href}/snapshot_read`, {
      method: "POST",
      headers: { ...headers, authorization: `Bearer ${metadata.token}`, "content-type": "application/x-protobuf" },
    });
    expect(read.status).toBe(200);
    expect(read.headers.get("content-type")).toBe("application/x-protobuf");
  });

  test("/v2 in front of the path answers the same", async () => {
    const url = server.connectUrl.replace("/databases/", "/v2/databases/");
    const answer = await exchange(server, '{"supportedVersions":[3]}', { url });
    expect(await answer.json()).toMatchObject({ version: 3, databaseId: server.databaseId });
  });
});

describe("the data path", () => {
  test("a good read is strongly consistent and has status 1, ranges in the order asked", async () => {
    const [a, b] = [rawKey("read", "a"), rawKey("read", "b")];
    const { versionstamp, status } = await connect.write({
      mutations: [rawSet(a, Uint8Array.of(1)), rawSet(b, Uint8Array.of(2))],
    });
    expect(status).toBe(1);
    expect(versionstamp).toHaveLength(10);
    const output = await connect.read({ ranges: [rawPoint(b), rawPoint(rawKey("read", "nothing")), rawPoint(a)] });
    expect(output).toMatchObject({ readDisabled: false, readIsStronglyConsistent: true, status: 1 });
    expect(output.ranges.map(({ values }) => values.map(({ value, encoding }) => [...value, encoding]))).toEqual([
      [[2, 3]],
      [],
      [[1, 3]],
    ]);
    expect(output.ranges[0]?.values[0]?.versionstamp).toEqual(versionstamp);
  });

  test("bounds of a range are bytes, not keys, and start = end is empty (R16)", async () => {
    const keys = ["a", "b", "c"].map((name) => rawKey("bounds", name));
    await connect.write({ mutations: keys.map((key) => rawSet(key, Uint8Array.of(0))) });
    const prefix = rawKey("bounds");
    const count = async (start: Uint8Array, end: Uint8Array): Promise<number | undefined> =>
      (await connect.read({ ranges: [{ start, end, limit: 100 }] })).ranges[0]?.values.length;
    expect(await count(Uint8Array.of(...prefix, 0), Uint8Array.of(...prefix, 0xff))).toBe(3);
    expect(await count(prefix, Uint8Array.of(...prefix, 0x02, 0x62))).toBe(1);
    expect(await count(keys[1] ?? prefix, Uint8Array.of(...prefix, 0xff))).toBe(2);
    expect(await count(prefix, prefix)).toBe(0);
    const longest = Uint8Array.of(...prefix, ...new Uint8Array(2049 - prefix.length).fill(0xff));
    expect(await count(prefix, longest)).toBe(3);
  });

  test("failed checks are named by their indexes (W3)", async () => {
    const [a, b] = [rawKey("checks", "a"), rawKey("checks", "b")];
    const { versionstamp } = await connect.write({ mutations: [rawSet(a, Uint8Array.of(1))] });
    const good = { key: a, versionstamp };
    const output = await connect.write({
      checks: [
        good,
        { key: a },
        { key: b },
        { key: b, versionstamp },
        good,
        { key: a, versionstamp: new Uint8Array(10) },
      ],
      mutations: [rawSet(b, Uint8Array.of(1))],
    });
    expect(output).toMatchObject({ status: 2, failedChecks: [1, 3, 5] });
    expect(output.versionstamp).toHaveLength(0);
    expect((await connect.read({ ranges: [rawPoint(b)] })).ranges[0]?.values).toEqual([]);
  });

  test("a request without a content type is accepted", async () => {
    const answer = await connect.post("snapshot_read", new Uint8Array(0), {
      headers: connect.headers({ "content-type": undefined }),
    });
    expect([answer.status, answer.contentType]).toEqual([200, "application/x-protobuf"]);
  });

  test("100 checks, 1,000 mutations, 10 ranges and 1,000 entries are taken (R15)", async () => {
    const keys = Array.from({ length: 1000 }, (_, i) => rawKey("many", i));
    const { versionstamp, status } = await connect.write({
      checks: keys.slice(0, 100).map((key) => ({ key })),
      mutations: keys.map((key) => rawSet(key, Uint8Array.of(1))),
    });
    expect([status, versionstamp.length]).toEqual([1, 10]);
    const output = await connect.read({
      ranges: Array.from({ length: 10 }, (_, i) => ({ ...rawPrefix("many"), reverse: i % 2 === 1 })),
    });
    expect(output.ranges.map(({ values }) => values.length)).toEqual(Array.from({ length: 10 }, () => 100));
    expect(output.ranges[1]?.values[0]?.key).toEqual(keys[999]);
  });

  test("a value of 1 MiB and a write of almost 8 MiB are taken and read back whole (V7, W26)", async () => {
    const keys = Array.from({ length: 7 }, (_, i) => rawKey("large", i));
    const value = (seed: number): Uint8Array => new Uint8Array(1024 * 1024).fill(seed);
    await connect.write({ mutations: keys.map((key, i) => rawSet(key, value(i))) });
    const [all] = (await connect.read({ ranges: [rawPrefix("large")] })).ranges;
    expect(all?.values.length).toBe(7);
    for (const [i, entry] of (all?.values ?? []).entries()) {
      expect(Buffer.compare(entry.value, value(i))).toBe(0);
    }
  });

  test("a V8 value of version 16 is stored as version 15; one that only 16 can say, and raw bytes, stay as they are (V2, V3)", async () => {
    const key = rawKey("relabelled");
    const stored = async (data: Uint8Array, encoding: ValueEncoding): Promise<number[]> => {
      await connect.write({ mutations: [rawSet(key, data, encoding)] });
      return [...((await connect.read({ ranges: [rawPoint(key)] })).ranges[0]?.values[0]?.value ?? [])];
    };
    const v8 = [0xff, 0x10, 0x22, 0x02, 0x61, 0x62];
    expect(await stored(Uint8Array.from(v8), ValueEncoding.V8)).toEqual([0xff, 0x0f, ...v8.slice(2)]);
    expect(await stored(Uint8Array.from(v8), ValueEncoding.BYTES)).toEqual(v8);
    const tilde = [0xff, 0x10, 0x22, 0x02, 0x7e, 0x62];
    expect(await stored(Uint8Array.from(tilde), ValueEncoding.V8)).toEqual([0xff, 0x0f, ...tilde.slice(2)]);
    const older = [0xff, 0x0d, 0x49, 0x02];
    expect(await stored(Uint8Array.from(older), ValueEncoding.V8)).toEqual(older);
    // A resizable buffer whose maximum is 2^33 bytes: version 15 has no such length.
    const resizable = [0xff, 0x10, 0x7e, 0x01, 0x80, 0x80, 0x80, 0x80, 0x20, 0x00];
    expect(await stored(Uint8Array.from(resizable), ValueEncoding.V8)).toEqual(resizable);
  });

  test("sums within a range are clamped or refused, also the first one (W19)", async () => {
    const key = rawKey("range");
    const int = (value: number): Uint8Array => Uint8Array.of(0xff, 0x0f, 0x49, value * 2);
    const sum = (value: number, sumClamp: boolean) => ({
      key,
      mutationType: MutationType.SUM,
      value: { data: int(value), encoding: ValueEncoding.V8 },
      sumMin: int(2),
      sumMax: int(10),
      sumClamp,
    });
    const valueNow = async (): Promise<number[] | undefined> => {
      const [entry] = (await connect.read({ ranges: [rawPoint(key)] })).ranges[0]?.values ?? [];
      return entry === undefined ? undefined : [...entry.value];
    };
    await expect(connect.write({ mutations: [sum(1, false)] })).rejects.toThrow(/400.*would exceed its range limit/);
    expect(await valueNow()).toBeUndefined();
    await connect.write({ mutations: [sum(1, true)] });
    expect(await valueNow()).toEqual([...int(2)]);
    await connect.write({ mutations: [sum(8, false)] });
    expect(await valueNow()).toEqual([...int(10)]);
    await expect(connect.write({ mutations: [sum(1, false)] })).rejects.toThrow(/400.*would exceed its range limit/);
    await connect.write({ mutations: [sum(1, true)] });
    expect(await valueNow()).toEqual([...int(10)]);
  });
});

describe("a watch", () => {
  test("begins with every key as changed, and a key without an entry has none (O1)", async () => {
    const [a, b] = [rawKey("watch", "a"), rawKey("watch", "b")];
    await connect.write({ mutations: [rawSet(a, Uint8Array.of(1))] });
    const watch = await connect.watch(a, b);
    const first = await watch.next();
    expect(first.status).toBe(1);
    expect(first.keys.map(({ changed, entryIfChanged }) => [changed, entryIfChanged?.value[0]])).toEqual([
      [true, 1],
      [true, undefined],
    ]);
    await connect.write({ mutations: [rawSet(b, Uint8Array.of(2))] });
    const second = await watch.next();
    // Every key again: Deno's client takes one that is not changed for deleted.
    expect(second.keys.map(({ changed, entryIfChanged }) => [changed, entryIfChanged?.value[0]])).toEqual([
      [true, 1],
      [true, 2],
    ]);
    watch.vanish();
  });

  test("sends a keep-alive when nothing happens for five seconds (O10)", async () => {
    const watch = await connect.watch(rawKey("keep-alive"));
    await watch.next();
    const before = Date.now();
    expect(await watch.frame()).toBe("keep-alive");
    expect(Date.now() - before).toBeGreaterThan(4000);
    expect(Date.now() - before).toBeLessThan(7000);
    watch.vanish();
  });

  test("that nobody reads holds back what is written, and gives the last state when somebody does (O7)", async () => {
    const key = rawKey("unread");
    const value = (i: number): Uint8Array => new Uint8Array(500_000).fill(i);
    await connect.write({ mutations: [rawSet(key, value(0))] });
    const watch = await connect.watch(key);
    await watch.next();
    for (let i = 1; i <= 100; i++) await connect.write({ mutations: [rawSet(key, value(i))] });
    let count = 0;
    for (let last: number | undefined; last !== 100; count++) {
      last = (await watch.next()).keys[0]?.entryIfChanged?.value[0];
    }
    // What the buffers of the connections hold is a few megabytes; 100 states are 50.
    expect(count).toBeLessThan(40);
    watch.vanish();
  });
});
