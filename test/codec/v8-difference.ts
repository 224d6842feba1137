/** A strict comparison of values: classes, property order, holes, -0, shared and cyclic references, what views see of buffers. */

/** Where and how two values differ, or undefined when nothing that a program can see tells them apart. */
export function difference(a: unknown, b: unknown): string | undefined {
  return new Comparison().differ(a, b, "value");
}

class Comparison {
  readonly #partners = new Map<object, object>();
  readonly #taken = new Set<object>();

  differ(a: unknown, b: unknown, path: string): string | undefined {
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) {
      return Object.is(a, b) ? undefined : `${path}: ${describe(a)} is not ${describe(b)}`;
    }
    const partner = this.#partners.get(a);
    if (partner !== undefined || this.#taken.has(b))
      return partner === b ? undefined : `${path}: refers to another object`;
    this.#partners.set(a, b);
    this.#taken.add(b);
    if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b) || classOf(a) !== classOf(b))
      return `${path}: ${classOf(a)} is not ${classOf(b)}`;
    return this.#contents(a, b, path) ?? this.#properties(a, b, path);
  }

  #contents(a: object, b: object, path: string): string | undefined {
    if (a instanceof Date && b instanceof Date) return this.differ(a.getTime(), b.getTime(), `${path}.getTime()`);
    if (a instanceof RegExp && b instanceof RegExp) return this.differ(String(a), String(b), `${path}.toString()`);
    if (a instanceof Error && b instanceof Error) return this.differ(a.stack, b.stack, `${path}.stack`);
    if (a instanceof Map && b instanceof Map) return this.differ([...a].flat(0), [...b].flat(0), `${path}.entries()`);
    if (a instanceof Set && b instanceof Set) return this.differ([...a], [...b], `${path}.values()`);
    if (a instanceof ArrayBuffer && b instanceof ArrayBuffer) {
      const sizes = this.differ(
        [a.byteLength, a.resizable, a.maxByteLength],
        [b.byteLength, b.resizable, b.maxByteLength],
        `${path}.sizes`,
      );
      return sizes ?? this.differ(Buffer.from(a).toString("hex"), Buffer.from(b).toString("hex"), `${path}.bytes`);
    }
    if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) {
      const place = this.differ(
        [a.byteOffset, a.byteLength, grownLength(a)],
        [b.byteOffset, b.byteLength, grownLength(b)],
        `${path}.place`,
      );
      return place ?? this.differ(a.buffer, b.buffer, `${path}.buffer`);
    }
    if (["Number", "String", "Boolean", "BigInt"].includes(classOf(a)))
      return this.differ(a.valueOf(), b.valueOf(), `${path}.valueOf()`);
    return undefined;
  }

  /** Own properties in their order. The elements of typed arrays are compared as bytes, and an error's stack is no property here. */
  #properties(a: object, b: object, path: string): string | undefined {
    if (ArrayBuffer.isView(a)) return undefined;
    const keys = Reflect.ownKeys(a).filter((key) => !(a instanceof Error && key === "stack"));
    const others = Reflect.ownKeys(b).filter((key) => !(b instanceof Error && key === "stack"));
    const listed =
      a instanceof Error
        ? [keys.map(String).toSorted(), others.map(String).toSorted()]
        : [keys.map(String), others.map(String)];
    if (JSON.stringify(listed[0]) !== JSON.stringify(listed[1]))
      return `${path}: has ${JSON.stringify(listed[0])}, not ${JSON.stringify(listed[1])}`;
    for (const key of keys) {
      const { value: one, ...form } = Object.getOwnPropertyDescriptor(a, key) ?? {};
      const { value: other, ...otherForm } = Object.getOwnPropertyDescriptor(b, key) ?? {};
      const where = `${path}[${JSON.stringify(String(key))}]`;
      if (JSON.stringify(form) !== JSON.stringify(otherForm))
        return `${where}: ${JSON.stringify(form)} is not ${JSON.stringify(otherForm)}`;
      const found = this.differ(one, other, where);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function classOf(object: object): string {
  return Object.prototype.toString.call(object).slice(8, -1);
}

function describe(value: unknown): string {
  return typeof value === "object" && value !== null
    ? classOf(value)
    : `${typeof value} ${Object.is(value, -0) ? "-0" : String(value)}`;
}

/** The length of a view once its buffer has grown: it tells a view that follows the buffer's length from one that does not. */
function grownLength(view: ArrayBufferView): number {
  const copy = structuredClone(view);
  if (copy.buffer instanceof ArrayBuffer && copy.buffer.resizable && copy.buffer.maxByteLength < 1 << 20)
    copy.buffer.resize(copy.buffer.maxByteLength);
  return copy.byteLength;
}
