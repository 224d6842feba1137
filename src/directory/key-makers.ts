/**
 * Which tokens have made API keys, and for which databases: so that a revocation of what a token minted reaches the keys, too. A row is
 * written before the database is asked for a key, and stays when the key is deleted. The rows of a token that is removed go to its
 * parent, as the tokens that it minted do. Callers hold the transaction.
 */
import type { Sql } from "../core/storage.ts";

export interface KeyMaker {
  /** The token that made the keys: their `createdBy`. */
  readonly maker: string;
  readonly databaseId: string;
}

export class KeyMakers {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Writes nothing when that is already noted. */
  note(tokenId: string, databaseId: string): void {
    this.#sql.exec(
      "INSERT OR IGNORE INTO key_makers (token_id, maker, database_id) VALUES (?1, ?1, ?2)",
      tokenId,
      databaseId,
    );
  }

  /** Those of the token, and of tokens that it minted and that were removed. They are forgotten. */
  take(tokenId: string): readonly KeyMaker[] {
    const rows = this.#sql
      .exec<{ maker: string; database_id: string }>(
        "SELECT maker, database_id FROM key_makers WHERE token_id = ?1",
        tokenId,
      )
      .toArray();
    this.#sql.exec("DELETE FROM key_makers WHERE token_id = ?1", tokenId);
    return rows.map((row) => ({ maker: row.maker, databaseId: row.database_id }));
  }

  /** A token is removed. `parent` null: no token minted it, so none is asked for what it made. */
  inherit(tokenId: string, parent: string | null): void {
    if (parent !== null) {
      this.#sql.exec("UPDATE OR IGNORE key_makers SET token_id = ?2 WHERE token_id = ?1", tokenId, parent);
    }
    this.#sql.exec("DELETE FROM key_makers WHERE token_id = ?1", tokenId);
  }

  forgetDatabase(databaseId: string): void {
    this.#sql.exec("DELETE FROM key_makers WHERE database_id = ?1", databaseId);
  }
}
