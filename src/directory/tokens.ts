/**
 * The tokens of one organization: rows, authentication, and the databases that each was exchanged for. `token-pools.ts` decides how many
 * there may be. Callers hold the transaction.
 */
import { MAX_TOKENS_IN_ARCHIVE } from "../core/archive-limits.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import { CLOCK_SET_BACK_MS } from "../core/limits.ts";
import type { NewToken, TokenCaller } from "../contracts/management.ts";
import type { Page, Permission, Scopes, TokenInfo } from "../contracts/resources.ts";
import { originRefusal } from "../core/origins.ts";
import type { Sql, SqlValue } from "../core/storage.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import { equalInConstantTime } from "../core/digest.ts";
import { KeyMakers } from "./key-makers.ts";
import { beyond, hasEnded } from "./scopes.ts";
import { OWN_POOL, TokenPools } from "./token-pools.ts";

const HOUR_MS = 60 * 60 * 1000;

/** An exchange is recorded for this much longer than asked, so that one row serves many exchanges. */
const EXCHANGE_RECORD_SLACK_MS = HOUR_MS;

interface Row extends Record<string, SqlValue> {
  id: string;
  secret_hash: ArrayBuffer;
  signing_key: string;
  name: string;
  permissions: string;
  databases: string;
  key_prefix: string | null;
  allowed_origins: string | null;
  expires_at: number | null;
  created_by: string;
  created_at: number;
  last_used_at: number | null;
  revoked_at: number | null;
  ended_at: number | null;
  pool: string;
}

/** How many tokens that the caller may not see one page may skip. */
const MAX_PASSED_OVER = 1000;

const LIST_ORDERING = "tokens";

/** The `createdBy` of a token that no other token minted. */
export const DEPLOYMENT = "deployment";

export class Tokens {
  readonly #sql: Sql;
  readonly #pools: TokenPools;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#pools = new TokenPools(sql);
  }

  /**
   * `minter`: the id of a token; null for the deployment. `limit` when there is no room for another token. The number of rows that this
   * reads and writes does not depend on how many tokens there are.
   */
  add(token: NewToken, scopes: Scopes, minter: string | null, now: UnixMs): TokenInfo | Failure {
    const minterRow = minter === null ? undefined : this.#row(minter);
    const parent = minterRow?.id ?? null;
    const pool =
      minterRow === undefined ? OWN_POOL : this.#pools.poolUnder({ ...tokenInfo(minterRow), pool: minterRow.pool });
    const full = this.#pools.makeRoom(pool, now);
    if (full !== undefined) return full;
    this.#pools.added(pool, parent);
    this.#sql.exec(
      `INSERT INTO tokens (id, secret_hash, signing_key, name, permissions, databases, key_prefix, expires_at, created_by,
         created_at, pool, parent, allowed_origins)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`,
      token.id,
      token.secretHash,
      token.signingKey,
      token.name,
      JSON.stringify(scopes.permissions),
      JSON.stringify(scopes.databases),
      scopes.keyPrefix,
      scopes.expiresAt,
      parent ?? DEPLOYMENT,
      now,
      pool,
      parent,
      scopes.allowedOrigins === null ? null : JSON.stringify(scopes.allowedOrigins),
    );
    return tokenInfo(this.#sql.exec<Row>("SELECT * FROM tokens WHERE id = ?1", token.id).one());
  }

  get(id: string): TokenInfo | undefined {
    const row = this.#row(id);
    return row === undefined ? undefined : tokenInfo(row);
  }

  /**
   * The token, if the secret is right and the token has not ended; else `unauthenticated`, whose reason only the holder of the right
   * secret is told. `forbidden-origin` when the request is from a page that may not use the token. Writes nothing.
   */
  authenticate(caller: TokenCaller, now: UnixMs): TokenInfo | Failure {
    const row = this.#row(caller.tokenId);
    if (row === undefined || !equalInConstantTime(new Uint8Array(row.secret_hash), caller.secretHash)) {
      return failure("unauthenticated", "There is no such access token.");
    }
    const token = tokenInfo(row);
    if (token.revokedAt !== null) return failure("unauthenticated", "The access token has been revoked.");
    if (hasEnded(token.scopes, now)) return failure("unauthenticated", "The access token has expired.");
    const refused = originRefusal(token.scopes.allowedOrigins, caller.origin);
    if (refused !== undefined) return refused;
    return token;
  }

  /** Notes that the token was used. Writes at most once an hour. */
  noteUse({ id, lastUsedAt }: TokenInfo, now: UnixMs): void {
    if (lastUsedAt !== null && lastUsedAt + HOUR_MS > now) return;
    this.#sql.exec("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1", id, now);
  }

  /** The oldest first. */
  covering(databaseId: string, now: UnixMs): TokenInfo[] {
    const tokens: TokenInfo[] = [];
    const rows = this.#sql.exec<Row>(
      `SELECT * FROM tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)
         AND (databases = '"all"' OR instr(databases, ?2) > 0) ORDER BY created_at, id LIMIT ?3`,
      now,
      databaseId,
      MAX_TOKENS_IN_ARCHIVE,
    );
    for (const row of rows) tokens.push(tokenInfo(row));
    return tokens;
  }

  /**
   * Oldest first, and only tokens within the scopes of the caller (null: all tokens). A page may hold fewer tokens than its limit
   * although there are more, because it skips only a bounded number of others.
   */
  list(within: Scopes | null, limit: number, cursor: string | null): Page<TokenInfo> | Failure {
    let after = { value: 0, id: "" };
    if (cursor !== null) {
      const position = decodeCursor(cursor, LIST_ORDERING);
      if (isFailure(position)) return position;
      after = position;
    }
    const most = limit + MAX_PASSED_OVER;
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM tokens WHERE (created_at, id) > (?1, ?2) ORDER BY created_at, id LIMIT ?3",
        after.value,
        after.id,
        (within === null ? limit : most) + 1,
      )
      .toArray();
    const items: TokenInfo[] = [];
    for (const [index, row] of rows.entries()) {
      const previous = rows[index - 1];
      if ((items.length === limit || index === most) && previous !== undefined) {
        return {
          items,
          next: encodeCursor({ ordering: LIST_ORDERING, value: previous.created_at, id: previous.id }),
        };
      }
      const token = tokenInfo(row);
      if (within === null || beyond(token.scopes, within, true) === undefined) items.push(token);
    }
    return { items, next: null };
  }

  /** Revokes the token. Returns the databases that may hold grants of it, each with the time when the last grant ends. */
  revoke(id: string, now: UnixMs): readonly { databaseId: string; until: UnixMs }[] {
    const token = this.#row(id);
    if (token?.ended_at === null) this.#pools.ended(token.pool);
    this.#sql.exec(
      "UPDATE tokens SET revoked_at = ?2, ended_at = coalesce(ended_at, ?2) WHERE id = ?1 AND revoked_at IS NULL",
      id,
      now,
    );
    const rows = this.#sql
      .exec<{ database_id: string; until: number }>("SELECT database_id, until FROM exchanges WHERE token_id = ?1", id)
      .toArray();
    this.#sql.exec("DELETE FROM exchanges WHERE token_id = ?1", id);
    return rows
      .filter(({ until }) => until + CLOCK_SET_BACK_MS > now)
      .map((row) => ({ databaseId: row.database_id, until: asUnixMs(row.until) }));
  }

  /** Notes that grants of the token may be held at the database until then. Writes nothing when that is already noted. */
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

  /** Until when grants of the token at the database are noted. null: none are noted. */
  exchangedUntil(tokenId: string, databaseId: string): UnixMs | null {
    const [row] = this.#sql
      .exec<{ until: number }>(
        "SELECT until FROM exchanges WHERE token_id = ?1 AND database_id = ?2",
        tokenId,
        databaseId,
      )
      .toArray();
    return row === undefined ? null : asUnixMs(row.until);
  }

  forgetDatabase(databaseId: string): void {
    this.#sql.exec("DELETE FROM exchanges WHERE database_id = ?1", databaseId);
    new KeyMakers(this.#sql).forgetDatabase(databaseId);
  }

  /** Tokens that were minted with this token, or with tokens that it minted, and whose revocations are still in the outbox. */
  undeliveredUnder(id: string): readonly string[] {
    const query = `WITH RECURSIVE minted(id) AS (
        SELECT id FROM tokens WHERE parent = ?1 UNION SELECT tokens.id FROM tokens JOIN minted ON tokens.parent = minted.id
      ) SELECT id FROM minted WHERE EXISTS (SELECT 1 FROM outbox WHERE token_id = minted.id)`;
    return this.#sql
      .exec<{ id: string }>(query, id)
      .toArray()
      .map((row) => row.id);
  }

  /** Whether there is anything that will have to be removed one day. */
  anyToPurge(): boolean {
    return this.#pools.anyEnded() || this.#sql.exec("SELECT 1 FROM exchanges LIMIT 1").toArray().length > 0;
  }

  /** Removes outdated rows: exchanges whose grants have ended, and what `TokenPools.purge` removes. Returns whether there are more. */
  purge(now: UnixMs): boolean {
    this.#sql.exec("DELETE FROM exchanges WHERE until <= ?1", now - CLOCK_SET_BACK_MS);
    return this.#pools.purge(now);
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
      // `add` wrote all of these, from these types.
      permissions: JSON.parse(row.permissions) as Permission[],
      databases: JSON.parse(row.databases) as "all" | string[],
      keyPrefix: row.key_prefix,
      allowedOrigins: row.allowed_origins === null ? null : (JSON.parse(row.allowed_origins) as string[]),
      expiresAt: row.expires_at === null ? null : asUnixMs(row.expires_at),
    },
    signingKey: row.signing_key,
    createdBy: row.created_by,
    createdAt: asUnixMs(row.created_at),
    lastUsedAt: row.last_used_at === null ? null : asUnixMs(row.last_used_at),
    revokedAt: row.revoked_at === null ? null : asUnixMs(row.revoked_at),
  };
}
