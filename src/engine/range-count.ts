/**
 * How many entries a range has, counted a slice at a time, so that a million of them hold up nobody. What is written meanwhile behind the
 * place that the count has reached is added or taken off. So the count is exact for the moment of its last slice, although it took many.
 */
import { compareBytes, justAfter } from "../core/bytes.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import type { KeyRange } from "../codec/key-prefix.ts";
import type { StoredEntry } from "../core/operations.ts";
import type { Version } from "../core/versionstamp.ts";
import type { EntryTable } from "./entry-table.ts";

/** Some milliseconds, also where each row is as long as a row can be and comes from the disk. */
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
  /** Keys before it are counted. */
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

  /** One slice more. The count, when that was the last one; then it is over. */
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

  /** Nobody wants it any more. */
  end(): void {
    this.#stop();
  }

  /** A restore has put another state into the place of this one. */
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
