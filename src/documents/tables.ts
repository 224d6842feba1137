/** What is done with the definitions of tables. */
import { equalBytes, justAfter } from "../core/bytes.ts";
import { MAX_LISTED_TABLES, MAX_TABLES } from "../core/document-limits.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import { Encoding, type Mutation } from "../core/operations.ts";
import { fromBase64Url, toBase64Url } from "../codec/base64url.ts";
import { encodeKey } from "../codec/key-codec.ts";
import { intersectRange, type KeyRange, rangeOfPrefix } from "../codec/key-prefix.ts";
import { reading } from "../codec/json-notation/members.ts";
import type { TableAnswer, TableCommand, TableIndexState, TableInfo } from "../contracts/document-commands.ts";
import type { Database } from "../engine/database.ts";
import type { DecisionState } from "../engine/decided-write.ts";
import {
  decodeDefinition,
  DEFINITIONS_APP,
  definitionKey,
  definitionsPrefix,
  encodeDefinition,
  readTableName,
  type TableDefinition,
  type TableName,
  tableOfDefinitionKey,
  tablePrefix,
} from "./definition.ts";
import { noRoomForDefinition } from "./writes.ts";

/** How far the indexes of a table are. null: there are none. */
export type IndexStateOf = (table: TableName) => TableIndexState | null;

type Reader = Pick<Database, "readPage">;

/** The commit that stores a definition. It is empty when the table has that definition already. */
export interface TablePlan {
  readonly mutations: readonly Mutation[];
  readonly isNew: boolean;
}

/** The table that a command names, or what is wrong with its name. */
export function namedTable(command: { readonly appId: string; readonly tableId: string }): TableName | Failure {
  return reading(() => readTableName(command, ""));
}

/** How a table gets a definition. Number and types of its ids stay as they are while there is an entry under it. */
export function planDefinition(table: TableName, wanted: TableDefinition, state: DecisionState): TablePlan | Failure {
  const key = definitionKey(table);
  const entry = state.get(key);
  const before = entry === null ? null : decodeDefinition(entry.value, entry.encoding);
  if (
    before !== null &&
    !haveSameTypes(before, wanted) &&
    state.keys(rangeOfPrefix(tablePrefix(table)), 1).length > 0
  ) {
    return failure(
      "conflict",
      `The table has documents, whose ids are ${textOfTypes(before)}; a definition with other ids does not fit them. Delete the documents first, or name another table.`,
    );
  }
  const value = encodeDefinition(wanted);
  if (before !== null && entry !== null && equalBytes(entry.value, value)) {
    return { mutations: [], isNew: false };
  }
  const stored = entry === null ? null : key.length + entry.value.length;
  const noRoom = noRoomForDefinition(state, key.length + value.length, stored);
  if (noRoom !== null) return noRoom;
  const set: Mutation = { type: "set", key, value, encoding: Encoding.v8, expiresAt: null, versionstampedKey: false };
  return { mutations: [set], isNew: before === null };
}

function haveSameTypes({ ids: some }: TableDefinition, { ids: others }: TableDefinition): boolean {
  return some.length === others.length && some.every(({ type }, index) => type === others[index]?.type);
}

function textOfTypes({ ids }: TableDefinition): string {
  return ids.map(({ name, type }) => `${name} (${type})`).join(", ");
}

export function noSuchTable({ appId, tableId }: TableName): Failure {
  return failure(
    "not-found",
    `There is no table ${JSON.stringify(tableId)} of app ${JSON.stringify(appId)}. A definition makes one, or its first document.`,
  );
}

export function tableInfo(
  { appId, tableId }: TableName,
  { ids, columns, inferred }: TableDefinition,
  indexStateOf: IndexStateOf,
): TableInfo {
  return { appId, tableId, ids, columns: columns ?? null, inferred, index: indexStateOf({ appId, tableId }) };
}

/** Lists tables in the order of their keys. A page may be short where more follow. `isAdmitted`: whether the caller may see a table. */
export function listTables(
  command: Extract<TableCommand, { command: "list" }>,
  database: Reader,
  isAdmitted: (table: TableName) => boolean,
  indexStateOf: IndexStateOf,
): TableAnswer | Failure {
  const { appId, cursor } = command;
  const limit = Math.min(Math.max(1, command.limit), MAX_LISTED_TABLES);
  const range = rangeOfList(appId, cursor);
  if (isFailure(range)) return range;
  const tables: TableInfo[] = [];
  const asked = { ...range, limit: MAX_TABLES, reverse: false };
  const { entries, more } = database.readPage(asked, { maxBytes: MAX_PAGE_BYTES, keysOnly: false });
  let { start } = range;
  for (const { key, value, encoding } of entries) {
    if (tables.length === limit) return { ok: true, kind: "tables", tables, next: toBase64Url(start) };
    const table = tableOfDefinitionKey(key);
    const definition = table === null ? null : decodeDefinition(value, encoding);
    if (table !== null && definition !== null && isAdmitted(table)) {
      tables.push(tableInfo(table, definition, indexStateOf));
    }
    start = justAfter(key);
  }
  return { ok: true, kind: "tables", tables, next: more ? toBase64Url(start) : null };
}

/** Of definitions that are read at once: the longest have some ten KiB. */
const MAX_PAGE_BYTES = 1024 * 1024;

function rangeOfList(appId: string | null, cursor: string | null): KeyRange | Failure {
  const prefix = appId === null ? definitionsPrefix() : encodeKey([DEFINITIONS_APP, appId]);
  if ("ok" in prefix && !prefix.ok) return prefix;
  const range = rangeOfPrefix("ok" in prefix ? prefix.bytes : prefix);
  if (cursor === null) return range;
  const start = fromBase64Url(cursor);
  const rest = start === undefined ? undefined : intersectRange(range.start, start, range.end);
  return rest ?? failure("invalid", "cursor is not one that this list of tables has given.");
}
