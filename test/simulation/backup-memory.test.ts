/**
 * What the isolate holds while a backup is made and brought back. The bound is a fraction of an object's 128 MB and less than what the database
 * comes to when it is held; `npm run bench:backup-memory` measures a million entries.
 */
import { expect, test } from "vitest";
import { type MemoryPhase, measureBackupMemory } from "../support/backup-memory.ts";

const MOST_BYTES = 64 * 2 ** 20;

test(
  "30,000 entries are exported, verified and restored in a part of an object's memory",
  { timeout: 180_000 },
  async () => {
    const phases: MemoryPhase[] = [];
    await measureBackupMemory(30_000, (phase) => phases.push(phase));
    expect(phases).toHaveLength(7);
    expect(phases.filter(({ live }) => live > MOST_BYTES)).toEqual([]);
  },
);
