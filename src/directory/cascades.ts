/**
 * Revocations that go on to what a token minted, and what that minted. Which tokens are still to be gone through is written down, so
 * that a cascade is carried on after a kill; each step is a bounded transaction. It ends: what was revoked mints no more. Callers
 * hold the transaction.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import type { Sql } from "../core/storage.ts";

/** Tokens that one step looks at. */
const STEP = 200;

/** The request that began a cascade carries it on itself; the alarm takes over when it has not by then. */
const ALARM_MS = 5_000;

export class Cascades {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** What this token minted is to be revoked, from the first on. */
  begin(tokenId: string, now: UnixMs): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO cascades (token_id, after, due_at) VALUES (?1, '', ?2)",
      tokenId,
      now + ALARM_MS,
    );
  }

  /** When the alarm must carry one on, if any is left. */
  dueAt(): UnixMs | null {
    const due = this.#sql.exec<{ due: number | null }>("SELECT min(due_at) AS due FROM cascades").one().due;
    return due === null ? null : asUnixMs(due);
  }

  /**
   * The next tokens to be revoked, noted as gone through with those under them as still to be; null when nothing is left. A token
   * that has expired is left out: nothing that it minted lives longer.
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
