/**
 * Generated values for the V8 codec: graphs whose nodes refer to each other, also in cycles. fast-check generates the plan of a
 * graph; building it twice gives two equal values that share nothing.
 */
import * as fc from "fast-check";
import { viewClasses } from "../../src/codec/v8/format.ts";

type Slot = { readonly leaf: unknown } | { readonly node: number };

type Node =
  | { readonly kind: "object"; readonly entries: readonly (readonly [string, Slot])[] }
  | {
      readonly kind: "array";
      readonly items: readonly (Slot | null)[];
      readonly extra: readonly (readonly [string, Slot])[];
    }
  | { readonly kind: "sparse"; readonly length: number; readonly items: readonly (readonly [number, Slot])[] }
  | { readonly kind: "map"; readonly entries: readonly (readonly [Slot, Slot])[] }
  | { readonly kind: "set"; readonly members: readonly Slot[] }
  | {
      readonly kind: "error";
      readonly type: number;
      readonly message: string | null;
      readonly stack: string | null;
      readonly cause: Slot | null;
    }
  | { readonly kind: "buffer"; readonly bytes: Uint8Array; readonly spare: number | null }
  | {
      readonly kind: "view";
      readonly of: number;
      readonly type: number;
      readonly start: number;
      readonly length: number | null;
    }
  | { readonly kind: "date"; readonly ms: number }
  | { readonly kind: "regExp"; readonly source: string; readonly flags: string }
  | { readonly kind: "boxed"; readonly value: boolean | number | bigint | string };

export interface Graph {
  readonly root: Slot;
  readonly nodes: readonly Node[];
}

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({
    maxLength: 12,
    unit: fc.constantFrom("a", "é", "ÿ", "\0", "Ā", "中", "\ud800", "\udfff", "\ufeff", "😀"),
  }),
  fc.constantFrom(
    "x".repeat(127),
    "é".repeat(128),
    "中".repeat(63),
    "中".repeat(64),
    "y".repeat(9000),
    "\udc00".repeat(5000),
  ),
);

const number = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(
    0,
    -0,
    Number.NaN,
    Infinity,
    -Infinity,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31),
    -(2 ** 31) - 1,
    2 ** 32,
    2 ** 53,
    5e-324,
  ),
);

const bigint = fc.oneof(
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.constantFrom(0n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 64n), 2n ** 3000n - 1n, -(2n ** 4096n)),
);

const leaf: fc.Arbitrary<unknown> = fc.oneof(fc.constantFrom(undefined, null, true, false), number, bigint, text);

const slot: fc.Arbitrary<Slot> = fc.oneof(
  leaf.map((value) => ({ leaf: value })),
  fc.nat(20).map((node) => ({ node })),
);

const propertyName = fc.oneof(
  text,
  fc.constantFrom(
    "__proto__",
    "constructor",
    "toString",
    "length",
    "0",
    "7",
    "007",
    "1e3",
    "4294967294",
    "4294967295",
    "-1",
  ),
);
const entries = fc.uniqueArray(fc.tuple(propertyName, slot), { maxLength: 5, selector: ([key]) => key });
const extra = fc.uniqueArray(fc.tuple(fc.constantFrom("a", "b", "-1", "__proto__", "é", "中"), slot), {
  maxLength: 2,
  selector: ([key]) => key,
});

const regExpFlags = fc
  .subarray(["d", "g", "i", "m", "s", "y"])
  .chain((some) => fc.constantFrom("", "u", "v").map((mode) => some.join("") + mode));

const node: fc.Arbitrary<Node> = fc.oneof(
  fc.record({ kind: fc.constant("object" as const), entries }),
  fc.record({
    kind: fc.constant("array" as const),
    items: fc.array(fc.oneof({ weight: 6, arbitrary: slot }, { weight: 1, arbitrary: fc.constant(null) }), {
      maxLength: 6,
    }),
    extra,
  }),
  fc.record({
    kind: fc.constant("sparse" as const),
    length: fc.constantFrom(0, 3, 40, 1000, 100_000, 4_294_967_295),
    items: fc.uniqueArray(fc.tuple(fc.oneof(fc.nat(60), fc.constantFrom(999, 1_000_000, 4_294_967_294)), slot), {
      maxLength: 4,
      selector: ([index]) => index,
    }),
  }),
  fc.record({ kind: fc.constant("map" as const), entries: fc.array(fc.tuple(slot, slot), { maxLength: 4 }) }),
  fc.record({ kind: fc.constant("set" as const), members: fc.array(slot, { maxLength: 4 }) }),
  fc.record({
    kind: fc.constant("error" as const),
    type: fc.nat(6),
    message: fc.option(text),
    stack: fc.option(text),
    cause: fc.option(slot),
  }),
  fc.record({
    kind: fc.constant("buffer" as const),
    bytes: fc.uint8Array({ maxLength: 40 }),
    spare: fc.option(fc.nat(20)),
  }),
  fc.record({
    kind: fc.constant("view" as const),
    of: fc.nat(20),
    type: fc.nat(viewClasses.length - 1),
    start: fc.nat(2),
    length: fc.option(fc.nat(3)),
  }),
  fc.record({
    kind: fc.constant("date" as const),
    ms: fc.oneof(fc.integer(), fc.constantFrom(Number.NaN, 8.64e15, -8.64e15, 8.65e15, 0.5)),
  }),
  fc.record({
    kind: fc.constant("regExp" as const),
    source: fc.constantFrom("", "a+b", "/", "\\/[\\d]", "é|中", "(?<year>\\d{4})"),
    flags: regExpFlags,
  }),
  fc.record({ kind: fc.constant("boxed" as const), value: fc.oneof(fc.boolean(), number, bigint, text) }),
);

export const graph: fc.Arbitrary<Graph> = fc.record({
  root: fc.oneof({ weight: 1, arbitrary: slot }, { weight: 6, arbitrary: fc.constant({ node: 0 }) }),
  nodes: fc.array(node, { minLength: 1, maxLength: 8 }),
});

const errorTypes = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];

/** A new value with the form of the graph. References past the last node wrap around; a view of what is no buffer gets its own. */
export function build(plan: Graph): unknown {
  const objects = plan.nodes.map(emptyNode);
  for (const [index, each] of plan.nodes.entries()) {
    if (each.kind === "view") objects[index] = viewOf(each, objects[each.of % objects.length]);
  }
  const valueOf = (from: Slot): unknown => ("leaf" in from ? from.leaf : objects[from.node % objects.length]);
  for (const [index, each] of plan.nodes.entries()) fill(each, objects[index], valueOf);
  return valueOf(plan.root);
}

function emptyNode(from: Node): object {
  switch (from.kind) {
    case "object":
      return {};
    case "array":
    case "sparse":
      return [];
    case "map":
      return new Map();
    case "set":
      return new Set();
    case "error": {
      const error = new (errorTypes[from.type] ?? Error)();
      Reflect.set(error, "stack", from.stack ?? undefined);
      return error;
    }
    case "buffer": {
      const length = from.bytes.length;
      const buffer =
        from.spare === null ? new ArrayBuffer(length) : new ArrayBuffer(length, { maxByteLength: length + from.spare });
      new Uint8Array(buffer).set(from.bytes);
      return buffer;
    }
    case "view":
      return {};
    case "date":
      return new Date(from.ms);
    case "regExp":
      return new RegExp(from.source, from.flags);
    case "boxed":
      return Object(from.value) as object;
  }
}

function viewOf(from: Extract<Node, { kind: "view" }>, target: object | undefined): object {
  const found = viewClasses[from.type];
  if (found === undefined) throw new Error("no such class of views");
  const buffer = target instanceof ArrayBuffer ? target : new ArrayBuffer(32);
  const room = Math.floor(buffer.byteLength / found.elementSize);
  const start = Math.min(from.start, room);
  const length =
    from.length === null ? (buffer.resizable ? undefined : room - start) : Math.min(from.length, room - start);
  return new found.constructor(buffer, start * found.elementSize, length);
}

function fill(from: Node, object: object | undefined, valueOf: (from: Slot) => unknown): void {
  const define = (key: string | number, value: unknown, enumerable = true): void => {
    if (object === undefined) throw new Error("a node without its object");
    Object.defineProperty(object, key, { value, enumerable, writable: true, configurable: true });
  };
  switch (from.kind) {
    case "object":
      for (const [key, value] of from.entries) define(key, valueOf(value));
      break;
    case "array":
      // oxlint-disable-next-line unicorn/no-array-for-each -- holes at the end count as well
      from.items.forEach((item, index) => {
        if (item === null) Reflect.set(object ?? [], "length", index + 1);
        else define(index, valueOf(item));
      });
      for (const [key, value] of from.extra) define(key, valueOf(value));
      break;
    case "sparse":
      Reflect.set(object ?? [], "length", from.length);
      for (const [index, value] of from.items) define(index, valueOf(value));
      break;
    case "map":
      if (object instanceof Map) for (const [key, value] of from.entries) object.set(valueOf(key), valueOf(value));
      break;
    case "set":
      if (object instanceof Set) for (const member of from.members) object.add(valueOf(member));
      break;
    case "error":
      if (from.message !== null) define("message", from.message, false);
      if (from.cause !== null) define("cause", valueOf(from.cause), false);
      break;
    default:
  }
}
