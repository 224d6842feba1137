/**
 * A file that takes room which is given back when the disk is full to its last byte. SQLite needs 32 KiB beside a database that it
 * opens, also to read it, and a database that nobody has used for ten seconds is closed: without this, somebody else's file that
 * fills the disk would take all sleeping databases away from their readers. A start needs a little room too.
 */
import { randomFillSync } from "node:crypto";
import { existsSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What a start on a folder that has all its files writes: locks, process numbers, SQLite's files beside what it opens. */
const START_BYTES = 1024 * 1024;

/** Before a start on this folder: gives the ballast back where the disk has no room for the start itself. */
export function makeRoomToStart(folder: string, free: (folder: string) => number = freeBytes): void {
  if (existsSync(folder) && free(folder) < START_BYTES) new Ballast(folder).release();
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

export class Ballast {
  readonly #file: string;

  constructor(folder: string) {
    this.#file = join(folder, "ballast");
  }

  /** How many bytes it has. */
  get bytes(): number {
    return statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Makes it so large, when there is room for it. */
  keep(bytes: number): void {
    if (this.bytes === bytes) return;
    // Not zeroes, which some file systems store as nothing.
    const content = randomFillSync(Buffer.alloc(bytes));
    try {
      writeFileSync(this.#file, content, { mode: 0o600 });
    } catch (error) {
      // Somebody else took the room meanwhile.
      this.release();
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    }
  }

  release(): void {
    rmSync(this.#file, { force: true });
  }
}
