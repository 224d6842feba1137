/**
 * The state of the database as of one version, which stays readable while commits go on. Before a commit changes an entry for the first
 * time since that version, in the same transaction, the entry is copied. So a reader that walks through the keys finds everything up to
 * that version, and nothing of later ones. A copy costs one row read and one row written (two if the value is large). Entries that were
 * read already are not copied. A frozen state survives a restart.
 */
import { compareBytes } from "../core/bytes.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { hasTable } from "../core/migrations.ts";
import type { StoredEntry } from "../core/operations.ts";
import type { SyncStorage } from "../core/storage.ts";
import { asVersion, type Version } from "../core/versionstamp.ts";
import { type EntryBounds, EntryTable, type TableNames } from "./entry-table.ts";

const TABLES: TableNames = { entries: "entries_frozen", largeValues: "large_values_frozen" };
/** The table that is there while a state is frozen. */
export const FROZEN_TABLE = "frozen_at";

const NOTHING_READ = new Uint8Array();

interface Moment {
  readonly version: Version;
  /** What the clock showed: entries that had expired by then are not in the state. */
  readonly time: UnixMs;
}

export interface FrozenPage {
  readonly entries: readonly StoredEntry[];
  /** Every key up to this one was read. null: all keys were. */
  readonly upTo: Uint8Array | null;
}

export class FrozenState {
  readonly #storage: SyncStorage;
  readonly #live: EntryTable;
  readonly #kept: EntryTable;
  /** null: nothing is frozen. */
  #moment: Moment | null;
  /** Entries up to this key need no copy any more. It is in memory only: after a restart, more is copied than needed. */
  #read: Uint8Array = NOTHING_READ;

  /** `mayBeFrozen`: whether the storage may have a frozen state already. */
  constructor(storage: SyncStorage, live: EntryTable, mayBeFrozen: boolean) {
    this.#storage = storage;
    this.#live = live;
    this.#kept = new EntryTable(storage.sql, (work) => work(), TABLES);
    this.#moment = mayBeFrozen ? this.#stored() : null;
  }

  get version(): Version | null {
    return this.#moment?.version ?? null;
  }

  /** Freezes the present state, and forgets an earlier one. `version`: every commit so far is at or below it, every later one above. */
  begin(version: Version, time: UnixMs): void {
    const { sql } = this.#storage;
    this.#storage.transactionSync(() => {
      this.#drop();
      sql.exec(
        `CREATE TABLE ${TABLES.entries} (
           k BLOB PRIMARY KEY, v BLOB, large INTEGER, encoding INTEGER NOT NULL, version INTEGER NOT NULL, expires_at INTEGER
         ) WITHOUT ROWID`,
      );
      sql.exec(`CREATE TABLE ${TABLES.largeValues} (id INTEGER PRIMARY KEY, v BLOB NOT NULL)`);
      sql.exec(`CREATE TABLE ${FROZEN_TABLE} (version INTEGER NOT NULL, time INTEGER NOT NULL)`);
      sql.exec(`INSERT INTO ${FROZEN_TABLE} VALUES (?1, ?2)`, version, time);
    });
    this.#moment = { version, time };
    this.#read = NOTHING_READ;
  }

  /** Forgets the frozen state, if there is one. */
  end(): void {
    if (this.#moment === null) return;
    this.#storage.transactionSync(() => this.#drop());
    this.#moment = null;
  }

  /** To be called before an entry is changed, in the transaction of the change. */
  keep(key: Uint8Array): void {
    if (this.#moment === null || compareBytes(key, this.#read) <= 0) return;
    const before = this.#live.stored(key);
    // What is newer was changed before, and what it replaced was copied then.
    if (before === null || before.version > this.#moment.version) return;
    this.#kept.set(key, before.value, before.encoding, before.version, before.expiresAt);
  }

  /**
   * The frozen entries above `after` (null: from the first one), in the order of keys. All entries up to `after` count as read from now on:
   * a later call must not go back.
   */
  scan(after: Uint8Array | null, bounds: EntryBounds): FrozenPage {
    const moment = this.#moment;
    if (moment === null) return { entries: [], upTo: null };
    this.#read = after ?? NOTHING_READ;
    const live = this.#live.scan(after, bounds);
    const kept = this.#kept.scan(after, bounds);
    const upTo = lesser(endOf(live, bounds), endOf(kept, bounds));
    const isIn = ({ key, version, expiresAt }: StoredEntry): boolean =>
      version <= moment.version &&
      (expiresAt === null || expiresAt > moment.time) &&
      (upTo === null || compareBytes(key, upTo) <= 0);
    const entries = merged(live.filter(isIn), kept.filter(isIn));
    if (entries.length <= bounds.maxEntries) return { entries, upTo };
    const page = entries.slice(0, bounds.maxEntries);
    return { entries: page, upTo: page.at(-1)?.key ?? null };
  }

  #stored(): Moment | null {
    const { sql } = this.#storage;
    if (!hasTable(sql, FROZEN_TABLE)) return null;
    const { version, time } = sql
      .exec<{ version: number; time: number }>(`SELECT version, time FROM ${FROZEN_TABLE}`)
      .one();
    return { version: asVersion(version), time: asUnixMs(time) };
  }

  #drop(): void {
    for (const table of [TABLES.entries, TABLES.largeValues, FROZEN_TABLE]) {
      this.#storage.sql.exec(`DROP TABLE IF EXISTS ${table}`);
    }
  }
}

/** The last key of a page. null: nothing follows the page. */
function endOf(page: readonly StoredEntry[], { maxBytes, maxEntries }: EntryBounds): Uint8Array | null {
  let bytes = 0;
  for (const { key, value } of page) bytes += key.length + value.length;
  return page.length >= maxEntries || bytes >= maxBytes ? (page.at(-1)?.key ?? null) : null;
}

function lesser(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  if (a === null || b === null) return a ?? b;
  return compareBytes(a, b) <= 0 ? a : b;
}

/** No key is in both lists: an entry was copied because the live one became newer. */
function merged(a: readonly StoredEntry[], b: readonly StoredEntry[]): readonly StoredEntry[] {
  if (b.length === 0) return a;
  return [...a, ...b].toSorted((one, other) => compareBytes(one.key, other.key));
}
