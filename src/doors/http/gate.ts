/**
 * Authentication. A data token or an access token comes in the header `Authorization: Bearer`. A data token is also accepted as
 * `?access_token=`, because an EventSource cannot set a header. An access token there is refused, because it lives long and URLs stay in
 * logs and histories.
 */
import type { Authority } from "../../contracts/authority.ts";
import { type Grant, refusedPage } from "../../contracts/grant.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { bearerToken, bearerTokenIfAny } from "./bearer-token.ts";
import type { AccessGrants } from "./access-grants.ts";

export const TOKEN_PARAMETER = "access_token";

export const TWO_TOKENS = failure(
  "invalid",
  `The request has two tokens, one of them as ${TOKEN_PARAMETER} in its URL. Send one.`,
);

const ACCESS_TOKEN_IN_URL = failure(
  "unauthenticated",
  `${TOKEN_PARAMETER} takes data tokens only: an access token lives long, and URLs are kept in logs and histories. Send it in the header Authorization: Bearer <token>, or exchange it at POST /databases/{id}/connect for a data token.`,
);

export interface GateParts {
  readonly authority: Authority;
  readonly accessGrants: AccessGrants;
}

/** `origin`: of the page of another origin that sends the request. null: there is none. */
export async function grantOfRequest(
  parts: GateParts,
  { headers }: Request,
  query: URLSearchParams,
  databaseId: string,
  origin: string | null,
): Promise<Grant | Failure> {
  const inQuery = tokenInUrl(query);
  if (inQuery !== null && bearerTokenIfAny(headers) !== undefined) return TWO_TOKENS;
  const token = inQuery ?? bearerToken(headers);
  if (typeof token !== "string") return token;
  const grant = await grantOfToken(parts, token, databaseId, inQuery === null, origin);
  return isFailure(grant) ? grant : (refusedPage(grant, origin) ?? grant);
}

/** The data token of `?access_token=`. null: there is none. */
export function tokenInUrl(query: URLSearchParams): string | null | Failure {
  const token = query.get(TOKEN_PARAMETER);
  return token !== null && isAccessToken(token) ? ACCESS_TOKEN_IN_URL : token;
}

async function grantOfToken(
  { authority, accessGrants }: GateParts,
  token: string,
  databaseId: string,
  mayLiveLong: boolean,
  origin: string | null,
): Promise<Grant | Failure> {
  if (isAccessToken(token)) return accessGrants.grantOf(token, databaseId, origin);
  const grant = await authority.verify(token, databaseId);
  if (!isFailure(grant) || !mayLiveLong) return grant;
  // An operator may replace an access token by another text (CAIRN_TOKEN_ALIAS).
  const aliased = await accessGrants.grantOf(token, databaseId, origin);
  return isFailure(aliased) && aliased.code === "unauthenticated" ? grant : aliased;
}

function isAccessToken(token: string): boolean {
  return token.startsWith("cairn_");
}
