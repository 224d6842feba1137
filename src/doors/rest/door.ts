/**
 * The door of plain HTTP: `/api/databases/{id}/entries/…` and the addresses in `resources.ts` (docs/spec/http.md). It checks the token
 * and the HTTP part of the request. Each resource decodes its request, calls the database's object, and encodes the answer. Failures are
 * problem details (RFC 9457). The door uses no schema library and no router, because it is a data path.
 */
import type { Authority } from "../../contracts/authority.ts";
import type { DatabaseStub } from "../../contracts/database.ts";
import { type Grant, refusedAccess } from "../../contracts/grant.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { Timers } from "../../core/timers.ts";
import { answerOptions, foreignOriginOf, methodsTaken, readableBy } from "../http/cors.ts";
import { methodNotAllowed } from "../http/method-not-allowed.ts";
import { problem } from "../http/problem.ts";
import type { FailureOfThrown } from "../http/thrown.ts";
import { AccessGrants } from "./access-grants.ts";
import type { Method, Operation, Resource } from "./call.ts";
import { grantOfRequest, type GateParts, TOKEN_PARAMETER } from "./gate.ts";
import { KEY_PARAMETER } from "./key.ts";
import { ENTRY, JOB, RESOURCES } from "./resources.ts";

export interface RestDoorParts {
  readonly authority: Authority;
  /** Called only for a database whose token was verified. The grant says where its object is. */
  readonly database: (databaseId: string, grant: Grant) => DatabaseStub;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly failureOfThrown: FailureOfThrown;
}

/** `path` is the path of the request's URL. Undefined: another door's path. */
export type RestDoor = (request: Request, path: string) => Promise<Response> | undefined;

const BEFORE_ID = "/api/databases/";
const ENTRIES = "entries";
const JOBS = "jobs/";

const NO_QUERY = new URLSearchParams();

interface Target {
  readonly databaseId: string;
  readonly resource: Resource;
  /** What follows the resource's name: a key, or the id of a job. */
  readonly keyPath: string | undefined;
}

export function restDoor(parts: RestDoorParts): RestDoor {
  const gate: GateParts = {
    authority: parts.authority,
    accessGrants: new AccessGrants(parts.authority, parts.clock),
  };
  return (request, path) => {
    if (!path.startsWith(BEFORE_ID)) return undefined;
    const query = queryOf(request.url);
    const target = targetOf(path, query);
    if (target === undefined) return undefined;
    const origin = foreignOriginOf(request);
    const answer = answered(parts, gate, request, target, query, origin);
    return origin === null ? answer : answer.then((settled) => readableBy(origin, settled));
  };
}

function targetOf(path: string, query: URLSearchParams): Target | undefined {
  const slash = path.indexOf("/", BEFORE_ID.length);
  if (slash <= BEFORE_ID.length) return undefined;
  // Ids are written in lower case.
  const databaseId = path.slice(BEFORE_ID.length, slash).toLowerCase();
  const rest = path.slice(slash + 1);
  if (rest.startsWith(`${ENTRIES}/`)) {
    return { databaseId, resource: ENTRY, keyPath: rest.slice(ENTRIES.length + 1) };
  }
  if (rest.startsWith(JOBS)) return { databaseId, resource: JOB, keyPath: rest.slice(JOBS.length) };
  if (rest === ENTRIES && query.has(KEY_PARAMETER)) return { databaseId, resource: ENTRY, keyPath: undefined };
  // A colon may be percent-encoded.
  const name = rest.replace(/%3a/i, ":");
  const resource = Object.hasOwn(RESOURCES, name) ? RESOURCES[name] : undefined;
  return resource === undefined ? undefined : { databaseId, resource, keyPath: undefined };
}

function queryOf(url: string): URLSearchParams {
  const from = url.indexOf("?");
  return from === -1 ? NO_QUERY : new URLSearchParams(url.slice(from));
}

async function answered(
  parts: RestDoorParts,
  gate: GateParts,
  request: Request,
  { databaseId, resource, keyPath }: Target,
  query: URLSearchParams,
  origin: string | null,
): Promise<Response> {
  const methods = methodsTaken(Object.keys(resource));
  if (request.method === "OPTIONS") return answerOptions(request, methods);
  const isHead = request.method === "HEAD";
  const operation = operationOf(resource, isHead ? "GET" : request.method);
  if (operation === undefined) return methodNotAllowed(request.method, methods);
  const { access } = operation;
  try {
    const grant = await grantOfRequest(gate, request, query, databaseId, origin);
    if (isFailure(grant)) return withoutBody(isHead, problem(grant));
    const { clock, timers, database, failureOfThrown } = parts;
    const flaw = refusedAccess(grant, access, clock.now()) ?? flawOfQuery(query, operation);
    if (flaw !== null) return withoutBody(isHead, problem(flaw));
    const stub = database(databaseId, grant);
    const call = { request, databaseId, grant, stub, keyPath, query, clock, timers, failureOfThrown };
    const answer = await operation.answer(call);
    return withoutBody(isHead, answer instanceof Response ? answer : problem(answer));
  } catch (error) {
    return withoutBody(isHead, problem(await parts.failureOfThrown(error, "database", access)));
  }
}

function operationOf(resource: Resource, method: string): Operation | undefined {
  // The keys of a resource are methods.
  return Object.hasOwn(resource, method) ? resource[method as Method] : undefined;
}

function flawOfQuery(query: URLSearchParams, { query: known, repeated = [] }: Operation): Failure | null {
  const seen = new Set<string>();
  for (const name of query.keys()) {
    if (name !== TOKEN_PARAMETER && !known.includes(name)) {
      const takes = known.length === 0 ? "takes no parameters" : `takes ${known.join(", ")}`;
      return failure(
        "invalid",
        `The query has ${JSON.stringify(name.slice(0, 40))}, which is not known here: it ${takes}.`,
      );
    }
    if (seen.has(name) && !repeated.includes(name)) return failure("invalid", `The query has ${name} more than once.`);
    seen.add(name);
  }
  return null;
}

function withoutBody(isHead: boolean, answer: Response): Response {
  return isHead ? new Response(null, answer) : answer;
}
