/**
 * A table's definition, and where it is stored: the entry `["CDB:tables", appId, tableId]`, whose value is the definition as a plain
 * object. So definitions are in the log, in backups, restores and the past without any code of their own. An entry that is no valid
 * definition defines no table.
 */
import { assert } from "../core/assert.ts";
import {
  MAX_COLUMN_NAME_BYTES,
  MAX_DEFINED_COLUMNS,
  MAX_DEFINITION_BYTES,
  MAX_TABLE_IDS,
  MAX_TABLE_NAME_BYTES,
} from "../core/document-limits.ts";
import { type Failure, isFailure } from "../core/errors.ts";
import { Encoding } from "../core/operations.ts";
import { decodeKey, encodeKey } from "../codec/key-codec.ts";
import { atMost, objectOf, reading, refuse, tooMuch } from "../codec/json-notation/members.ts";
import { described } from "../codec/json-notation/place.ts";
import { decodeV8, encodeV8 } from "../codec/v8/codec.ts";
import type { ColumnType, IdType } from "../contracts/document-commands.ts";

export interface IdDefinition {
  readonly name: string;
  readonly type: IdType;
}

export interface ColumnDefinition {
  readonly name: string;
  readonly type: ColumnType;
  readonly indexed: boolean;
}

export interface TableDefinition {
  /** In the order of the key's parts. */
  readonly ids: readonly IdDefinition[];
  /** Undefined: every column is mapped and indexed by its values, as they come. */
  readonly columns: readonly ColumnDefinition[] | undefined;
  /** Whether the first document defined the table, and not somebody's definition. */
  readonly inferred: boolean;
}

export interface TableName {
  readonly appId: string;
  readonly tableId: string;
}

/** The first part of the keys of all definitions. Names of apps do not begin as it does. */
export const DEFINITIONS_APP = "CDB:tables";

/** What the names of apps and string ids do not begin with: values with a meaning of their own do. */
export const RESERVED_PREFIX = "CDB:";

const ID_TYPES: readonly IdType[] = ["string", "integer"];
const COLUMN_TYPES: readonly ColumnType[] = ["keyword", "text", "integer", "number", "boolean", "geo", "nested"];

const utf8 = new TextEncoder();

/** The UTF-8 bytes of a text. */
export function byteLength(text: string): number {
  return utf8.encode(text).length;
}

/** The encoded key of a table's definition. */
export function definitionKey({ appId, tableId }: TableName): Uint8Array<ArrayBuffer> {
  return encoded([DEFINITIONS_APP, appId, tableId]);
}

/** The encoded key that all definitions lie under. */
export function definitionsPrefix(): Uint8Array<ArrayBuffer> {
  return encoded([DEFINITIONS_APP]);
}

/** The encoded key that all documents of a table lie under. */
export function tablePrefix({ appId, tableId }: TableName): Uint8Array<ArrayBuffer> {
  return encoded([appId, tableId]);
}

/** The table whose definition has this encoded key. null: the key is not that of a definition. */
export function tableOfDefinitionKey(key: Uint8Array): TableName | null {
  const decoded = decodeKey(key);
  if (!decoded.ok) return null;
  const [app, appId, tableId, ...more] = decoded.key;
  if (app !== DEFINITIONS_APP || more.length > 0 || typeof appId !== "string" || typeof tableId !== "string") {
    return null;
  }
  return isFailure(reading(() => readTableName({ appId, tableId }, ""))) ? null : { appId, tableId };
}

/** The value of a definition's entry, a V8 value. */
export function encodeDefinition({ ids, columns, inferred }: TableDefinition): Uint8Array<ArrayBuffer> {
  const bytes = encodeV8({ ids, ...(columns === undefined ? {} : { columns }), inferred });
  assert(bytes.ok, "a definition to be a plain object");
  return bytes.bytes;
}

/** The definition in an entry's value. null: it holds no valid one. */
export function decodeDefinition(value: Uint8Array, encoding: Encoding): TableDefinition | null {
  if (encoding !== Encoding.v8 || value.length > MAX_DEFINITION_BYTES) return null;
  const decoded = decodeV8(value);
  if (!decoded.ok) return null;
  const definition = reading(() => readDefinition(decoded.value, "definition"));
  return isFailure(definition) ? null : definition;
}

/** The definition that JSON from outside describes. A failure says what is wrong with it. */
export function definitionOfJson(json: unknown): TableDefinition | Failure {
  return reading(() => {
    const definition = { ...readDefinition(json, "definition"), inferred: false };
    const { length } = encodeDefinition(definition);
    if (length <= MAX_DEFINITION_BYTES) return definition;
    return tooMuch(`definition has ${length} bytes as it is stored; the limit is ${MAX_DEFINITION_BYTES}.`);
  });
}

/** The names of an app and a table, or a refusal. `before`: what stands before the members' names in the sentence, for example `requests[2].`. */
export function readTableName(
  { appId, tableId }: { readonly appId?: unknown; readonly tableId?: unknown },
  before: string,
): TableName {
  return { appId: readName(appId, `${before}appId`), tableId: readName(tableId, `${before}tableId`) };
}

function readName(name: unknown, where: string): string {
  if (typeof name !== "string" || name === "") {
    return refuse(`${where} is ${described(name)}; it must be a string of at least one character, for example "shop".`);
  }
  if (!name.isWellFormed()) return refuse(`${where} has half of a surrogate pair, which is no character.`);
  const length = byteLength(name);
  if (length > MAX_TABLE_NAME_BYTES) tooMuch(`${where} has ${length} bytes; the limit is ${MAX_TABLE_NAME_BYTES}.`);
  if (name.startsWith(RESERVED_PREFIX)) return refuse(`${where} begins with ${RESERVED_PREFIX}, which is reserved.`);
  if (name.includes("/")) {
    return refuse(`${where} is ${described(name)}; it must have no slash, which parts an app from its table.`);
  }
  return name;
}

/** The name of a column or an id. */
export function readColumnName(name: unknown, where: string): string {
  if (typeof name !== "string" || name === "") {
    return refuse(
      `${where} is ${described(name)}; it must be the name of a column: a string of at least one character.`,
    );
  }
  if (!name.isWellFormed()) return refuse(`${where} has half of a surrogate pair, which is no character.`);
  const length = byteLength(name);
  if (length > MAX_COLUMN_NAME_BYTES) tooMuch(`${where} has ${length} bytes; the limit is ${MAX_COLUMN_NAME_BYTES}.`);
  return name;
}

/** JSON objects give such members another order than they were written in. */
const isIndex = /^\d+$/;

/** The name of an id. */
export function readIdName(name: unknown, where: string): string {
  const text = readColumnName(name, where);
  if (isIndex.test(text)) {
    refuse(
      `${where} is ${described(text)}; it must not be a number, because JSON does not keep the order of such ids.`,
    );
  }
  return text;
}

function readDefinition(json: unknown, name: string): TableDefinition {
  const given = objectOf(json, name, `{"ids":[{"name":"id","type":"string"}]}`);
  const { columns, inferred } = given;
  const ids = readIds(given["ids"], `${name}.ids`);
  return {
    ids,
    columns: columns === undefined || columns === null ? undefined : readColumns(columns, `${name}.columns`, ids),
    inferred: inferred === true,
  };
}

function readIds(json: unknown, name: string): readonly IdDefinition[] {
  const given = atMost(MAX_TABLE_IDS, json, name);
  if (given.length === 0) return refuse(`${name} is empty; a table has at least one id.`);
  const names = new Set<string>();
  return given.map((one, index) => {
    const where = `${name}[${index}]`;
    const id = objectOf(one, where, `{"name":"id","type":"string"}`);
    const idName = readIdName(id["name"], `${where}.name`);
    if (names.has(idName)) refuse(`${where}.name is ${described(idName)}, which another id has already.`);
    names.add(idName);
    return { name: idName, type: oneOf(ID_TYPES, id["type"], `${where}.type`) };
  });
}

function readColumns(json: unknown, name: string, ids: readonly IdDefinition[]): readonly ColumnDefinition[] {
  const types = new Map<string, ColumnType[]>();
  return atMost(MAX_DEFINED_COLUMNS, json, name).map((one, index) => {
    const where = `${name}[${index}]`;
    const column = objectOf(one, where, `{"name":"city","type":"keyword","indexed":true}`);
    const columnName = readColumnName(column["name"], `${where}.name`);
    const type = oneOf(COLUMN_TYPES, column["type"], `${where}.type`);
    const indexed = column["indexed"] ?? true;
    if (typeof indexed !== "boolean")
      return refuse(`${where}.indexed is ${described(indexed)}; it must be true or false.`);
    if (ids.some((id) => id.name === columnName)) {
      refuse(`${where}.name is ${described(columnName)}, which is an id; an id is no column.`);
    }
    const others = types.get(columnName) ?? [];
    if (others.includes(type) || !others.every((other) => isBothOfText(other, type))) {
      refuse(
        `${where}.name is ${described(columnName)}, which another column has already. Only a string may have two types: keyword and text.`,
      );
    }
    types.set(columnName, [...others, type]);
    return { name: columnName, type, indexed };
  });
}

function isBothOfText(one: ColumnType, other: ColumnType): boolean {
  return [one, other].toSorted().join() === "keyword,text";
}

function oneOf<T extends string>(types: readonly T[], given: unknown, where: string): T {
  return (
    types.find((type) => type === given) ??
    refuse(`${where} is ${described(given)}; it must be one of ${types.join(", ")}.`)
  );
}

function encoded(parts: readonly string[]): Uint8Array<ArrayBuffer> {
  const key = encodeKey(parts);
  assert(key.ok, "strings to be a key");
  return key.bytes;
}
