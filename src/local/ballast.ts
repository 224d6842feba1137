/**
 * A file that takes room which is given back when the disk is full to its last byte. SQLite needs 32 KiB beside a database that it
 * opens, also to read it, and a database that nobody has used for ten seconds is closed: without this, somebody else's file that
 * fills the disk would take all sleeping databases away from their readers.
 */
import { randomFillSync } from "node:crypto";
import { rmSync, statSync, writeFileSync } from "node:fs";

export class Ballast {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
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
