/**
 * A file that takes room, which is given back when the disk is completely full. SQLite needs 32 KiB beside a database that it opens, even
 * to read it, and a database that nobody has used for ten seconds is closed. Without this file, another program that fills the disk would
 * make all sleeping databases unreadable. A start needs a little room too.
 */
import { randomFillSync } from "node:crypto";
import { existsSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** How much a start writes in a folder that has all its files: locks, process numbers, SQLite's files beside those that it opens. */
const START_BYTES = 1024 * 1024;

/** Called before a start in this folder: gives the ballast back when the disk has no room for the start itself. */
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

  /** The size of the file. */
  get bytes(): number {
    return statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Makes the file this large, when there is room for it. */
  keep(bytes: number): void {
    if (this.bytes === bytes) return;
    // Random bytes, because some file systems store zeroes without taking room.
    const content = randomFillSync(Buffer.alloc(bytes));
    try {
      writeFileSync(this.#file, content, { mode: 0o600 });
    } catch (error) {
      // Another program took the room meanwhile.
      this.release();
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    }
  }

  release(): void {
    rmSync(this.#file, { force: true });
  }
}
