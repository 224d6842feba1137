/**
 * A whole state that is built beside the live one, in tables with other names, from a snapshot and a log. It replaces the live state in
 * one transaction (`Database.adopt`), whole or within a range of keys, or it is dropped. A half-built state survives a restart. Until it
 * is adopted, it costs the live database only space.
 */
import type { KeyRange } from "../codec/key-prefix.ts";
import type { Effect, StoredEntry } from "../core/operations.ts";
import type { SyncStorage } from "../core/storage.ts";
import type { Version } from "../core/versionstamp.ts";
import { type EntryBounds, EntryTable, LIVE_TABLES, type TableNames } from "./entry-table.ts";

const SIDE_TABLES: TableNames = { entries: "entries_side", largeValues: "large_values_side" };

const live = LIVE_TABLES;
const side = SIDE_TABLES;
const within = "k >= ?1 AND k < ?2";
const inSide = `EXISTS (SELECT 1 FROM ${side.entries} s WHERE s.k = e.k AND s.version = e.version)`;
const inLive = `EXISTS (SELECT 1 FROM ${live.entries} e WHERE e.k = s.k AND e.version = s.version)`;

const COUNT_WITHIN = `SELECT count(*) AS replaced FROM (SELECT 1 FROM ${live.entries} WHERE ${within} LIMIT ?3)`;
const NEW_BYTES = `SELECT coalesce(sum(length(s.k) + coalesce(length(s.v), length(l.v))), 0) AS bytes
  FROM ${side.entries} s LEFT JOIN ${side.largeValues} l ON l.id = s.large WHERE NOT ${inLive}`;
const DELETE_LARGE_WITHIN = `DELETE FROM ${live.largeValues} WHERE id IN (
  SELECT large FROM ${live.entries} e WHERE ${within} AND large IS NOT NULL AND NOT ${inSide})`;
const DELETE_WITHIN = `DELETE FROM ${live.entries} AS e WHERE ${within} AND NOT ${inSide}`;
const HIGHEST_LARGE = `SELECT coalesce(max(id), 0) AS above FROM ${live.largeValues}`;
// Both run after the two DELETE statements. An entry that is still in the live table then is there in the same version.
const INSERT_LARGE = `INSERT INTO ${live.largeValues} (id, v) SELECT l.id + ?1, l.v
  FROM ${side.entries} s JOIN ${side.largeValues} l ON l.id = s.large WHERE NOT ${inLive}`;
const INSERT_ENTRIES = `INSERT INTO ${live.entries} (k, v, large, encoding, version, expires_at)
  SELECT k, v, large + ?1, encoding, version, expires_at FROM ${side.entries} WHERE true ON CONFLICT (k) DO NOTHING`;

export class SideState {
  readonly #storage: SyncStorage;
  readonly #table: EntryTable;
  readonly #beforeDrop: () => void;

  /**
   * Before any method except `begin` and `drop` is called, a state must have been begun. `beforeDrop` is called before a whole state is
   * removed.
   */
  constructor(storage: SyncStorage, beforeDrop: () => void = () => undefined) {
    this.#storage = storage;
    this.#beforeDrop = beforeDrop;
    this.#table = new EntryTable(storage.sql, (work) => work(), SIDE_TABLES);
  }

  /** Begins a new, empty state, and drops any other. `tag` names its index and must never have been used in this object. */
  begin(tag: string): void {
    const { sql } = this.#storage;
    this.#storage.transactionSync(() => {
      dropTables(sql, SIDE_TABLES);
      sql.exec(
        `CREATE TABLE ${SIDE_TABLES.entries} (
           k BLOB PRIMARY KEY, v BLOB, large INTEGER, encoding INTEGER NOT NULL, version INTEGER NOT NULL, expires_at INTEGER
         ) WITHOUT ROWID`,
      );
      sql.exec(
        `CREATE INDEX entries_expiry_${tag} ON ${SIDE_TABLES.entries} (expires_at) WHERE expires_at IS NOT NULL`,
      );
      sql.exec(`CREATE TABLE ${SIDE_TABLES.largeValues} (id INTEGER PRIMARY KEY, v BLOB NOT NULL)`);
    });
  }

  drop(): void {
    this.#beforeDrop();
    this.#storage.transactionSync(() => dropTables(this.#storage.sql, SIDE_TABLES));
  }

  /** Stores entries unchanged, in place of those that are there. Returns how many entries were added. In the caller's transaction. */
  load(entries: Iterable<StoredEntry>): number {
    let added = 0;
    for (const { key, value, encoding, version, expiresAt } of entries) {
      added += this.#table.set(key, value, encoding, version, expiresAt);
    }
    return added;
  }

  /** Applies one entry of a log. Returns how many entries were added: 1, 0 or -1. In the caller's transaction. */
  apply(effect: Effect, version: Version): number {
    if (effect.type === "delete") return this.#table.delete(effect.key) ? -1 : 0;
    return this.#table.set(effect.key, effect.value, effect.encoding, version, effect.expiresAt);
  }

  /** As `EntryTable.scan`. */
  scan(after: Uint8Array | null, bounds: EntryBounds): StoredEntry[] {
    return this.#table.scan(after, bounds);
  }

  /**
   * What would replace the live entries within the range: how many live entries there are, counted up to `most` and one more, and the
   * bytes of keys and values that would be written. Reads every entry of the side state.
   */
  measureWithin({ start, end }: KeyRange, most: number): { readonly replaced: number; readonly bytes: number } {
    const { sql } = this.#storage;
    const { replaced } = sql.exec<{ replaced: number }>(COUNT_WITHIN, start, end, most + 1).one();
    const { bytes } = sql.exec<{ bytes: number }>(NEW_BYTES).one();
    return { replaced, bytes };
  }

  /**
   * Replaces the live entries in the range by those of the side state, all of which lie within the range, and drops the side state.
   * Returns how many live entries there were. An entry that both states have in the same version stays as it is: a version belongs to one
   * commit. So the cost is that of the entries that differ. In the caller's transaction.
   */
  takeOverWithin({ start, end }: KeyRange): number {
    const { sql } = this.#storage;
    const { replaced } = sql.exec<{ replaced: number }>(COUNT_WITHIN, start, end, Number.MAX_SAFE_INTEGER).one();
    sql.exec(DELETE_LARGE_WITHIN, start, end);
    sql.exec(DELETE_WITHIN, start, end);
    const { above } = sql.exec<{ above: number }>(HIGHEST_LARGE).one();
    sql.exec(INSERT_LARGE, above);
    sql.exec(INSERT_ENTRIES, above);
    dropTables(sql, SIDE_TABLES);
    return replaced;
  }

  /** Replaces the live tables by those of the side state. In the caller's transaction. */
  takeOver(): void {
    const { sql } = this.#storage;
    dropTables(sql, LIVE_TABLES);
    sql.exec(`ALTER TABLE ${SIDE_TABLES.entries} RENAME TO ${LIVE_TABLES.entries}`);
    sql.exec(`ALTER TABLE ${SIDE_TABLES.largeValues} RENAME TO ${LIVE_TABLES.largeValues}`);
  }
}

function dropTables(sql: SyncStorage["sql"], names: TableNames): void {
  sql.exec(`DROP TABLE IF EXISTS ${names.entries}`);
  sql.exec(`DROP TABLE IF EXISTS ${names.largeValues}`);
}
