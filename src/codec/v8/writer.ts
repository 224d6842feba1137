/**
 * Writes what V8's ValueSerializer writes for the same value, version 15. There are two differences, both only of form. An array is
 * written as sparse when it has holes; in V8, when it may ever have had one. A string is written with one byte a unit when its units
 * allow that.
 */
import { MAX_VALUE_DEPTH } from "../../core/limits.ts";
import {
  elementIndex,
  ErrorTag,
  errorClasses,
  regExpFlags,
  Tag,
  viewClasses,
  ViewFlag,
  WRITTEN_VERSION,
} from "./format.ts";
import { Refusal } from "./refusal.ts";
import { Sink } from "./sink.ts";

/** The classes of objects that hold a primitive value. */
const boxes: ReadonlySet<string> = new Set(["Number", "String", "Boolean", "BigInt"]);

export class V8Writer {
  readonly #sink = new Sink();
  readonly #ids = new Map<object, number>();
  #depth = 0;

  /** Writes header and value. Throws `Refusal`, and what getters of the value throw. */
  write(value: unknown): Uint8Array<ArrayBuffer> {
    this.#sink.byte(Tag.version);
    this.#sink.varint32(WRITTEN_VERSION);
    this.#value(value);
    return this.#sink.toBytes();
  }

  #value(value: unknown): void {
    const sink = this.#sink;
    switch (typeof value) {
      case "undefined":
        return sink.byte(Tag.undefined);
      case "boolean":
        return sink.byte(value ? Tag.true : Tag.false);
      case "number":
        if ((value | 0) === value && !Object.is(value, -0)) {
          sink.byte(Tag.int32);
          return sink.zigZag32(value);
        }
        sink.byte(Tag.double);
        return sink.double(value);
      case "bigint":
        sink.byte(Tag.bigint);
        return sink.bigint(value);
      case "string":
        return this.#string(value);
      case "object":
        if (value === null) return sink.byte(Tag.null);
        return this.#object(value);
      case "function":
      case "symbol":
        throw new Refusal("unsupported", `a value of type ${typeof value} cannot be stored`);
    }
  }

  #string(text: string): void {
    const sink = this.#sink;
    if (isLatin1(text)) {
      sink.byte(Tag.oneByteString);
      sink.varint32(text.length);
      return sink.latin1(text);
    }
    const byteLength = text.length * 2;
    // V8 wants the units to begin at an even offset.
    if ((sink.length + 1 + varintSize(byteLength)) % 2 !== 0) sink.byte(Tag.padding);
    sink.byte(Tag.twoByteString);
    sink.varint32(byteLength);
    sink.utf16(text);
  }

  /** An object that was written before is referred to by its number. A view is written after its buffer. */
  #object(object: object): void {
    if (this.#reference(object)) return;
    if (ArrayBuffer.isView(object)) {
      const { buffer } = object;
      if (!(buffer instanceof ArrayBuffer))
        throw new Refusal("unsupported", "a view of shared memory cannot be stored");
      if (!this.#reference(buffer)) {
        this.#number(buffer);
        this.#arrayBuffer(buffer);
      }
      this.#number(object);
      return this.#view(object, buffer);
    }
    this.#number(object);
    if (++this.#depth > MAX_VALUE_DEPTH)
      throw new Refusal("limit", `a value nested deeper than ${MAX_VALUE_DEPTH} levels cannot be stored`);
    this.#contents(object);
    this.#depth--;
  }

  #reference(object: object): boolean {
    const id = this.#ids.get(object);
    if (id === undefined) return false;
    this.#sink.byte(Tag.reference);
    this.#sink.varint32(id);
    return true;
  }

  #number(object: object): void {
    this.#ids.set(object, this.#ids.size);
  }

  #contents(object: object): void {
    if (Array.isArray(object)) return this.#array(object);
    if (object instanceof Date) return this.#date(object);
    if (object instanceof Map) return this.#map(object);
    if (object instanceof Set) return this.#set(object);
    if (object instanceof RegExp) return this.#regExp(object);
    if (object instanceof ArrayBuffer) return this.#arrayBuffer(object);
    const className = Object.prototype.toString.call(object).slice(8, -1);
    if (boxes.has(className)) return this.#boxed(object, className);
    if (Symbol.toStringTag in object)
      throw new Refusal("unsupported", `an object of the class ${className} cannot be stored`);
    if (object instanceof Error) return this.#error(object);
    this.#sink.byte(Tag.object);
    const count = this.#properties(object, Object.keys(object));
    this.#sink.byte(Tag.objectEnd);
    this.#sink.varint32(count);
  }

  /** Returns how many properties were written. A property that a getter deletes meanwhile is left out. */
  #properties(object: object, keys: readonly string[]): number {
    let count = 0;
    for (const key of keys) {
      if (!Object.hasOwn(object, key)) continue;
      const value: unknown = Reflect.get(object, key);
      this.#value(elementIndex(key) ?? key);
      this.#value(value);
      count++;
    }
    return count;
  }

  #array(array: readonly unknown[]): void {
    const sink = this.#sink;
    const { length } = array;
    const keys = Object.keys(array);
    // Indexes come first, ascending. So there is no hole when the last index is the length less one.
    const dense = length === 0 || keys[length - 1] === String(length - 1);
    sink.byte(dense ? Tag.denseArray : Tag.sparseArray);
    sink.varint32(length);
    if (dense) {
      for (let i = 0; i < length; i++) {
        // A getter may have deleted the element meanwhile.
        if (Object.hasOwn(array, i)) this.#value(array[i]);
        else sink.byte(Tag.hole);
      }
    }
    const count = this.#properties(array, dense ? keys.slice(length) : keys);
    sink.byte(dense ? Tag.denseArrayEnd : Tag.sparseArrayEnd);
    sink.varint32(count);
    sink.varint32(length);
  }

  #date(date: Date): void {
    this.#sink.byte(Tag.date);
    this.#sink.double(date.getTime());
  }

  #map(map: ReadonlyMap<unknown, unknown>): void {
    const entries = [...map];
    this.#sink.byte(Tag.map);
    for (const [key, value] of entries) {
      this.#value(key);
      this.#value(value);
    }
    this.#sink.byte(Tag.mapEnd);
    this.#sink.varint32(entries.length * 2);
  }

  #set(set: ReadonlySet<unknown>): void {
    const members = [...set];
    this.#sink.byte(Tag.set);
    for (const member of members) this.#value(member);
    this.#sink.byte(Tag.setEnd);
    this.#sink.varint32(members.length);
  }

  #regExp(regExp: RegExp): void {
    let flags = 0;
    for (const flag of regExp.flags) flags |= 1 << regExpFlags.indexOf(flag);
    this.#sink.byte(Tag.regExp);
    this.#string(regExp.source);
    this.#sink.varint32(flags);
  }

  #boxed(boxed: object, className: string): void {
    const value: unknown = boxed.valueOf();
    switch (typeof value) {
      case "boolean":
        return this.#sink.byte(value ? Tag.trueObject : Tag.falseObject);
      case "number":
        this.#sink.byte(Tag.numberObject);
        return this.#sink.double(value);
      case "bigint":
        this.#sink.byte(Tag.bigintObject);
        return this.#sink.bigint(value);
      case "string":
        this.#sink.byte(Tag.stringObject);
        return this.#string(value);
      default:
        throw new Refusal("unsupported", `an object that only calls itself ${className} cannot be stored`);
    }
  }

  /** The cause is written last. So a reader has made the error before the cause refers to it. */
  #error(error: Error): void {
    const sink = this.#sink;
    const { name } = error;
    const message = Object.getOwnPropertyDescriptor(error, "message");
    const cause = Object.getOwnPropertyDescriptor(error, "cause");
    const stack: unknown = error.stack;
    sink.byte(Tag.error);
    const known = errorClasses.find((each) => each.name === name);
    if (known !== undefined) sink.byte(known.tag);
    if (message !== undefined && "value" in message) {
      sink.byte(ErrorTag.message);
      this.#string(String(message.value));
    }
    if (typeof stack === "string") {
      sink.byte(ErrorTag.stack);
      this.#string(stack);
    }
    if (cause !== undefined && "value" in cause) {
      sink.byte(ErrorTag.cause);
      this.#value(cause.value);
    }
    sink.byte(ErrorTag.end);
  }

  #arrayBuffer(buffer: ArrayBuffer): void {
    const sink = this.#sink;
    if (buffer.detached) throw new Refusal("unsupported", "an ArrayBuffer that was transferred away cannot be stored");
    if (buffer.resizable && buffer.maxByteLength > 0xffff_ffff) {
      throw new Refusal("unsupported", "an ArrayBuffer that may grow to 4 GiB or more cannot be stored");
    }
    sink.byte(buffer.resizable ? Tag.resizableArrayBuffer : Tag.arrayBuffer);
    sink.varint32(buffer.byteLength);
    if (buffer.resizable) sink.varint32(buffer.maxByteLength);
    sink.bytes(new Uint8Array(buffer));
  }

  #view(view: ArrayBufferView, buffer: ArrayBuffer): void {
    const sink = this.#sink;
    const found = viewClasses.find((each) => view instanceof each.constructor);
    if (found === undefined) throw new Refusal("unsupported", "a view of an unknown class cannot be stored");
    if (isOutOfBounds(view))
      throw new Refusal("unsupported", "a view that lies outside its ArrayBuffer cannot be stored");
    sink.byte(Tag.view);
    sink.byte(found.tag);
    sink.varint32(view.byteOffset);
    const tracking = buffer.resizable && tracksLength(view);
    sink.varint32(tracking ? 0 : view.byteLength);
    sink.varint32((buffer.resizable ? ViewFlag.resizableBuffer : 0) | (tracking ? ViewFlag.lengthTracking : 0));
  }
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return false;
  return true;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest >>>= 7) size++;
  return size;
}

/** True after a resizable buffer has shrunk so far that the view is outside: then the view's own methods throw. */
function isOutOfBounds(view: ArrayBufferView): boolean {
  try {
    if (view instanceof DataView) return view.byteLength < 0;
    // Every other view is a typed array, and all of them have this method.
    (view as Uint8Array).keys();
    return false;
  } catch {
    return true;
  }
}

/**
 * Whether a view of a resizable buffer always reaches to the buffer's end. JavaScript does not tell, so this is tried on a copy. When the
 * buffer ends where the view begins, a view of fixed length is out of bounds, if it has any length. When the buffer then grows, a view
 * that tracks the length gets longer.
 */
function tracksLength(view: ArrayBufferView): boolean {
  const copy = structuredClone(view);
  const { buffer } = copy;
  if (!(buffer instanceof ArrayBuffer)) return false;
  buffer.resize(view.byteOffset);
  if (isOutOfBounds(copy)) return false;
  buffer.resize(buffer.maxByteLength);
  return copy.byteLength > 0;
}
