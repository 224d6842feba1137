/**
 * The door of KV Connect, the protocol of Deno's remote clients (https://github.com/denoland/denokv/blob/main/proto/kv-connect.md),
 * versions 1 to 3. It checks the token and the HTTP part of the request, passes the body unchanged to the database's object, and maps
 * failures. The object checks the contents of a body. No body is read from a client without a token of the right form.
 *
 *   POST /databases/{id}/connect, /v2/databases/{id}/connect       the metadata exchange
 *   POST /databases/{id}/snapshot_read, /atomic_write, /watch      the data path
 *   OPTIONS                                                        on each of them
 *
 * With `/at/{moment}` after the id, the request is for the database as of that moment. The endpoint in the answer to an exchange then
 * names the commit.
 */
import { unreachable } from "../../core/assert.ts";
import { unshared } from "../../core/bytes.ts";
import type { Authority } from "../../contracts/authority.ts";
import type { Grant } from "../../contracts/grant.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_READ_BODY_BYTES, MAX_WRITE_BODY_BYTES } from "../../core/limits.ts";
import type { PublicAddress } from "../../core/public-address.ts";
import type { Timers } from "../../core/timers.ts";
import { watchProtocol, type DatabaseStub } from "../../contracts/database.ts";
import { answerOptions, foreignOriginOf, readableBy } from "../http/cors.ts";
import { bearerToken } from "../http/bearer-token.ts";
import { failureOfJson } from "../http/failure-of-json.ts";
import { malformedUrl, plainText, sentenceResponse } from "../http/plain-text.ts";
import { readBody } from "../http/request-body.ts";
import type { FailureOfThrown } from "../http/thrown.ts";
import { accessOf, admitted, dataHeadOf, type DataOperation, refusalOf } from "./admission.ts";
import { answerExchange } from "./exchange.ts";
import { failureResponse, PROTOBUF_ANSWER } from "./responses.ts";
import { answerWatch } from "./watch.ts";

export interface KvConnectParts {
  readonly authority: Authority;
  /** Called only for a database whose token was verified. The grant says where its object is. */
  readonly database: (databaseId: string, grant: Grant) => DatabaseStub;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly publicAddress: PublicAddress;
  readonly failureOfThrown: FailureOfThrown;
}

/** For the answer to an address where nothing is. */
export const KV_CONNECT_ADDRESS = "A database's connect URL is /databases/{id}/connect.";

/**
 * `path` is the path of the request's URL, without the query. Undefined: another door's path. The promise rejects only because of a bug
 * of ours.
 */
export type KvConnectDoor = (request: Request, path: string) => Promise<Response> | undefined;

export function kvConnectDoor(parts: KvConnectParts): KvConnectDoor {
  return (request, path) => {
    const rest = path.startsWith("/v2/") ? path.slice("/v2".length) : path;
    if (!rest.startsWith(DATABASES)) return undefined;
    const slash = rest.indexOf("/", DATABASES.length);
    if (slash <= DATABASES.length) return undefined;
    const databaseId = rest.slice(DATABASES.length, slash);
    const operation = rest.slice(slash + 1);
    switch (operation) {
      case "connect":
        return answerConnect(parts, databaseId, undefined, request);
      case "snapshot_read":
      case "atomic_write":
      case "watch":
        return rest === path ? answerData(parts, operation, databaseId, undefined, request) : undefined;
      default:
        return answerAsOf(parts, databaseId, operation, rest === path, request);
    }
  };
}

/** `path`: what follows the id. */
function answerAsOf(
  parts: KvConnectParts,
  databaseId: string,
  path: string,
  takesData: boolean,
  request: Request,
): Promise<Response> | undefined {
  const [, moment = "", operation] = /^at\/([^/]+)\/([a-z_]+)$/.exec(path) ?? [];
  switch (operation) {
    case "connect":
      return answerConnect(parts, databaseId, moment, request);
    case "snapshot_read":
    case "atomic_write":
    case "watch":
      return takesData ? answerData(parts, operation, databaseId, moment, request) : undefined;
    default:
      return undefined;
  }
}

const DATABASES = "/databases/";

function answerConnect(
  parts: KvConnectParts,
  databaseId: string,
  encodedMoment: string | undefined,
  request: Request,
): Promise<Response> {
  const origin = foreignOriginOf(request);
  const answer = exchanged(parts, databaseId, encodedMoment, request, origin);
  return answer.then((settled) => readableBy(origin, settled));
}

async function exchanged(
  parts: KvConnectParts,
  databaseId: string,
  encodedMoment: string | undefined,
  request: Request,
  origin: string | null,
): Promise<Response> {
  const { authority, failureOfThrown } = parts;
  if (!URL.canParse(request.url)) return malformedUrl();
  if (request.method !== "POST") return onlyPost(request);
  const token = bearerToken(request.headers);
  if (typeof token !== "string") return failureResponse(token);
  try {
    const caller = await authority.caller(token, origin);
    if (isFailure(caller)) return failureResponse(caller);
    const moment = encodedMoment === undefined ? undefined : decoded(encodedMoment);
    if (typeof moment === "object") return failureResponse(moment);
    return await answerExchange({ ...parts, caller, databaseId, moment }, request);
  } catch (error) {
    // The client wants to read, so it is told to ask again.
    return failureResponse(await failureOfThrown(error, "organization", "read"));
  }
}

function answerData(
  parts: KvConnectParts,
  operation: DataOperation,
  databaseId: string,
  at: string | undefined,
  request: Request,
): Promise<Response> {
  const origin = foreignOriginOf(request);
  const answer = dataAnswer(parts, operation, databaseId, at, request, origin);
  return origin === null ? answer : answer.then((settled) => readableBy(origin, settled));
}

/** `origin`: of the page of another origin that sends the request. null: there is none. */
async function dataAnswer(
  parts: KvConnectParts,
  operation: DataOperation,
  databaseId: string,
  at: string | undefined,
  request: Request,
  origin: string | null,
): Promise<Response> {
  const access = accessOf(operation);
  try {
    if (request.method !== "POST") return onlyPost(request);
    const { headers } = request;
    const judged = admitted(parts, dataHeadOf({ operation, databaseId, at, headers, origin }));
    const grant = judged instanceof Promise ? await judged : judged;
    if ("status" in grant) return sentenceResponse(grant);
    const body = await readBody(request, access === "write" ? MAX_WRITE_BODY_BYTES : MAX_READ_BODY_BYTES, parts);
    if (isFailure(body)) return failureResponse(body);
    const answer = await askDatabase(parts, operation, databaseId, grant, body);
    return answer instanceof Response ? answer : sentenceResponse(refusalOf(headers, body, answer));
  } catch (error) {
    return failureResponse(await parts.failureOfThrown(error, "database", access));
  }
}

async function askDatabase(
  parts: KvConnectParts,
  operation: DataOperation,
  databaseId: string,
  grant: Grant,
  body: Uint8Array,
): Promise<Response | Failure> {
  const stub = parts.database(databaseId, grant);
  switch (operation) {
    case "snapshot_read": {
      const answer = await stub.snapshotRead(grant, body);
      if (answer instanceof Uint8Array) return new Response(unshared(answer), PROTOBUF_ANSWER);
      return answer.ok ? streamRead(stub, grant, body) : answer;
    }
    case "atomic_write": {
      const answer = await stub.atomicWrite(grant, body);
      return answer instanceof Uint8Array ? new Response(unshared(answer), PROTOBUF_ANSWER) : answer;
    }
    case "watch":
      return answerWatch({ ...parts, stub, grant, watch: body });
    default:
      return unreachable(operation);
  }
}

/**
 * An answer that is too large for the result of a call: the request is sent again through `fetch`, and the body of the answer is passed
 * on as it comes.
 */
async function streamRead(stub: DatabaseStub, grant: Grant, body: Uint8Array): Promise<Response> {
  const headers = { [watchProtocol.grantHeader]: JSON.stringify(grant) };
  const answer = await stub.fetch(
    new Request("https://database/snapshot_read", { method: "POST", headers, body: unshared(body) }),
  );
  if (answer.status >= 400) return failureResponse(failureOfJson(await answer.text()));
  return new Response(answer.body, PROTOBUF_ANSWER);
}

/** A part of a path. A time in it may be percent-encoded. */
function decoded(part: string): string | Failure {
  try {
    return decodeURIComponent(part);
  } catch {
    return failure("invalid", "The moment in the path is not a versionstamp or a time, percent-encoded or as it is.");
  }
}

function onlyPost(request: Request): Response {
  if (request.method === "OPTIONS") return answerOptions(request, ["POST"]);
  return plainText(405, `${request.method} is not allowed here: KV Connect uses POST.`, { allow: "POST, OPTIONS" });
}
