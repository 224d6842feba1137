/**
 * Reads requests for documents. Everything that can be judged without the table's definition is judged here. Members that an action does
 * not know are ignored.
 */
import {
  DEFAULT_GET_MANY_ROWS,
  MAX_DOCUMENT_BATCH,
  MAX_GET_COLUMNS,
  MAX_GET_MANY_ROWS,
  MAX_WRITTEN_COLUMNS,
} from "../core/document-limits.ts";
import { parseJson } from "../codec/json-notation/bounded-json.ts";
import { atMost, flagOf, objectOf, reading, refuse, tooMuch } from "../codec/json-notation/members.ts";
import { described } from "../codec/json-notation/place.ts";
import { BEYOND_NUMBERS, hasFiniteNumbers } from "../codec/json-notation/plain-value.ts";
import { isObject, type JsonObject } from "../codec/json-notation/types.ts";
import type { DocumentSubject } from "../contracts/document-commands.ts";
import type { Failure } from "../core/errors.ts";
import { integerOf } from "./column-types.ts";
import { type ComparisonList, readComparisons } from "./comparisons.ts";
import { readColumnName, readTableName, type TableName } from "./definition.ts";
import type { Columns } from "./document.ts";
import { isBoundWord } from "./key-bounds.ts";
import { type GivenIds, isGeneratedId, readGivenIds } from "./requested-ids.ts";

export interface Condition extends ComparisonList {
  readonly type: "ignore" | "exist" | "notExist";
}

export interface GetRequest {
  readonly action: "get";
  readonly table: TableName;
  readonly ids: GivenIds;
  /** null: all. */
  readonly columns: ReadonlySet<string> | null;
}

export interface GetManyRequest {
  readonly action: "getMany";
  readonly table: TableName;
  readonly ids: GivenIds;
  readonly endIds: GivenIds;
  readonly isDescending: boolean;
  readonly rowsLimit: number;
  readonly filter: ComparisonList;
  readonly columns: ReadonlySet<string> | null;
}

export interface CreateRequest {
  readonly action: "create";
  readonly table: TableName;
  readonly ids: GivenIds;
  readonly columns: Columns;
  readonly condition: Condition;
}

/** A null among the columns removes that column. */
export interface UpdateRequest {
  readonly action: "update";
  readonly table: TableName;
  readonly ids: GivenIds;
  readonly columns: Columns;
  readonly condition: Condition;
}

export interface IncrementRequest {
  readonly action: "increment";
  readonly table: TableName;
  readonly ids: GivenIds;
  readonly amounts: ReadonlyMap<string, number>;
  readonly condition: Condition;
}

export interface DeleteRequest {
  readonly action: "delete";
  readonly table: TableName;
  readonly ids: GivenIds;
  readonly condition: Condition;
}

export interface SearchRequest {
  readonly action: "search";
  readonly table: TableName;
  /** With all its members: `search/` reads them. */
  readonly json: JsonObject;
  readonly columns: ReadonlySet<string> | null;
}

export type ReadRequest = GetRequest | GetManyRequest | SearchRequest;
export type WriteRequest = CreateRequest | UpdateRequest | IncrementRequest | DeleteRequest;
export type DocumentActionRequest = ReadRequest | WriteRequest;

export interface ParsedRequest {
  readonly subject: DocumentSubject;
  readonly request: DocumentActionRequest | Failure;
}

export interface ParsedBody {
  readonly ok: true;
  readonly isBatch: boolean;
  readonly isAtomic: boolean;
  readonly requests: readonly ParsedRequest[];
}

export function isWrite(request: DocumentActionRequest): request is WriteRequest {
  return request.action !== "get" && request.action !== "getMany" && request.action !== "search";
}

const ACTIONS = ["get", "getMany", "create", "update", "delete", "search"] as const;
const CONDITION_TYPES = ["ignore", "exist", "notExist"] as const;

/** Reads the body of one request or of a batch. A request that is wrong is a failure in its place. */
export function parseBody(text: string): ParsedBody | Failure {
  const parsed = parseJson(text, "The body of the request");
  if (!parsed.ok) return parsed;
  return reading(() => {
    const body = objectOf(parsed.json, "The body of the request", `{"appId":"shop","tableId":"orders","action":"get"}`);
    if (!Object.hasOwn(body, "requests")) {
      return { ok: true, isBatch: false, isAtomic: false, requests: [parseRequest(body)] };
    }
    const requests = atMost(MAX_DOCUMENT_BATCH, body["requests"], "requests");
    if (requests.length === 0) refuse("requests is empty; a batch has at least one request.");
    return {
      ok: true,
      isBatch: true,
      isAtomic: flagOf(body, "body", "atomic"),
      requests: requests.map(parseRequest),
    };
  });
}

function parseRequest(json: unknown): ParsedRequest {
  return { subject: subjectOf(json), request: reading(() => readRequest(json)) };
}

/** What a request names, as far as it can be read. */
function subjectOf(json: unknown): DocumentSubject {
  const { appId, tableId, action } = isObject(json) ? json : {};
  return { appId: textOrNull(appId), tableId: textOrNull(tableId), action: textOrNull(action) };
}

/** An error repeats what a request names, and is no place for long texts. */
const MAX_SHOWN_CHARACTERS = 255;

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value.length <= MAX_SHOWN_CHARACTERS ? value : null;
}

function readRequest(json: unknown): DocumentActionRequest {
  const given = objectOf(json, "The request", `{"appId":"shop","tableId":"orders","action":"get"}`);
  const action =
    ACTIONS.find((one) => one === given["action"]) ??
    refuse(`action is ${described(given["action"])}; it must be one of ${ACTIONS.join(", ")}.`);
  const table = readTableName(given, "");
  switch (action) {
    case "get":
      return { action, table, ids: readIds(given), columns: readGetColumns(given["getColumns"]) };
    case "getMany":
      return {
        action,
        table,
        ids: readGivenIds(given["ids"], "ids", isBoundWord),
        endIds: readGivenIds(given["endIds"], "endIds", isBoundWord),
        isDescending: readIsDescending(given["orderType"]),
        rowsLimit: readRowsLimit(given["rowsLimit"]),
        filter: readFilter(given["filter"]),
        columns: readGetColumns(given["getColumns"]),
      };
    case "create":
      return {
        action,
        table,
        ids: readGivenIds(given["ids"], "ids", isGeneratedId),
        columns: readColumns(given["columns"]),
        condition: readCondition(given["condition"]),
      };
    case "update":
      return readUpdate(given, table);
    case "delete":
      return { action, table, ids: readIds(given), condition: readCondition(given["condition"]) };
    case "search":
      return { action, table, json: given, columns: readGetColumns(given["getColumns"]) };
  }
}

function readUpdate(given: JsonObject, table: TableName): UpdateRequest | IncrementRequest {
  const { updateType } = given;
  const ids = readIds(given);
  const columns = readColumns(given["columns"]);
  const condition = readCondition(given["condition"]);
  if (updateType === undefined || updateType === null) return { action: "update", table, ids, columns, condition };
  if (updateType !== "increment") {
    return refuse(`updateType is ${described(updateType)}; it must be "increment", or left out to set the columns.`);
  }
  const amounts = new Map(
    Object.entries(columns).map(([name, value]) => [name, integerOf(value, `columns[${JSON.stringify(name)}]`)]),
  );
  return { action: "increment", table, ids, amounts, condition };
}

function readIds(given: JsonObject): GivenIds {
  return readGivenIds(given["ids"], "ids", () => false);
}

function readColumns(json: unknown): Columns {
  const columns = objectOf(json, "columns", `{"price":5}`);
  const names = Object.keys(columns);
  if (names.length > MAX_WRITTEN_COLUMNS) {
    tooMuch(`columns has ${names.length} members; the limit is ${MAX_WRITTEN_COLUMNS}.`);
  }
  for (const name of names) {
    readColumnName(name, "the name of a member of columns");
    if (!hasFiniteNumbers(columns[name])) {
      refuse(`columns[${JSON.stringify(name)}] ${BEYOND_NUMBERS}.`);
    }
  }
  return columns;
}

function readGetColumns(json: unknown): ReadonlySet<string> | null {
  if (json === undefined || json === null) return null;
  const names = atMost(MAX_GET_COLUMNS, json, "getColumns");
  return new Set(names.map((name, index) => readColumnName(name, `getColumns[${index}]`)));
}

function readIsDescending(json: unknown): boolean {
  if (json === undefined || json === null || json === "desc") return true;
  if (json === "asc") return false;
  return refuse(`orderType is ${described(json)}; it must be "asc" or "desc".`);
}

function readRowsLimit(json: unknown): number {
  if (json === undefined || json === null) return DEFAULT_GET_MANY_ROWS;
  const limit = typeof json === "number" && Number.isSafeInteger(json) && json >= 1 ? json : undefined;
  if (limit === undefined) {
    return refuse(`rowsLimit is ${described(json)}; it must be an integer from 1 to ${MAX_GET_MANY_ROWS}.`);
  }
  if (limit > MAX_GET_MANY_ROWS) return tooMuch(`rowsLimit is ${limit}; the limit is ${MAX_GET_MANY_ROWS}.`);
  return limit;
}

/** An object like a condition, or its list alone. */
function readFilter(json: unknown): ComparisonList {
  if (json === undefined || json === null) return readComparisons({}, "filter");
  if (Array.isArray(json)) return readComparisons({ conditionList: json }, "filter");
  return readComparisons(
    objectOf(json, "filter", `{"conditionList":[{"column":"price","symbol":"<","value":5}]}`),
    "filter",
  );
}

function readCondition(json: unknown): Condition {
  const given = json === undefined || json === null ? {} : objectOf(json, "condition", `{"type":"notExist"}`);
  const type = given["type"] ?? "ignore";
  const known =
    CONDITION_TYPES.find((one) => one === type) ??
    refuse(`condition.type is ${described(type)}; it must be one of ${CONDITION_TYPES.join(", ")}.`);
  return { type: known, ...readComparisons(given, "condition") };
}
