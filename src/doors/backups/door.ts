/**
 * Archives of a database over HTTP: `backups`, `backupSchedule` and `backupDestinations` below `/api/databases/{id}/`. The names, fields and
 * answers are those of a backup API that applications and agents already have clients for. The door holds no rules of archives: it reads the
 * request, asks the caller's organization, and shows what it answers.
 */
import { isObject, type JsonObject } from "../../codec/json-notation/types.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_MANAGEMENT_BODY_BYTES } from "../../core/limits.ts";
import { PRIVATE } from "../http/answers.ts";
import { answerOptions, foreignOriginOf, methodsTaken, readableBy } from "../http/cors.ts";
import { ask, callerOf } from "../http/directory.ts";
import { methodNotAllowed } from "../http/method-not-allowed.ts";
import { readJsonBody } from "../http/request-body.ts";
import type { ArchiveCall, ArchiveOperation, BackupsDoorParts, Found } from "./call.ts";
import { OPERATIONS, operationNames } from "./operations.ts";
import { refused } from "./refusal.ts";
import { type Target, targetOf } from "./targets.ts";

export const BACKUPS_ADDRESS = "Archives are at /api/databases/{id}/backups.";

const BEFORE_ID = "/api/databases/";

/** The parameter with the id, in the spelling of actions. */
const ID_PARAMETER = "filterByTk";

/** `path`: the path of the request's URL. Undefined: another door's path. */
export type BackupsDoor = (request: Request, path: string) => Promise<Response> | undefined;

export function backupsDoor(parts: BackupsDoorParts): BackupsDoor {
  return (request, path) => {
    if (!path.startsWith(BEFORE_ID)) return undefined;
    const slash = path.indexOf("/", BEFORE_ID.length);
    if (slash <= BEFORE_ID.length) return undefined;
    const target = targetOf(path.slice(slash + 1), operationNames);
    if (target === undefined) return undefined;
    // Ids are written in lower case.
    const databaseId = path.slice(BEFORE_ID.length, slash).toLowerCase();
    return answered(parts, request, databaseId, target).then((answer) => readableBy(foreignOriginOf(request), answer));
  };
}

async function answered(
  parts: BackupsDoorParts,
  request: Request,
  databaseId: string,
  target: Target | null,
): Promise<Response> {
  if (target === null) return refused(failure("not-found", NOTHING_HERE));
  const methods = methodsTaken(Object.keys(target.operations));
  if (request.method === "OPTIONS") return answerOptions(request, methods);
  const isHead = request.method === "HEAD";
  const name = target.operations[isHead ? "GET" : request.method];
  const operation = name === undefined ? undefined : OPERATIONS[target.resource][name];
  if (operation === undefined) return withoutBody(isHead, methodNotAllowed(request.method, methods, refused));
  try {
    const call = await callOf(parts, request, databaseId, target, operation);
    const found = isFailure(call) ? call : await operation.answer(call);
    return withoutBody(isHead, found instanceof Response ? found : shown(found, target));
  } catch (error) {
    const wanted = request.method === "GET" || isHead ? "read" : "write";
    return withoutBody(isHead, refused(await parts.failureOfThrown(error, "database", wanted)));
  }
}

/** The caller is authenticated before anything else of the request is looked at. */
async function callOf(
  parts: BackupsDoorParts,
  request: Request,
  databaseId: string,
  target: Target,
  operation: ArchiveOperation,
): Promise<ArchiveCall | Failure> {
  const caller = await callerOf(request, parts);
  if (isFailure(caller)) return caller;
  const query = new URL(request.url).searchParams;
  const flaw = flawOfQuery(query, operation, target);
  if (flaw !== null) return flaw;
  const id = idOf(query, operation, target);
  if (isFailure(id)) return id;
  const body = operation.takesValues === true ? await valuesOf(request, parts) : { values: {} };
  if (isFailure(body)) return body;
  return {
    parts,
    request,
    databaseId,
    id,
    query,
    values: body.values,
    ask: (command, input) => ask(parts, caller, null, command, input),
  };
}

/** The members of the body, or of its only member `values`. No body counts as an empty one. */
async function valuesOf(request: Request, time: BackupsDoorParts): Promise<{ readonly values: JsonObject } | Failure> {
  const body = await readJsonBody(request, MAX_MANAGEMENT_BODY_BYTES, time);
  if (isFailure(body)) return body;
  const { value = {} } = body;
  if (!isObject(value)) return failure("invalid", 'The body must be a JSON object, such as {"type":"full"}.');
  const { values } = value;
  return { values: isObject(values) && Object.keys(value).length === 1 ? values : value };
}

function flawOfQuery(
  query: URLSearchParams,
  { query: names = [], takesId }: ArchiveOperation,
  { spelling }: Target,
): Failure | null {
  const known = [...names, ...(takesId === true && spelling === "action" ? [ID_PARAMETER] : [])];
  for (const name of new Set(query.keys())) {
    if (!known.includes(name)) {
      const takes = known.length === 0 ? "takes no parameters" : `takes ${known.join(", ")}`;
      return failure(
        "invalid",
        `The query has ${JSON.stringify(name.slice(0, 40))}, which is not known here: it ${takes}.`,
      );
    }
    if (query.getAll(name).length > 1 && !name.startsWith("sort")) {
      return failure("invalid", `The query has ${name} more than once.`);
    }
  }
  return null;
}

function idOf(query: URLSearchParams, { takesId }: ArchiveOperation, { id: inPath }: Target): string | Failure {
  if (takesId !== true) return inPath === null ? "" : failure("not-found", NOTHING_HERE);
  const inQuery = query.get(ID_PARAMETER);
  if (inPath !== null && inQuery !== null && inPath !== inQuery) {
    return failure("invalid", `The path and ${ID_PARAMETER} name different ids: send one.`);
  }
  const id = inPath ?? inQuery;
  if (id === null || id === "")
    return failure("invalid", `The id is missing: send it in the path or as ?${ID_PARAMETER}=7.`);
  return id;
}

function shown(found: Found | Failure, { spelling }: Target): Response {
  if (isFailure(found)) return refused(found);
  const { status, data, meta, headers } = found;
  const all = { "cache-control": PRIVATE, ...headers };
  if (spelling === "rest" && status === 204) return new Response(null, { status, headers: all });
  const body =
    spelling === "action"
      ? { data, ...(meta === undefined ? {} : { meta }) }
      : meta === undefined
        ? data
        : { items: data, ...meta };
  return Response.json(body, { status: status === 204 ? 200 : status, headers: all });
}

function withoutBody(isHead: boolean, answer: Response): Response {
  if (!isHead) return answer;
  // Nobody will read the body: a stream must end.
  void answer.body?.cancel();
  return new Response(null, answer);
}

const NOTHING_HERE =
  "There is nothing at this address. Archives are at backups, backups/{id} and backups:{action}; see backupSchedule and backupDestinations, too.";
