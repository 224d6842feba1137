/**
 * Idempotency keys of creating requests: the same key of the same caller names the same request for a day. Only the id of what was made
 * is stored. A repeated request gets its answer from that. Callers hold the transaction.
 */
import type { UnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { Idempotency } from "../contracts/idempotency.ts";
import type { Sql } from "../core/storage.ts";

const KEPT_MS = 24 * 60 * 60 * 1000;

export class IdempotencyKeys {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** The id of what the key made before. null when the key is new; `conflict` when it came with another request. */
  find(caller: string, { key, fingerprint }: Idempotency, now: UnixMs): string | null | Failure {
    const [row] = this.#sql
      .exec<{ fingerprint: string; resource: string; created_at: number }>(
        "SELECT fingerprint, resource, created_at FROM idempotency WHERE caller = ?1 AND key = ?2",
        caller,
        key,
      )
      .toArray();
    if (row === undefined || row.created_at + KEPT_MS <= now) return null;
    if (row.fingerprint !== fingerprint) {
      return failure(
        "conflict",
        "The Idempotency-Key was used for another request; send a new key with a new request.",
      );
    }
    return row.resource;
  }

  add(caller: string, { key, fingerprint }: Idempotency, resource: string, now: UnixMs): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO idempotency (caller, key, fingerprint, resource, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
      caller,
      key,
      fingerprint,
      resource,
      now,
    );
  }

  purge(now: UnixMs): void {
    this.#sql.exec("DELETE FROM idempotency WHERE created_at <= ?1", now - KEPT_MS);
  }
}
