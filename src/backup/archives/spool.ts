/**
 * The file of an archive while a job makes it, in the database's own object. So every destination gets the same bytes, however often an
 * upload begins again, and the state need not stay frozen until the last destination has them. Pieces are found by their offset.
 */
import { concatBytes } from "../../core/bytes.ts";
import type { SyncStorage } from "../../core/storage.ts";

/** Bytes of one piece: below the platform's 2 MB for a row. */
const MAX_PIECE_BYTES = 1_900_000;

const SIZE = "SELECT at + length(bytes) AS size FROM archive_spool ORDER BY at DESC LIMIT 1";
const WITHIN = `SELECT at, bytes FROM archive_spool
  WHERE at >= (SELECT coalesce(max(at), 0) FROM archive_spool WHERE at <= ?1) AND at < ?2 ORDER BY at`;

const DELETE_ONE = "DELETE FROM archive_spool WHERE at = (SELECT max(at) FROM archive_spool)";

export class Spool {
  readonly #storage: SyncStorage;

  constructor(storage: SyncStorage) {
    this.#storage = storage;
  }

  get size(): number {
    return this.#storage.sql.exec<{ size: number }>(SIZE).toArray()[0]?.size ?? 0;
  }

  /** `at`: the present size. In the caller's transaction. */
  append(at: number, bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; from += MAX_PIECE_BYTES) {
      const piece = bytes.subarray(from, from + MAX_PIECE_BYTES);
      this.#storage.sql.exec("INSERT INTO archive_spool (at, bytes) VALUES (?1, ?2)", at + from, piece);
    }
  }

  /** Bytes from `offset` on, at most `length`: fewer at the end. */
  read(offset: number, length: number): Uint8Array {
    const rows = this.#storage.sql.exec<{ at: number; bytes: ArrayBuffer }>(WITHIN, offset, offset + length).toArray();
    return concatBytes(
      rows.map(({ at, bytes }) => new Uint8Array(bytes).subarray(Math.max(0, offset - at), offset + length - at)),
    );
  }

  /**
   * Removes what is there, a piece at a time: SQLite visits every page of what it removes, and gigabytes would stop all
   * requests. `rest` is awaited after each. `goesOn`: whether it is still to be removed.
   */
  async empty(rest: () => Promise<void>, goesOn: () => boolean): Promise<void> {
    while (goesOn() && this.#storage.sql.exec(DELETE_ONE).rowsWritten > 0) await rest();
  }
}
