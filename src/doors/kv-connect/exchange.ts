/**
 * The metadata exchange of KV Connect: a client sends an access token and gets the endpoint and a data token, for a database or for its
 * state as of a moment.
 */
import type { Authority } from "../../contracts/authority.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_EXCHANGE_BODY_BYTES } from "../../core/limits.ts";
import type { TokenCaller } from "../../contracts/management.ts";
import type { PublicAddress } from "../../core/public-address.ts";
import { publicOrigin } from "../http/public-url.ts";
import { readBody, type BodyTime } from "../http/request-body.ts";
import { compressionIn } from "../http/text.ts";
import { failureResponse, JSON_ANSWER } from "./responses.ts";
import { PROTOCOL_VERSIONS } from "./versions.ts";

export interface Exchange extends BodyTime {
  readonly authority: Authority;
  readonly publicAddress: PublicAddress;
  /** The caller who presents the access token. */
  readonly caller: TokenCaller;
  readonly databaseId: string;
  readonly moment: string | undefined;
}

export async function answerExchange(exchange: Exchange, request: Request): Promise<Response> {
  const { authority, publicAddress, caller, databaseId, moment } = exchange;
  const body = await readBody(request, MAX_EXCHANGE_BODY_BYTES, exchange);
  if (isFailure(body)) return failureResponse(body);
  const version = newestCommonVersion(body);
  if (typeof version !== "number") return failureResponse(compressionIn(request.headers, body) ?? version);
  const minted = await authority.exchange(caller, databaseId, moment);
  if (isFailure(minted)) return failureResponse(minted);
  // Without a slash at the end, because clients append "/" and the operation.
  const path = `/databases/${databaseId}${minted.at === undefined ? "" : `/at/${minted.at}`}`;
  // Version 1 of the protocol has no relative URLs.
  const url = version === 1 ? publicOrigin(request, publicAddress) + path : path;
  const metadata = {
    version,
    databaseId,
    endpoints: [{ url, consistency: "strong" }],
    token: minted.token,
    expiresAt: new Date(minted.expiresAt).toISOString(),
  };
  return new Response(JSON.stringify(metadata), JSON_ANSWER);
}

/** The body is `{"supportedVersions":[…]}`, or empty, which means version 1. */
function newestCommonVersion(body: Uint8Array): number | Failure {
  if (body.length === 0) return 1;
  const supported = supportedVersions(body);
  if (supported === undefined) {
    return failure("invalid", 'The body must be JSON like {"supportedVersions":[1,2,3]}, or empty for version 1.');
  }
  const common = PROTOCOL_VERSIONS.filter((version) => supported.includes(version));
  const newest = common.at(-1);
  if (newest !== undefined) return newest;
  return failure(
    "invalid",
    `The client supports none of the versions of KV Connect that this server speaks: ${PROTOCOL_VERSIONS.join(", ")}.`,
  );
}

function supportedVersions(body: Uint8Array): unknown[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(body));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("supportedVersions" in value)) return undefined;
  const versions = value.supportedVersions;
  return Array.isArray(versions) && versions.every(Number.isInteger) ? versions : undefined;
}
