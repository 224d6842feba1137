/** `npm run bench:backup-memory -- [entries]` (1,000,000): the memory that a backup takes. Prints a line of JSON for each phase, in MiB. */
import { measureBackupMemory } from "../support/backup-memory.ts";

const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);

await measureBackupMemory(
  { entries: Number(process.argv[2] ?? 1_000_000), valueBytes: 100 },
  ({ phase, found, live, seconds }) => {
    process.stdout.write(`${JSON.stringify({ phase, found: mebibytes(found), live: mebibytes(live), seconds })}\n`);
  },
);
