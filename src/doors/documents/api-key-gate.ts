/**
 * Who sends a request to `/cdb`. A made-up key id, or one of another database, is refused here, before any object is called. The token is
 * verified by the database's object, which has the key's secret, and what it allows is remembered for a short time. The object refuses a
 * deleted key at once, also when it is remembered.
 */
import { bearerToken } from "../http/bearer-token.ts";
import { Remembered } from "../http/remembered.ts";
import type { AdmittedKey, ApiKeyStub, ShownApiKey } from "../../contracts/api-keys.ts";
import type { ApiKeyIds } from "../../contracts/api-key-id.ts";
import type { Jurisdiction } from "../../contracts/placement.ts";
import type { Clock } from "../../core/clock.ts";
import { MAX_CALLER_TOKEN_CHARACTERS, MAX_REMEMBERED_CALLER_TOKENS } from "../../core/document-limits.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";

export interface ApiKeyParts {
  readonly apiKeyIds: ApiKeyIds;
  /** The object of a database that an API key's id was made for. */
  readonly apiKeys: (databaseId: string, jurisdiction: Jurisdiction | null) => ApiKeyStub;
  readonly clock: Clock;
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

export class ApiKeyGate {
  readonly #parts: ApiKeyParts;
  readonly #remembered: Remembered<AdmittedKey>;

  constructor(parts: ApiKeyParts) {
    this.#parts = parts;
    this.#remembered = new Remembered(parts.clock, MAX_REMEMBERED_CALLER_TOKENS);
  }

  /** `envId`, `keyId`: the headers. Throws what a call of the object throws. */
  async admit(headers: Headers, envId: string | null, keyId: string | null): Promise<Admission> {
    const shown = shownBy(headers, envId, keyId);
    if (isFailure(shown)) return { admitted: shown, touched: false };
    const { databaseId, ...key } = shown;
    const name = `${databaseId}\n${key.keyId}\n${key.token}`;
    const known = this.#remembered.find(name);
    if (known !== undefined) return { admitted: known, touched: false };
    const place = await this.#parts.apiKeyIds.placeOf(key.keyId, databaseId);
    if (isFailure(place)) return { admitted: place, touched: false };
    const admitted = await this.#parts.apiKeys(databaseId, place.jurisdiction).admitApiKey(key);
    if (!isFailure(admitted)) this.#remembered.add(name, admitted);
    return { admitted, touched: true };
  }
}

interface Shown extends ShownApiKey {
  readonly databaseId: string;
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
