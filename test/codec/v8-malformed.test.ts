import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { decodeV8 } from "../../src/codec/v8/codec.ts";
import { difference } from "./v8-difference.ts";
import { build, graph } from "./v8-graphs.ts";
import { v8Deserialize, v8Serialize, wouldExhaustV8 } from "./v8-oracle.ts";

/** What the codec makes of the bytes compared to what V8 makes of them; undefined when they agree. */
function disagreement(bytes: Uint8Array): string | undefined {
  const ours = decodeV8(bytes);
  const theirs = v8Deserialize(bytes);
  if (ours.ok && theirs !== undefined) return difference(ours.value, theirs.value);
  if (!ours.ok && theirs === undefined) return undefined;
  // V8 takes the parts of an error in one order only, and Node's does not know the tag of an immutable ArrayBuffer.
  if (ours.ok && (bytes.includes(0x72) || bytes.includes(0x43))) return undefined;
  // What V8 lets grow to the size of all memory is refused here.
  if (!ours.ok && ours.code === "limit") return undefined;
  return ours.ok ? "V8 refuses this" : `V8 takes this: ${ours.message}`;
}

const shortGraph = graph.map((plan) => v8Serialize(build(plan))).filter((bytes) => bytes.length < 400);

describe("malformed values", () => {
  test("cut anywhere, a value is refused or read as V8 reads it (V11)", () => {
    fc.assert(
      fc.property(shortGraph, (bytes) => {
        for (let length = 0; length < bytes.length; length++) {
          const cut = bytes.slice(0, length);
          expect([disagreement(cut), toHex(cut)]).toEqual([undefined, toHex(cut)]);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("with flipped bits, a value is refused or read as V8 reads it (V11)", () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(7)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(shortGraph, flips, (bytes, places) => {
        const flipped = bytes.slice();
        for (const [place, bit] of places) {
          const index = 2 + (place % (bytes.length - 2));
          flipped[index] = (flipped[index] ?? 0) ^ (1 << bit);
        }
        fc.pre(!wouldExhaustV8(flipped));
        expect([disagreement(flipped), toHex(flipped)]).toEqual([undefined, toHex(flipped)]);
      }),
      { numRuns: 8000 },
    );
  });

  test("random tags and small numbers are refused or read as V8 reads them (V11)", () => {
    const tags = [...Buffer.from("?-_0TFIUNZS\"c^o{a@A$DyxnzsR;:',BV~r")];
    const byte = fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...tags) },
      { weight: 4, arbitrary: fc.nat(4) },
      { weight: 1, arbitrary: fc.nat(255) },
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 24 }), fc.constantFrom(14, 15), (body, version) => {
        const bytes = Uint8Array.of(0xff, version, ...body);
        fc.pre(!wouldExhaustV8(bytes));
        expect([disagreement(bytes), toHex(bytes)]).toEqual([undefined, toHex(bytes)]);
      }),
      { numRuns: 20_000 },
    );
  });

  test("versions that V8 does not tell us about: nothing is thrown", () => {
    fc.assert(
      fc.property(shortGraph, fc.constantFrom(13, 16), fc.nat(), fc.nat(255), (bytes, version, place, byte) => {
        const changed = bytes.slice();
        changed[1] = version;
        changed[2 + (place % (bytes.length - 2))] = byte;
        expect(decodeV8(changed)).toHaveProperty("ok");
      }),
      { numRuns: 5000 },
    );
  });
});

describe("memory and time", () => {
  const size = 256 * 1024;

  setFlagsFromString("--expose-gc");
  const collectGarbage: unknown = runInNewContext("gc");

  function memoryInUse(): number {
    if (typeof collectGarbage === "function") collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  }

  /** The unit again and again, closed as one array. */
  function many(unit: string): Uint8Array {
    const piece = Buffer.from(unit.replaceAll(" ", ""), "hex");
    const count = Math.floor(size / piece.length);
    return new Uint8Array(
      Buffer.concat([
        Buffer.from("ff0f41", "hex"),
        varint(count),
        ...Array<Buffer>(count).fill(piece),
        Buffer.from("2400", "hex"),
        varint(count),
      ]),
    );
  }

  function varint(value: number): Buffer {
    const bytes: number[] = [];
    let rest = value;
    for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
    return Buffer.from([...bytes, rest]);
  }

  test.each([
    ["empty objects", "6f 7b 00", true],
    ["empty maps", "3b 3a 00", true],
    ["errors", "72 2e", false],
    ["empty buffers", "42 00", true],
    ["empty views", "42 00 56 42 00 00 00", true],
    ["regular expressions", "52 22 00 00", true],
    ["sparse arrays that announce 1,000 elements", "61 e807 40 00 e807", true],
    ["sparse arrays that announce 30,000,000 elements", "61 8087a70e 40 00 8087a70e", true],
    ["sparse arrays with one element at 1,000", "61 e907 49d00f 30 40 01 e907", true],
    [
      "sparse arrays with elements 64 apart",
      "61 8102 49 00 30 49 8001 30 49 8002 30 49 8003 30 49 8004 30 40 05 8102",
      true,
    ],
    ["dense arrays with a property at 4,000", "41 00 49c03e 30 24 01 00", true],
    ["objects with one element at 1,000", "6f 49d00f 30 7b 01", true],
    ["objects with elements 100 apart", "6f 4900 30 49c801 30 499003 30 7b 03", true],
    ["dense arrays that announce all that is left", "41 ffff07", false],
    ["two-byte strings that announce all that is left", "63 feff07", false],
    ["resizable buffers of one page each", "7e 00 8020", false],
    ["resizable buffers that may grow to 4 GiB", "7e 00 ffffffff0f", false],
  ])("a value of %s takes a small multiple of its bytes (V12)", (_, unit, valid) => {
    const bytes = many(unit);
    const before = memoryInUse();
    const start = performance.now();
    const result = decodeV8(bytes);
    const elapsed = performance.now() - start;
    const grown = memoryInUse() - before;
    expect(result.ok).toBe(valid);
    expect(grown).toBeLessThan(100 * bytes.length);
    expect(elapsed).toBeLessThan(4000);
  });

  test("a sparse array keeps its length and its elements", () => {
    const result = decodeV8(Uint8Array.from(Buffer.from("ff0f618087a70e49e8075f40018087a70e", "hex")));
    const array: unknown = result.ok && result.value;
    expect(Array.isArray(array) && [array.length, Object.keys(array)]).toEqual([30_000_000, ["500"]]);
  });
});
