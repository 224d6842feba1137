/**
 * Counts the entries of a range in slices, so that counting a million entries delays nobody. Writes behind the place that the count has
 * reached change the count. So the count is exact for the moment of its last slice, although it took many.
 */
import { compareBytes, justAfter } from "../core/bytes.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import type { KeyRange } from "../codec/key-prefix.ts";
import type { StoredEntry } from "../core/operations.ts";
import type { Version } from "../core/versionstamp.ts";
import type { EntryTable } from "./entry-table.ts";

/** Rows of one slice: some milliseconds, also where each row has the greatest length and comes from the disk. */
const SLICE_ROWS = 5_000;

interface Change {
  readonly before: StoredEntry | null;
  readonly after: StoredEntry | null;
}

export interface CountedDatabase {
  readonly table: Pick<EntryTable, "countSlice" | "countExpired">;
  readonly clock: Clock;
  readonly observe: (observer: (changes: readonly Change[]) => void) => () => void;
  readonly lastVersion: () => Version;
  /** The version at which the whole state was last replaced. */
  readonly replacedAt: () => Version;
}

export interface Counted {
  readonly count: number;
  readonly version: Version;
}

export class RangeCount {
  readonly #database: CountedDatabase;
  readonly #range: KeyRange;
  readonly #sliceRows: number;
  readonly #stop: () => void;
  #startedAt: UnixMs;
  #replacedAt: Version;
  #count = 0;
  /** Keys before this one are counted. */
  #from: Uint8Array;

  constructor(database: CountedDatabase, range: KeyRange, sliceRows = SLICE_ROWS) {
    this.#sliceRows = sliceRows;
    this.#database = database;
    this.#range = range;
    this.#from = range.start;
    this.#startedAt = database.clock.now();
    this.#replacedAt = database.replacedAt();
    this.#stop = database.observe((changes) => this.#note(changes));
  }

  /** Counts one more slice. Returns the count after the last slice, when the work has ended. */
  next(): Counted | undefined {
    const { table, clock, lastVersion, replacedAt } = this.#database;
    if (replacedAt() !== this.#replacedAt) this.#startAnew();
    const { rows, alive, last } = table.countSlice(
      { ...this.#range, start: this.#from },
      this.#sliceRows,
      this.#startedAt,
    );
    this.#count += alive;
    if (last !== null) this.#from = justAfter(last);
    if (rows === this.#sliceRows) return undefined;
    this.#stop();
    const expired = table.countExpired(this.#range, this.#startedAt, clock.now());
    return { count: this.#count - expired, version: lastVersion() };
  }

  /** The count is not wanted any more. */
  end(): void {
    this.#stop();
  }

  /** A restore has replaced the state. */
  #startAnew(): void {
    this.#startedAt = this.#database.clock.now();
    this.#replacedAt = this.#database.replacedAt();
    this.#from = this.#range.start;
    this.#count = 0;
  }

  #note(changes: readonly Change[]): void {
    for (const { before, after } of changes) {
      const key = (after ?? before)?.key;
      if (key === undefined || compareBytes(key, this.#range.start) < 0 || compareBytes(key, this.#from) >= 0) continue;
      this.#count += this.#countOf(after) - this.#countOf(before);
    }
  }

  #countOf(entry: StoredEntry | null): number {
    return entry !== null && (entry.expiresAt === null || entry.expiresAt > this.#startedAt) ? 1 : 0;
  }
}
