/** What the management doors need, and the steps that each of their requests takes before it is answered. */
import { toHex } from "../../core/bytes.ts";
import type { Entropy } from "../../core/entropy.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_IDEMPOTENCY_KEY_LENGTH, MAX_MANAGEMENT_BODY_BYTES } from "../../core/limits.ts";
import type { Idempotency } from "../../contracts/idempotency.ts";
import type { IndexStub } from "../../contracts/management.ts";
import type { OrphanedArchive } from "../../contracts/orphaned-archives.ts";
import type { PublicAddress } from "../../core/public-address.ts";
import { readJsonBody, type BodyTime, type JsonBody } from "../http/request-body.ts";
import type { ByteRange } from "../http/byte-range.ts";
import type { DirectoryParts } from "../http/directory.ts";
import type { FailureOfThrown } from "../http/thrown.ts";

export interface ManagementContext extends BodyTime, DirectoryParts {
  readonly entropy: Entropy;
  readonly publicAddress: PublicAddress;
  readonly failureOfThrown: FailureOfThrown;
  index(): IndexStub;
  /** Bytes of a file that the organization has found for the caller. */
  readonly orphanedArchiveBytes: (
    organizationId: string,
    archive: OrphanedArchive,
    range: ByteRange,
  ) => ReadableStream<Uint8Array> | Failure;
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
