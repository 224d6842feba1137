/**
 * Which operation an address names. There are two spellings of each: that of actions, as `backups:restore/7` or `backups:restore` with the id
 * in `?filterByTk=`, and that of REST, as `DELETE backups/7` or `POST backups/7:restore`. Both lead to the same operation.
 */

const RESOURCES = ["backups", "backupSchedule", "backupDestinations"] as const;
export type ResourceName = (typeof RESOURCES)[number];

export interface Target {
  readonly resource: ResourceName;
  readonly spelling: "action" | "rest";
  /** The operation by the method of the request. */
  readonly operations: Readonly<Record<string, string>>;
  /** From the path. null: there is none in it. */
  readonly id: string | null;
}

/** What GET reads, POST may read too: some clients send every action as POST. */
const READS: ReadonlySet<string> = new Set(["get", "list", "download"]);

/** By resource: the operations that a path without an id names, and one with an id, by method. */
const REST: Readonly<Record<ResourceName, Readonly<Record<"whole" | "one", Readonly<Record<string, string>>>>>> = {
  backups: { whole: { GET: "list", POST: "create" }, one: { GET: "get", DELETE: "destroy" } },
  backupSchedule: { whole: { GET: "get", PUT: "update", PATCH: "update" }, one: {} },
  backupDestinations: {
    whole: { GET: "list", POST: "create" },
    one: { GET: "get", PATCH: "update", DELETE: "destroy" },
  },
};

const FORM = /^(backups|backupSchedule|backupDestinations)(?::([A-Za-z]+))?(?:\/([^/:]+)(?::([A-Za-z]+))?)?$/;

/** `rest`: the path behind `/api/databases/{id}/`. null: an address of this door at which nothing is. undefined: another door's. */
export function targetOf(
  rest: string,
  operations: Readonly<Record<ResourceName, readonly string[]>>,
): Target | null | undefined {
  const decoded = rest.replaceAll(/%3a/gi, ":");
  const first = /^[A-Za-z]+/.exec(decoded)?.[0] ?? "";
  if (!isResource(first) || /^[^/:]/.test(decoded.slice(first.length))) return undefined;
  const [, , action, id, itemAction] = FORM.exec(decoded) ?? [];
  const known = operations[first];
  if (!FORM.test(decoded) || (action !== undefined && itemAction !== undefined)) return null;
  if (action !== undefined) {
    if (!known.includes(action)) return null;
    return { resource: first, spelling: "action", operations: methodsOf(action), id: id ?? null };
  }
  if (itemAction !== undefined) {
    if (!known.includes(itemAction)) return null;
    return { resource: first, spelling: "rest", operations: methodsOf(itemAction), id: id ?? null };
  }
  const named = REST[first][id === undefined ? "whole" : "one"];
  return Object.keys(named).length === 0
    ? null
    : { resource: first, spelling: "rest", operations: named, id: id ?? null };
}

function methodsOf(operation: string): Readonly<Record<string, string>> {
  return READS.has(operation) ? { GET: operation, POST: operation } : { POST: operation };
}

function isResource(name: string): name is ResourceName {
  return RESOURCES.some((one) => one === name);
}
