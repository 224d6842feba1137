/**
 * Revocations of tokens that a token minted, and of those that they minted. The tokens whose minted tokens are still to be revoked are
 * stored, so a cascade continues after a kill. Each step is a bounded transaction. A cascade ends, because a revoked token mints no more.
 * Callers hold the transaction.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import type { Sql } from "../core/storage.ts";

/** Tokens that one step handles. */
const STEP = 200;

/** The request that began a cascade carries it on. If it has not finished by then, the alarm takes over. */
const ALARM_MS = 5_000;

export class Cascades {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Stores that the tokens which this token minted are to be revoked. */
  begin(tokenId: string, now: UnixMs): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO cascades (token_id, after, due_at) VALUES (?1, '', ?2)",
      tokenId,
      now + ALARM_MS,
    );
  }

  /** When the alarm must carry a cascade on. null: there is none. */
  dueAt(): UnixMs | null {
    const due = this.#sql.exec<{ due: number | null }>("SELECT min(due_at) AS due FROM cascades").one().due;
    return due === null ? null : asUnixMs(due);
  }

  /**
   * The next tokens to be revoked. They are stored, because the tokens that they minted come next. null when nothing is left. An expired
   * token is left out: no token that it minted lives longer.
   */
  step(now: UnixMs): readonly string[] | null {
    const [at] = this.#sql
      .exec<{ token_id: string; after: string }>("SELECT token_id, after FROM cascades LIMIT 1")
      .toArray();
    if (at === undefined) return null;
    const minted = this.#sql
      .exec<{ id: string; expires_at: number | null; children: number }>(
        "SELECT id, expires_at, children FROM tokens WHERE parent = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        at.token_id,
        at.after,
        STEP,
      )
      .toArray();
    const last = minted.at(-1);
    if (last === undefined || minted.length < STEP) {
      this.#sql.exec("DELETE FROM cascades WHERE token_id = ?1", at.token_id);
    } else {
      this.#sql.exec("UPDATE cascades SET after = ?2 WHERE token_id = ?1", at.token_id, last.id);
    }
    const living = minted.filter(({ expires_at }) => expires_at === null || expires_at > now);
    for (const { id, children } of living) {
      if (children > 0) {
        this.#sql.exec(
          "INSERT OR IGNORE INTO cascades (token_id, after, due_at) VALUES (?1, '', ?2)",
          id,
          now + ALARM_MS,
        );
      }
    }
    return living.map(({ id }) => id);
  }
}
