import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import type { Failure } from "../../src/core/errors.ts";
import { decodeV8, encodeV8 } from "../../src/codec/v8/codec.ts";
import { decoded, encoded } from "./v8-ours.ts";
import { MAX_VALUE_DEPTH } from "../../src/core/limits.ts";
import { difference } from "./v8-difference.ts";
import { build, graph } from "./v8-graphs.ts";
import { v8Deserialize, v8Serialize } from "./v8-oracle.ts";

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
}

function refusal(result: { readonly ok: true } | Failure): Failure {
  if (result.ok) throw new Error("expected a failure");
  return result;
}

describe("against V8 itself, values with shared and cyclic references", () => {
  test("what V8 writes is read as the same value (V9)", () => {
    fc.assert(
      fc.property(graph, (plan) => {
        expect(difference(decoded(v8Serialize(build(plan))), build(plan))).toBeUndefined();
      }),
      { numRuns: 1500 },
    );
  });

  test("V8 reads what is written as the same value (V10)", () => {
    fc.assert(
      fc.property(graph, (plan) => {
        const read = v8Deserialize(encoded(build(plan)));
        expect(read).toBeDefined();
        expect(difference(read?.value, build(plan))).toBeUndefined();
      }),
      { numRuns: 1500 },
    );
  });

  test("the value that was written stays as it was", () => {
    fc.assert(
      fc.property(graph, (plan) => {
        const value = build(plan);
        encoded(value);
        expect(difference(value, build(plan))).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  const buffer = Uint8Array.of(1, 2, 3, 4).buffer;
  const cycle: Record<string, unknown> = { a: 1 };
  cycle["self"] = cycle;
  const error = new TypeError("wrong", { cause: cycle });
  error.stack = "at line 1";
  // oxlint-disable-next-line no-sparse-arrays -- holes are what is tested
  const holes = [1, , 3];
  test.each<[string, unknown]>([
    ["undefined", undefined],
    ["int32 and doubles", [0, -1, 2 ** 31 - 1, -(2 ** 31), "", 2 ** 31, -0, 0.5, Number.NaN]],
    ["bigints", [0n, 1n, -1n, 2n ** 64n, -(2n ** 200n)]],
    ["strings", ["", "é", "中", "a中", "\ud800"]],
    ["an object with index keys", { b: 1, 10: 2, 2: 3, 4294967294: 4, 4294967295: 5 }],
    ["an array with properties", Object.assign([1, "x"], { name: "a" })],
    ["holes", holes],
    ["views of one buffer", [new Uint8Array(buffer, 1), buffer, new DataView(buffer), new Uint16Array(buffer, 2, 1)]],
    ["a view that follows its buffer", new Uint16Array(new ArrayBuffer(4, { maxByteLength: 8 }))],
    ["an error", error],
    ["a cycle", cycle],
    ["a map and a set", new Map<unknown, unknown>([[new Set([1]), cycle]])],
    ["boxed primitives", [Object(1), Object("s"), Object(true), Object(1n)]],
    ["a date and a regular expression", [new Date(1), /a\/b/dgimsvy]],
  ])("%s: the bytes are V8's own (V10)", (_, value) => {
    expect(toHex(encoded(value))).toBe(toHex(v8Serialize(value)));
  });
});

describe("reading", () => {
  const resizable = new ArrayBuffer(2, { maxByteLength: 2 });
  new Uint8Array(resizable).set([1, 2]);
  const viewOfResizable = new Uint8Array(resizable, 1, 1);

  test.each([
    ["uint32", "ff0f 55 ffffffff0f", 2 ** 32 - 1],
    ["UTF-8 strings, replacing what is none", "ff0f 53 05 efbbbf61ff", "\ufeffa\ufffd"],
    ["padding before a tag", "ff0f 00 00 49 02", 1],
    ["an object count before a value", "ff0f 3f 01 3f 02 49 02", 1],
    ["version 13, whose views have no flags", "ff0d 42 02 0102 56 42 01 01", Uint8Array.of(1, 2).subarray(1)],
    ["version 14, whose views have them", "ff0e 7e 02 02 0102 56 42 01 01 02", viewOfResizable],
    [
      "version 16, whose lengths have up to 64 bits",
      "ff10 42 8280808080808000 0102 56 42 8180808080808000 01 00",
      Uint8Array.of(1, 2).subarray(1),
    ],
    [
      "an error whose cause comes before its stack",
      "ff0f 72 6d 220161 63 4902 73 220162 2e",
      Object.assign(new Error("a", { cause: 1 }), { stack: "b" }),
    ],
    ["a value that other bytes follow", "ff0f 49 02 ff00", 1],
    ["-0 as a key", "ff0f 6f 4e 0000000000000080 49 02 7b 01", { 0: 1 }],
    ["a bigint of digits that are not whole", "ff0f 5a 06 010203", 0x030201n],
  ])("takes %s (V9)", (_, hex, value) => {
    expect(difference(decoded(fromHex(hex)), value)).toBeUndefined();
  });

  test("does not share memory with the bytes, nor mind a Buffer", () => {
    const bytes = Buffer.from(encoded([Uint8Array.of(1, 2, 3), "text"]));
    const value = decoded(bytes);
    bytes.fill(0);
    expect(value).toEqual([Uint8Array.of(1, 2, 3), "text"]);
  });

  test("makes __proto__ a property like any other", () => {
    const bytes = fromHex("ff0f 6f 22095f5f70726f746f5f5f 6f 220161 4902 7b 01 7b 01");
    const value = decoded(bytes);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value as object)).toEqual(["__proto__"]);
    expect(Reflect.get({}, "a")).toBeUndefined();
    expect(toHex(encoded(value))).toBe(toHex(bytes));
  });

  test.each([
    ["no bytes", "", "invalid", "begins with the byte ff"],
    ["no header", "49 02", "invalid", "begins with the byte ff"],
    ["version 12", "ff0c 5f", "unsupported", "version 12"],
    ["version 17", "ff11 5f", "unsupported", "version 17"],
    ["no value", "ff0f", "invalid", "cut short"],
    ["a host object", "ff0f 5c 01 01 01", "unsupported", "host object"],
    ["a host object that is cut short", "ff0f 5c", "unsupported", "host object"],
    [
      "a Blob of Deno's",
      "ff10 5c ffffffff0f 6f 2204 74797065 2204 426c6f62 7b01",
      "unsupported",
      "a Blob of Deno's, whose",
    ],
    ["one of Deno's of no name", "ff10 5c ffffffff0f 6f 7b00", "unsupported", "host object"],
    ["one of Deno's whose description is cut short", "ff10 5c ffffffff0f 6f 2204", "unsupported", "host object"],
    ["one of Deno's in masses", `ff10 ${"5c ffffffff0f".repeat(100_000)}`, "unsupported", "host object"],
    ["shared memory", "ff0f 75 00", "unsupported", "SharedArrayBuffer"],
    ["a shared object", "ff0f 70 00", "unsupported", "shared object"],
    ["a transferred buffer", "ff0f 74 00", "unsupported", "transferred"],
    ["a WebAssembly module", "ff0f 77 00", "unsupported", "WebAssembly module"],
    ["a WebAssembly memory", "ff0f 6d 00 00", "unsupported", "WebAssembly memory"],
    ["an unknown tag", "ff0f 21", "invalid", "0x21"],
    ["a hole outside of an array", "ff0f 2d", "invalid", "0x2d"],
    ["a string longer than the bytes", "ff0f 22 ffffffff0f 61", "invalid", "4294967295 bytes"],
    ["a bigint longer than the bytes", "ff0f 5a ffffffff0f", "invalid", "bytes"],
    ["an array longer than the bytes", "ff0f 41 ffffffff0f 5f", "invalid", "4294967295 elements"],
    ["a buffer longer than the bytes", "ff0f 42 ffffffff0f 5f", "invalid", "4294967295 bytes"],
    ["a buffer longer than its greatest length", "ff0f 7e 02 01 0000", "invalid", "at most 1"],
    ["a buffer that may grow beyond all memory", "ff10 7e 00 ffffffffffffff7f", "limit", "grow"],
    ["a reference to what is not there", "ff0f 5e 00", "invalid", "object 0"],
    ["a reference to what is not made yet", "ff0f 73 5e00", "invalid", "object 0"],
    ["a view of nothing", "ff0f 56 42 00 00 00", "invalid", "0x56"],
    ["a view beyond its buffer", "ff0f 42 01 00 56 42 00 02 00", "invalid", "does not fit"],
    ["a view between elements", "ff0f 42 04 00000000 56 57 01 02 00", "invalid", "does not fit"],
    ["a view of an unknown class", "ff0f 42 00 56 21 00 00 00", "invalid", "does not fit"],
    ["two properties of one name", "ff0f 6f 220161 5f 220161 5f 7b 02", "invalid", 'two properties "a"'],
    ["a property list with another count", "ff0f 6f 220161 5f 7b 02", "invalid", "2 properties"],
    ["an array with another length", "ff0f 41 01 5f 24 00 02", "invalid", "2 elements"],
    ["an object as a key", "ff0f 6f 6f 7b 00 5f 7b 01", "invalid", "neither a string nor a number"],
    ["a regular expression that is none", "ff0f 52 220128 00", "invalid", "regular expression"],
    ["flags that exclude each other", "ff0f 52 220161 9002", "invalid", "regular expression"],
    ["the flag that only an experiment has", "ff0f 52 220161 40", "invalid", "unknown flags"],
    ["minus zero as a bigint", "ff0f 5a 01", "invalid", "minus zero"],
    ["a string of half a unit", "ff0f 63 01 61", "invalid", "odd length"],
    ["an error with two messages", "ff0f 72 6d 220161 6d 220161 2e", "invalid", "twice"],
  ])("refuses %s", (_, hex, code, reason) => {
    const failure = refusal(decodeV8(fromHex(hex)));
    expect(failure).toMatchObject({ code });
    expect(failure.message).toContain(reason);
  });
});

describe("depth", () => {
  const open: Record<string, string> = {
    array: "4101",
    object: "6f220161",
    map: "3b5f",
    set: "27",
    error: "7263",
    sparse: "61024902",
  };
  const close: Record<string, string> = {
    array: "240001",
    object: "7b01",
    map: "3a02",
    set: "2c01",
    error: "2e",
    sparse: "400102",
  };

  test.each(Object.keys(open))("of %s is bounded (V12)", (kind) => {
    const nested = (depth: number): Uint8Array =>
      fromHex(`ff0f${open[kind]?.repeat(depth)}30${close[kind]?.repeat(depth)}`);
    const deepest = decodeV8(nested(MAX_VALUE_DEPTH));
    expect(deepest.ok).toBe(true);
    expect(refusal(decodeV8(nested(MAX_VALUE_DEPTH + 1)))).toMatchObject({ code: "limit" });
    expect(refusal(decodeV8(nested(200_000)))).toMatchObject({ code: "limit" });
    expect(toHex(encoded(deepest.ok && deepest.value))).toContain(open[kind]?.slice(0, 2));
    expect(refusal(encodeV8([deepest.ok && deepest.value]))).toMatchObject({ code: "limit" });
  });

  test("does not add up among siblings", () => {
    const value = Array.from({ length: 5 * MAX_VALUE_DEPTH }, () => ({ a: [new Map([[1, new Set()]])] }));
    expect(difference(decoded(encoded(value)), value)).toBeUndefined();
  });

  test("counts may be stacked without end", () => {
    expect(decoded(fromHex(`ff0f${"3f01".repeat(300_000)}5f`))).toBeUndefined();
  });
});

describe("writing", () => {
  test.each<[string, unknown]>([
    ["a function", () => 1],
    ["a symbol", Symbol("a")],
    ["a boxed symbol", Object(Symbol("a"))],
    ["a promise", Promise.resolve()],
    ["a weak map", new WeakMap()],
    ["shared memory", new SharedArrayBuffer(1)],
    ["a view of shared memory", new Uint8Array(new SharedArrayBuffer(1))],
    ["a platform's object", new Headers()],
    ["what only says it is a number", { [Symbol.toStringTag]: "Number" }],
  ])("refuses %s, also deep inside", (_, value) => {
    expect(refusal(encodeV8(value))).toMatchObject({ code: "unsupported" });
    expect(refusal(encodeV8({ a: [new Map([[1, value]])] }))).toMatchObject({ code: "unsupported" });
  });

  test("refuses buffers that were transferred away, and views that their buffer has left", () => {
    const buffer = new ArrayBuffer(8);
    structuredClone(buffer, { transfer: [buffer] });
    expect(refusal(encodeV8(buffer))).toMatchObject({ code: "unsupported" });
    const shrunk = new ArrayBuffer(8, { maxByteLength: 8 });
    const outside = [new Uint8Array(shrunk, 4, 4), new DataView(shrunk, 4, 4)];
    shrunk.resize(6);
    for (const view of outside) expect(refusal(encodeV8(view))).toMatchObject({ code: "unsupported" });
  });

  test("refuses a buffer that may grow past 32 bits, and takes one that may grow just to there", () => {
    const [least, most] = [2 ** 32, 2 ** 32 - 1].map((maxByteLength) => new ArrayBuffer(1, { maxByteLength }));
    expect(refusal(encodeV8(least))).toMatchObject({ code: "unsupported" });
    expect(difference(decoded(encoded(most)), most)).toBeUndefined();
  });

  test("returns a failure when a getter throws, or an object is not what it seems", () => {
    const thrower = {
      get a(): unknown {
        throw new Error("not today");
      },
    };
    expect(refusal(encodeV8(thrower))).toMatchObject({
      code: "invalid",
      message: "the value could not be read: not today.",
    });
    expect(refusal(encodeV8(Object.create(Date.prototype)))).toMatchObject({ code: "invalid" });
  });

  test("calls getters, leaves out what they delete, and writes instances as plain objects", () => {
    class Point {
      readonly x = 1;
      readonly #y = 2;

      get sum(): number {
        return this.x + this.#y;
      }
    }
    const odd = {
      get a(): unknown {
        Reflect.deleteProperty(odd, "b");
        return new Point();
      },
      b: 1,
      c: 2,
    };
    expect(difference(decoded(encoded(odd)), { a: { x: 1 }, c: 2 })).toBeUndefined();
  });
});
