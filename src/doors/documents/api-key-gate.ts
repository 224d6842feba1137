/**
 * Who sends a request to `/cdb`. A made-up key id, or one of another database, is refused here, before any object is called. The database's
 * object opens a key, which is then remembered for a short time. So strangers who know the id of a key, which web pages show to everybody,
 * reach the object once in that time, whatever they sign. The object refuses a deleted key at once, also when it is remembered.
 */
import { bearerToken } from "../http/bearer-token.ts";
import { Remembered } from "../http/remembered.ts";
import type { ApiKeyStub, OpenedApiKey, VerifyCallerToken } from "../../contracts/api-keys.ts";
import type { ApiKeyIds } from "../../contracts/api-key-id.ts";
import type { AppOrTable } from "../../contracts/document-commands.ts";
import type { Grant } from "../../contracts/grant.ts";
import type { Jurisdiction } from "../../contracts/placement.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import {
  MAX_CALLER_TOKEN_CHARACTERS,
  MAX_REMEMBERED_API_KEYS,
  MAX_REMEMBERED_CALLER_TOKENS,
} from "../../core/document-limits.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_TIME_MS } from "../../core/limits.ts";

export interface ApiKeyParts {
  readonly apiKeyIds: ApiKeyIds;
  /** The object of a database that an API key's id was made for. */
  readonly apiKeys: (databaseId: string, jurisdiction: Jurisdiction | null) => ApiKeyStub;
  readonly verifyToken: VerifyCallerToken;
  readonly clock: Clock;
}

/** What a caller may do. */
export interface AdmittedKey {
  readonly grant: Grant;
  /** The apps and tables that the key is for. Undefined: every one. */
  readonly tables?: readonly AppOrTable[];
}

/** The outcome for one request. `touched`: whether an object was called to find it. */
export interface Admission {
  readonly admitted: AdmittedKey | Failure;
  readonly touched: boolean;
}

const NO_HEADERS = failure(
  "unauthenticated",
  "A request needs the headers envid (the database's id), keyid (the id of an API key) and Authorization: Bearer <JWT>, signed with the key's secret.",
);

const KEY_HAS_ENDED = failure("unauthenticated", "The API key has ended, with the token that made it. Make a new key.");

export class ApiKeyGate {
  readonly #parts: ApiKeyParts;
  readonly #tokens: Remembered<AdmittedKey>;
  /** A key that there is not is remembered, too: its id is never used again. */
  readonly #keys: Remembered<OpenedApiKey | Failure>;

  constructor(parts: ApiKeyParts) {
    this.#parts = parts;
    this.#tokens = new Remembered(parts.clock, MAX_REMEMBERED_CALLER_TOKENS);
    this.#keys = new Remembered(parts.clock, MAX_REMEMBERED_API_KEYS);
  }

  /** `envId`, `keyId`: the headers. Throws what a call of the object throws. */
  async admit(headers: Headers, envId: string | null, keyId: string | null): Promise<Admission> {
    const shown = shownBy(headers, envId, keyId);
    if (isFailure(shown)) return { admitted: shown, touched: false };
    const name = `${shown.databaseId}\n${shown.keyId}\n${shown.token}`;
    const known = this.#tokens.find(name);
    if (known !== undefined) return { admitted: known, touched: false };
    const place = await this.#parts.apiKeyIds.placeOf(shown.keyId, shown.databaseId);
    if (isFailure(place)) return { admitted: place, touched: false };
    const { key, touched } = await this.#keyOf(shown, place.jurisdiction);
    const admitted = isFailure(key) ? key : await this.#judged(shown, key, place.jurisdiction);
    if (!isFailure(admitted)) this.#tokens.add(name, admitted);
    return { admitted, touched };
  }

  async #keyOf(
    { databaseId, keyId }: Shown,
    jurisdiction: Jurisdiction | null,
  ): Promise<{ readonly key: OpenedApiKey | Failure; readonly touched: boolean }> {
    const name = `${databaseId}\n${keyId}`;
    const known = this.#keys.find(name);
    if (known !== undefined) return { key: known, touched: false };
    const key = await this.#parts.apiKeys(databaseId, jurisdiction).openApiKey(keyId);
    if (!isFailure(key) || key.code === "unauthenticated") this.#keys.add(name, key);
    return { key, touched: true };
  }

  async #judged(
    { keyId, token }: Shown,
    key: OpenedApiKey,
    jurisdiction: Jurisdiction | null,
  ): Promise<AdmittedKey | Failure> {
    const now: UnixMs = this.#parts.clock.now();
    if (key.expiresAt !== null && key.expiresAt <= now) return KEY_HAS_ENDED;
    const verified = await this.#parts.verifyToken(token, key, now);
    if (isFailure(verified)) return verified;
    const expiresAt = asUnixMs(Math.min(verified.expiresAt, key.expiresAt ?? MAX_TIME_MS));
    const grant = { tokenId: keyId, apiKey: keyId, read: true, write: true, expiresAt };
    return {
      grant: jurisdiction === null ? grant : { ...grant, jurisdiction },
      ...(key.tables === undefined ? {} : { tables: key.tables }),
    };
  }
}

interface Shown {
  readonly databaseId: string;
  readonly keyId: string;
  readonly token: string;
}

function shownBy(headers: Headers, envId: string | null, keyId: string | null): Shown | Failure {
  const token = bearerToken(headers);
  if (envId === null || keyId === null || typeof token !== "string") return NO_HEADERS;
  if (token.length <= MAX_CALLER_TOKEN_CHARACTERS) return { databaseId: envId.toLowerCase(), keyId, token };
  return failure(
    "unauthenticated",
    `The token in the header Authorization has ${token.length} characters; the limit is ${MAX_CALLER_TOKEN_CHARACTERS}.`,
  );
}
