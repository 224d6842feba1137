import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { storedOfJson, textOfStored } from "../../src/codec/json-notation/stored-value.ts";
import { Encoding } from "../../src/core/operations.ts";
import { decodeV8 } from "../../src/codec/v8/codec.ts";
import { decoded, encoded } from "./v8-ours.ts";
import { storableV8 } from "../../src/codec/v8/storable.ts";
import { runDeno } from "./deno.ts";
import { difference } from "./v8-difference.ts";
import { build, graph } from "./v8-graphs.ts";
import { v8Deserialize, wouldExhaustV8 } from "./v8-oracle.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-values-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Deno's ValueSerializer, without a database. */
const core = "const { serialize, deserialize } = Deno[Deno.internal].core;";

function fromHex(hex: unknown): Uint8Array {
  return new Uint8Array(Buffer.from(String(hex), "hex"));
}

/** In an array, since Deno stores a Uint8Array that is all of the value in another encoding. */
const plans = fc
  .sample(graph, { numRuns: 800, seed: 20261115 })
  .filter((plan) => encoded([build(plan)]).length < 60_000);

describe("the real Deno", () => {
  let stored: Uint8Array[] = [];

  beforeAll(() => {
    const path = join(folder, "deno.sqlite3");
    runDeno(
      `${core}
      const db = await Deno.openKv(input.path);
      for (const [index, hex] of input.values.entries()) await db.set([index], deserialize(Uint8Array.fromHex(hex)));
      db.close();
      console.log("null");`,
      { path, values: plans.map((plan) => toHex(encoded([build(plan)]))) },
    );
    const database = new DatabaseSync(path, { readOnly: true });
    const rows = database.prepare("select v, v_encoding from kv order by k").all();
    database.close();
    expect(rows.map((row) => row["v_encoding"])).toEqual(plans.map(() => 1));
    stored = rows.map((row) => (row["v"] instanceof Uint8Array ? row["v"] : new Uint8Array()));
  });

  test("reads what is written here, and what its kv.set sends is read as the same value (V9)", () => {
    for (const [index, plan] of plans.entries()) {
      const bytes = stored[index] ?? new Uint8Array();
      expect(toHex(bytes.subarray(0, 2))).toBe("ff10");
      expect(difference(decoded(bytes), [build(plan)])).toBeUndefined();
    }
  });

  test("values of Deno are stored so that Node, which does not know version 16, and Deno read the same value (V4)", () => {
    const storable = stored.map((bytes) => storableV8(bytes));
    expect(storable.some((bytes) => bytes.includes(0x7e))).toBe(true);
    for (const [index, plan] of plans.entries()) {
      const bytes = storable[index] ?? new Uint8Array();
      expect(toHex(bytes.subarray(0, 2))).toBe("ff0f");
      expect(difference(v8Deserialize(bytes)?.value, [build(plan)])).toBeUndefined();
    }
    const again = runDeno(
      `${core} console.log(JSON.stringify(input.map((hex) => serialize(deserialize(Uint8Array.fromHex(hex))).toHex())));`,
      storable.map((bytes) => toHex(bytes)),
    );
    expect(again).toEqual(stored.map((bytes) => toHex(bytes)));
  });

  test("values that only Deno knows are refused with the name of their type, and can be written as text all the same", () => {
    const path = join(folder, "host-objects.sqlite3");
    runDeno(
      `const db = await Deno.openKv(input.path);
      const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, true, ["encrypt"]);
      await db.set(["Blob"], new Blob(["x"]));
      await db.set(["CryptoKey"], [key]);
      await db.set(["DOMException"], new Map([[1, new DOMException("m", "AbortError")]]));
      await db.set(["File"], { f: new File(["x"], "n.txt") });
      db.close();
      console.log("null");`,
      { path },
    );
    const database = new DatabaseSync(path, { readOnly: true });
    const rows = database.prepare("select v from kv order by k").all();
    database.close();
    const bytes = rows.map(({ v }) => (v instanceof Uint8Array ? v : new Uint8Array()));
    const only = "which only Deno can read.";
    const nothing = "whose bytes Deno has not stored with it";
    expect(bytes.map((each) => decodeV8(each))).toMatchObject(
      [
        `the V8 value holds a Blob of Deno's, ${nothing}, ${only}`,
        `the V8 value holds a CryptoKey of Deno's, ${only}`,
        `the V8 value holds a DOMException of Deno's, ${only}`,
        `the V8 value holds a File of Deno's, ${nothing}, ${only}`,
      ].map((message) => ({ ok: false, code: "unsupported", message })),
    );
    for (const value of bytes) {
      const { text, form } = textOfStored({ value, encoding: Encoding.v8 }, { plain: true });
      expect(form).toBe("v8");
      const again = storedOfJson(JSON.parse(text), "value", { plain: true });
      expect(again).toEqual({ ok: true, stored: { value: storableV8(value), encoding: Encoding.v8 } });
    }
  });

  test("bytes that are malformed for Deno are malformed here, and all others are the same value", () => {
    const byteFlips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 2 });
    const short = stored.filter((bytes) => bytes.length < 300);
    const changed = fc
      .sample(fc.tuple(fc.nat(short.length - 1), byteFlips), { numRuns: 3000, seed: 7 })
      .map(([index, flips]) => {
        const bytes = Uint8Array.from(short[index] ?? []);
        for (const [place, byte] of flips) bytes[2 + (place % (bytes.length - 2))] = byte;
        return bytes;
      })
      .filter((bytes) => !wouldExhaustV8(bytes));
    const verdicts = runDeno(
      `${core}
      const verdict = (hex) => { try { return serialize(deserialize(Uint8Array.fromHex(hex))).toHex(); } catch { return null; } };
      console.log(JSON.stringify(input.map(verdict)));`,
      changed.map((bytes) => toHex(bytes)),
    );
    if (!Array.isArray(verdicts)) throw new Error("expected a list of verdicts");
    for (const [index, bytes] of changed.entries()) {
      const ours = decodeV8(bytes);
      const theirs: unknown = verdicts[index];
      // Deno takes the parts of an error in one order only.
      if (ours.ok && theirs === null && bytes.includes(0x72)) continue;
      const differs = ours.ok && theirs !== null ? difference(ours.value, decoded(fromHex(theirs))) : undefined;
      expect([ours.ok, differs, toHex(bytes)]).toEqual([theirs !== null, undefined, toHex(bytes)]);
    }
    expect(verdicts.filter((verdict) => verdict !== null).length).toBeGreaterThan(200);
  });
});

describe("what is stored of a V8 value", () => {
  function fromDeno(expression: string): Uint8Array {
    return fromHex(runDeno(`${core} console.log(JSON.stringify(serialize(${expression}).toHex()));`, null));
  }

  test("is a relabelled copy of a value of version 16 (V3)", () => {
    const bytes = fromDeno("{ a: [1, 'b'] }");
    const before = toHex(bytes);
    expect(toHex(storableV8(bytes))).toBe(`ff0f${before.slice(4)}`);
    expect(toHex(bytes)).toBe(before);
  });

  test("is the very same bytes of anything else (V2)", () => {
    for (const hex of ["", "ff", "10ff", "ff0f5f", "ff0e5f", "ff115f", "ff90005f", "616263"]) {
      const bytes = fromHex(hex);
      expect(storableV8(bytes)).toBe(bytes);
    }
  });

  test("has version 15 also with the byte of a resizable buffer, unless a buffer may grow past 32 bits (V3)", () => {
    for (const expression of [
      "'a~b'",
      "new Uint8Array([0x7e])",
      "new ArrayBuffer(2, { maxByteLength: 2 ** 32 - 1 })",
    ]) {
      const bytes = fromDeno(expression);
      expect(bytes.includes(0x7e)).toBe(true);
      const stored = storableV8(bytes);
      expect(toHex(stored)).toBe(`ff0f${toHex(bytes).slice(4)}`);
      expect(difference(v8Deserialize(stored)?.value, decoded(bytes))).toBeUndefined();
    }
    const large = fromDeno("[new ArrayBuffer(2, { maxByteLength: 2 ** 32 })]");
    expect(storableV8(large)).toBe(large);
    expect(difference(decoded(large), [new ArrayBuffer(2, { maxByteLength: 2 ** 32 })])).toBeUndefined();
  });

  test("may hold an immutable buffer, which Deno reads under either version", () => {
    const bytes = fromHex("ff1041024302010256420101005e01240002");
    const stored = storableV8(bytes);
    expect(difference(decoded(stored), decoded(bytes))).toBeUndefined();
    const lengths = `${core} console.log(JSON.stringify(deserialize(Uint8Array.fromHex(input)).map((part) => part.byteLength)));`;
    expect(runDeno(lengths, toHex(stored))).toEqual([1, 2]);
  });

  test("is the same bytes of a malformed value with the byte of a resizable buffer (V5)", () => {
    const bytes = fromHex("ff10 7e 05".replaceAll(" ", ""));
    expect(storableV8(bytes)).toBe(bytes);
  });
});
