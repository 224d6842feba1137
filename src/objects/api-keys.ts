/**
 * The API keys of a database: kept in its object, with their secrets encrypted. They are not part of the entries, so no log, backup, fork
 * or state of the past has them. The keys are read when the first request about them comes, and stay in memory: there are few.
 */
import type { SecretBox, SecretPlace } from "../backup/secrets.ts";
import type { ApiKeyAnswer, ApiKeyCommand, ApiKeyInfo, NewApiKey, OpenedApiKey } from "../contracts/api-keys.ts";
import type { ApiKeyIds } from "../contracts/api-key-id.ts";
import type { AppOrTable } from "../contracts/document-commands.ts";
import type { Idempotency } from "../contracts/idempotency.ts";
import type { DatabaseSetup } from "../contracts/management.ts";
import { toHex } from "../core/bytes.ts";
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import { MAX_API_KEYS } from "../core/document-limits.ts";
import type { Entropy } from "../core/entropy.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { ObjectTables } from "./object-tables.ts";

const ID_BYTES = 8;
const SECRET_BYTES = 32;

/** How long the same Idempotency-Key names the same request. */
const REPEATS_MS = 24 * 60 * 60 * 1000;

interface Row extends Record<string, string | number | null> {
  id: string;
  name: string;
  permissions: string;
  require_expiry: number;
  apps: string | null;
  secret: string;
  signing_key: string;
  created_by: string;
  created_at: number;
  expires_at: number | null;
  idempotency: string | null;
}

interface Kept {
  readonly info: ApiKeyInfo;
  readonly sealed: string;
  /** The Idempotency-Key with which the key was made, and of whom. */
  readonly idempotency: string | null;
}

export interface ApiKeysParts {
  readonly tables: ObjectTables;
  /** null: the object is no organization's database, and has no API keys. */
  readonly setup: DatabaseSetup | null;
  readonly ids: () => ApiKeyIds | Failure;
  readonly secrets: SecretBox | Failure;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly isRevoked: (tokenId: string) => boolean;
}

export class ApiKeys {
  readonly #parts: ApiKeysParts;
  #keys: Map<string, Kept> | undefined;
  /** Secrets that were opened, by the id of their key. */
  readonly #opened = new Map<string, string>();

  constructor(parts: ApiKeysParts) {
    this.#parts = parts;
  }

  has(keyId: string): boolean {
    return this.#all.has(keyId);
  }

  async run(command: ApiKeyCommand): Promise<ApiKeyAnswer> {
    switch (command.command) {
      case "create":
        return this.#create(command);
      case "list":
        return this.#list();
      case "get": {
        const kept = this.#all.get(command.keyId);
        return kept === undefined ? NO_SUCH_KEY : { ok: true, kind: "key", key: kept.info };
      }
      case "delete":
        return this.#delete(command.keyId);
    }
  }

  /** For the side that judges a caller's token. The key may be deleted before the token is used, so the object asks `has` again. */
  async open(keyId: string): Promise<OpenedApiKey | Failure> {
    const kept = this.#all.get(keyId);
    if (kept === undefined) return API_KEY_IS_GONE;
    const { requireExpiry, expiresAt, apps } = kept.info;
    const secret = await this.#secretOf(keyId, kept);
    if (isFailure(secret)) return secret;
    return { ok: true, secret, requireExpiry, expiresAt, ...(apps === null ? {} : { tables: apps.map(tableOf) }) };
  }

  async #create(command: Extract<ApiKeyCommand, { command: "create" }>): Promise<ApiKeyAnswer> {
    const { setup, ids, secrets, entropy, clock, tables, isRevoked } = this.#parts;
    if (setup === null) return NO_SUCH_KEY;
    if (isFailure(secrets)) return failure(secrets.code, `This deployment cannot keep API keys. ${secrets.message}`);
    const made = ids();
    if (isFailure(made)) return made;
    const { name, permissions, requireExpiry, apps, createdBy, expiresAt } = command;
    const { id, signingKey } = await made.make(setup.databaseId, toHex(entropy.bytes(ID_BYTES)), setup.jurisdiction);
    const secret = toHex(entropy.bytes(SECRET_BYTES));
    const sealed = await secrets.seal(secret, this.#placeOf(id));
    // Nothing is awaited between these checks and the write.
    if (isRevoked(createdBy)) return failure("unauthenticated", "The access token was revoked.");
    const createdAt = clock.now();
    const again = this.#madeBefore(command, createdAt);
    if (again !== undefined) return isFailure(again) ? again : this.#shownAgain(again);
    this.#forgetEnded(createdAt);
    if (this.#all.size >= MAX_API_KEYS) {
      return failure(
        "limit",
        `This database has ${MAX_API_KEYS} API keys, the most that one may have. Delete one that is not needed.`,
      );
    }
    const wanted: NewApiKey = { name, permissions, requireExpiry, apps };
    const info: ApiKeyInfo = { id, ...wanted, signingKey, createdBy, createdAt, expiresAt };
    const idempotency = command.idempotency && nameOf(createdBy, command.idempotency);
    tables.make("api_keys");
    tables.storage.sql.exec(
      `INSERT INTO api_keys (id, name, permissions, require_expiry, apps, secret, signing_key, created_by, created_at, expires_at, idempotency)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)`,
      id,
      name,
      JSON.stringify(permissions),
      Number(requireExpiry),
      apps === null ? null : JSON.stringify(apps),
      sealed,
      signingKey,
      createdBy,
      createdAt,
      expiresAt,
      idempotency,
    );
    this.#all.set(id, { info, sealed, idempotency });
    return { ok: true, kind: "created", key: info, secret };
  }

  /** Opens every secret, so that an operator who asks for the lists knows that no secret needs an older encryption key. */
  async #list(): Promise<ApiKeyAnswer> {
    for (const [id, kept] of this.#all) await this.#secretOf(id, kept);
    return { ok: true, kind: "list", keys: [...this.#all.values()].map(({ info }) => info) };
  }

  /** The key that the same request has made. `conflict` when the Idempotency-Key came with another request. */
  #madeBefore(
    { createdBy, idempotency }: Extract<ApiKeyCommand, { command: "create" }>,
    now: UnixMs,
  ): Kept | Failure | undefined {
    if (idempotency === null) return undefined;
    const [ofKey, whole] = [nameOf(createdBy, { ...idempotency, fingerprint: "" }), nameOf(createdBy, idempotency)];
    for (const kept of this.#all.values()) {
      if (kept.idempotency?.startsWith(ofKey) !== true || kept.info.createdAt + REPEATS_MS <= now) continue;
      return kept.idempotency === whole
        ? kept
        : failure("conflict", "The Idempotency-Key was used for another request; send a new key with a new request.");
    }
    return undefined;
  }

  async #shownAgain(kept: Kept): Promise<ApiKeyAnswer> {
    const secret = await this.#secretOf(kept.info.id, kept);
    return isFailure(secret) ? secret : { ok: true, kind: "created", key: kept.info, secret };
  }

  deleteMadeBy(tokenId: string): void {
    for (const [id, { info }] of this.#all) if (info.createdBy === tokenId) this.#remove(id);
  }

  #delete(keyId: string): ApiKeyAnswer {
    if (!this.#all.has(keyId)) return NO_SUCH_KEY;
    this.#remove(keyId);
    return { ok: true, kind: "deleted" };
  }

  #forgetEnded(now: UnixMs): void {
    for (const [id, { info }] of this.#all) if (info.expiresAt !== null && info.expiresAt <= now) this.#remove(id);
  }

  #remove(keyId: string): void {
    this.#parts.tables.storage.sql.exec("DELETE FROM api_keys WHERE id = ?1", keyId);
    this.#all.delete(keyId);
    this.#opened.delete(keyId);
  }

  async #secretOf(keyId: string, { sealed }: Kept): Promise<string | Failure> {
    const known = this.#opened.get(keyId);
    if (known !== undefined) return known;
    const { secrets } = this.#parts;
    if (isFailure(secrets)) return secrets;
    const opened = await secrets.open(sealed, this.#placeOf(keyId));
    if (!opened.ok) {
      return failure(
        "internal",
        "The secret of this API key cannot be decrypted: CAIRN_ENCRYPTION_KEYS no longer lists its key. List it again, or make a new API key.",
      );
    }
    if (opened.stale) await this.#sealAgain(keyId, opened.text, secrets);
    if (!this.has(keyId)) return API_KEY_IS_GONE;
    this.#opened.set(keyId, opened.text);
    return opened.text;
  }

  /** With the current encryption key, so that the older one can be dropped. */
  async #sealAgain(keyId: string, secret: string, secrets: SecretBox): Promise<void> {
    const sealed = await secrets.seal(secret, this.#placeOf(keyId));
    const kept = this.#all.get(keyId);
    if (kept === undefined) return;
    this.#parts.tables.storage.sql.exec("UPDATE api_keys SET secret = ?2 WHERE id = ?1", keyId, sealed);
    this.#all.set(keyId, { ...kept, sealed });
  }

  #placeOf(keyId: string): SecretPlace {
    return { databaseId: this.#parts.setup?.databaseId ?? "", backupId: keyId };
  }

  /** In the order in which they were made. */
  get #all(): Map<string, Kept> {
    this.#keys ??= this.#read();
    return this.#keys;
  }

  #read(): Map<string, Kept> {
    const { tables } = this.#parts;
    if (!tables.has("api_keys")) return new Map();
    const rows = tables.storage.sql.exec<Row>("SELECT * FROM api_keys ORDER BY created_at, id").toArray();
    return new Map(rows.map((row) => [row.id, keptOf(row)]));
  }
}

/** "app" or "app/table". No id of an app or a table has a slash. */
function tableOf(name: string): AppOrTable {
  const slash = name.indexOf("/");
  return slash === -1
    ? { appId: name, tableId: null }
    : { appId: name.slice(0, slash), tableId: name.slice(slash + 1) };
}

function keptOf(row: Row): Kept {
  return {
    info: {
      id: row.id,
      name: row.name,
      // Both were written by `create`, as these types.
      permissions: JSON.parse(row.permissions) as ApiKeyInfo["permissions"],
      requireExpiry: row.require_expiry === 1,
      apps: row.apps === null ? null : (JSON.parse(row.apps) as readonly string[]),
      signingKey: row.signing_key,
      createdBy: row.created_by,
      createdAt: asUnixMs(row.created_at),
      expiresAt: row.expires_at === null ? null : asUnixMs(row.expires_at),
    },
    sealed: row.secret,
    idempotency: row.idempotency,
  };
}

/** The fingerprint comes last. None of the three has a line break. */
function nameOf(createdBy: string, { key, fingerprint }: Idempotency): string {
  return `${createdBy}\n${key}\n${fingerprint}`;
}

export const API_KEY_IS_GONE = failure(
  "unauthenticated",
  "There is no such API key: it was deleted, or it ended with the token that made it.",
);

const NO_SUCH_KEY = failure("not-found", "There is no such API key.");
