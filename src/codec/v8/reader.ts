/**
 * Reads what V8's ValueSerializer writes, and decides as V8 does: what V8 refuses is refused, and what V8 accepts becomes an equal value.
 * With one exception: the parts of an Error may come in any order, as in older versions. Memory is bounded by the input: nothing is
 * allocated for a length before its bytes are seen.
 */
import {
  MAX_VALUE_DEPTH,
  MAX_VALUE_ERRORS,
  MAX_VALUE_RESERVED_BYTES,
  MAX_VALUE_RESIZABLE_BUFFERS,
} from "../../core/limits.ts";
import { DENO_HOST_OBJECT, elementIndex, ErrorTag, errorClasses, NEWEST_VERSION } from "./format.ts";
import { OLDEST_VERSION, refusedTags, regExpFlags, Tag, viewClasses, ViewFlag } from "./format.ts";
import { Cursor } from "./cursor.ts";
import { hide, newError } from "./errors.ts";
import { Refusal } from "./refusal.ts";

/** When elements are further apart, no room is made for those that might lie between them. */
const MAX_GAP = 16;

const MAX_ARRAY_LENGTH = 0xffff_ffff;

export class V8Reader {
  /** The longest length of a buffer that was read. A resizable buffer counts with the length that it may grow to. */
  longestLength = 0;
  readonly #cursor: Cursor;
  #version = 0;
  #depth = 0;
  #errors = 0;
  #resizableBuffers = 0;
  #reservedBytes = 0;
  /**
   * Objects in the order in which they begin; the index is the number that a reference names. Undefined while an object cannot be
   * referred to yet.
   */
  readonly #objects: (object | undefined)[] = [];

  constructor(bytes: Uint8Array) {
    this.#cursor = new Cursor(bytes);
  }

  /** Reads header and value. As in V8, bytes after the value are ignored. Throws only `Refusal`. */
  read(): unknown {
    if (this.#cursor.remaining === 0 || this.#cursor.byte() !== Tag.version) {
      throw new Refusal("invalid", "a V8 value begins with the byte ff and its version");
    }
    this.#version = this.#cursor.varint32();
    if (this.#version < OLDEST_VERSION || this.#version > NEWEST_VERSION) {
      throw new Refusal(
        "unsupported",
        `V8 values of version ${this.#version} are not supported; ${OLDEST_VERSION} to ${NEWEST_VERSION} are`,
      );
    }
    return this.#value();
  }

  /** Reads one value. All of it is one function because it recurses: so a level of nesting takes only two frames of the stack. */
  #value(): unknown {
    const cursor = this.#cursor;
    let tag = cursor.tag();
    while (tag === Tag.objectCount) {
      cursor.varint32();
      tag = cursor.tag();
    }
    switch (tag) {
      case Tag.undefined:
        return undefined;
      case Tag.null:
        return null;
      case Tag.true:
        return true;
      case Tag.false:
        return false;
      case Tag.int32:
        return cursor.zigZag32();
      case Tag.uint32:
        return cursor.varint32();
      case Tag.double:
        return cursor.double();
      case Tag.bigint:
        return cursor.bigint();
      case Tag.utf8String:
        return cursor.utf8String();
      case Tag.oneByteString:
        return cursor.oneByteString();
      case Tag.twoByteString:
        return cursor.twoByteString();
      case Tag.date:
        return this.#register(new Date(cursor.double()));
      case Tag.trueObject:
        return this.#register(Object(true));
      case Tag.falseObject:
        return this.#register(Object(false));
      case Tag.numberObject:
        return this.#register(Object(cursor.double()));
      case Tag.bigintObject:
        return this.#register(Object(cursor.bigint()));
      case Tag.stringObject:
        return this.#boxedString();
      case Tag.regExp:
        return this.#regExp();
      case Tag.reference:
        return this.#orView(this.#referredTo(cursor.varint32()));
      case Tag.arrayBuffer:
      case Tag.immutableArrayBuffer:
        return this.#orView(this.#arrayBuffer());
      case Tag.resizableArrayBuffer:
        return this.#orView(this.#resizableArrayBuffer());
      case Tag.object:
        return this.#object();
      case Tag.denseArray:
        return this.#denseArray();
      case Tag.sparseArray:
        return this.#sparseArray();
      case Tag.map:
        return this.#map();
      case Tag.set:
        return this.#set();
      case Tag.error:
        return this.#error();
      case Tag.hostObject:
        throw this.#hostObject();
      default:
        throw this.#unknown(tag);
    }
  }

  #unknown(tag: number): Refusal {
    const refused = refusedTags.get(tag);
    if (refused !== undefined)
      return new Refusal("unsupported", `the V8 value holds ${refused}, which cannot be read here`);
    return this.#cursor.malformed(`0x${tag.toString(16).padStart(2, "0")} is not the tag of a value`);
  }

  /** The refusal of a host object, with its class if it is one of Deno's, whose description names the class. */
  #hostObject(): Refusal {
    const unknown = this.#unknown(Tag.hostObject);
    this.#descend();
    try {
      if (this.#cursor.varint32() !== DENO_HOST_OBJECT) return unknown;
      const description = this.#value();
      const name: unknown =
        typeof description === "object" && description !== null ? Reflect.get(description, "type") : undefined;
      if (typeof name !== "string" || !/^\w{1,40}$/.test(name)) return unknown;
      const empty = name === "Blob" || name === "File" ? ", whose bytes Deno has not stored with it" : "";
      return new Refusal("unsupported", `the V8 value holds a ${name} of Deno's${empty}, which only Deno can read`);
    } catch (error) {
      // When a host object is inside the description of another, the innermost one is named.
      if (error instanceof Refusal) return error.failure.code === "unsupported" ? error : unknown;
      throw error;
    }
  }

  /** A view comes after its buffer, or after a reference to the buffer, and the value is the view. */
  #orView(object: object): object {
    return object instanceof ArrayBuffer && this.#cursor.takeTag(Tag.view) ? this.#view(object) : object;
  }

  /** Called before the contents of a container are read. `#leave` is called after them. */
  #enter<T extends object>(container: T): T {
    this.#descend();
    return this.#register(container);
  }

  #descend(): void {
    if (++this.#depth > MAX_VALUE_DEPTH)
      throw new Refusal("limit", `the V8 value is nested deeper than ${MAX_VALUE_DEPTH} levels`);
  }

  #leave<T extends object>(container: T): T {
    this.#depth--;
    return container;
  }

  #register<T extends object>(object: T): T {
    this.#objects.push(object);
    return object;
  }

  /** Reserves a number for an object that is made only after its parts have been read. */
  #reserve(): number {
    return this.#objects.push(undefined) - 1;
  }

  #referredTo(id: number): object {
    const object = this.#objects[id];
    if (object === undefined) throw this.#cursor.malformed(`there is no object ${id} to refer to`);
    return object;
  }

  #object(): object {
    const object: Record<string, unknown> = this.#enter({});
    let count = 0;
    let room = MAX_GAP;
    while (!this.#cursor.takeTag(Tag.objectEnd)) {
      const key = this.#key();
      const value = this.#value();
      const index = elementIndex(key);
      if (index === undefined) {
        this.#define(object, key, value);
      } else if (index < room) {
        this.#define(object, key, value);
        room = Math.max(room, index + MAX_GAP);
      } else {
        // V8 makes room up to an index that is not far away, except among elements of which one was once not enumerable.
        this.#define(object, key, value, false);
        Object.defineProperty(object, key, { enumerable: true });
        room = Number.POSITIVE_INFINITY;
      }
      count++;
    }
    this.#expectCount(count, "properties");
    return this.#leave(object);
  }

  #key(): string {
    const key = this.#value();
    if (typeof key === "string") return key;
    if (typeof key === "number") return String(key);
    throw this.#cursor.malformed("the key of a property is neither a string nor a number");
  }

  #define(target: Record<string, unknown>, key: string, value: unknown, enumerable = true): void {
    if (Object.hasOwn(target, key)) throw this.#cursor.malformed(`there are two properties ${JSON.stringify(key)}`);
    if (!enumerable || key === "__proto__") {
      Object.defineProperty(target, key, { value, writable: true, enumerable, configurable: true });
    } else {
      target[key] = value;
    }
  }

  #denseArray(): object {
    const length = this.#cursor.varint32();
    if (length > this.#cursor.remaining) throw this.#cursor.malformed(`an array of ${length} elements cannot follow`);
    const array: unknown[] = this.#enter([]);
    for (let i = 0; i < length; i++) {
      if (this.#cursor.takeTag(Tag.hole)) array.length++;
      else array.push(this.#value());
    }
    this.#arrayProperties(array, length, Tag.denseArrayEnd);
    return this.#leave(array);
  }

  #sparseArray(): object {
    const length = this.#cursor.varint32();
    const array: unknown[] = this.#enter([]);
    this.#arrayProperties(array, length, Tag.sparseArrayEnd);
    return this.#leave(array);
  }

  /** Elements and other properties with their keys. The array gets its announced length only at the end. */
  #arrayProperties(array: unknown[], length: number, end: number): void {
    let spacious = false;
    const makeRoom = (needed: number): void => {
      if (!spacious && needed > array.length + MAX_GAP) {
        // Past 32 M elements V8 keeps them in a dictionary, also after the length shrinks again. So the holes cost nothing.
        array.length = MAX_ARRAY_LENGTH;
        array.length = Math.max(needed, length);
        spacious = true;
      } else if (needed > array.length) {
        array.length = needed;
      }
    };
    let count = 0;
    while (!this.#cursor.takeTag(end)) {
      const key = this.#key();
      const value = this.#value();
      const index = elementIndex(key);
      if (index !== undefined) makeRoom(index);
      // An array accepts any property.
      this.#define(array as unknown as Record<string, unknown>, key, value);
      count++;
    }
    makeRoom(length);
    this.#expectCount(count, "properties");
    this.#expectCount(length, "elements");
  }

  #map(): object {
    const map = this.#enter(new Map<unknown, unknown>());
    let count = 0;
    while (!this.#cursor.takeTag(Tag.mapEnd)) {
      const key = this.#value();
      map.set(key, this.#value());
      count += 2;
    }
    this.#expectCount(count, "keys and values");
    return this.#leave(map);
  }

  #set(): object {
    const set = this.#enter(new Set<unknown>());
    let count = 0;
    while (!this.#cursor.takeTag(Tag.setEnd)) {
      set.add(this.#value());
      count++;
    }
    this.#expectCount(count, "members");
    return this.#leave(set);
  }

  #expectCount(count: number, what: string): void {
    const announced = this.#cursor.varint32();
    if (announced !== count)
      throw this.#cursor.malformed(`${announced} ${what} are announced where there are ${count}`);
  }

  /** Reads a string where the format has a whole value for it. */
  #string(): string {
    const text = this.#value();
    if (typeof text !== "string") throw this.#cursor.malformed("something else stands in the place of a string");
    return text;
  }

  #boxedString(): object {
    const id = this.#reserve();
    const boxed: object = Object(this.#string());
    this.#objects[id] = boxed;
    return boxed;
  }

  #regExp(): object {
    const id = this.#reserve();
    const source = this.#string();
    const bits = this.#cursor.varint32();
    let flags = "";
    for (let bit = 0; bit < 32; bit++) {
      if (((bits >>> bit) & 1) === 0) continue;
      const flag = regExpFlags[bit] ?? "";
      if (flag === "") throw this.#cursor.malformed(`a regular expression has the unknown flags ${bits}`);
      flags += flag;
    }
    try {
      const regExp = new RegExp(source, flags);
      this.#objects[id] = regExp;
      return regExp;
    } catch {
      throw this.#cursor.malformed("a regular expression has an invalid pattern or flags that exclude each other");
    }
  }

  #error(): object {
    if (++this.#errors > MAX_VALUE_ERRORS)
      throw new Refusal("limit", `the V8 value holds more than ${MAX_VALUE_ERRORS} errors`);
    const id = this.#reserve();
    let tag = this.#cursor.varint8();
    const known = errorClasses.find((each) => each.tag === tag);
    if (known !== undefined) tag = this.#cursor.varint8();
    const error = newError(known?.constructor ?? Error);
    this.#objects[id] = error;
    this.#descend();
    const parts = new Map<number, unknown>();
    for (; tag !== ErrorTag.end; tag = this.#cursor.varint8()) {
      if (parts.has(tag)) throw this.#cursor.malformed("an error has one of its parts twice");
      if (tag === ErrorTag.message || tag === ErrorTag.stack) parts.set(tag, this.#string());
      else if (tag === ErrorTag.cause) parts.set(tag, this.#value());
      else throw this.#cursor.malformed(`0x${tag.toString(16).padStart(2, "0")} is not the tag of a part of an error`);
    }
    hide(error, "stack", parts.get(ErrorTag.stack));
    if (parts.has(ErrorTag.message)) hide(error, "message", parts.get(ErrorTag.message));
    if (parts.has(ErrorTag.cause)) hide(error, "cause", parts.get(ErrorTag.cause));
    return this.#leave(error);
  }

  #arrayBuffer(): ArrayBuffer {
    const id = this.#reserve();
    const length = this.#length();
    if (length > this.#cursor.remaining)
      throw this.#cursor.malformed(`an ArrayBuffer of ${length} bytes cannot follow`);
    const buffer = new ArrayBuffer(length);
    this.#cursor.copyTo(buffer, length);
    this.#objects[id] = buffer;
    return buffer;
  }

  #resizableArrayBuffer(): ArrayBuffer {
    const id = this.#reserve();
    const length = this.#length();
    const maxByteLength = this.#length();
    if (length > maxByteLength || length > this.#cursor.remaining) {
      throw this.#cursor.malformed(`an ArrayBuffer of ${length} bytes, at most ${maxByteLength}, cannot follow`);
    }
    this.#resizableBuffers++;
    this.#reservedBytes += maxByteLength;
    if (this.#resizableBuffers > MAX_VALUE_RESIZABLE_BUFFERS || this.#reservedBytes > MAX_VALUE_RESERVED_BYTES) {
      throw new Refusal(
        "limit",
        `the V8 value holds more than ${MAX_VALUE_RESIZABLE_BUFFERS} resizable ArrayBuffers, or they may grow to more than ${MAX_VALUE_RESERVED_BYTES} bytes`,
      );
    }
    const buffer = resizableBuffer(length, maxByteLength);
    this.#cursor.copyTo(buffer, length);
    this.#objects[id] = buffer;
    return buffer;
  }

  #view(buffer: ArrayBuffer): object {
    const tag = this.#cursor.varint8();
    const byteOffset = this.#length();
    const byteLength = this.#length();
    const flags = this.#version >= 14 ? this.#cursor.varint32() : 0;
    const tracksLength = (flags & ViewFlag.lengthTracking) !== 0;
    const found = viewClasses.find((each) => each.tag === tag);
    if (
      found === undefined ||
      byteOffset + byteLength > buffer.byteLength ||
      byteOffset % found.elementSize !== 0 ||
      byteLength % found.elementSize !== 0 ||
      ((flags & ViewFlag.resizableBuffer) !== 0) !== buffer.resizable ||
      (tracksLength && !buffer.resizable)
    ) {
      throw this.#cursor.malformed("a view does not fit its ArrayBuffer");
    }
    return this.#register(
      new found.constructor(buffer, byteOffset, tracksLength ? undefined : byteLength / found.elementSize),
    );
  }

  #length(): number {
    const length = this.#version >= 16 ? this.#cursor.varint64() : this.#cursor.varint32();
    this.longestLength = Math.max(this.longestLength, length);
    return length;
  }
}

function resizableBuffer(length: number, maxByteLength: number): ArrayBuffer {
  try {
    return new ArrayBuffer(length, { maxByteLength });
  } catch {
    throw new Refusal("limit", `this runtime cannot make an ArrayBuffer that may grow to ${maxByteLength} bytes`);
  }
}
