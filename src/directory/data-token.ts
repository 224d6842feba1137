/**
 * Data tokens: what the metadata exchange hands out. A data token is an HS256 JWT for one database that carries a whole grant, so
 * the data path verifies it without asking anybody; one that was verified is kept until it ends, so that the next request with
 * it costs a look into a Map. Revocation is not known here: the database's object refuses revoked token ids.
 *
 * The header must be, byte for byte, one that `mint` writes. So nothing in it is ever interpreted, and another algorithm, an
 * unknown key id, `crit` or a member given twice are all the same: not ours.
 */
import { errors, jwtVerify, SignJWT, type JWTPayload } from "jose";
import type { DataToken } from "../contracts/authority.ts";
import type { Grant } from "../contracts/grant.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { JURISDICTIONS, type Jurisdiction } from "../contracts/placement.ts";
import type { SigningKey, SigningKeys } from "../contracts/signing-keys.ts";

/** The `expiresAt` of a grant whose access token has no end: the last instant that a Date can hold. */
export const FOREVER = asUnixMs(8_640_000_000_000_000);

/** When the client is told to exchange again. Below 5 minutes @deno/kv exchanges before every request. */
export const CLIENT_LIFETIME_MS = 60 * 60 * 1000;

/** How much longer the token itself lives, for requests under way and for clocks that differ. */
export const GRACE_MS = 10 * 60 * 1000;

/** Verified tokens that are kept: a few megabytes, and more clients than one isolate serves in an hour. */
export const MAX_KEPT_TOKENS = 10_000;

/** Longer than any that is minted; bounds what a made-up one costs. */
export const MAX_DATA_TOKEN_LENGTH = 2560;

const ALGORITHM = "HS256";

/** One text per token: 32 bytes of signature, whose last character leaves two bits that must be zero. */
const FORM = /^[\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]$/;

interface Signer {
  readonly kid: string;
  /** The first part of every token of this key. */
  readonly encodedHeader: string;
  readonly secret: Uint8Array<ArrayBuffer>;
  /** Imported at its first use. The key is kept and not its promise, which must not be awaited by another request. */
  imported: CryptoKey | undefined;
}

interface Verified {
  readonly databaseId: string;
  readonly grant: Grant;
}

export class DataTokens {
  readonly #current: Signer;
  readonly #signers = new Map<string, Signer>();
  readonly #verified = new Map<string, Verified>();

  constructor(keys: SigningKeys) {
    const [current, ...accepted] = keys;
    this.#current = signerOf(current);
    for (const signer of [this.#current, ...accepted.map(signerOf)]) this.#signers.set(signer.encodedHeader, signer);
  }

  /**
   * A token for what the grant allows at one database. `expiresAt` is an hour ahead and the token lives 10 minutes longer; both
   * no later than the grant's own end.
   */
  async mint(grant: Grant, databaseId: string, now: UnixMs): Promise<DataToken> {
    const expiresAt = Math.min(now + CLIENT_LIFETIME_MS, grant.expiresAt);
    const end = Math.min(expiresAt + GRACE_MS, grant.expiresAt);
    const token = await new SignJWT(claimsOf(grant))
      .setProtectedHeader(headerOf(this.#current.kid))
      .setAudience(databaseId)
      .setExpirationTime(Math.floor(end / 1000))
      .sign(await keyOf(this.#current));
    return { token, expiresAt: asUnixMs(expiresAt) };
  }

  /**
   * The grant, which ends when the token does; or `unauthenticated`, saying why. At once for a token verified before. `at`: as in
   * `Grant`; a token of the database as it is opens no state of the past, and the other way round.
   */
  verify(token: string, databaseId: string, now: UnixMs, at?: string): Grant | Failure | Promise<Grant | Failure> {
    const kept = this.#verified.get(token);
    if (kept === undefined) return this.#verifyNew(token, databaseId, now, at);
    if (kept.databaseId !== databaseId) return otherDatabase();
    if (kept.grant.at !== at) return otherMoment();
    if (kept.grant.expiresAt > now) return kept.grant;
    this.#verified.delete(token);
    return expired();
  }

  async #verifyNew(token: string, databaseId: string, now: UnixMs, at: string | undefined): Promise<Grant | Failure> {
    if (token.length > MAX_DATA_TOKEN_LENGTH || !FORM.test(token)) return malformed();
    const signer = this.#signers.get(token.slice(0, token.indexOf(".")));
    if (signer === undefined) return malformed();
    let payload: JWTPayload;
    try {
      const verified = await jwtVerify(token, await keyOf(signer), {
        algorithms: [ALGORITHM],
        audience: databaseId,
        requiredClaims: ["exp", "aud"],
        currentDate: new Date(now),
      });
      payload = verified.payload;
    } catch (error) {
      // The signature has been found good before claims are looked at, so these two tell nothing to somebody who made it up.
      if (error instanceof errors.JWTExpired) return expired();
      if (error instanceof errors.JWTClaimValidationFailed && error.claim === "aud") return otherDatabase();
      if (error instanceof errors.JOSEError) return malformed();
      throw error;
    }
    const grant = grantOf(payload);
    if (grant === undefined) return malformed();
    if (grant.at !== at) return otherMoment();
    this.#keep(token, { databaseId, grant });
    return grant;
  }

  #keep(token: string, verified: Verified): void {
    this.#verified.set(token, verified);
    if (this.#verified.size <= MAX_KEPT_TOKENS) return;
    for (const oldest of this.#verified.keys()) {
      this.#verified.delete(oldest);
      break;
    }
  }
}

function headerOf(kid: string): { alg: string; typ: string; kid: string } {
  return { alg: ALGORITHM, typ: "JWT", kid };
}

function signerOf({ kid, secret }: SigningKey): Signer {
  const header = btoa(JSON.stringify(headerOf(kid)))
    .replace(/=+$/, "")
    .replaceAll("+", "-")
    .replaceAll("/", "_");
  return { kid, encodedHeader: header, secret, imported: undefined };
}

async function keyOf(signer: Signer): Promise<CryptoKey> {
  signer.imported ??= await crypto.subtle.importKey("raw", signer.secret, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
    "verify",
  ]);
  return signer.imported;
}

function claimsOf(grant: Grant): JWTPayload {
  const scope = [...(grant.read ? ["read"] : []), ...(grant.write ? ["write"] : [])].join(" ");
  const { keyPrefix, origin, jurisdiction, at } = grant;
  return {
    sub: grant.tokenId,
    scope,
    ...(keyPrefix === undefined ? {} : { prefix: keyPrefix }),
    ...(origin === undefined ? {} : { origin }),
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
    ...(at === undefined ? {} : { at }),
  };
}

/** Undefined for claims that `mint` does not write. */
function grantOf(payload: JWTPayload): Grant | undefined {
  const { sub, exp } = payload;
  const { scope, prefix, origin, jurisdiction, at } = payload;
  if (typeof sub !== "string" || typeof exp !== "number" || typeof scope !== "string") return undefined;
  if (prefix !== undefined && typeof prefix !== "string") return undefined;
  if (origin !== undefined && typeof origin !== "string") return undefined;
  if (jurisdiction !== undefined && !isJurisdiction(jurisdiction)) return undefined;
  if (at !== undefined && typeof at !== "string") return undefined;
  const scopes = scope.split(" ");
  return {
    tokenId: sub,
    read: scopes.includes("read"),
    write: scopes.includes("write"),
    expiresAt: asUnixMs(exp * 1000),
    ...(prefix === undefined ? {} : { keyPrefix: prefix }),
    ...(origin === undefined ? {} : { origin }),
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
    ...(at === undefined ? {} : { at }),
  };
}

function isJurisdiction(value: unknown): value is Jurisdiction {
  return JURISDICTIONS.some((jurisdiction) => jurisdiction === value);
}

const again = "Exchange the access token again at the database's connect URL.";

function malformed(): Failure {
  return failure(
    "unauthenticated",
    `The token is not a data token that this deployment issued or still accepts. ${again}`,
  );
}

function expired(): Failure {
  return failure("unauthenticated", `The data token has expired. ${again}`);
}

function otherDatabase(): Failure {
  return failure("unauthenticated", `The data token is for another database than the one that was asked. ${again}`);
}

function otherMoment(): Failure {
  return failure(
    "unauthenticated",
    "The data token is for the same database at another moment: as it is now, or as of another commit. Exchange the access token at the connect URL of the moment that is wanted.",
  );
}
