/** What the management doors need, and the steps that each of their requests takes before it is answered. */
import { toHex } from "../../core/bytes.ts";
import type { Entropy } from "../../core/entropy.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_IDEMPOTENCY_KEY_LENGTH, MAX_MANAGEMENT_BODY_BYTES } from "../../core/limits.ts";
import type { Idempotency } from "../../contracts/idempotency.ts";
import {
  type AccessTokens,
  type Caller,
  type CommandName,
  type IndexStub,
  type Input,
  type OrganizationStub,
  type Output,
} from "../../contracts/management.ts";
import type { PublicAddress } from "../../core/public-address.ts";
import { bearerToken } from "../http/bearer-token.ts";
import { readJsonBody, type BodyTime, type JsonBody } from "../http/request-body.ts";
import { foreignOriginOf } from "../http/cors.ts";
import type { FailureOfThrown } from "../http/thrown.ts";

export interface ManagementContext extends BodyTime {
  readonly accessTokens: AccessTokens;
  readonly entropy: Entropy;
  readonly publicAddress: PublicAddress;
  readonly failureOfThrown: FailureOfThrown;
  organization(id: string): OrganizationStub;
  index(): IndexStub;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Asks the caller's organization. `named` is the organization in the request's path, if there is one. */
export async function ask<Name extends CommandName>(
  context: ManagementContext,
  caller: Caller,
  named: string | null,
  name: Name,
  input: Input<Name>,
): Promise<Output<Name> | Failure> {
  if (caller.kind === "token") return context.organization(caller.organizationId).run(caller, named, name, input);
  if (named === null) {
    return failure(
      "forbidden",
      "The deployment's token manages organizations and their tokens; use a token of the organization.",
    );
  }
  if (!UUID.test(named))
    return failure("not-found", "There is no such organization, or none that this token may know of.");
  return context.organization(named).run(caller, named, name, input);
}

/** The caller who sends the request. Whether an organization in the path is the caller's is checked by `ask`. */
export async function callerOf(request: Request, { accessTokens }: ManagementContext): Promise<Caller | Failure> {
  const token = bearerToken(request.headers);
  return typeof token === "string" ? accessTokens.caller(token, foreignOriginOf(request)) : token;
}

/** The failure for what was thrown while the request was being answered. */
export function failureOfLost(request: Request, error: unknown, context: ManagementContext): Promise<Failure> {
  return context.failureOfThrown(error, "organization", request.method === "GET" ? "read" : "write");
}

/** An empty body counts as an object without members. */
export async function readBody(request: Request, time: BodyTime): Promise<JsonBody | Failure> {
  const body = await readJsonBody(request, MAX_MANAGEMENT_BODY_BYTES, time);
  return isFailure(body) || body.value !== undefined ? body : { ...body, value: {} };
}

/** The `Idempotency-Key` header, bound to exactly this request. */
export async function idempotencyOf(request: Request, body: string): Promise<Idempotency | null | Failure> {
  const key = request.headers.get("idempotency-key");
  if (key === null) return null;
  if (!/^[!-~]+$/.test(key) || key.length > MAX_IDEMPOTENCY_KEY_LENGTH) {
    return failure(
      "invalid",
      `The Idempotency-Key must be 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters.`,
    );
  }
  const whole = new TextEncoder().encode(`${request.method}\n${new URL(request.url).pathname}\n${body}`);
  return { key, fingerprint: toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", whole))) };
}
