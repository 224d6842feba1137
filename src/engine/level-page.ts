/**
 * Pages of one level of keys: the keys that have exactly one part more than their parent. Keys below such a key are jumped over. So a
 * page costs about as many rows as it has entries, and two rows for each jump, whatever the number of keys below.
 */
import { compareBytes, concatBytes, justAfter } from "../core/bytes.ts";
import type { UnixMs } from "../core/clock.ts";
import { partEnd } from "../codec/key-codec.ts";
import type { KeyRange } from "../codec/key-prefix.ts";
import type { StoredEntry } from "../core/operations.ts";
import type { EntryTable } from "./entry-table.ts";

export interface LevelBounds {
  /** The largest number of entries, at least 1. */
  readonly limit: number;
  /** The largest number of bytes of keys and values. One larger entry is allowed. */
  readonly maxBytes: number;
  /** The page ends after this number of jumps. */
  readonly maxJumps: number;
  /** Whether the entries come without values. */
  readonly keysOnly: boolean;
}

export interface LevelPage {
  readonly entries: readonly StoredEntry[];
  /** Where the rest of the range begins. null: this level has no more keys in the range. */
  readonly next: Uint8Array | null;
}

/** Rows that are read first after a jump. There are few, because the next row often leads to another jump. */
const ROWS_BEHIND_JUMP = 2;

const PAST_EVERY_PART = Uint8Array.of(0xff);

/** All keys of the range begin with the encoded parent. */
export function readLevel(
  table: EntryTable,
  parent: Uint8Array,
  { start, end }: KeyRange,
  { limit, maxBytes, maxJumps, keysOnly }: LevelBounds,
  now: UnixMs,
): LevelPage {
  const entries: StoredEntry[] = [];
  let bytes = 0;
  let from = start;
  let jumps = 0;
  let most = limit + 1;
  for (;;) {
    const asked = Math.min(most, limit + 1 - entries.length);
    const range = { start: from, end, limit: asked, reverse: false };
    let rows = 0;
    let hasJumped = false;
    for (const entry of keysOnly ? table.keyPage(range, now) : rowsOf(table, range, now)) {
      rows += 1;
      const levelEnd = partEnd(entry.key, parent.length);
      if (levelEnd < entry.key.length) {
        from = concatBytes([entry.key.subarray(0, levelEnd), PAST_EVERY_PART]);
        hasJumped = true;
        break;
      }
      const size = entry.key.length + entry.value.length;
      if (entries.length === limit || (entries.length > 0 && bytes + size > maxBytes)) {
        return { entries, next: entry.key };
      }
      bytes += size;
      entries.push(entry);
      from = justAfter(entry.key);
    }
    if (!hasJumped && rows < asked) return { entries, next: null };
    if (hasJumped) {
      if (compareBytes(from, end) >= 0) return { entries, next: null };
      jumps += 1;
      if (jumps === maxJumps) return { entries, next: from };
    }
    most = hasJumped ? ROWS_BEHIND_JUMP : 2 * most;
  }
}

function* rowsOf(
  table: EntryTable,
  range: Parameters<EntryTable["ranges"]>[0][number],
  now: UnixMs,
): Generator<StoredEntry, void, undefined> {
  for (const found of table.ranges([range], now)) yield* found;
}
