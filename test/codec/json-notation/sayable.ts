/** Generated values that the notation can say: trees of every class, nothing shared, nothing boxed. */
import * as fc from "fast-check";
import { viewClasses } from "../../../src/codec/v8/format.ts";

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({
    maxLength: 8,
    unit: fc.constantFrom("a", '"', "\\", "\0", "\n", "\u2028", "é", "中", "\ud800", "\udfff", "😀"),
  }),
  fc.constantFrom("x".repeat(39), "x".repeat(40), "é".repeat(300)),
);
const name = fc.oneof(
  text,
  fc.constantFrom("__proto__", "constructor", "toJSON", "type", "value", "0", "7", "4294967295", "-1"),
);
const leaf: fc.Arbitrary<unknown> = fc.oneof(
  text,
  fc.double(),
  fc.integer(),
  fc.constantFrom(undefined, null, true, false, 0, -0, Number.NaN, Infinity, -Infinity, 2 ** 53, 5e-324, 1e21),
  fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
);

const views = viewClasses.filter(({ constructor }) => constructor.name !== "Float16Array");
const bytes = fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(views.length)).map(([content, index]): unknown => {
  const view = views[index];
  if (view === undefined) return content.slice().buffer;
  const { buffer } = content.slice(0, content.length - (content.length % view.elementSize));
  return new view.constructor(buffer, 0, buffer.byteLength / view.elementSize);
});
const date = fc
  .oneof(fc.integer(), fc.constantFrom(8.64e15, -8.64e15, -1, 253_402_300_800_000))
  .map((ms) => new Date(ms));
const regExp = fc
  .tuple(
    fc.constantFrom("", "a+b", "/", "\\/[\\d\\/]", "é|中\n", "(?<year>\\d{4})"),
    fc.subarray(["d", "g", "i", "m", "s", "y"]),
    fc.constantFrom("", "u", "v"),
  )
  .map(([source, flags, mode]) => new RegExp(source, flags.join("") + mode));

const errorClasses = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];

const { value } = fc.letrec<{ value: unknown }>((tie) => {
  const member = tie("value");
  const object = fc.uniqueArray(fc.tuple(name, member), { maxLength: 5, selector: ([key]) => key }).map((entries) => {
    const made = {};
    for (const [key, each] of entries)
      Object.defineProperty(made, key, { value: each, enumerable: true, writable: true, configurable: true });
    return made;
  });
  const hole = Symbol("hole");
  const array = fc
    .array(fc.oneof({ weight: 6, arbitrary: member }, { weight: 1, arbitrary: fc.constant(hole) }), { maxLength: 6 })
    .map((items) => {
      const made: unknown[] = [];
      for (const item of items) {
        if (item === hole) made.length++;
        else made.push(item);
      }
      return made;
    });
  const error = fc
    .record({
      type: fc.nat(6),
      message: fc.option(text),
      stack: fc.option(text),
      cause: fc.option(member, { nil: hole }),
    })
    .map(({ type, message, stack, cause }) => {
      const made = new (errorClasses[type] ?? Error)(message ?? undefined, cause === hole ? undefined : { cause });
      Reflect.set(made, "stack", stack ?? undefined);
      return made;
    });
  return {
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      leaf,
      bytes,
      date,
      regExp,
      object,
      array,
      error,
      fc.array(fc.tuple(member, member), { maxLength: 4 }).map((pairs) => new Map(pairs)),
      fc.array(member, { maxLength: 4 }).map((members) => new Set(members)),
    ),
  };
});

export const sayable: fc.Arbitrary<unknown> = value;
