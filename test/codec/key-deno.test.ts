/** Keys against the real Deno: the bytes that it stores, and the order in which it lists. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { encodeKey, type Key } from "../../src/codec/key-codec.ts";
import { compareBytes, toHex } from "../../src/core/bytes.ts";
import { runDeno } from "./deno.ts";
import { anyKey, bitsOfDouble } from "./key-arbitraries.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-keys-"));
afterAll(() => rmSync(folder, { recursive: true }));

function encoded(parts: Key): Uint8Array {
  const result = encodeKey(parts);
  if (!result.ok) throw new Error(result.message);
  return result.bytes;
}

/** JSON for a key; numbers by their bits. */
function described(parts: Key): [string, string][] {
  return parts.map((part) => {
    if (part instanceof Uint8Array) return ["bytes", toHex(part)];
    if (typeof part === "number") return ["number", bitsOfDouble(part).toString()];
    if (typeof part === "string")
      return ["string", Array.from({ length: part.length }, (_, i) => part.charCodeAt(i)).join()];
    return [typeof part, String(part)];
  });
}

describe("the real Deno", () => {
  const rebuild = `
    const builders = {
      bytes: Uint8Array.fromHex,
      number: (bits) => new DataView(new BigUint64Array([BigInt(bits)]).buffer).getFloat64(0, true),
      string: (units) => units === "" ? "" : String.fromCharCode(...units.split(",").map(Number)),
      bigint: BigInt,
      boolean: (text) => text === "true",
    };
    const build = (key) => { const built = ["x"]; for (const [type, text] of key) built.push(builders[type](text)); return built; };
  `;

  // Each begins with "x": an array of numbers alone would lose the sign of a NaN on its way.
  const keys = fc.sample(anyKey, { numRuns: 600, seed: 20261101 }).map((parts): Key => ["x", ...parts]);
  const distinct = [...new Map(keys.map((parts) => [toHex(encoded(parts)), parts])).values()];

  test("stores each key as the same bytes and lists them in the same order (K2)", () => {
    const path = join(folder, "deno.sqlite3");
    const listed = runDeno(
      `${rebuild}
      const db = await Deno.openKv(input.path);
      for (const [index, key] of input.keys.entries()) {
        await db.set(build(key), index);
      }
      const order = [];
      for await (const entry of db.list({ prefix: ["x"] })) order.push(entry.value);
      db.close();
      console.log(JSON.stringify(order));`,
      { path, keys: distinct.map((parts) => described(parts.slice(1))) },
    );
    const byMemcmp = distinct
      .map((parts, index) => ({ index, bytes: encoded(parts) }))
      .toSorted((a, b) => compareBytes(a.bytes, b.bytes));
    expect(listed).toEqual(byMemcmp.map(({ index }) => index));

    const database = new DatabaseSync(path, { readOnly: true });
    const stored = database.prepare("select hex(k) as k from kv order by k").all();
    database.close();
    expect(stored.map((row) => String(row["k"]).toLowerCase())).toEqual(byMemcmp.map(({ bytes }) => toHex(bytes)));
  });
});
