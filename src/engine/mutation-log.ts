/**
 * The ordered record of what each commit changed, for whoever ships it elsewhere. It is written only while a reader is registered,
 * in the same transaction as the commit, one row per commit, already in the wire form of the backup's repeated field: exporting it
 * is concatenation. Rows that every reader has passed are trimmed.
 *
 * Promises: the rows after a reader's registration hold every commit since, in order, whole. A commit that changed nothing (checks
 * alone) leaves no row.
 */
import { assert } from "../core/assert.ts";
import { MAX_LOG_ROW_BYTES } from "../core/limits.ts";
import type { Sql } from "../core/storage.ts";
import { asVersion, NO_VERSION, type Version } from "../core/versionstamp.ts";
import { encodeLogEntries } from "./log-entry.ts";
import type { Effect } from "./plan.ts";

export interface LogCommit {
  readonly version: Version;
  /** The commit's entries in wire form; to be concatenated. */
  readonly parts: readonly Uint8Array[];
}

type LogRow = [version: number, partsAfter: number, entries: ArrayBuffer];

export class MutationLog {
  readonly #sql: Sql;
  /** How many readers are registered: asked on every commit, so it is kept. */
  #readers: number;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#readers = sql.exec<{ n: number }>("SELECT count(*) AS n FROM log_readers").one().n;
  }

  get isWritten(): boolean {
    return this.#readers > 0;
  }

  /** How many consecutive versions a commit has to take so that each of its rows has one: 1 but for a commit past a row's size. */
  versionsFor(payloadBytes: number): number {
    // A part ends where the next entry does not fit: two neighbours together always pass a row's size.
    return this.isWritten ? 1 + Math.floor(payloadBytes / (MAX_LOG_ROW_BYTES / 2)) : 1;
  }

  /** In the commit's transaction. `version` is the last of those that `versionsFor` asked for. */
  append(version: Version, effects: readonly Effect[]): void {
    if (!this.isWritten || effects.length === 0) return;
    const parts = encodeLogEntries(version, effects, MAX_LOG_ROW_BYTES);
    for (const [index, part] of parts.entries()) {
      const partsAfter = parts.length - 1 - index;
      this.#sql.exec(
        "INSERT INTO mutation_log (version, parts_after, entries) VALUES (?1, ?2, ?3)",
        version - partsAfter,
        partsAfter,
        part,
      );
    }
  }

  /** From the next commit on the log is written and kept for this reader, which has seen everything up to `after`. */
  register(name: string, after: Version): void {
    this.#sql.exec("INSERT INTO log_readers (name, after) VALUES (?1, ?2)", name, after);
    this.#readers += 1;
  }

  /** The last reader to go takes the log with it. */
  unregister(name: string): void {
    const { rowsWritten } = this.#sql.exec("DELETE FROM log_readers WHERE name = ?1", name);
    if (rowsWritten > 0) this.#readers -= 1;
  }

  /** The reader needs nothing up to and with `after` any more. */
  advance(name: string, after: Version): void {
    const { rowsWritten } = this.#sql.exec(
      "UPDATE log_readers SET after = ?2 WHERE name = ?1 AND after <= ?2",
      name,
      after,
    );
    assert(rowsWritten === 1, `log reader ${name} to be registered and at or before ${after}`);
  }

  position(name: string): Version | null {
    const [row] = this.#sql.exec<{ after: number }>("SELECT after FROM log_readers WHERE name = ?1", name).toArray();
    return row === undefined ? null : asVersion(row.after);
  }

  /** Whole commits above `after` in order, until `maxBytes` are reached: at least one, if there is any. */
  read(after: Version, maxBytes: number): LogCommit[] {
    const commits: LogCommit[] = [];
    let parts: Uint8Array[] = [];
    let bytes = 0;
    const rows = this.#sql.exec(
      "SELECT version, parts_after, entries FROM mutation_log WHERE version > ?1 ORDER BY version",
      after,
    );
    for (const [version, partsAfter, entries] of rows.raw<LogRow>()) {
      parts.push(new Uint8Array(entries));
      bytes += entries.byteLength;
      if (partsAfter > 0) continue;
      commits.push({ version: asVersion(version), parts });
      parts = [];
      if (bytes >= maxBytes) break;
    }
    return commits;
  }

  /** The versions of the first and last commit that the log still holds. */
  bounds(): { first: Version; last: Version } | null {
    const row = this.#sql
      .exec<{ first: number | null; last: number | null }>(
        "SELECT (SELECT min(version) FROM mutation_log) AS first, (SELECT max(version) FROM mutation_log) AS last",
      )
      .one();
    if (row.first === null || row.last === null) return null;
    return { first: asVersion(row.first), last: asVersion(row.last) };
  }

  /** Deletes at most `limit` rows that no reader needs; each is billed as written. Returns how many there were. */
  trim(limit: number): number {
    const row = this.#sql.exec<{ after: number | null }>("SELECT min(after) AS after FROM log_readers").one();
    const upTo = this.#readers === 0 ? Number.MAX_SAFE_INTEGER : (row.after ?? NO_VERSION);
    return this.#sql.exec(
      "DELETE FROM mutation_log WHERE version IN (SELECT version FROM mutation_log WHERE version <= ?1 ORDER BY version LIMIT ?2)",
      upTo,
      limit,
    ).rowsWritten;
  }
}
