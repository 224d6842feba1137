/** Export and import by HTTP: what goes out comes in the same, and what is wrong is said line by line. */
import { runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { StateDigest } from "../../../src/backup/format/state-digest.ts";
import { encodeV8 } from "../../../src/codec/v8/codec.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { MAX_IMPORT_LINE_BYTES } from "../../../src/core/limits.ts";
import { Encoding } from "../../../src/core/operations.ts";
import { NO_VERSION } from "../../../src/core/versionstamp.ts";
import { Database } from "../../../src/engine/database.ts";
import theirs from "../../support/ndjson/kv-utils-export.ndjson?raw";
import { key, set, u64, write } from "../../support/workerd/engine.ts";
import { configured, keyJson, RestDatabase } from "./rest-client.ts";

let database: RestDatabase;

beforeAll(async () => void (database = await RestDatabase.make()));

const stamp = expect.stringMatching(/^[0-9a-f]{20}$/);
const line = (name: string, value: unknown = 1) =>
  JSON.stringify({ key: ["i", name], value: { type: "number", value }, versionstamp: "00000000000000010000" });
const importInto = (of: RestDatabase, body: string | Uint8Array, query = "", token = of.token) =>
  of.ask("POST", `import?${query}`, { body: body as BodyInit, token });

/** All that is stored, except versionstamps: imported entries get new ones. */
async function digestOf(of: RestDatabase) {
  return runInDurableObject(configured.DATABASES.getByName(of.id), (_, { storage }) => {
    const stored = new Database({ storage, clock: { now: () => asUnixMs(Date.now()) } });
    const digest = new StateDigest();
    for (const entry of stored.scan(null, { maxBytes: 1e9, maxEntries: 1e6 }))
      digest.add({ ...entry, version: NO_VERSION });
    return digest.value();
  });
}

/** Stored as no JSON could be. */
async function store(of: RestDatabase, entries: readonly { name: string; value: Uint8Array; encoding: Encoding }[]) {
  await runInDurableObject(configured.DATABASES.getByName(of.id), (_, { storage }) => {
    const stored = new Database({ storage, clock: { now: () => asUnixMs(Date.now()) } });
    stored.commit([write(entries.map(({ name, value, encoding }) => set(key("s", name), value, { encoding })))]);
  });
}

function v8(value: unknown): Uint8Array {
  const encoded = encodeV8(value);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

describe("an export", () => {
  test("imported into another database gives the same digest, whatever was stored (H20, H21)", async () => {
    const [source, target] = [await database.another(), await database.another()];
    await importInto(source, theirs);
    await source.put("expiring", 1, { "cairn-expires-at": "2099-01-01T00:00:00.000Z" });
    const cycle: unknown[] = [];
    cycle.push(cycle);
    const shared = new Uint8Array(16);
    await store(source, [
      // 1 as a double, which V8 writes where a field holds doubles; we write an integer.
      { name: "double", value: Uint8Array.of(0xff, 15, 0x4e, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f), encoding: Encoding.v8 },
      { name: "cycle", value: v8(cycle), encoding: Encoding.v8 },
      { name: "view", value: v8(new Uint8Array(shared.buffer, 4, 4)), encoding: Encoding.v8 },
      { name: "boxed", value: v8(Object(1)), encoding: Encoding.v8 },
      { name: "u64", value: u64(2n ** 64n - 1n), encoding: Encoding.le64 },
      { name: "bytes", value: Uint8Array.of(0, 255), encoding: Encoding.bytes },
      { name: "broken", value: Uint8Array.of(0xff, 15, 0x01), encoding: Encoding.v8 },
    ]);
    for (const values of ["", "values=plain"]) {
      const exported = await source.ask("GET", `export?${values}`);
      expect(exported.status).toBe(200);
      expect(exported.headers.get("content-type")).toBe("application/x-ndjson");
      const lines = exported.text.trimEnd().split("\n");
      const imported = await importInto(target, exported.text, `overwrite=true&${values}`);
      expect(imported.json).toMatchObject({ count: lines.length, skipped: 0, errors: 0, nextLine: lines.length + 1 });
      expect(await digestOf(target)).toEqual(await digestOf(source));
      const last = JSON.parse(lines.at(-1) ?? "");
      expect(last.export).toEqual({ entries: lines.length, v8: 3 });
      expect(JSON.parse(lines[0] ?? "").readAt).toEqual(stamp);
      expect(exported.text).toContain('"expiresAt":"2099-01-01T00:00:00.000Z"');
    }
  });

  test("has what the selector names, for whom it may be shown (H10, H20)", async () => {
    const source = await database.another();
    for (const path of ["mine/1", "mine/2", "theirs"]) await source.put(path, 1);
    const keysOf = (text: string) => text.split("\n").flatMap((each) => (each === "" ? [] : [JSON.parse(each).key]));
    const get = async (query: string, token = source.token) =>
      keysOf((await source.ask("GET", `export?${query}`, { token })).text);
    expect(await get("")).toEqual([keyJson("mine", "1"), keyJson("mine", "2"), keyJson("theirs")]);
    expect(await get('prefix=["mine"]&start=["mine","2"]')).toEqual([keyJson("mine", "2")]);
    expect(await get('prefix=["nothing"]')).toEqual([]);
    const { token } = await source.newToken({ keyPrefix: ["mine", "1"], permissions: ["read"] });
    expect(await get("", token)).toEqual([keyJson("mine", "1")]);
    expect(await get('prefix=["theirs"]', token)).toEqual([]);
    const { token: writer } = await source.newToken({ permissions: ["write"] });
    expect((await source.ask("GET", "export", { token: writer })).status).toBe(403);
  });

  test("of many batches has each entry once, in order (H20)", async () => {
    const source = await database.another();
    const lines = Array.from({ length: 4500 }, (_, i) => line(String(i).padStart(5, "0"), i));
    expect((await importInto(source, lines.join("\n"))).json).toMatchObject({ count: 4500 });
    const { text } = await source.ask("GET", "export");
    const entries = text
      .trimEnd()
      .split("\n")
      .map((each) => JSON.parse(each));
    expect(entries.map(({ value }) => value.value)).toEqual(Array.from({ length: 4500 }, (_, i) => i));
    expect(entries.filter(({ readAt }) => readAt !== undefined)).toHaveLength(3);
    expect(entries.at(-1).export).toEqual({ entries: 4500, v8: 0 });
  });
});

describe("an import", () => {
  test("takes the file that the Deno team's own export wrote, and says how many (H21)", async () => {
    const target = await database.another();
    const lines = theirs.trimEnd().split("\n");
    const { status, json } = await importInto(target, theirs);
    expect(status).toBe(200);
    expect(json).toEqual({
      count: lines.length,
      skipped: 0,
      errors: 0,
      lineErrors: [],
      nextLine: lines.length + 1,
      versionstamp: stamp,
    });
    const { text } = await target.ask("GET", "export");
    const [before, after] = [lines, text.trimEnd().split("\n")].map((some) => some.map((each) => JSON.parse(each)));
    const said = (some: { key: unknown; value: unknown }[] | undefined) => some?.map((each) => [each.key, each.value]);
    expect(said(after)).toEqual(said(before));
  });

  test("leaves what is there as it is, unless it is told to overwrite (H21)", async () => {
    const target = await database.another();
    await importInto(target, `${line("a", 1)}\n${line("b", 1)}`);
    expect((await importInto(target, [line("a", 2), line("c", 2), line("c", 3)].join("\n"))).json).toMatchObject({
      count: 1,
      skipped: 2,
    });
    const values = async () =>
      (await target.ask("GET", 'entries?values=plain&prefix=["i"]')).json.entries.map(
        (each: { value: unknown }) => each.value,
      );
    expect(await values()).toEqual([1, 1, 2]);
    const again = [line("a", 5), line("c", 6), line("c", 7)].join("\n");
    expect((await importInto(target, again, "overwrite=true")).json).toMatchObject({ count: 3, skipped: 0 });
    expect(await values()).toEqual([5, 1, 7]);
  });

  test("takes CRLF, a byte order mark, empty lines and a last line without end (H21)", async () => {
    const target = await database.another();
    const { json } = await importInto(target, `\ufeff${line("a")}\r\n\r\n\n${line("b")}\r\n  \n${line("c")}`);
    expect(json).toMatchObject({ count: 3, errors: 0, nextLine: 7 });
    expect((await importInto(target, "")).json).toMatchObject({ count: 0, nextLine: 1 });
    expect((await importInto(target, "\n\n")).json).toMatchObject({ count: 0, errors: 0 });
  });

  test("tells of each line that is wrong with its number, and writes the others (H22)", async () => {
    const target = await database.another();
    const lines: (string | Uint8Array)[] = [
      line("a"),
      "{",
      "[1]",
      '{"value":{"type":"null"}}',
      '{"key":["x"]}',
      '{"key":["x"],"value":{"type":"Temporal","value":1}}',
      '{"key":["x"],"value":{"type":"v8","value":"AAAA"},"stored":5}',
      Uint8Array.of(0x7b, 0xff, 0x7d),
      '{"key":["x"],"value":{"type":"Date","value":"yesterday"}}',
      `{"key":["${"x".repeat(3000)}"],"value":{"type":"null"}}`,
      line("b"),
    ];
    const encoder = new TextEncoder();
    const bytes = lines.flatMap((each) => [...(typeof each === "string" ? encoder.encode(each) : each), 0x0a]);
    const { status, json } = await importInto(target, Uint8Array.from(bytes));
    expect([status, json.count, json.errors]).toEqual([200, 2, 9]);
    expect(json.lineErrors.map(({ line: at }: { line: number }) => at)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (const { code, detail } of json.lineErrors) {
      expect(["invalid", "limit"]).toContain(code);
      expect(detail).toMatch(/[^.]\.$/);
    }
    expect(json.lineErrors[0].detail).toMatch(/^The line is not JSON/);
  });

  test("counts more errors than it tells (H22)", async () => {
    const { json } = await importInto(await database.another(), "{\n".repeat(500) + line("a"));
    expect(json).toMatchObject({ count: 1, errors: 500, nextLine: 502 });
    expect(json.lineErrors).toHaveLength(100);
  });

  test("goes on behind a line of any length (H22)", async () => {
    const target = await database.another();
    const long = (bytes: number) => `{"key":["i","long"],"value":{"type":"string","value":"${"x".repeat(bytes)}"}}`;
    const body = [line("a"), long(8 * 1024 * 1024), line("b"), long(MAX_IMPORT_LINE_BYTES), line("c"), long(1_000_000)];
    const { json } = await importInto(target, body.join("\n"));
    expect(json).toMatchObject({ count: 4, errors: 2 });
    expect(json.lineErrors).toEqual([
      { line: 2, code: "limit", detail: expect.stringContaining("characters; the limit is") },
      { line: 4, code: "limit", detail: expect.stringContaining("bytes, which is the limit") },
    ]);
  });

  test("that is to stop at an error says where, and goes on there (H23)", async () => {
    const target = await database.another();
    const good = Array.from({ length: 1500 }, (_, i) => line(`${i}`));
    const broken = [...good.slice(0, 1200), "{", ...good.slice(1200)].join("\n");
    const stopped = await importInto(target, broken, "throwOnError=true");
    expect(stopped).toMatchObject({
      status: 400,
      json: { code: "invalid", detail: expect.stringMatching(/^Line 1201: The line is not JSON/) },
    });
    expect(stopped.json).toMatchObject({ count: 1200, errors: 1, nextLine: 1201 });
    const mended = broken.replace("\n{\n", "\n\n");
    expect((await importInto(target, mended, `from=${stopped.json.nextLine}`)).json).toMatchObject({
      count: 300,
      skipped: 0,
      errors: 0,
      nextLine: 1502,
    });
    // And to give lines again does nothing.
    expect((await importInto(target, mended)).json).toMatchObject({ count: 0, skipped: 1500 });
  });

  test("whose body breaks off keeps what has come, and says with which line it goes on (H23)", async () => {
    const target = await database.another();
    const lines = Array.from({ length: 1500 }, (_, i) => line(`${i}`));
    const whole = new TextEncoder().encode(lines.join("\n"));
    let sent = false;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent) controller.error(new Error("gone"));
        else controller.enqueue(whole.subarray(0, whole.length - 20));
        sent = true;
      },
    });
    const { status, json } = await target.ask("POST", "import", { body });
    expect([status, json.detail]).toEqual([400, "The body of the request broke off."]);
    expect(json).toMatchObject({ count: 1499, errors: 0, nextLine: 1500 });
    expect((await importInto(target, lines.join("\n"), `from=${json.nextLine}`)).json).toMatchObject({ count: 1 });
  });

  test("tells how far it is to a client that asks for lines, and ends with what came of it (H28)", async () => {
    const target = await database.another();
    const lines = Array.from({ length: 3500 }, (_, i) => line(`${i}`));
    const ask = async (body: string) => {
      const { status, headers, text } = await target.ask("POST", "import?throwOnError=true", {
        body,
        headers: { accept: "application/x-ndjson" },
      });
      const told = text
        .trimEnd()
        .split("\n")
        .map((each) => JSON.parse(each));
      return { status, type: headers.get("content-type"), told };
    };
    const { status, type, told } = await ask(lines.join("\n"));
    expect([status, type]).toEqual([200, "application/x-ndjson"]);
    expect(told.at(-1)).toMatchObject({ done: true, count: 3500, errors: 0, nextLine: 3501 });
    expect(told[0]).toEqual({ count: 1000, skipped: 0, errors: 0, nextLine: 1001 });
    const stopped = await ask(`${line("a")}\n{`);
    expect(stopped.told).toEqual([
      expect.objectContaining({
        done: false,
        count: 1,
        nextLine: 2,
        error: expect.objectContaining({ code: "invalid" }),
      }),
    ]);
  });

  test("puts a prefix before each key, and refuses lines outside the token's (H10, H21)", async () => {
    const target = await database.another();
    expect((await importInto(target, line("a"), 'prefix=["p",1]')).json).toMatchObject({ count: 1 });
    expect((await target.ask("GET", "entries/p/~n1/i/a")).status).toBe(200);
    const { token } = await target.newToken({ keyPrefix: ["i", "mine"] });
    const { json } = await importInto(target, `${line("mine")}\n${line("theirs")}`, "", token);
    expect(json).toMatchObject({ count: 1, errors: 1, lineErrors: [{ line: 2, code: "forbidden" }] });
    expect((await target.ask("GET", "entries/i/theirs")).status).toBe(404);
    const { token: reader } = await target.newToken({ permissions: ["read"] });
    expect((await importInto(target, line("x"), "", reader)).status).toBe(403);
  });

  test("takes plain values where it is told to, and a value that was changed by hand (H21)", async () => {
    const target = await database.another();
    await importInto(target, '{"key":["a"],"value":{"b":[1,null]}}\n', "values=plain");
    expect((await target.ask("GET", "entries/a?values=plain")).json.value).toEqual({ b: [1, null] });
    const double = "_w9OAAAAAAAA8D8";
    const of = (value: number) => `{"key":["d"],"value":{"type":"number","value":${value}},"stored":"${double}"}`;
    await importInto(target, of(1));
    expect((await target.ask("GET", 'export?start=["d"]')).text).toContain(`"stored":"${double}"`);
    await importInto(target, of(2), "overwrite=true");
    const changed = (await target.ask("GET", 'export?start=["d"]')).text;
    expect(changed).toContain('"value":2');
    expect(changed).not.toContain("stored");
  });

  test.each([
    ["overwrite=yes", "", /^overwrite is "yes"/],
    ["from=0", "", /^from is "0"; it must be a whole number from 1/],
    ["prefix=a", "", /^prefix is not JSON/],
    ["format=csv", "", /"format", which is not known here/],
  ])("that is asked for what there is not is refused: %s (H11)", async (query, body, why) => {
    expect(await importInto(database, body, query)).toMatchObject({
      status: 400,
      json: { detail: expect.stringMatching(why) },
    });
  });

  test("that is compressed is refused before its first line (H22)", async () => {
    const gzip = Uint8Array.of(0x1f, 0x8b, 8, 0, 0x0a, 1, 2, 3);
    expect(await importInto(database, gzip)).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining("compressed with gzip"), count: 0, errors: 0, nextLine: 1 },
    });
  });
});
