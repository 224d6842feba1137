/**
 * How much each organization has in the folder of archives. No organization takes more than it leaves free for others: one that keeps
 * everything must not keep another one's nightly archive from being stored.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { MAX_ARCHIVE_FOLDER_SHARE } from "../core/archive-limits.ts";

/** What is removed or added by other programs is noticed after so long. */
const LOOKED_AT_AGAIN_MS = 30_000;

interface Share {
  bytes: number;
  readonly lookedAt: number;
}

export class ArchiveShares {
  readonly #folder: string;
  readonly #unfinishedBytes: (owner: string) => number;
  readonly #shares = new Map<string, Share>();

  /** `unfinishedBytes`: of what is not in the organization's folder yet. */
  constructor(folder: string, unfinishedBytes: (owner: string) => number) {
    this.#folder = folder;
    this.#unfinishedBytes = unfinishedBytes;
  }

  /**
   * Whether an object may have so many more bytes, which count from now on. `name`: the object's; its first segment is the organization.
   * `free`: bytes that all archives together may still take.
   */
  async take(name: string, bytes: number, free: number): Promise<boolean> {
    const share = await this.#share(name);
    if (share.bytes + bytes > MAX_ARCHIVE_FOLDER_SHARE * (share.bytes + free)) return false;
    share.bytes += bytes;
    return true;
  }

  /** An object of the organization was removed, or was not written after all. */
  forget(name: string): void {
    this.#shares.delete(ownerOf(name));
  }

  async #share(name: string): Promise<Share> {
    const owner = ownerOf(name);
    const known = this.#shares.get(owner);
    const now = performance.now();
    if (known !== undefined && now - known.lookedAt < LOOKED_AT_AGAIN_MS) return known;
    const bytes = (await bytesBelow(join(this.#folder, owner))) + this.#unfinishedBytes(owner);
    const share = { bytes, lookedAt: now };
    this.#shares.set(owner, share);
    return share;
  }
}

export function ownerOf(name: string): string {
  return name.split("/", 1)[0] ?? name;
}

async function bytesBelow(path: string): Promise<number> {
  let bytes = 0;
  // A folder or a file that is gone has none.
  for (const entry of await readdir(path, { withFileTypes: true, recursive: true }).catch(() => [])) {
    if (!entry.isFile()) continue;
    bytes += await stat(join(entry.parentPath, entry.name)).then(
      ({ size }) => size,
      () => 0,
    );
  }
  return bytes;
}
