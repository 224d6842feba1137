/**
 * Builds an index in the background, and removes those that nothing uses any more, in steps of 10 to 20 ms. Each step is a part of one
 * transaction, with the place from which the next one goes on. So after a kill the work goes on where it was.
 *
 * While a build is under way, a commit changes only what the build has reached (`Build.cursor`). The rest is read when its turn comes.
 */
import { justAfter } from "../../core/bytes.ts";
import { asUnixMs } from "../../core/clock.ts";
import type { StoredEntry } from "../../core/operations.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { EntryTable } from "../../engine/entry-table.ts";
import { type BuildContents, changeEntry } from "./build-contents.ts";
import { type Build, isTreeType } from "./registry.ts";
import { dropTextTables, geoTable, NUMBERS, SKIPPED, VALUES } from "./schema.ts";

export interface StepBounds {
  readonly entries: number;
  /** Of keys and values; one entry more is allowed. */
  readonly bytes: number;
}

/** 10 to 20 ms, however the entries are. Fewer would write the same pages of the tables more often. */
export const STEP: StepBounds = { entries: 500, bytes: 128 * 1024 };

/** What takes as long as building an entry. */
const COUNTED_PER_ENTRY = 60;
const REMOVED_PER_ENTRY = 4;

/** No entry expires before this time: one that has expired and is still stored is in the index. */
const ALL = asUnixMs(-1);

const removeRows = (table: string, key: string, id: string) =>
  `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE ${id} = ?1 LIMIT ?2)`;
const REMOVE_VALUES = removeRows(VALUES, "ix, v, ids", "ix");
const REMOVE_NUMBERS = removeRows(NUMBERS, "n", "table_id");
const REMOVE_SKIPPED = removeRows(SKIPPED, "table_id, ids", "table_id");

/** In the caller's transaction, all of it. */
export class IndexWork {
  readonly #storage: SyncStorage;
  readonly #contents: BuildContents;
  readonly #entries: EntryTable;
  readonly #bounds: StepBounds;
  /** How far the entries of a build have been counted. After a restart they are counted anew. */
  #count: { readonly build: Build; readonly after: Uint8Array; readonly rows: number } | null = null;

  constructor(storage: SyncStorage, contents: BuildContents, bounds: StepBounds) {
    this.#bounds = bounds;
    this.#storage = storage;
    this.#contents = contents;
    this.#entries = new EntryTable(storage.sql, (work) => work());
  }

  get isDone(): boolean {
    const { registry } = this.#contents;
    return registry.building === null && registry.dropping === null;
  }

  /** Returns false when there was nothing to do. */
  step(mayBuild: boolean): boolean {
    const { building, dropping } = this.#contents.registry;
    if (building !== null && mayBuild) {
      if (building.counted === null) this.#countOn(building);
      else this.build(building, this.#bounds);
      return true;
    }
    if (dropping !== null) this.#drop(dropping);
    return dropping !== null;
  }

  /** Goes on with a build. Returns how many entries were looked at. The build is live when it has reached the end. */
  build(build: Build, { entries, bytes }: StepBounds): number {
    const { registry, writer } = this.#contents;
    const range = { start: build.cursor ?? build.range.end, end: build.range.end, limit: entries, reverse: false };
    let looked = 0;
    let left = bytes;
    let last: StoredEntry | null = null;
    for (const page of this.#entries.ranges([range], ALL)) {
      for (const entry of page) {
        changeEntry(this.#contents, build, null, entry);
        looked += 1;
        left -= entry.key.length + entry.value.length;
        last = entry;
        if (left <= 0) break;
      }
    }
    writer.flush();
    build.done += looked;
    const isEnd = looked < entries && left > 0;
    if (last !== null) build.cursor = justAfter(last.key);
    registry.save(build);
    if (isEnd) registry.goLive(build);
    return looked;
  }

  /** How many entries there are to look at, for those who wait. */
  #countOn(build: Build): void {
    const from = this.#count?.build === build ? this.#count : { build, after: build.range.start, rows: 0 };
    const most = this.#bounds.entries * COUNTED_PER_ENTRY;
    const slice = this.#entries.countSlice({ start: from.after, end: build.range.end }, most, ALL);
    const rows = from.rows + slice.rows;
    if (slice.last !== null && slice.rows === most) {
      this.#count = { build, after: justAfter(slice.last), rows };
      return;
    }
    this.#count = null;
    build.counted = rows;
    this.#contents.registry.save(build);
  }

  #drop(build: Build): void {
    const { registry } = this.#contents;
    const { sql } = this.#storage;
    for (const index of build.indexes) {
      if (index.type === "text") for (const statement of dropTextTables(index.id)) sql.exec(statement);
      if (index.type === "geo") sql.exec(`DROP TABLE ${geoTable(index.id)}`);
      if (isTreeType(index.type) || !this.#remove(REMOVE_VALUES, index.id)) registry.forgetIndex(build, index);
      return;
    }
    if (this.#remove(REMOVE_NUMBERS, build.id) || this.#remove(REMOVE_SKIPPED, build.id)) return;
    registry.forget(build);
  }

  /** Returns whether there may be more. */
  #remove(statement: string, id: number): boolean {
    const most = this.#bounds.entries * REMOVED_PER_ENTRY;
    return this.#storage.sql.exec(statement, id, most).rowsWritten >= most;
  }
}
