/**
 * API keys of a database. A program signs a token of its own with a key's secret, and opens `POST /cdb` with it (docs/spec/documents.md).
 * The database's object keeps its keys, so a deleted key opens nothing from the answer on.
 */
import type { AppOrTable } from "./document-commands.ts";
import type { UnixMs } from "../core/clock.ts";
import type { Failure } from "../core/errors.ts";
import type { Idempotency } from "./idempotency.ts";

/** documents: read and write documents, and search them. */
export const API_KEY_PERMISSIONS = ["documents"] as const;
export type ApiKeyPermission = (typeof API_KEY_PERMISSIONS)[number];

/** What the creator of a key decides. */
export interface NewApiKey {
  readonly name: string;
  readonly permissions: readonly ApiKeyPermission[];
  /** Whether tokens that are signed with the key must have `exp`. */
  readonly requireExpiry: boolean;
  /** Apps ("app") and tables ("app/table"). null: every app. */
  readonly apps: readonly string[] | null;
}

export interface ApiKeyInfo extends NewApiKey {
  readonly id: string;
  /** The signing key with which the check of the id was made. When the deployment drops that key, the API key ends. */
  readonly signingKey: string;
  /** The id of the token that made the key. */
  readonly createdBy: string;
  readonly createdAt: UnixMs;
  /** The end of the token that made the key: a key outlives no such token's end. null: it does not end. */
  readonly expiresAt: UnixMs | null;
}

export interface ApiKeyWithSecret {
  readonly key: ApiKeyInfo;
  /** Shown only when the key is made. */
  readonly secret: string;
}

export type ApiKeyCommand =
  | ({
      readonly command: "create";
      readonly createdBy: string;
      readonly expiresAt: UnixMs | null;
      /** The same key with the same fingerprint gets the same API key for a day. */
      readonly idempotency: Idempotency | null;
    } & NewApiKey)
  | { readonly command: "list" }
  | { readonly command: "get"; readonly keyId: string }
  | { readonly command: "delete"; readonly keyId: string };

export type ApiKeyAnswer =
  | ({ readonly ok: true; readonly kind: "created" } & ApiKeyWithSecret)
  | { readonly ok: true; readonly kind: "list"; readonly keys: readonly ApiKeyInfo[] }
  | { readonly ok: true; readonly kind: "key"; readonly key: ApiKeyInfo }
  | { readonly ok: true; readonly kind: "deleted" }
  | Failure;

/**
 * What a Worker needs to judge tokens that callers sign with a key. It stays in the memory of Workers, for a short time. So a token that
 * somebody else has signed is refused without a call of the object, although the id of a key is no secret.
 */
export interface OpenedApiKey extends CallerTokenTerms {
  readonly ok: true;
  /** null: the key does not end. */
  readonly expiresAt: UnixMs | null;
  /** The apps and tables that the key is for. Undefined: every one. */
  readonly tables?: readonly AppOrTable[];
}

export interface ApiKeyStub {
  /** "unauthenticated" for a key that there is not, or not any more. */
  openApiKey(keyId: string): Promise<OpenedApiKey | Failure>;
}

export interface CallerTokenTerms {
  readonly secret: string;
  readonly requireExpiry: boolean;
}

/** When a token that a caller has signed ends, as a moment that a Date can hold. "unauthenticated" with what is wrong with the token. */
export type VerifyCallerToken = (
  token: string,
  terms: CallerTokenTerms,
  now: UnixMs,
) => Promise<{ readonly ok: true; readonly expiresAt: UnixMs } | Failure>;
