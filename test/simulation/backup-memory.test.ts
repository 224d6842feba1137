/**
 * What the isolate holds while a backup is made and brought back. The database is as large as an object's 128 MB can hold once beside
 * everything else: whoever keeps what was sent, or reads ahead without a bound, comes to more than 100. `npm run bench:backup-memory`
 * measures a million entries.
 */
import { expect, test } from "vitest";
import { type MemoryPhase, measureBackupMemory } from "../support/backup-memory.ts";

/** Seen were up to 76,000,000: ranges of 8 MiB with their copies on the way, the writes of the test, and two objects at a time. */
const MOST_BYTES = 92_000_000;

test(
  "60,000 entries of 1,000 bytes are exported, verified and restored in a part of an object's memory",
  { timeout: 300_000 },
  async () => {
    const phases: MemoryPhase[] = [];
    await measureBackupMemory({ entries: 60_000, valueBytes: 1_000 }, (phase) => phases.push(phase));
    expect(phases).toHaveLength(7);
    expect(phases.filter(({ live }) => live > MOST_BYTES)).toEqual([]);
  },
);
