/**
 * Builds an index in the background, and removes those that nothing uses any more, in steps of 5 to 15 ms. Each step is a part of one
 * transaction, with the place from which the next one goes on. So after a kill the work goes on where it was.
 *
 * While a build is under way, a commit changes only what the build has reached (`Build.cursor`). The rest is read when its turn comes. Of the
 * last documents before the cursor, values and places may not be written yet (`Build.settled`, `gathered-rows.ts`).
 */
import { compareBytes, justAfter } from "../../core/bytes.ts";
import { asUnixMs } from "../../core/clock.ts";
import { GATHERED_BYTES, MAX_GATHERED_BYTES } from "../../core/document-limits.ts";
import type { Account } from "../../core/process-memory.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { EntryTable } from "../../engine/entry-table.ts";
import { type BuildContents, enterEntry, gatherAgain } from "./build-contents.ts";
import { GatheredRows } from "./gathered-rows.ts";
import { type Build, isTreeType } from "./registry.ts";
import { dropTextTables, geoTable, NUMBERS, SKIPPED, VALUES } from "./schema.ts";

export interface StepBounds {
  readonly entries: number;
  /** Of keys and values; one entry more is allowed. */
  readonly bytes: number;
  /** Bytes of rows that are gathered before they are written in order: at least, and at most while there is memory. */
  readonly gathered: { readonly least: number; readonly most: number };
}

/** 5 to 15 ms a step, however the entries are. */
export const STEP: StepBounds = {
  entries: 500,
  bytes: 128 * 1024,
  gathered: { least: GATHERED_BYTES, most: MAX_GATHERED_BYTES },
};

/** What takes as long as looking at an entry. */
const VALUES_PER_ENTRY = 2;

/** The same. */
const COUNTED_PER_ENTRY = 60;
const REMOVED_PER_ENTRY = 4;

/** No entry expires before this time: one that has expired and is still stored is in the index. */
const ALL = asUnixMs(-1);

const removeRows = (table: string, key: string, id: string) =>
  `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE ${id} = ?1 LIMIT ?2)`;
const REMOVE_VALUES = removeRows(VALUES, "ix, v, ids", "ix");
const REMOVE_NUMBERS = removeRows(NUMBERS, "n", "table_id");
const REMOVE_SKIPPED = removeRows(SKIPPED, "table_id, ids", "table_id");

export interface IndexWorkParts {
  readonly storage: SyncStorage;
  readonly contents: BuildContents;
  readonly bounds: StepBounds;
  /** Of all builds in the process: what each gathers beyond the least. */
  readonly memory: Account;
}

/** In the caller's transaction, all of it. */
export class IndexWork {
  readonly #storage: SyncStorage;
  readonly #contents: BuildContents;
  readonly #entries: EntryTable;
  readonly #bounds: StepBounds;
  readonly #memory: Account;
  /** null: nothing, and after a restart. */
  #gathered: GatheredRows | null = null;
  /** How far the entries of a build have been counted. After a restart they are counted anew. */
  #count: { readonly build: Build; readonly after: Uint8Array; readonly rows: number } | null = null;

  constructor({ storage, contents, bounds, memory }: IndexWorkParts) {
    this.#bounds = bounds;
    this.#memory = memory;
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
      const gathered = this.#gatheredOf(building);
      if (building.counted === null) this.#countOn(building);
      else if (gathered.isWhole || this.#isFull(gathered))
        this.#write(gathered, VALUES_PER_ENTRY * this.#bounds.entries);
      else this.build(building, this.#bounds);
      return true;
    }
    // A build that waits keeps no memory from others. It gathers anew.
    this.#keep(null);
    if (dropping !== null) this.#drop(dropping);
    return dropping !== null;
  }

  /** A document under a build's cursor has changed. */
  noteChanged(build: Build, ids: Uint8Array): void {
    if (this.#gathered?.build === build) this.#gathered.forget(ids);
  }

  /** Looks at further entries. Returns how many. A table that one step is enough for is live then. */
  build(build: Build, { entries, bytes }: StepBounds): number {
    const { registry, writer } = this.#contents;
    const gathered = this.#gatheredOf(build);
    const range = { start: gathered.end, end: build.range.end, limit: entries, reverse: false };
    let looked = 0;
    let left = bytes;
    for (const page of this.#entries.ranges([range], ALL)) {
      for (const entry of page) {
        const isNew = build.cursor === null || compareBytes(entry.key, build.cursor) >= 0;
        if (isNew) enterEntry(this.#contents, build, entry, gathered);
        else gatherAgain(this.#contents, build, entry, gathered);
        build.done += Number(isNew);
        looked += 1;
        left -= entry.key.length + entry.value.length;
        gathered.end = justAfter(entry.key);
        if (left <= 0) break;
      }
    }
    writer.flush();
    gathered.documents += looked;
    this.#keep(gathered);
    gathered.isLast = looked < entries && left > 0;
    // From here on, whatever is written to the table is followed.
    if (gathered.isLast) gathered.end = build.range.end;
    if (build.cursor !== null && compareBytes(gathered.end, build.cursor) > 0) build.cursor = gathered.end;
    registry.save(build);
    if (gathered.isLast && gathered.documents <= this.#bounds.entries) this.#write(gathered, Number.MAX_SAFE_INTEGER);
    return looked;
  }

  /** What is gathered of the build. After a restart it begins where everything before was written. */
  #gatheredOf(build: Build): GatheredRows {
    if (this.#gathered?.build === build) return this.#gathered;
    const gathered = new GatheredRows(build, build.settled ?? build.range.start);
    this.#keep(gathered);
    return gathered;
  }

  #keep(gathered: GatheredRows | null): void {
    this.#gathered = gathered;
    this.#memory.hold(Math.max(0, (gathered?.bytes ?? 0) - this.#bounds.gathered.least));
  }

  #isFull({ isLast, bytes }: GatheredRows): boolean {
    const { least, most } = this.#bounds.gathered;
    if (isLast || bytes >= most) return true;
    return bytes >= least && !this.#memory.hasRoom(this.#bounds.bytes);
  }

  #write(gathered: GatheredRows, values: number): void {
    const { registry, writer } = this.#contents;
    const { build, isLast, end } = gathered;
    gathered.isWhole = true;
    const isDone = gathered.write(writer, values);
    writer.flush();
    // What is held counts for two minutes, and is told again.
    this.#keep(isDone ? null : gathered);
    if (!isDone) return;
    build.settled = end;
    if (isLast) registry.goLive(build);
    else registry.save(build);
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
