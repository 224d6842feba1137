/** The addresses below `/api/databases/{id}/tables`, and the operations of each. */
import type { Resource } from "../http/call.ts";
import { resourceNamed, type Target, type TargetOf } from "../http/data-door.ts";
import { ACTIONS, batch } from "./action.ts";
import { defineTable, deleteTable, getTable, listTables } from "./table.ts";

const TABLES = "tables";

export const TABLE: Resource = { GET: getTable, PUT: defineTable, DELETE: deleteTable };

/** The address of an action is that of its table, a colon and the action's name. */
const ACTED_ON: Readonly<Record<string, Resource>> = Object.fromEntries(
  Object.entries(ACTIONS).map(([name, action]) => [name, { ...TABLE, POST: action }]),
);

/** The keys are what follows the database in the path. */
export const RESOURCES: Readonly<Record<string, Resource>> = {
  [TABLES]: { GET: listTables },
  [`${TABLES}:batch`]: { POST: batch },
};

const ACTION = /(?::|%3[aA])([A-Za-z]+)$/;

export const tableTarget: TargetOf = (rest, _, method) =>
  rest.startsWith(`${TABLES}/`) ? tableNamed(rest.slice(TABLES.length + 1), method) : resourceNamed(RESOURCES, rest);

function tableNamed(keyPath: string, method: string): Target {
  const [suffix, name = ""] = ACTION.exec(keyPath) ?? [];
  const resource = Object.hasOwn(ACTED_ON, name) ? ACTED_ON[name] : undefined;
  if (suffix === undefined || resource === undefined) return { resource: TABLE, keyPath };
  // The id of a table may end with these characters. So for methods other than POST, the whole path names the table.
  return { resource, keyPath: method === "POST" ? keyPath.slice(0, -suffix.length) : keyPath };
}
