/**
 * How many tokens an organization keeps. Tokens that the deployment or a token for all databases mints are in the organization's own
 * pool. What a token that lists its databases mints, and what these tokens mint in turn, is a pool of its own, named after that token. So
 * a holder of admin for some databases can use up only the room of its own pool. Each pool limits the living tokens and, separately, the
 * ended tokens that stay in the list. A token has ended when it was revoked, or was noticed to have expired.
 *
 * A token names the token that minted it (`parent`), and a token counts those that name it (`children`). An ended token stays for
 * `ENDED_TOKENS_KEPT_MS` as long as another one names it, so that the tokens minted under it can still be found. After that, the tokens
 * that it minted count as minted by its own parent. Callers hold the transaction.
 */
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { MAX_DELEGATED_TOKENS, MAX_ENDED_TOKENS, MAX_TOKENS } from "../core/limits.ts";
import type { Scopes } from "../contracts/resources.ts";
import type { Sql } from "../core/storage.ts";
import { KeyMakers } from "./key-makers.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** How long an ended token stays in the list, unless tokens that ended later need its place. */
const ENDED_TOKENS_KEPT_MS = 30 * DAY_MS;

/** The pool of the organization itself. */
export const OWN_POOL = "";

/** How many ended tokens a creation removes: more than it adds, so that a pool full of ended tokens becomes free. */
const PER_CREATION = 2;

/** How many ended tokens one step of housekeeping removes. */
const PER_HOUSEKEEPING = 1000;

export class TokenPools {
  readonly #sql: Sql;
  readonly #keyMakers: KeyMakers;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#keyMakers = new KeyMakers(sql);
  }

  /** The pool of the tokens that this token mints. */
  poolUnder(minter: { readonly id: string; readonly pool: string; readonly scopes: Scopes }): string {
    if (minter.pool !== OWN_POOL) return minter.pool;
    return minter.scopes.databases === "all" ? OWN_POOL : minter.id;
  }

  /** Makes room for one more token. `limit` when there is none. Reads and writes a bounded number of rows. */
  makeRoom(pool: string, now: UnixMs): Failure | undefined {
    this.#noticeExpired(pool, now, PER_CREATION);
    if (this.#counts(pool).live >= (pool === OWN_POOL ? MAX_TOKENS : MAX_DELEGATED_TOKENS)) return full(pool);
    const { ended } = this.#counts(pool);
    if (ended < MAX_ENDED_TOKENS) return undefined;
    const removed = this.#removeUnnamed(pool, Math.min(PER_CREATION, ended - MAX_ENDED_TOKENS + 1));
    if (removed > 0) return undefined;
    return failure(
      "limit",
      `${MAX_ENDED_TOKENS} tokens that ended within the last 30 days are kept because tokens that were minted with them are kept. Revoke those with ?minted=revoke.`,
    );
  }

  /** To be called after a token was added to the pool. */
  added(pool: string, parent: string | null): void {
    this.#sql.exec(
      "INSERT INTO token_pools (pool, live, ended) VALUES (?1, 1, 0) ON CONFLICT (pool) DO UPDATE SET live = live + 1",
      pool,
    );
    if (parent !== null) this.#sql.exec("UPDATE tokens SET children = children + 1 WHERE id = ?1", parent);
  }

  /** To be called after a living token has ended. */
  ended(pool: string): void {
    this.#sql.exec("UPDATE token_pools SET live = live - 1, ended = ended + 1 WHERE pool = ?1", pool);
  }

  /** Whether an ended token is still kept. */
  anyEnded(): boolean {
    return this.#sql.exec("SELECT 1 FROM token_pools WHERE ended > 0 LIMIT 1").toArray().length > 0;
  }

  /** Removes tokens that ended a month ago, and those beyond the limits, one batch at a time. Returns whether there are more. */
  purge(now: UnixMs): boolean {
    let room = PER_HOUSEKEEPING;
    const pools = this.#sql.exec<{ pool: string }>("SELECT pool FROM token_pools").toArray();
    for (const { pool } of pools) {
      room -= this.#noticeExpired(pool, now, room);
      room -= this.#removeOld(pool, now, room);
      const beyond = this.#counts(pool).ended - MAX_ENDED_TOKENS;
      if (beyond > 0) room -= this.#removeUnnamed(pool, Math.min(room, beyond));
      this.#sql.exec("DELETE FROM token_pools WHERE pool = ?1 AND live = 0 AND ended = 0", pool);
      if (room <= 0) return true;
    }
    return false;
  }

  #counts(pool: string): { readonly live: number; readonly ended: number } {
    const rows = this.#sql.exec<{ live: number; ended: number }>(
      "SELECT live, ended FROM token_pools WHERE pool = ?1",
      pool,
    );
    return rows.toArray()[0] ?? { live: 0, ended: 0 };
  }

  #noticeExpired(pool: string, now: UnixMs, atMost: number): number {
    const expired = this.#sql
      .exec<{ id: string }>(
        `SELECT id FROM tokens WHERE pool = ?1 AND ended_at IS NULL AND expires_at <= ?2 ORDER BY expires_at LIMIT ?3`,
        pool,
        now,
        atMost,
      )
      .toArray();
    for (const { id } of expired) {
      this.#sql.exec("UPDATE tokens SET ended_at = expires_at WHERE id = ?1", id);
      this.ended(pool);
    }
    return expired.length;
  }

  /** Removes the tokens that ended first, among those that no other token names. Returns how many. */
  #removeUnnamed(pool: string, atMost: number): number {
    const ended = this.#sql
      .exec<{ id: string }>(
        `SELECT id FROM tokens WHERE pool = ?1 AND ended_at IS NOT NULL AND children = 0 ORDER BY ended_at LIMIT ?2`,
        pool,
        atMost,
      )
      .toArray();
    for (const { id } of ended) this.#remove(pool, id);
    return ended.length;
  }

  #removeOld(pool: string, now: UnixMs, atMost: number): number {
    const old = this.#sql
      .exec<{ id: string }>(
        "SELECT id FROM tokens WHERE pool = ?1 AND ended_at < ?2 LIMIT ?3",
        pool,
        now - ENDED_TOKENS_KEPT_MS,
        atMost,
      )
      .toArray();
    for (const { id } of old) this.#remove(pool, id);
    return old.length;
  }

  /** Removes a token. Those that it minted count as minted by its parent. */
  #remove(pool: string, id: string): void {
    const { parent, children } = this.#sql
      .exec<{ parent: string | null; children: number }>("SELECT parent, children FROM tokens WHERE id = ?1", id)
      .one();
    if (children > 0) this.#sql.exec("UPDATE tokens SET parent = ?2 WHERE parent = ?1", id, parent);
    if (parent !== null)
      this.#sql.exec("UPDATE tokens SET children = children + ?2 WHERE id = ?1", parent, children - 1);
    this.#keyMakers.inherit(id, parent);
    this.#sql.exec("DELETE FROM tokens WHERE id = ?1", id);
    this.#sql.exec("UPDATE token_pools SET ended = ended - 1 WHERE pool = ?1", pool);
  }
}

function full(pool: string): Failure {
  if (pool === OWN_POOL) {
    return failure("limit", `An organization has at most ${MAX_TOKENS} tokens that are neither revoked nor expired.`);
  }
  return failure(
    "limit",
    `At most ${MAX_DELEGATED_TOKENS} tokens that are neither revoked nor expired are minted with a token that lists its databases, and with those that it minted.`,
  );
}
