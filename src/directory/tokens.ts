/** The tokens of one organization: rows, authentication, and which database each was exchanged to. Callers hold the transaction. */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import {
  isFailure,
  type NewToken,
  type Page,
  type Permission,
  type Scopes,
  type TokenCaller,
  type TokenInfo,
} from "../core/management.ts";
import type { Sql, SqlValue } from "../core/storage.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import { equalInConstantTime } from "./digest.ts";
import { beyond, hasEnded } from "./scopes.ts";

const HOUR_MS = 60 * 60 * 1000;

/** How long a token that has ended stays in the list. */
const ENDED_TOKENS_KEPT_MS = 30 * 24 * HOUR_MS;

/** An exchange is recorded this much further ahead than asked, so that one row serves many. */
const EXCHANGE_RECORD_SLACK_MS = HOUR_MS;

interface Row extends Record<string, SqlValue> {
  id: string;
  secret_hash: ArrayBuffer;
  signing_key: string;
  name: string;
  permissions: string;
  databases: string;
  key_prefix: string | null;
  expires_at: number | null;
  created_by: string;
  created_at: number;
  last_used_at: number | null;
  revoked_at: number | null;
}

const LIST_ORDERING = "tokens";

export class Tokens {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add(token: NewToken, scopes: Scopes, createdBy: string, now: UnixMs): void {
    this.#sql.exec(
      `INSERT INTO tokens (id, secret_hash, signing_key, name, permissions, databases, key_prefix, expires_at, created_by, created_at)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`,
      token.id,
      token.secretHash,
      token.signingKey,
      token.name,
      JSON.stringify(scopes.permissions),
      JSON.stringify(scopes.databases),
      scopes.keyPrefix,
      scopes.expiresAt,
      createdBy,
      now,
    );
  }

  get(id: string): TokenInfo | undefined {
    const row = this.#row(id);
    return row === undefined ? undefined : tokenInfo(row);
  }

  /**
   * The token, if the secret is right and it lives; `unauthenticated` otherwise, telling only who has the secret why. Notes the
   * use, with at most one write an hour.
   */
  authenticate(caller: TokenCaller, now: UnixMs): TokenInfo | Failure {
    const row = this.#row(caller.tokenId);
    if (row === undefined || !equalInConstantTime(new Uint8Array(row.secret_hash), caller.secretHash)) {
      return failure("unauthenticated", "There is no such access token.");
    }
    const token = tokenInfo(row);
    if (token.revokedAt !== null) return failure("unauthenticated", "The access token has been revoked.");
    if (hasEnded(token.scopes, now)) return failure("unauthenticated", "The access token has expired.");
    if (token.lastUsedAt === null || token.lastUsedAt + HOUR_MS <= now) {
      this.#sql.exec("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1", token.id, now);
    }
    return token;
  }

  /** Oldest first; only those within the scopes of who asks (null: all). */
  list(within: Scopes | null, limit: number, cursor: string | null): Page<TokenInfo> | Failure {
    let after = { value: 0, id: "" };
    if (cursor !== null) {
      const position = decodeCursor(cursor, LIST_ORDERING);
      if (isFailure(position)) return position;
      after = position;
    }
    const items: TokenInfo[] = [];
    const rows = this.#sql.exec<Row>(
      "SELECT * FROM tokens WHERE (created_at, id) > (?1, ?2) ORDER BY created_at, id",
      after.value,
      after.id,
    );
    for (const row of rows) {
      const token = tokenInfo(row);
      if (within !== null && beyond(token.scopes, within, true) !== undefined) continue;
      const last = items.at(-1);
      if (items.length === limit && last !== undefined) {
        return { items, next: encodeCursor({ ordering: LIST_ORDERING, value: last.createdAt, id: last.id }) };
      }
      items.push(token);
    }
    return { items, next: null };
  }

  /** Those that are neither revoked nor expired. */
  countLive(now: UnixMs): number {
    const query =
      "SELECT count(*) AS n FROM tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)";
    return this.#sql.exec<{ n: number }>(query, now).one().n;
  }

  /** The databases that may hold grants of the token, each with the time when the last of them ends. */
  revoke(id: string, now: UnixMs): readonly { databaseId: string; until: UnixMs }[] {
    this.#sql.exec("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL", id, now);
    const rows = this.#sql
      .exec<{ database_id: string; until: number }>("SELECT database_id, until FROM exchanges WHERE token_id = ?1", id)
      .toArray();
    this.#sql.exec("DELETE FROM exchanges WHERE token_id = ?1", id);
    return rows
      .filter(({ until }) => until > now)
      .map((row) => ({ databaseId: row.database_id, until: asUnixMs(row.until) }));
  }

  /** Notes that grants of the token may be held at the database until then. Writes nothing when that is noted already. */
  recordExchange(tokenId: string, databaseId: string, until: UnixMs): void {
    this.#sql.exec(
      `INSERT INTO exchanges (token_id, database_id, until) VALUES (?1, ?2, ?3 + ?4)
       ON CONFLICT DO UPDATE SET until = excluded.until WHERE exchanges.until < ?3`,
      tokenId,
      databaseId,
      until,
      EXCHANGE_RECORD_SLACK_MS,
    );
  }

  forgetDatabase(databaseId: string): void {
    this.#sql.exec("DELETE FROM exchanges WHERE database_id = ?1", databaseId);
  }

  /** Removes what says nothing any more: exchanges whose grants are over, tokens that ended a month ago. */
  purge(now: UnixMs): void {
    this.#sql.exec("DELETE FROM exchanges WHERE until <= ?1", now);
    const ended = now - ENDED_TOKENS_KEPT_MS;
    this.#sql.exec("DELETE FROM tokens WHERE revoked_at < ?1 OR expires_at < ?1", ended);
  }

  #row(id: string): Row | undefined {
    return this.#sql.exec<Row>("SELECT * FROM tokens WHERE id = ?1", id).toArray()[0];
  }
}

function tokenInfo(row: Row): TokenInfo {
  return {
    id: row.id,
    name: row.name,
    scopes: {
      // Both were written by `add`, from these types.
      permissions: JSON.parse(row.permissions) as Permission[],
      databases: JSON.parse(row.databases) as "all" | string[],
      keyPrefix: row.key_prefix,
      expiresAt: row.expires_at === null ? null : asUnixMs(row.expires_at),
    },
    signingKey: row.signing_key,
    createdBy: row.created_by,
    createdAt: asUnixMs(row.created_at),
    lastUsedAt: row.last_used_at === null ? null : asUnixMs(row.last_used_at),
    revokedAt: row.revoked_at === null ? null : asUnixMs(row.revoked_at),
  };
}
