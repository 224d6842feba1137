/**
 * Every kind of value that a program can store, and which clients can read it when another client wrote it. What each client
 * makes of its own values is V8's affair; that the bytes arrive, and that every client can read them, is the database's.
 */
import type { Subject } from "./case.ts";

export interface Kind {
  readonly make: (subject: Pick<Subject, "KvU64">) => unknown;
  /** "not from node": Node's `v8.serialize` writes views in a form of its own, which no other program reads. */
  readonly exchange?: "not from node";
}

const shared = (): unknown => {
  const inner = { name: "shared" };
  return { a: inner, b: inner, list: [inner, inner] };
};

const cyclic = (): unknown => {
  const map = new Map<string, unknown>();
  const value = { map, self: undefined as unknown };
  value.self = value;
  map.set("value", value);
  return value;
};

const bytes = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, i) => (i * 7 + 3) % 256);

const view =
  (make: (buffer: ArrayBuffer) => ArrayBufferView): Kind["make"] =>
  () => ({ view: make(bytes(16).buffer) });

function plain(make: () => unknown): Kind {
  return { make };
}

function viewKind(make: (buffer: ArrayBuffer) => ArrayBufferView): Kind {
  return { make: view(make), exchange: "not from node" };
}

export const kinds: Readonly<Record<string, Kind>> = {
  undefined: plain(() => undefined),
  null: plain(() => null),
  booleans: plain(() => [true, false]),
  true: plain(() => true),
  "small integers": plain(() => [0, 1, -1, 127, 128, -128, 255, 65_536, 2 ** 30, -(2 ** 30)]),
  "the ends of int32 and uint32": plain(() => [2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 32 - 1, 2 ** 32]),
  doubles: plain(() => [0.1, -1.5, Math.PI, Number.MAX_VALUE, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER]),
  "minus zero": plain(() => -0),
  NaN: plain(() => Number.NaN),
  infinities: plain(() => [Infinity, -Infinity]),
  bigints: plain(() => [0n, 1n, -1n, 2n ** 63n, -(2n ** 64n), 2n ** 64n - 1n]),
  "a bigint of 4,000 bits": plain(() => -(2n ** 4000n) + 12_345n),
  "an empty string": plain(() => ""),
  "an ASCII string": plain(() => "plain ~ text"),
  "a Latin-1 string": plain(() => "Zürich, façade, ÿ"),
  "a string of many scripts": plain(() => "漢字 かな עברית 😀 \u{10ffff}"),
  "a string with lone surrogates": plain(() => "a\ud800b\udc00"),
  "a string with NUL": plain(() => "\0a\0"),
  "a string of 20,000 characters": plain(() => "abcdefghij".repeat(2000)),
  "a two-byte string of 20,000 characters": plain(() => "ab漢defghij".repeat(2000)),
  dates: plain(() => [new Date(0), new Date(1_234_567_890_123), new Date(-1)]),
  "an invalid date": plain(() => ({ at: new Date(Number.NaN) })),
  "regular expressions": plain(() => [/a+b/giu, /(?<year>\d{4})/y, /[~]/]),
  "boxed primitives": plain(() => [Object(1), Object("text"), Object(true), Object(12n)]),
  "an object": plain(() => ({ a: 1, "b c": { d: [null, undefined, { e: "f" }] }, 10: "ten", "": 0 })),
  "an empty object and array": plain(() => [{}, []]),
  "an array with holes": plain(() => {
    const array: unknown[] = [1];
    array[5] = 2;
    return array;
  }),
  "a sparse array": plain(() => {
    const array: unknown[] = [];
    array[10_000] = "far";
    return array;
  }),
  "an array with properties": plain(() => Object.assign([1, 2], { name: "array" })),
  "nesting of 100 levels": plain(() => {
    let value: unknown = "inside";
    for (let i = 0; i < 100; i++) value = [value];
    return value;
  }),
  "a Map of mixed keys": plain(
    () =>
      new Map<unknown, unknown>([
        [1, "one"],
        ["two", 2n],
        [{ three: 3 }, new Map([[null, undefined]])],
      ]),
  ),
  "a Set": plain(() => new Set<unknown>([1, "two", 3n, null, new Set([4])])),
  "shared references": plain(shared),
  cycles: plain(cyclic),
  "an error": plain(() => new TypeError("it went wrong")),
  "errors of every type": plain(() => [
    new Error("e"),
    new EvalError("eval"),
    new RangeError("range"),
    new ReferenceError("reference"),
    new SyntaxError("syntax"),
    new URIError("uri"),
  ]),
  "an ArrayBuffer": plain(() => bytes(100).buffer),
  "a resizable ArrayBuffer": plain(() => new ArrayBuffer(8, { maxByteLength: 64 })),
  Int8Array: viewKind((buffer) => new Int8Array(buffer)),
  "Uint8Array inside an object": viewKind((buffer) => new Uint8Array(buffer)),
  Uint8ClampedArray: viewKind((buffer) => new Uint8ClampedArray(buffer)),
  Int16Array: viewKind((buffer) => new Int16Array(buffer)),
  Uint16Array: viewKind((buffer) => new Uint16Array(buffer)),
  Int32Array: viewKind((buffer) => new Int32Array(buffer)),
  Uint32Array: viewKind((buffer) => new Uint32Array(buffer)),
  Float16Array: viewKind((buffer) => {
    // The types of this language level do not know it yet; Deno and Node do.
    const found = Reflect.get(globalThis, "Float16Array") as new (from: ArrayBuffer) => ArrayBufferView;
    return new found(buffer);
  }),
  Float32Array: viewKind((buffer) => new Float32Array(buffer)),
  Float64Array: viewKind((buffer) => new Float64Array(buffer)),
  BigInt64Array: viewKind((buffer) => new BigInt64Array(buffer)),
  BigUint64Array: viewKind((buffer) => new BigUint64Array(buffer)),
  "a DataView": viewKind((buffer) => new DataView(buffer)),
  "a view of part of a buffer": viewKind((buffer) => new Uint8Array(buffer, 4, 8)),
  "raw bytes": plain(() => bytes(300)),
  "no bytes": plain(() => new Uint8Array(0)),
  "bytes that look like V8's header": plain(() => Uint8Array.of(0xff, 0x10, 0x7e, 0x7e)),
  "KvU64 zero": { make: ({ KvU64 }) => new KvU64(0n) },
  "KvU64 of 2^64 - 1": { make: ({ KvU64 }) => new KvU64((1n << 64n) - 1n) },
  "a value of almost 64 KiB": plain(() => "x".repeat(65_000)),
};
