/**
 * The wire format of V8's ValueSerializer: its tags, versions and bounds, for reader and writer. V8's own src/objects/value-serializer.cc
 * is the specification. The names here say what a tag stands for.
 */

/** The version that every client reads (Deno since 1.x, Node 18 and later). */
export const WRITTEN_VERSION = 15;
export const OLDEST_VERSION = 13;
/** Version 16 differs from 15 only in the width of the lengths of buffers and their views. */
export const NEWEST_VERSION = 16;

export const Tag = {
  version: 0xff,
  padding: 0x00,
  /** A count that nobody needs, before a value. */
  objectCount: 0x3f, // ?
  hole: 0x2d, // -
  undefined: 0x5f, // _
  null: 0x30, // 0
  true: 0x54, // T
  false: 0x46, // F
  int32: 0x49, // I
  uint32: 0x55, // U
  double: 0x4e, // N
  bigint: 0x5a, // Z
  utf8String: 0x53, // S
  oneByteString: 0x22, // "
  twoByteString: 0x63, // c
  reference: 0x5e, // ^
  object: 0x6f, // o
  objectEnd: 0x7b, // {
  sparseArray: 0x61, // a
  sparseArrayEnd: 0x40, // @
  denseArray: 0x41, // A
  denseArrayEnd: 0x24, // $
  date: 0x44, // D
  trueObject: 0x79, // y
  falseObject: 0x78, // x
  numberObject: 0x6e, // n
  bigintObject: 0x7a, // z
  stringObject: 0x73, // s
  regExp: 0x52, // R
  map: 0x3b, // ;
  mapEnd: 0x3a, // :
  set: 0x27, // '
  setEnd: 0x2c, // ,
  arrayBuffer: 0x42, // B
  /** In V8 since 2026, behind a flag. JavaScript cannot make such a buffer here, so it becomes an ordinary one. */
  immutableArrayBuffer: 0x43, // C
  resizableArrayBuffer: 0x7e, // ~
  transferredArrayBuffer: 0x74, // t
  view: 0x56, // V
  sharedArrayBuffer: 0x75, // u
  sharedObject: 0x70, // p
  wasmModule: 0x77, // w
  wasmMemory: 0x6d, // m
  hostObject: 0x5c, // \
  error: 0x72, // r
} as const;

/** Tags for what belongs to the process that wrote the value. */
export const refusedTags = new Map<number, string>([
  [Tag.hostObject, "a host object (Node's v8.serialize writes typed arrays and Buffers so)"],
  [Tag.sharedArrayBuffer, "a SharedArrayBuffer"],
  [Tag.sharedObject, "a shared object"],
  [Tag.transferredArrayBuffer, "a transferred ArrayBuffer"],
  [Tag.wasmModule, "a WebAssembly module"],
  [Tag.wasmMemory, "a WebAssembly memory"],
]);

/**
 * What Deno since 2.8.1 writes after the tag of a host object (a Blob, a File, a CryptoKey, a DOMException). An object follows that
 * describes the host object and names its class in `type`. For a Blob or a File, the description holds sizes and where the bytes lie in
 * Deno's memory, but not the bytes.
 */
export const DENO_HOST_OBJECT = 0xffff_ffff;

export const ErrorTag = { message: 0x6d, cause: 0x63, stack: 0x73, end: 0x2e } as const;

/** An Error of another class has no tag, and is read as an Error. */
export const errorClasses: readonly {
  readonly tag: number;
  readonly name: string;
  readonly constructor: ErrorConstructor;
}[] = [
  { tag: 0x45, name: "EvalError", constructor: EvalError },
  { tag: 0x52, name: "RangeError", constructor: RangeError },
  { tag: 0x46, name: "ReferenceError", constructor: ReferenceError },
  { tag: 0x53, name: "SyntaxError", constructor: SyntaxError },
  { tag: 0x54, name: "TypeError", constructor: TypeError },
  { tag: 0x55, name: "URIError", constructor: URIError },
];

/** The bit of each flag is its index in this list. The empty text is V8's experimental flag `l`. */
export const regExpFlags: readonly string[] = ["g", "i", "m", "y", "u", "s", "", "d", "v"];

export type ViewConstructor = new (buffer: ArrayBuffer, byteOffset: number, length?: number) => ArrayBufferView;

export interface ViewClass {
  readonly tag: number;
  readonly constructor: ViewConstructor;
  readonly elementSize: number;
}

export const ViewFlag = { lengthTracking: 1, resizableBuffer: 2 } as const;

function typedArray(tag: number, constructor: ViewConstructor & { readonly BYTES_PER_ELEMENT: number }): ViewClass {
  return { tag, constructor, elementSize: constructor.BYTES_PER_ELEMENT };
}

/** Runtimes older than 2025 have no Float16Array, and TypeScript's es2024 does not know it. In such a runtime its tag is unknown. */
function float16Array(): ViewClass[] {
  const found: unknown = Reflect.get(globalThis, "Float16Array");
  // A global of this name is the standard's class.
  return typeof found === "function" ? [{ tag: 0x68, constructor: found as ViewConstructor, elementSize: 2 }] : [];
}

export const viewClasses: readonly ViewClass[] = [
  typedArray(0x62, Int8Array), // b
  typedArray(0x42, Uint8Array), // B
  typedArray(0x43, Uint8ClampedArray), // C
  typedArray(0x77, Int16Array), // w
  typedArray(0x57, Uint16Array), // W
  typedArray(0x64, Int32Array), // d
  typedArray(0x44, Uint32Array), // D
  ...float16Array(), // h
  typedArray(0x66, Float32Array), // f
  typedArray(0x46, Float64Array), // F
  typedArray(0x71, BigInt64Array), // q
  typedArray(0x51, BigUint64Array), // Q
  { tag: 0x3f, constructor: DataView, elementSize: 1 }, // ?
];

/** The index of an element. Undefined for the name of another property. */
export function elementIndex(key: string): number | undefined {
  const first = key.charCodeAt(0);
  if (!(first >= 0x30 && first <= 0x39)) return undefined;
  const index = Number(key) >>> 0;
  return index !== 0xffff_ffff && String(index) === key ? index : undefined;
}
