/**
 * How much each organization has in the folder of archives. No organization takes more than it leaves free for others, or than the
 * operator has said: one that keeps everything must not keep another one's nightly archive from being stored.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { MAX_ARCHIVE_FOLDER_SHARE } from "../core/archive-limits.ts";
import { failure, type Failure } from "../core/errors.ts";

/** The most that one organization has in the folder: a part of what it has there and what is free, or a number of bytes. */
export type ShareLimit = { readonly part: number } | { readonly bytes: number };

/** What is removed or added by other programs is noticed after so long. */
const LOOKED_AT_AGAIN_MS = 30_000;

interface Share {
  bytes: number;
  readonly lookedAt: number;
}

export class ArchiveShares {
  readonly #folder: string;
  readonly #limit: ShareLimit;
  readonly #unfinishedBytes: (owner: string) => number;
  readonly #shares = new Map<string, Share>();

  /** `limit`: null where the operator has given none. `unfinishedBytes`: of what is not in the organization's folder yet. */
  constructor(folder: string, limit: ShareLimit | null, unfinishedBytes: (owner: string) => number) {
    this.#folder = folder;
    this.#limit = limit ?? { part: MAX_ARCHIVE_FOLDER_SHARE };
    this.#unfinishedBytes = unfinishedBytes;
  }

  /**
   * Whether an object may have so many more bytes, which count from now on. `name`: the object's; its first segment is the organization.
   * `free`: bytes that all archives together may still take.
   */
  async take(name: string, bytes: number, free: number): Promise<boolean> {
    const share = await this.#share(name);
    const most = "part" in this.#limit ? this.#limit.part * (share.bytes + free) : this.#limit.bytes;
    if (share.bytes + bytes > most) return false;
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

/** From CAIRN_ARCHIVE_SHARE: a percentage, or MiB as a whole number. null: the variable is not set. */
export function shareLimitOf(text: string | undefined): ShareLimit | null | Failure {
  if (text === undefined || text === "") return null;
  const [, number, percent] = /^([1-9]\d{0,8})(%?)$/.exec(text) ?? [];
  if (percent === "%" && Number(number) <= 100) return { part: Number(number) / 100 };
  if (percent === "") return { bytes: Number(number) * 1024 * 1024 };
  return failure(
    "invalid",
    `CAIRN_ARCHIVE_SHARE must be a percentage from 1% to 100%, or a whole number of MiB, as 90% or 20480, got "${text.slice(0, 40)}".`,
  );
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
