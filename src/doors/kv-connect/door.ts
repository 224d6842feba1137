/**
 * The door of KV Connect, the protocol of Deno's remote clients (https://github.com/denoland/denokv/blob/main/proto/kv-connect.md),
 * versions 1 to 3. It checks who asks and what HTTP says of the request, hands the body to the database's object as it is, and
 * maps failures. What is in the body, the object judges. Nothing of a body is taken from who has shown no token that could be one.
 *
 *   POST /databases/{id}/connect, /v2/databases/{id}/connect       the metadata exchange
 *   POST /databases/{id}/snapshot_read, /atomic_write, /watch      the data path
 *   OPTIONS                                                        on each of them
 *
 * With `/at/{moment}` behind the id they are about the database as of that moment; an exchange's endpoint then names the commit.
 */
import { unreachable } from "../../core/assert.ts";
import { unshared } from "../../core/bytes.ts";
import type { Authority } from "../../contracts/authority.ts";
import { type Grant, refusedAccess, refusedPage } from "../../contracts/grant.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_READ_BODY_BYTES, MAX_WRITE_BODY_BYTES } from "../../core/limits.ts";
import type { PublicAddress } from "../../core/public-address.ts";
import type { Timers } from "../../core/timers.ts";
import { watchProtocol, type DatabaseStub } from "../../contracts/database.ts";
import { answerOptions, foreignOriginOf, readableBy } from "../http/cors.ts";
import { bearerToken } from "../http/bearer-token.ts";
import { failureOfJson } from "../http/failure-of-json.ts";
import { malformedUrl, plainText } from "../http/plain-text.ts";
import { readBody } from "../http/request-body.ts";
import { compressionIn } from "../http/text.ts";
import type { FailureOfThrown } from "../http/thrown.ts";
import { answerExchange, PROTOCOL_VERSIONS } from "./exchange.ts";
import { failureResponse, PROTOBUF_ANSWER } from "./responses.ts";
import { answerWatch } from "./watch.ts";

export interface KvConnectParts {
  readonly authority: Authority;
  /** Asked only for a database whose token was verified; the grant says where its object is. */
  readonly database: (databaseId: string, grant: Grant) => DatabaseStub;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly publicAddress: PublicAddress;
  readonly failureOfThrown: FailureOfThrown;
}

/** For whoever asks where nothing is. */
export const KV_CONNECT_ADDRESS = "A database's connect URL is /databases/{id}/connect.";

type Operation = "snapshot_read" | "atomic_write" | "watch";

/** `path` is that of the request's URL, without its query. Undefined: the path is not this door's. The promise is rejected only for a bug of ours. */
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
    // A client that comes to read is to ask again.
    return failureResponse(await failureOfThrown(error, "organization", "read"));
  }
}

function answerData(
  parts: KvConnectParts,
  operation: Operation,
  databaseId: string,
  at: string | undefined,
  request: Request,
): Promise<Response> {
  const origin = foreignOriginOf(request);
  const answer = dataAnswer(parts, operation, databaseId, at, request, origin);
  return origin === null ? answer : answer.then((settled) => readableBy(origin, settled));
}

/** `origin`: of the foreign page that asks, if one does. */
async function dataAnswer(
  parts: KvConnectParts,
  operation: Operation,
  databaseId: string,
  at: string | undefined,
  request: Request,
  origin: string | null,
): Promise<Response> {
  const access = operation === "atomic_write" ? "write" : "read";
  try {
    if (request.method !== "POST") return onlyPost(request);
    const { headers } = request;
    const token = bearerToken(headers);
    if (typeof token !== "string") return failureResponse(token);
    const verified = parts.authority.verify(token, databaseId, at);
    const grant = verified instanceof Promise ? await verified : verified;
    if (isFailure(grant)) return failureResponse(grant);
    const flaw =
      refusedPage(grant, origin) ??
      flawOfHeaders(headers, databaseId) ??
      refusedAccess(grant, access, parts.clock.now());
    if (flaw !== null) return failureResponse(flaw);
    if (!isProtobuf(headers.get("content-type"))) {
      return plainText(415, "The content type of the request must be application/x-protobuf.");
    }
    const body = await readBody(request, access === "write" ? MAX_WRITE_BODY_BYTES : MAX_READ_BODY_BYTES, parts);
    if (isFailure(body)) return failureResponse(body);
    const answer = await askDatabase(parts, operation, databaseId, grant, body);
    return answer instanceof Response ? answer : unreadable(request, body, answer);
  } catch (error) {
    return failureResponse(await parts.failureOfThrown(error, "database", access));
  }
}

async function askDatabase(
  parts: KvConnectParts,
  operation: Operation,
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

/** What the object says of a body that it cannot read, unless the door knows better why. */
function unreadable(request: Request, body: Uint8Array, why: Failure): Response {
  return failureResponse((why.code === "invalid" ? compressionIn(request, body) : undefined) ?? why);
}

/** An answer too large for one result of a call: asked again through `fetch`, and its body handed on as it comes. */
async function streamRead(stub: DatabaseStub, grant: Grant, body: Uint8Array): Promise<Response> {
  const headers = { [watchProtocol.grantHeader]: JSON.stringify(grant) };
  const answer = await stub.fetch(
    new Request("https://database/snapshot_read", { method: "POST", headers, body: unshared(body) }),
  );
  if (answer.status >= 400) return failureResponse(failureOfJson(await answer.text()));
  return new Response(answer.body, PROTOBUF_ANSWER);
}

/** A part of a path; a time in it may have come percent-encoded. */
function decoded(part: string): string | Failure {
  try {
    return decodeURIComponent(part);
  } catch {
    return failure("invalid", "The moment in the path is not a versionstamp or a time, percent-encoded or as it is.");
  }
}

/** The first is sent by versions 2 and 3, the second by version 1. */
const DATABASE_HEADERS = ["x-denokv-database-id", "x-transaction-domain-id"] as const;

const VERSION_TEXTS = PROTOCOL_VERSIONS.map(String);

/** A client names the database and the version in headers, which must not contradict the URL. None of them is required. */
function flawOfHeaders(headers: Headers, databaseId: string): Failure | null {
  for (const header of DATABASE_HEADERS) {
    const named = headers.get(header);
    if (named !== null && named !== databaseId) {
      return failure("invalid", `The header ${header} names another database than the URL.`);
    }
  }
  const version = headers.get("x-denokv-version");
  if (version === null || VERSION_TEXTS.includes(version)) return null;
  const known = VERSION_TEXTS.join(", ");
  return failure("invalid", `x-denokv-version names a version that is not known; this server speaks ${known}.`);
}

/** denokv's own client sends no content type. */
function isProtobuf(contentType: string | null): boolean {
  if (contentType === null || contentType === "application/x-protobuf") return true;
  const [essence = ""] = contentType.split(";");
  return essence.trim().toLowerCase() === "application/x-protobuf";
}

function onlyPost(request: Request): Response {
  if (request.method === "OPTIONS") return answerOptions(request, ["POST"]);
  return plainText(405, `${request.method} is not allowed here: KV Connect uses POST.`, { allow: "POST, OPTIONS" });
}
