/**
 * A document is an entry with the ids of its table (`ids.ts`) whose value is a plain object: the columns. Other entries under a table are
 * no documents.
 *
 * JSON from outside stands for itself, of whatever form. What other doors have written and JSON cannot say (a Date, a bigint, bytes, a
 * Map) is shown in the JSON notation, column by column, and stays as it is when other columns are updated.
 */
import { type Failure, isFailure } from "../core/errors.ts";
import { MAX_VALUE_BYTES } from "../core/limits.ts";
import { Encoding, type StoredEntry } from "../core/operations.ts";
import { textOfBytes, textOfValue, textRoom } from "../codec/json-notation/stored-value.ts";
import { tooMuch, Refused } from "../codec/json-notation/members.ts";
import { decodeV8, encodeV8 } from "../codec/v8/codec.ts";
import { plainJsonOfObject } from "../codec/v8/plain-json.ts";
import type { DocumentId, ReadId } from "./ids.ts";

/** Columns by their names, each a value as V8 decodes it. */
export type Columns = Readonly<Record<string, unknown>>;

/** The columns of an entry's value. null: the entry is no document. */
export function columnsOf({ value, encoding }: Pick<StoredEntry, "value" | "encoding">): Columns | null {
  if (encoding !== Encoding.v8) return null;
  const decoded = decodeV8(value);
  return decoded.ok && isPlainObject(decoded.value) ? decoded.value : null;
}

/** The tags of V8's serializer for the header and for a plain object. Zeros may stand between them. */
const HEADER = 0xff;
const OBJECT = 0x6f;

/** Whether an entry's value is a plain object, as far as its beginning tells. It costs the same for every value. */
export function beginsAsObject({ value, encoding }: Pick<StoredEntry, "value" | "encoding">): boolean {
  if (encoding !== Encoding.v8 || value[0] !== HEADER) return false;
  let at = 2;
  while (value[at] === 0) at += 1;
  return value[at] === OBJECT;
}

/** Whether a value is an object of no class of its own: no list, date, map or error. */
export function isPlainObject(value: unknown): value is Columns {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** The value of a document's entry. Refuses columns that are too large or too deep. */
export function encodeColumns(columns: Columns): Uint8Array<ArrayBuffer> {
  const encoded = encodeV8(columns);
  if (isFailure(encoded)) throw new Refused(columnsFailure(encoded));
  if (encoded.bytes.length > MAX_VALUE_BYTES) {
    return tooMuch(`The document has ${encoded.bytes.length} bytes as it is stored; the limit is ${MAX_VALUE_BYTES}.`);
  }
  return encoded.bytes;
}

function columnsFailure(why: Failure): Failure {
  return { ...why, message: `columns: ${why.message}` };
}

/** A document as it was read. */
export interface ReadDocument {
  readonly ids: readonly DocumentId[];
  readonly columns: Columns;
  /** The stored value. */
  readonly value: Uint8Array;
}

/** The JSON of a document, `{"ids":{…},"columns":{…}}`. `only`: the names of the columns to show; null: all. */
export function textOfDocument(
  definitions: readonly Pick<ReadId, "name">[],
  { ids, columns, value }: ReadDocument,
  only: ReadonlySet<string> | null,
): string {
  const shown = textOfColumns(columns, only, textRoom(value.length));
  return `{"ids":${textOfIds(definitions, ids)},"columns":${shown ?? textOfBytes(value)}}`;
}

/**
 * The same of a document whose columns nobody has decoded, several times as fast where JSON says all of them as they are. null: the entry is no
 * document.
 */
export function textOfEntry(
  definitions: readonly Pick<ReadId, "name">[],
  ids: readonly DocumentId[],
  entry: Pick<StoredEntry, "value" | "encoding">,
  only: ReadonlySet<string> | null,
): string | null {
  const { value, encoding } = entry;
  const plain = encoding === Encoding.v8 ? plainJsonOfObject(value, only) : null;
  if (plain !== null && plain.length <= textRoom(value.length)) {
    return `{"ids":${textOfIds(definitions, ids)},"columns":${plain}}`;
  }
  const columns = columnsOf(entry);
  return columns === null ? null : textOfDocument(definitions, { ids, columns, value }, only);
}

export function textOfIds(definitions: readonly Pick<ReadId, "name">[], ids: readonly DocumentId[]): string {
  return JSON.stringify(Object.fromEntries(definitions.map(({ name }, index) => [name, ids[index]])));
}

/**
 * undefined: the columns are longer than `room`. A document's text can be much longer than its value only where columns share objects, which
 * JSON has to repeat.
 */
function textOfColumns(columns: Columns, only: ReadonlySet<string> | null, room: number): string | undefined {
  let text = "{";
  for (const name of Object.keys(columns)) {
    if (only !== null && !only.has(name)) continue;
    text += `${text === "{" ? "" : ","}${JSON.stringify(name)}:`;
    const value = textOfColumn(columns[name], room - text.length);
    if (value === undefined) return undefined;
    text += value;
  }
  return `${text}}`;
}

function textOfColumn(value: unknown, room: number): string | undefined {
  const text = textOfValue(value, room, { plain: true, literal: true });
  if (text !== undefined) return text.text;
  const encoded = encodeV8(value);
  if (!encoded.ok) return undefined;
  const bytes = textOfBytes(encoded.bytes);
  return bytes.length <= room ? bytes : undefined;
}
