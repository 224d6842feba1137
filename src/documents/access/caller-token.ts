/**
 * The token that a caller signs for itself with the secret of an API key: a JWT (RFC 7519) with HS256 and `{"identity":"cdb"}`. `exp` is
 * honoured to the second, because it is the caller's own promise. `nbf` may lie a minute ahead: the clocks of servers differ.
 */
import { errors, jwtVerify } from "jose";
import type { VerifyCallerToken } from "../../contracts/api-keys.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { MAX_CALLER_TOKEN_CHARACTERS } from "../../core/document-limits.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_TIME_MS } from "../../core/limits.ts";

const IDENTITY = "cdb";
const ALGORITHM = "HS256";

/** How far the clock of a caller may be ahead. */
const CLOCK_DIFFERENCE_SECONDS = 60;

/** The payload may be any JSON, so each member is looked at before it is used. */
interface Payload {
  readonly exp?: unknown;
  readonly identity?: unknown;
}

export const verifyCallerToken: VerifyCallerToken = async (token, { secret, requireExpiry }, now) => {
  if (token.length > MAX_CALLER_TOKEN_CHARACTERS) {
    return refused(`has ${token.length} characters; the limit is ${MAX_CALLER_TOKEN_CHARACTERS}`);
  }
  let payload: Payload;
  try {
    const verified = await jwtVerify(token, new TextEncoder().encode(secret), {
      algorithms: [ALGORITHM],
      currentDate: new Date(now),
      clockTolerance: CLOCK_DIFFERENCE_SECONDS,
    });
    payload = verified.payload;
  } catch (error) {
    const why = flawOf(error, now);
    if (why === undefined) throw error;
    return refused(why);
  }
  const { exp, identity } = payload;
  if (identity !== IDENTITY) return refused(`must say {"identity":"${IDENTITY}"} in its payload`);
  if (exp === undefined) {
    return requireExpiry
      ? refused('has no "exp", and its API key requires one: sign with an expiry, like {"expiresIn":"1h"}')
      : { ok: true, expiresAt: asUnixMs(MAX_TIME_MS) };
  }
  // `jwtVerify` takes only a number.
  const expiresAt = Math.min(Math.floor(Number(exp) * 1000), MAX_TIME_MS);
  return expiresAt > now ? { ok: true, expiresAt: asUnixMs(expiresAt) } : refused(expiredAt(Number(exp), now));
};

/** What is wrong, to continue a sentence. undefined: the error says nothing of the token. */
function flawOf(error: unknown, now: UnixMs): string | undefined {
  if (error instanceof errors.JWTExpired) return expiredAt(Number(error.payload.exp), now);
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "nbf" && error.reason === "check_failed") {
      return `is not valid yet: its "nbf" is ahead of this server's clock, which shows ${textOf(now)}`;
    }
    return `has a claim "${error.claim}" that is no number of seconds since 1970`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return `must be signed with ${ALGORITHM}, and says that it is not`;
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return "is not signed with the secret of the API key in the header keyid";
  }
  if (error instanceof errors.JOSEError) return `must be a JWT of three parts, signed with ${ALGORITHM}`;
  return undefined;
}

function expiredAt(seconds: number, now: UnixMs): string {
  return `has expired: its "exp" is ${textOf(seconds * 1000)}, and this server's clock shows ${textOf(now)}`;
}

function textOf(ms: number): string {
  return Math.abs(ms) <= MAX_TIME_MS ? new Date(ms).toISOString() : `${ms / 1000} seconds after 1970`;
}

function refused(flaw: string): Failure {
  return failure("unauthenticated", `The token in the header Authorization ${flaw}.`);
}
