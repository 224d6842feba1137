/**
 * The revoked tokens whose grants this database refuses. A data token is verified without a call, so a revocation is sent here. It is
 * kept until the last data token that came from the revoked token has ended.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { CLOCK_SET_BACK_MS } from "../core/limits.ts";
import type { RevokedToken } from "../contracts/restore-commands.ts";
import type { ObjectTables } from "./object-tables.ts";

export class Revocations {
  readonly #tables: ObjectTables;
  readonly #until = new Map<string, UnixMs>();

  constructor(tables: ObjectTables) {
    this.#tables = tables;
    if (!tables.has("revoked_tokens")) return;
    const { sql } = tables.storage;
    for (const { id, until } of sql.exec<{ id: string; until: number }>("SELECT id, until FROM revoked_tokens")) {
      this.#until.set(id, asUnixMs(until));
    }
  }

  has(tokenId: string): boolean {
    return this.#until.has(tokenId);
  }

  list(): RevokedToken[] {
    return [...this.#until].map(([tokenId, until]) => ({ tokenId, until }));
  }

  /** Adds a revocation, and forgets those that no valid data token names any more. */
  add(tokenId: string, until: UnixMs, now: UnixMs): void {
    const { sql } = this.#tables.storage;
    for (const [id, end] of this.#until) {
      if (end + CLOCK_SET_BACK_MS > now) continue;
      this.#until.delete(id);
      sql.exec("DELETE FROM revoked_tokens WHERE id = ?1", id);
    }
    const kept = asUnixMs(Math.max(until, this.#until.get(tokenId) ?? 0));
    this.#until.set(tokenId, kept);
    this.#tables.make("revoked_tokens");
    sql.exec(
      "INSERT INTO revoked_tokens (id, until) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET until = excluded.until",
      tokenId,
      kept,
    );
  }
}
