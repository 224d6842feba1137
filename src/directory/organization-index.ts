/**
 * The deployment's list of organizations. A new organization is recorded here before its object is asked to make it. It is listed when
 * the object has answered. After a kill in between, the alarm continues.
 */
import { backoffMs } from "../core/backoff.ts";
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type {
  Caller,
  CreatedOrganization,
  IndexStub,
  NewOrganization,
  OrganizationSetup,
  OrganizationStub,
} from "../contracts/management.ts";
import type { Page } from "../contracts/resources.ts";
import { hasSchema, migrate, schemaOf } from "../core/migrations.ts";
import type { SqlValue, SyncStorage } from "../core/storage.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import { IdempotencyKeys } from "./idempotency.ts";
import { refusesIndex } from "./policy.ts";

/** `secret_hash` is stored only until the organization has been made. After that the organization's object keeps it. */
const SCHEMA = schemaOf("schema_version", [
  [
    `CREATE TABLE organizations (
       id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('creating', 'ready')),
       token_id TEXT NOT NULL, token_name TEXT NOT NULL, secret_hash BLOB, signing_key TEXT NOT NULL,
       created_at INTEGER NOT NULL, due_at INTEGER, attempts INTEGER NOT NULL DEFAULT 0
     ) STRICT, WITHOUT ROWID`,
    `CREATE INDEX organizations_created_at ON organizations (created_at, id) WHERE state = 'ready'`,
    `CREATE INDEX organizations_due_at ON organizations (due_at) WHERE due_at IS NOT NULL`,
    `CREATE TABLE idempotency (
       caller TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, resource TEXT NOT NULL, created_at INTEGER NOT NULL,
       PRIMARY KEY (caller, key)
     ) STRICT, WITHOUT ROWID`,
  ],
]);

const FIRST_ALARM_MS = 5_000;
const LONGEST_RETRY_MS = 5 * 60_000;
const BATCH = 20;
const LIST_ORDERING = "organizations";
const DEPLOYMENT = "deployment";

interface Row extends Record<string, SqlValue> {
  id: string;
  name: string;
  state: "creating" | "ready";
  token_id: string;
  token_name: string;
  secret_hash: ArrayBuffer | null;
  signing_key: string;
  created_at: number;
  attempts: number;
}

export interface IndexParts {
  readonly clock: Clock;
  organization(id: string): Pick<OrganizationStub, "initialize">;
  dueBy(at: UnixMs): void;
}

export class OrganizationIndex implements IndexStub {
  readonly #storage: SyncStorage;
  readonly #parts: IndexParts;
  readonly #idempotency: IdempotencyKeys;

  constructor(storage: SyncStorage, parts: IndexParts) {
    this.#storage = storage;
    this.#parts = parts;
    this.#idempotency = new IdempotencyKeys(storage.sql);
  }

  async create(caller: Caller, { setup, idempotency }: NewOrganization): Promise<CreatedOrganization | Failure> {
    const refused = refusesIndex(caller);
    if (refused !== undefined) return refused;
    migrate(this.#storage, SCHEMA);
    const now = this.#parts.clock.now();
    const id = this.#storage.transactionSync(() => {
      const made = idempotency === null ? null : this.#idempotency.find(DEPLOYMENT, idempotency, now);
      if (made !== null) return made;
      this.#idempotency.purge(now);
      this.#add(setup, now);
      if (idempotency !== null) this.#idempotency.add(DEPLOYMENT, idempotency, setup.id, now);
      return setup.id;
    });
    if (isFailure(id)) return id;
    this.#parts.dueBy(asUnixMs(now + FIRST_ALARM_MS));
    await this.#make(id);
    const row = this.#row(id);
    if (row === undefined) return failure("conflict", "What this Idempotency-Key made has been deleted.");
    if (row.state === "creating") {
      return failure(
        "unavailable",
        idempotency === null
          ? "The organization is being made and will appear in the list. The same request again makes another one."
          : "The organization is being made. The same request with the same Idempotency-Key answers with it.",
      );
    }
    return {
      id,
      name: row.name,
      createdAt: asUnixMs(row.created_at),
      tokenId: row.token_id,
      signingKey: row.signing_key,
    };
  }

  /** Ids, oldest first. */
  async list(caller: Caller, limit: number, cursor: string | null): Promise<Page<string> | Failure> {
    const refused = refusesIndex(caller);
    if (refused !== undefined) return refused;
    let after = { value: 0, id: "" };
    if (cursor !== null) {
      const position = decodeCursor(cursor, LIST_ORDERING);
      if (isFailure(position)) return position;
      after = position;
    }
    if (!hasSchema(this.#storage, SCHEMA)) return { items: [], next: null };
    const rows = this.#storage.sql
      .exec<{ id: string; created_at: number }>(
        `SELECT id, created_at FROM organizations WHERE state = 'ready' AND (created_at, id) > (?1, ?2)
         ORDER BY created_at, id LIMIT ?3`,
        after.value,
        after.id,
        limit + 1,
      )
      .toArray();
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const next =
      last === undefined || rows.length <= limit
        ? null
        : encodeCursor({ ordering: LIST_ORDERING, value: last.created_at, id: last.id });
    return { items: page.map(({ id }) => id), next };
  }

  async forget(organizationId: string): Promise<void> {
    if (hasSchema(this.#storage, SCHEMA))
      this.#storage.sql.exec("DELETE FROM organizations WHERE id = ?1", organizationId);
  }

  /** When the alarm must try again to make an organization. */
  dueAt(): UnixMs | null {
    if (!hasSchema(this.#storage, SCHEMA)) return null;
    const due = this.#storage.sql
      .exec<{ due: number | null }>("SELECT min(due_at) AS due FROM organizations")
      .one().due;
    return due === null ? null : asUnixMs(due);
  }

  /** Tries to make the organizations that are due. */
  async work(): Promise<void> {
    const ids = this.#storage.sql
      .exec<{ id: string }>("SELECT id FROM organizations WHERE due_at <= ?1 LIMIT ?2", this.#parts.clock.now(), BATCH)
      .toArray();
    for (const { id } of ids) await this.#make(id);
  }

  #add(setup: OrganizationSetup, now: UnixMs): void {
    this.#storage.sql.exec(
      `INSERT INTO organizations (id, name, state, token_id, token_name, secret_hash, signing_key, created_at, due_at)
       VALUES (?1, ?2, 'creating', ?3, ?4, ?5, ?6, ?7, ?8)`,
      setup.id,
      setup.name,
      setup.token.id,
      setup.token.name,
      setup.token.secretHash,
      setup.token.signingKey,
      setup.createdAt,
      now + FIRST_ALARM_MS,
    );
  }

  /** Asks the organization's object to make it, if that has not happened yet. */
  async #make(id: string): Promise<void> {
    const row = this.#row(id);
    if (row === undefined || row.state === "ready" || row.secret_hash === null) return;
    const { token_id, token_name, signing_key, secret_hash } = row;
    try {
      const made = await this.#parts.organization(id).initialize({
        id,
        name: row.name,
        createdAt: asUnixMs(row.created_at),
        token: { id: token_id, name: token_name, signingKey: signing_key, secretHash: new Uint8Array(secret_hash) },
      });
      // The organization was deleted before its making was known here.
      if (isFailure(made)) return await this.forget(id);
      this.#storage.sql.exec(
        "UPDATE organizations SET state = 'ready', secret_hash = NULL, due_at = NULL WHERE id = ?1",
        id,
      );
    } catch (error) {
      console.error(`organization ${id} could not be made (attempt ${row.attempts + 1}): ${String(error)}`);
      this.#storage.sql.exec(
        "UPDATE organizations SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1",
        id,
        this.#parts.clock.now() + backoffMs(row.attempts, LONGEST_RETRY_MS),
      );
    }
  }

  #row(id: string): Row | undefined {
    return this.#storage.sql.exec<Row>("SELECT * FROM organizations WHERE id = ?1", id).toArray()[0];
  }
}
