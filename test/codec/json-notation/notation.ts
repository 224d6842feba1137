/** The notation's functions where a failure is the test's, and what a value is after a way through the notation. */
import {
  type StoredValue,
  storedOfJson,
  textOfStored,
  type ValueText,
} from "../../../src/codec/json-notation/stored-value.ts";
import { encodeKey, type KeyPart } from "../../../src/codec/key-codec.ts";
import { Encoding } from "../../../src/core/operations.ts";
import { decodeV8 } from "../../../src/codec/v8/codec.ts";
import { v8Deserialize, v8Serialize } from "../v8-oracle.ts";

/** As V8 itself writes it. */
export function storedV8(value: unknown): StoredValue {
  return { value: v8Serialize(value), encoding: Encoding.v8 };
}

export function textOf(value: unknown, plain = false): ValueText {
  return textOfStored(storedV8(value), { plain });
}

export function storedOf(json: unknown, plain = false): StoredValue {
  const read = storedOfJson(json, "value", { plain });
  if (!read.ok) throw new Error(read.message);
  return read.stored;
}

/** As V8 itself reads what would be stored. */
export function valueOf(json: unknown, plain = false): unknown {
  const { value, encoding } = storedOf(json, plain);
  if (encoding !== Encoding.v8) throw new Error(`the encoding is ${encoding}`);
  const read = v8Deserialize(value);
  if (read === undefined) throw new Error("V8 refuses what would be stored");
  return read.value;
}

export function failureOf(json: unknown, plain = false): string {
  const read = storedOfJson(json, "value", { plain });
  if (read.ok) throw new Error("expected a failure");
  return read.message;
}

export function keyBytes(...parts: KeyPart[]): Uint8Array {
  const encoded = encodeKey(parts);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

/** What our codec reads of V8's bytes, undefined where it refuses them. */
export function decodedValue(bytes: Uint8Array): { readonly value: unknown } | undefined {
  const read = decodeV8(bytes);
  return read.ok ? { value: read.value } : undefined;
}

/**
 * The value as the notation keeps it: each view with its own bytes alone, each Date an object of its own. Throws for an object
 * that stands in two places: of those the notation would make two.
 */
export function kept(value: unknown): unknown {
  const seen = new Set<object>();
  const copy = (from: unknown): unknown => {
    if (typeof from !== "object" || from === null) return from;
    if (from instanceof Date) return new Date(from);
    if (seen.has(from)) throw new Error("an object stands in two places");
    seen.add(from);
    if (ArrayBuffer.isView(from)) return structuredClone(ownBytes(from));
    if (from instanceof ArrayBuffer || from instanceof RegExp) return structuredClone(from);
    if (from instanceof Map) return new Map([...from].map(([key, member]) => [copy(key), copy(member)]));
    if (from instanceof Set) return new Set([...from].map(copy));
    const to = from instanceof Error ? bareError(from) : Array.isArray(from) ? emptyArray(from.length) : {};
    for (const key of Reflect.ownKeys(from)) {
      // In V8 an error's stack is an accessor of its own.
      if (key === (Array.isArray(from) ? "length" : from instanceof Error ? "stack" : undefined)) continue;
      const form = Object.getOwnPropertyDescriptor(from, key);
      if (form !== undefined) Object.defineProperty(to, key, { ...form, value: copy(form.value) });
    }
    return to;
  };
  return copy(value);
}

function emptyArray(length: number): unknown[] {
  const array: unknown[] = [];
  array.length = length;
  return array;
}

function ownBytes(view: ArrayBufferView): ArrayBufferView {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice().buffer;
  // The constructor of a view takes a buffer.
  return new (view.constructor as new (buffer: ArrayBuffer) => ArrayBufferView)(bytes);
}

function bareError(from: Error): Error {
  const to: unknown = Reflect.construct(from.constructor, []);
  if (!(to instanceof Error)) throw new Error("expected a class of errors");
  Reflect.set(to, "stack", from.stack);
  return to;
}
