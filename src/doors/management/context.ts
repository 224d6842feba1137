/** What the management doors are given, and the steps that every request of theirs takes before it is answered. */
import { toHex } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import type { Entropy } from "../../core/entropy.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_IDEMPOTENCY_KEY_LENGTH, MAX_MANAGEMENT_BODY_BYTES } from "../../core/limits.ts";
import {
  type AccessTokens,
  type Caller,
  type CommandName,
  type Idempotency,
  type IndexStub,
  type Input,
  type OrganizationStub,
  type Output,
} from "../../contracts/management.ts";
import type { PublicAddress } from "../../core/public-address.ts";
import { parseJson } from "../../codec/json-notation/bounded-json.ts";
import { textOf } from "../http/text.ts";
import { foreignOriginOf } from "../http/cors.ts";
import type { FailureOfThrown } from "../http/thrown.ts";

export interface ManagementContext {
  readonly accessTokens: AccessTokens;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly publicAddress: PublicAddress;
  readonly failureOfThrown: FailureOfThrown;
  organization(id: string): OrganizationStub;
  index(): IndexStub;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Asks the caller's organization; `named` is the one in the request's path, if there is one. */
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

/** Who sends the request; `named` in what it asks is for `ask`. */
export function callerOf(request: Request, { accessTokens }: ManagementContext): Promise<Caller | Failure> {
  return accessTokens.caller(request.headers.get("authorization"), foreignOriginOf(request));
}

/** A failure for what was thrown while the request was answered. */
export function failureOfLost(request: Request, error: unknown, context: ManagementContext): Promise<Failure> {
  return context.failureOfThrown(error, "organization", request.method === "GET" ? "read" : "write");
}

export interface RequestBody {
  readonly text: string;
  /** An empty body counts as an object without members. */
  readonly value: unknown;
}

/** `limit` for a body that is too long, `invalid` for one that is not JSON. */
export async function readBody(request: Request): Promise<RequestBody | Failure> {
  const bytes = await readBounded(request);
  if (bytes === undefined) return failure("limit", `The body is longer than ${MAX_MANAGEMENT_BODY_BYTES} bytes.`);
  const text = textOf(request, bytes);
  if (typeof text !== "string") return text;
  if (text.trim() === "") return { text, value: {} };
  const parsed = parseJson(text, "The body");
  return parsed.ok ? { text, value: parsed.json } : parsed;
}

/** Undefined past the limit: the rest is left to be read. */
async function readBounded(request: Request): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(MAX_MANAGEMENT_BODY_BYTES);
  let length = 0;
  // A body that was sent is a stream of bytes.
  const reader = (request.body as ReadableStream<Uint8Array> | null)?.getReader();
  for (let chunk = await reader?.read(); chunk?.value !== undefined; chunk = await reader?.read()) {
    if (length + chunk.value.length > bytes.length) {
      reader?.releaseLock();
      return undefined;
    }
    bytes.set(chunk.value, length);
    length += chunk.value.length;
  }
  return bytes.subarray(0, length);
}

/** Of the `Idempotency-Key` header, bound to this very request. */
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
