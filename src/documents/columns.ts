/** The columns of a document: the plain object that its entry holds. */
import { Encoding } from "../core/operations.ts";
import { decodeV8 } from "../codec/v8/codec.ts";

export type Columns = Readonly<Record<string, unknown>>;

/** The columns in an entry's value. null: the value is no plain object, so the entry is no document. */
export function columnsOf({
  value,
  encoding,
}: {
  readonly value: Uint8Array;
  readonly encoding: Encoding;
}): Columns | null {
  if (encoding !== Encoding.v8) return null;
  const decoded = decodeV8(value);
  return decoded.ok && isPlainObject(decoded.value) ? decoded.value : null;
}

/** Whether a value is an object of no class of its own: no list, date, map or error. */
export function isPlainObject(value: unknown): value is Columns {
  if (typeof value !== "object" || value === null) return false;
  return Object.getPrototypeOf(value) === Object.prototype;
}
