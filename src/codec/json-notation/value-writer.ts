/**
 * Writes values as the notation's text. A value is written only if reading the text gives the same value: all that `structuredClone`
 * keeps is kept, except the part of a buffer that a view does not show. The whole value cannot be written if it holds
 * - an object in two places (also in a cycle), because reading would make two copies. A Date may stand in two places: programs write
 *   `{createdAt: now, updatedAt: now}` and never ask whether the two are one object. Only as the key of a Map or the member of a Set is a
 *   Date looked up by identity, and there it may not;
 * - views that share bytes;
 * - a boxed primitive, an invalid date, a resizable buffer, a Float16Array (which the ecosystem's readers do not know), an array with
 *   properties, a bigint of too many digits;
 * - or so much that the text would pass its limit, for example an array with a million holes.
 */
import { MAX_VALUE_DEPTH } from "../../core/limits.ts";
import { elementIndex } from "../v8/format.ts";
import { base64UrlLength, toBase64Url } from "../base64url.ts";
import { isWritable, jsonTextOfNumber, quoted } from "./scalars.ts";
import { errorsByName, viewsByName } from "./types.ts";

const HOLE = '{"type":"undefined","hole":true}';

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Writes one value. */
export class ValueWriter {
  readonly #maxLength: number;
  #text = "";
  #depth = 0;
  /** Objects that must not stand in a second place. */
  readonly #placed = new Set<object>();
  readonly #dates = new Set<Date>();
  readonly #viewed = new Map<ArrayBufferLike, Span[]>();

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** The text. Undefined when the notation cannot express the value in so many characters. `value` comes from `decodeV8`. */
  write(value: unknown): string | undefined {
    return this.#value(value) && ![...this.#viewed.values()].some(overlap) ? this.#text : undefined;
  }

  /** The methods below return whether the value could be written. */
  #value(value: unknown): boolean {
    switch (typeof value) {
      case "string":
        return this.#append(`{"type":"string","value":${quoted(value)}}`);
      case "number":
        return this.#append(`{"type":"number","value":${jsonTextOfNumber(value)}}`);
      case "boolean":
        return this.#append(value ? '{"type":"boolean","value":true}' : '{"type":"boolean","value":false}');
      case "undefined":
        return this.#append('{"type":"undefined"}');
      case "bigint":
        return isWritable(value) && this.#append(`{"type":"bigint","value":"${value}"}`);
      case "object":
        return value === null ? this.#append('{"type":"null","value":null}') : this.#object(value);
      default:
        return false;
    }
  }

  #append(text: string): boolean {
    this.#text += text;
    return this.#text.length <= this.#maxLength;
  }

  #object(object: object): boolean {
    if (object instanceof Date) return this.#date(object);
    if (this.#placed.has(object)) return false;
    this.#placed.add(object);
    // Leaves are counted too, because the codec of V8 values writes nothing at that depth.
    if (++this.#depth > MAX_VALUE_DEPTH) return false;
    const written = this.#contents(object);
    this.#depth--;
    return written;
  }

  #contents(object: object): boolean {
    if (Object.getPrototypeOf(object) === Object.prototype) return this.#properties(object);
    if (Array.isArray(object)) return this.#array(object);
    if (object instanceof Map) return this.#map(object);
    if (object instanceof Set) return this.#set(object);
    if (object instanceof RegExp) return this.#append(`{"type":"RegExp","value":${quoted(String(object))}}`);
    if (object instanceof ArrayBuffer) return this.#bytes("ArrayBuffer", object, 0, object.byteLength);
    if (ArrayBuffer.isView(object)) return this.#view(object);
    return object instanceof Error && this.#error(object);
  }

  /** Members with their names: those of a plain object, or those that describe an error. */
  #properties(object: object): boolean {
    this.#text += '{"type":"object","value":{';
    let separator = "";
    for (const name of Object.keys(object)) {
      if (!this.#append(`${separator}${quoted(name)}:`) || !this.#value(Reflect.get(object, name))) return false;
      separator = ",";
    }
    return this.#append("}}");
  }

  #array(array: readonly unknown[]): boolean {
    const keys = Object.keys(array);
    const last = keys.at(-1);
    // Elements come before other properties.
    if (last !== undefined && elementIndex(last) === undefined) return false;
    const holes = array.length - keys.length;
    this.#text += '{"type":"Array","value":[';
    for (let i = 0; i < array.length; i++) {
      if (i > 0) this.#text += ",";
      const written = holes > 0 && !Object.hasOwn(array, i) ? this.#append(HOLE) : this.#value(array[i]);
      if (!written) return false;
    }
    return this.#append("]}");
  }

  #map(map: ReadonlyMap<unknown, unknown>): boolean {
    this.#text += '{"type":"Map","value":[';
    let separator = "[";
    for (const [key, value] of map) {
      this.#text += separator;
      if (!this.#identified(key)) return false;
      this.#text += ",";
      if (!this.#value(value)) return false;
      this.#text += "]";
      separator = ",[";
    }
    return this.#append("]}");
  }

  #set(set: ReadonlySet<unknown>): boolean {
    this.#text += '{"type":"Set","value":[';
    let separator = "";
    for (const member of set) {
      this.#text += separator;
      if (!this.#identified(member)) return false;
      separator = ",";
    }
    return this.#append("]}");
  }

  /** Writes a value that is looked up by identity. */
  #identified(value: unknown): boolean {
    if (!(value instanceof Date)) return this.#value(value);
    if (this.#dates.has(value) || !this.#date(value)) return false;
    this.#placed.add(value);
    return true;
  }

  #date(date: Date): boolean {
    if (this.#placed.has(date) || this.#depth >= MAX_VALUE_DEPTH || Number.isNaN(date.getTime())) return false;
    this.#dates.add(date);
    return this.#append(`{"type":"Date","value":"${date.toISOString()}"}`);
  }

  #view(view: ArrayBufferView): boolean {
    for (const [name, { constructor }] of viewsByName) {
      if (!(view instanceof constructor)) continue;
      return name !== "Float16Array" && this.#bytes(name, view.buffer, view.byteOffset, view.byteLength);
    }
    return false;
  }

  #bytes(name: string, buffer: ArrayBufferLike, start: number, byteLength: number): boolean {
    if (!(buffer instanceof ArrayBuffer) || buffer.resizable) return false;
    const spans = this.#viewed.get(buffer);
    const span = { start, end: start + byteLength };
    if (spans === undefined) this.#viewed.set(buffer, [span]);
    else spans.push(span);
    if (this.#text.length + base64UrlLength(byteLength) > this.#maxLength) return false;
    const text = toBase64Url(new Uint8Array(buffer, start, byteLength));
    return this.#append(`{"type":"${name}","value":"${text}","byteLength":${byteLength}}`);
  }

  /** Of an error, only message, stack and cause are stored. Each may be missing. */
  #error(error: Error): boolean {
    for (const [name, constructor] of errorsByName) {
      if (Object.getPrototypeOf(error) !== constructor.prototype) continue;
      this.#text += `{"type":"${name}","value":{`;
      let separator = "";
      for (const member of ["message", "cause", "stack"] as const) {
        const part = Object.getOwnPropertyDescriptor(error, member);
        const isText = typeof part?.value === "string";
        if (part === undefined || (member !== "cause" && !isText)) continue;
        this.#text += `${separator}"${member}":`;
        const written = member === "cause" ? this.#value(part.value) : this.#append(quoted(String(part.value)));
        if (!written) return false;
        separator = ",";
      }
      return this.#append("}}");
    }
    return false;
  }
}

/** Whether two of the spans share a byte. */
function overlap(spans: readonly Span[]): boolean {
  if (spans.length < 2) return false;
  const sorted = spans.toSorted((a, b) => a.start - b.start || a.end - b.end);
  return sorted.some((span, i) => {
    const next = sorted[i + 1];
    return next !== undefined && next.start < span.end;
  });
}
