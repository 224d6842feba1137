/**
 * A whole state that is built beside the live one, in tables of a second name, from a snapshot and a log; it takes the live one's
 * place in one transaction (`Database.adopt`) or is dropped. It survives a restart half built. Until it is adopted the live
 * database pays nothing for it but the space.
 */
import type { UnixMs } from "../core/clock.ts";
import type { Effect } from "../core/operations.ts";
import type { SyncStorage } from "../core/storage.ts";
import type { Version } from "../core/versionstamp.ts";
import { type EntryBounds, EntryTable, LIVE_TABLES, type StoredEntry, type TableNames } from "./entry-table.ts";

const SIDE_TABLES: TableNames = { entries: "entries_side", largeValues: "large_values_side" };

export class SideState {
  readonly #storage: SyncStorage;
  readonly #table: EntryTable;
  readonly #beforeDrop: () => void;

  /** Whoever calls anything else than `begin` and `drop` knows that one is under way. `beforeDrop`: a whole state is about to be removed. */
  constructor(storage: SyncStorage, beforeDrop: () => void = () => undefined) {
    this.#storage = storage;
    this.#beforeDrop = beforeDrop;
    this.#table = new EntryTable(storage.sql, (work) => work(), SIDE_TABLES);
  }

  /** Begins a new, empty one in place of any other. `tag` names its index and must never have been used in this object. */
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

  /** Puts entries as they are, over what is there. Returns how many more there are then. In the caller's transaction. */
  load(entries: Iterable<StoredEntry>): number {
    let added = 0;
    for (const { key, value, encoding, version, expiresAt } of entries) {
      added += this.#table.set(key, value, encoding, version, expiresAt);
    }
    return added;
  }

  /** One entry of a log. Returns how many entries more there are then: 1, 0 or -1. In the caller's transaction. */
  apply(effect: Effect, version: Version): number {
    if (effect.type === "delete") return this.#table.delete(effect.key) ? -1 : 0;
    return this.#table.set(effect.key, effect.value, effect.encoding, version, effect.expiresAt);
  }

  /** As `EntryTable.scan`. */
  scan(after: Uint8Array | null, bounds: EntryBounds): StoredEntry[] {
    return this.#table.scan(after, bounds);
  }

  nextExpiry(): UnixMs | null {
    return this.#table.nextExpiry();
  }

  /** Puts the side's tables in the live ones' place. In the caller's transaction. */
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
