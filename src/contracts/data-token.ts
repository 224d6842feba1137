/**
 * Data tokens: what the metadata exchange hands out. A data token carries a whole grant, so the data path verifies it without a call. A
 * verified token is kept until it ends, so that the next request with it costs one look-up in a Map. Revocation is not known here: the
 * database's object refuses the ids of revoked tokens.
 *
 * It is base64url of bytes, mostly 40 characters: each request carries it in a header that HTTP/2 never compresses.
 *
 *     key number (1)  flags (1)  end in seconds (4)  token id (8)  what the flags name  MAC (16)
 *
 * The MAC is HMAC-SHA-256 over the database's id, a zero byte and all bytes before the MAC, cut to 128 bits. The id itself is not
 * carried: it is in the URL of each request.
 */
import { fromBase64Url, toBase64Url } from "../codec/base64url.ts";
import { assert } from "../core/assert.ts";
import { concatBytes, fromHex, toHex } from "../core/bytes.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { equalInConstantTime } from "../core/digest.ts";
import { failure, type Failure } from "../core/errors.ts";
import { MAX_DATA_TOKEN_LENGTH } from "../core/limits.ts";
import type { DataToken } from "./authority.ts";
import { DerivedKeys } from "./derived-keys.ts";
import type { Grant } from "./grant.ts";
import { JURISDICTIONS } from "./placement.ts";
import type { SigningKey, SigningKeys } from "./signing-keys.ts";

/** The `expiresAt` of a grant whose access token never ends: the last instant that a Date can hold. */
export const FOREVER = asUnixMs(8_640_000_000_000_000);

/** How long until the client is told to exchange again. Below 5 minutes @deno/kv exchanges before every request. */
export const CLIENT_LIFETIME_MS = 60 * 60 * 1000;

/** How much longer the token itself lives, for requests under way and for clocks that differ. */
export const GRACE_MS = 10 * 60 * 1000;

/** Verified tokens that are kept: a few megabytes, for more clients than one isolate serves in an hour. */
export const MAX_KEPT_TOKENS = 10_000;

const FORM = /^[\w-]{40,}$/;
const HEAD_BYTES = 14;
const MAC_BYTES = 16;
const TOKEN_ID = /^[0-9a-f]{16}$/;

/** What the grant allows, then which optional parts follow, in their order. */
const FLAGS = { read: 1, write: 2, at: 4, jurisdiction: 8, keyPrefix: 16, origin: 32 } as const;
const KNOWN_FLAGS = Object.values(FLAGS).reduce((all, flag) => all | flag, 0);

const AT_BYTES = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface Verified {
  readonly databaseId: string;
  readonly grant: Grant;
}

export class DataTokens {
  readonly #keys: SigningKeys;
  readonly #derived = new DerivedKeys();
  readonly #verified = new Map<string, Verified>();

  constructor(keys: SigningKeys) {
    this.#keys = keys;
  }

  /**
   * A token for what the grant allows at one database. `expiresAt` is an hour ahead, and the token lives 10 minutes longer. Neither is
   * later than the end of the grant.
   */
  async mint(grant: Grant, databaseId: string, now: UnixMs): Promise<DataToken> {
    const expiresAt = Math.min(now + CLIENT_LIFETIME_MS, grant.expiresAt);
    const end = Math.min(expiresAt + GRACE_MS, grant.expiresAt);
    const [key] = this.#keys;
    const carried = encodeGrant(grant, numberOf(key), Math.floor(end / 1000));
    const token = toBase64Url(concatBytes([carried, await this.#mac(key, databaseId, carried)]));
    return { token, expiresAt: asUnixMs(expiresAt) };
  }

  /**
   * The grant, which ends when the token does; or `unauthenticated` with the reason. No promise for a token that was verified before.
   * `at`: as in `Grant`. A token for the database as it is opens no state of the past, and the reverse.
   */
  verify(token: string, databaseId: string, now: UnixMs, at?: string): Grant | Failure | Promise<Grant | Failure> {
    const kept = this.#verified.get(token);
    if (kept === undefined) return this.#verifyNew(token, databaseId, now, at);
    if (kept.databaseId !== databaseId) return notOurs();
    const refused = refusedNow(kept.grant, now, at);
    if (refused === null) return kept.grant;
    if (kept.grant.expiresAt <= now) this.#verified.delete(token);
    return refused;
  }

  async #verifyNew(token: string, databaseId: string, now: UnixMs, at: string | undefined): Promise<Grant | Failure> {
    if (token.length > MAX_DATA_TOKEN_LENGTH || !FORM.test(token)) return notOurs();
    const bytes = fromBase64Url(token);
    if (bytes === undefined || bytes.length < HEAD_BYTES + MAC_BYTES) return notOurs();
    const carried = bytes.subarray(0, -MAC_BYTES);
    if (!(await this.#isOurs(databaseId, carried, bytes.subarray(-MAC_BYTES)))) return notOurs();
    const grant = decodeGrant(carried);
    if (grant === undefined) return notOurs();
    const refused = refusedNow(grant, now, at);
    if (refused !== null) return refused;
    this.#keep(token, { databaseId, grant });
    return grant;
  }

  /** Two keys may have the same number. */
  async #isOurs(databaseId: string, carried: Uint8Array, mac: Uint8Array): Promise<boolean> {
    for (const key of this.#keys) {
      if (numberOf(key) !== carried[0]) continue;
      if (equalInConstantTime(mac, await this.#mac(key, databaseId, carried))) return true;
    }
    return false;
  }

  async #mac(key: SigningKey, databaseId: string, carried: Uint8Array): Promise<Uint8Array> {
    const text = concatBytes([encoder.encode(`${databaseId}\0`), carried]);
    return (await this.#derived.hmac(key, "data token", text)).subarray(0, MAC_BYTES);
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

/** The number depends on the key alone, not on its place in the list. */
function numberOf({ kid }: SigningKey): number {
  let number = 0;
  for (const byte of encoder.encode(kid)) number = (number * 31 + byte) & 0xff;
  return number;
}

function encodeGrant(grant: Grant, keyNumber: number, endSeconds: number): Uint8Array {
  const { tokenId, at, jurisdiction, keyPrefix, origin } = grant;
  assert(TOKEN_ID.test(tokenId), `the token id "${tokenId}" to be 16 hexadecimal digits`);
  const head = new DataView(new ArrayBuffer(HEAD_BYTES - tokenId.length / 2));
  const names = ["read", "write", "at", "jurisdiction", "keyPrefix", "origin"] as const;
  const flags = names.reduce(
    (all, name) => (grant[name] === undefined || grant[name] === false ? all : all | FLAGS[name]),
    0,
  );
  head.setUint8(0, keyNumber);
  head.setUint8(1, flags);
  head.setUint32(2, endSeconds);
  return concatBytes([
    new Uint8Array(head.buffer),
    fromHex(tokenId),
    ...(at === undefined ? [] : [fromHex(at)]),
    ...(jurisdiction === undefined ? [] : [Uint8Array.of(JURISDICTIONS.indexOf(jurisdiction))]),
    ...(keyPrefix === undefined ? [] : withLength(fromHex(keyPrefix))),
    ...(origin === undefined ? [] : withLength(encoder.encode(origin))),
  ]);
}

function withLength(bytes: Uint8Array): Uint8Array[] {
  return [Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes];
}

/** The grant in bytes with a good MAC. undefined: a later version wrote them, with flags that are not known here. */
function decodeGrant(carried: Uint8Array): Grant | undefined {
  const view = new DataView(carried.buffer, carried.byteOffset, carried.byteLength);
  const flags = view.getUint8(1);
  if ((flags & ~KNOWN_FLAGS) !== 0) return undefined;
  let at = HEAD_BYTES;
  const take = (length: number): Uint8Array => carried.subarray(at, (at += length));
  const takeText = (): Uint8Array => take(view.getUint16((at += 2) - 2));
  return {
    tokenId: toHex(carried.subarray(HEAD_BYTES - 8, HEAD_BYTES)),
    read: (flags & FLAGS.read) !== 0,
    write: (flags & FLAGS.write) !== 0,
    expiresAt: asUnixMs(view.getUint32(2) * 1000),
    ...(flags & FLAGS.at ? { at: toHex(take(AT_BYTES)) } : {}),
    ...(flags & FLAGS.jurisdiction ? jurisdictionOf(take(1)) : {}),
    ...(flags & FLAGS.keyPrefix ? { keyPrefix: toHex(takeText()) } : {}),
    ...(flags & FLAGS.origin ? { origin: decoder.decode(takeText()) } : {}),
  };
}

function jurisdictionOf([index = 0]: Uint8Array): Pick<Grant, "jurisdiction"> {
  const jurisdiction = JURISDICTIONS[index];
  assert(jurisdiction !== undefined, `a jurisdiction ${index}`);
  return { jurisdiction };
}

function refusedNow(grant: Grant, now: UnixMs, at: string | undefined): Failure | null {
  if (grant.at !== at) return otherMoment();
  return grant.expiresAt > now ? null : expired();
}

const again = "Exchange the access token again at the database's connect URL.";

function notOurs(): Failure {
  return failure(
    "unauthenticated",
    `The token is not a data token that this deployment issued for this database, or it no longer accepts its key. ${again}`,
  );
}

function expired(): Failure {
  return failure("unauthenticated", `The data token has expired. ${again}`);
}

function otherMoment(): Failure {
  return failure(
    "unauthenticated",
    "The data token is for the same database at another moment: as it is now, or as of another commit. Exchange the access token at the connect URL of the moment that is wanted.",
  );
}
