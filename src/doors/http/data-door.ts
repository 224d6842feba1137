/**
 * A door with JSON onto one database: what every address below `/api/databases/{id}/` does, whichever door has it. It checks the token and
 * the query, asks the operation, and turns failures into problem details (RFC 9457). It uses no schema library and no router, because it is
 * a data path.
 */
import type { DatabaseStub } from "../../contracts/database.ts";
import { type Access, type Grant, refusedAccess } from "../../contracts/grant.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { Timers } from "../../core/timers.ts";
import type { Method, Operation, Resource } from "./call.ts";
import { answerOptions, foreignOriginOf, methodsTaken, readableBy } from "./cors.ts";
import { grantOfRequest, type GateParts, TOKEN_PARAMETER } from "./gate.ts";
import { methodNotAllowed } from "./method-not-allowed.ts";
import { AT_PARAMETER, type PastStates } from "./past.ts";
import { problem } from "./problem.ts";
import type { Ration, Rations } from "./ration.ts";
import type { FailureOfThrown } from "./thrown.ts";

export interface DataDoorParts {
  /** Shared by the doors, so that each token is exchanged once for all of them. */
  readonly gate: GateParts;
  readonly pasts: PastStates;
  /** Shared by the doors, as the memory is. */
  readonly rations: Rations;
  /** Called only for a database whose token was verified. The grant says where its object is. */
  readonly database: (databaseId: string, grant: Grant) => DatabaseStub;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly failureOfThrown: FailureOfThrown;
}

/** `path` is the path of the request's URL. Undefined: another door's path. */
export type DataDoor = (request: Request, path: string) => Promise<Response> | undefined;

export interface Target {
  readonly resource: Resource;
  /** What follows the resource's name: a key, or the id of a job. */
  readonly keyPath: string | undefined;
}

/** `rest`: the path behind `/api/databases/{id}/`. Undefined: another door's path. */
export type TargetOf = (rest: string, query: URLSearchParams, method: string) => Target | undefined;

const BEFORE_ID = "/api/databases/";

const NO_QUERY = new URLSearchParams();

export function dataDoor(parts: DataDoorParts, targetOf: TargetOf): DataDoor {
  return (request, path) => {
    if (!path.startsWith(BEFORE_ID)) return undefined;
    const slash = path.indexOf("/", BEFORE_ID.length);
    if (slash <= BEFORE_ID.length) return undefined;
    const query = queryOf(request.url);
    const target = targetOf(path.slice(slash + 1), query, request.method);
    if (target === undefined) return undefined;
    // Ids are written in lower case.
    const databaseId = path.slice(BEFORE_ID.length, slash).toLowerCase();
    const origin = foreignOriginOf(request);
    const answer = answered(parts, request, databaseId, target, query, origin);
    return origin === null ? answer : answer.then((settled) => readableBy(origin, settled));
  };
}

/** The resource of this name among those without a key in the path. A colon in the path may be percent-encoded. */
export function resourceNamed(resources: Readonly<Record<string, Resource>>, rest: string): Target | undefined {
  const name = rest.replace(/%3a/i, ":");
  const resource = Object.hasOwn(resources, name) ? resources[name] : undefined;
  return resource === undefined ? undefined : { resource, keyPath: undefined };
}

function queryOf(url: string): URLSearchParams {
  const from = url.indexOf("?");
  return from === -1 ? NO_QUERY : new URLSearchParams(url.slice(from));
}

async function answered(
  parts: DataDoorParts,
  request: Request,
  databaseId: string,
  { resource, keyPath }: Target,
  query: URLSearchParams,
  origin: string | null,
): Promise<Response> {
  const methods = methodsTaken(Object.keys(resource));
  if (request.method === "OPTIONS") return answerOptions(request, methods);
  const isHead = request.method === "HEAD";
  const operation = operationOf(resource, isHead ? "GET" : request.method);
  if (operation === undefined) return withoutBody(isHead, methodNotAllowed(request.method, methods));
  let ration: Ration | null = null;
  try {
    const grant = await grantOfRequest(parts.gate, request, query, databaseId, origin);
    if (isFailure(grant)) return withoutBody(isHead, problem(grant));
    const { pasts, clock, timers, database, failureOfThrown } = parts;
    const flaw = refusedAccess(grant, wantedBy(operation, grant), clock.now()) ?? flawOfQuery(query, operation);
    if (flaw !== null) return withoutBody(isHead, problem(flaw));
    const openPast = (moment: string) => pasts.open(databaseId, grant, moment);
    const moment = operation.past === true ? query.get(AT_PARAMETER) : null;
    const live = { grant, stub: database(databaseId, grant) };
    const read = moment === null ? live : await openPast(moment);
    if (isFailure(read)) return withoutBody(isHead, problem(read));
    ration = parts.rations.begin(databaseId, live);
    const call = { ...read, request, databaseId, keyPath, query, clock, timers, failureOfThrown, ration, openPast };
    const answer = await operation.answer(call);
    return withoutBody(isHead, answer instanceof Response ? answer : problem(answer));
  } catch (error) {
    return withoutBody(
      isHead,
      problem(await parts.failureOfThrown(error, "database", operation.access === "read" ? "read" : "write")),
    );
  } finally {
    ration?.end();
  }
}

function wantedBy({ access }: Operation, grant: Grant): Access {
  if (access !== "read or write") return access;
  return grant.read ? "read" : "write";
}

function operationOf(resource: Resource, method: string): Operation | undefined {
  // The keys of a resource are methods.
  return Object.hasOwn(resource, method) ? resource[method as Method] : undefined;
}

function flawOfQuery(query: URLSearchParams, { query: known, repeated = [], past }: Operation): Failure | null {
  const seen = new Set<string>();
  for (const name of query.keys()) {
    const isKnown = known.includes(name) || name === TOKEN_PARAMETER || (past === true && name === AT_PARAMETER);
    if (!isKnown) {
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
  if (!isHead) return answer;
  // Nobody will read the body: a stream must end.
  void answer.body?.cancel();
  return new Response(null, answer);
}
