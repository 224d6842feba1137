/** A disk of a few MiB, for a server alone: a file system in memory, in a mount namespace of its own, for which no root is needed. */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";

const NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"];

/** How a server is started on such a disk (`startTestServer`). */
export function onSmallDisk(mebibytes: number) {
  return { through: NAMESPACE, shell: `mount -t tmpfs -o size=${mebibytes}m tmpfs "$FOLDER" || exit 1` } as const;
}

/** Not every system lets its users do that. */
export function canMakeDisks(): boolean {
  const tried = spawnSync(NAMESPACE[0] ?? "", [...NAMESPACE.slice(1), "/bin/sh", "-c", "mount -t tmpfs tmpfs /tmp"]);
  return tried.status === 0;
}

/** Somebody else's file, which takes the room. */
export class Filler {
  readonly #folder: string;
  readonly #file: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#file = join(folder, "filler");
  }

  /** Until so many bytes are free. */
  fill(leave = 0): void {
    const file = openSync(this.#file, "a");
    const piece = Buffer.alloc(64 * 1024);
    try {
      while (this.free() > leave) writeSync(file, piece, 0, Math.min(piece.length, this.free() - leave));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    } finally {
      closeSync(file);
    }
  }

  remove(): void {
    rmSync(this.#file, { force: true });
  }

  free(): number {
    const { bavail, bsize } = statfsSync(this.#folder);
    return bavail * bsize;
  }
}
