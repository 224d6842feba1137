/** Definitions of tables: `GET`, `PUT` and `DELETE tables/{app}/{table}`, and their list, `GET tables`. */
import type { TableAnswer, TableCommand, TableInfo } from "../../contracts/document-commands.ts";
import { MAX_DEFINITION_BODY_BYTES, MAX_LISTED_TABLES } from "../../core/document-limits.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { jsonAnswer } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { numberOf } from "../http/query.ts";
import { readJsonBody } from "../http/request-body.ts";
import { type NamedTable, tableOfCall } from "./table-path.ts";

const DEFAULT_LISTED_TABLES = 20;

export const getTable: Operation = {
  access: "read",
  query: [],
  past: true,
  async answer(call) {
    const table = tableOfCall(call);
    return isFailure(table) ? table : shown(await ask(call, { command: "get", ...table }), table);
  },
};

export const defineTable: Operation = {
  access: "write",
  query: [],
  async answer(call) {
    const table = tableOfCall(call);
    if (isFailure(table)) return table;
    const body = await readJsonBody(call.request, MAX_DEFINITION_BODY_BYTES, call);
    if (isFailure(body)) return body;
    return shown(await ask(call, { command: "define", ...table, definition: body.value }), table);
  },
};

export const deleteTable: Operation = {
  access: "write",
  query: [],
  async answer(call) {
    const table = tableOfCall(call);
    if (isFailure(table)) return table;
    const answer = await ask(call, { command: "delete", ...table });
    return isFailure(answer) ? answer : new Response(null, { status: 204 });
  },
};

export const listTables: Operation = {
  access: "read",
  query: ["app", "limit", "cursor"],
  past: true,
  async answer(call) {
    const { query } = call;
    const limit = numberOf(query, "limit", { least: 1, most: MAX_LISTED_TABLES, fallback: DEFAULT_LISTED_TABLES });
    if (isFailure(limit)) return limit;
    const [appId, cursor] = [query.get("app"), query.get("cursor")];
    const answer = await ask(call, { command: "list", appId, limit, cursor });
    if (isFailure(answer)) return answer;
    if (answer.kind !== "tables") return UNEXPECTED;
    const items = answer.tables.map(jsonOf);
    return jsonAnswer(JSON.stringify(answer.next === null ? { items } : { items, next: answer.next }));
  },
};

const UNEXPECTED = failure("internal", "The database answered another question.");

function ask({ stub, grant }: RestCall, command: TableCommand): Promise<TableAnswer | Failure> {
  return stub.documentTables(grant, command);
}

function shown(answer: TableAnswer | Failure, { appId, tableId }: NamedTable): Response | Failure {
  if (isFailure(answer)) return answer;
  if (answer.kind !== "table") return UNEXPECTED;
  const text = JSON.stringify(jsonOf(answer.table));
  if (!answer.isNew) return jsonAnswer(text);
  const location = `tables/${encodeURIComponent(appId)}/${encodeURIComponent(tableId)}`;
  return jsonAnswer(text, { location }, 201);
}

function jsonOf({ appId, tableId, ids, columns, inferred, index }: TableInfo) {
  return { appId, tableId, ids, columns, inferred, index };
}
