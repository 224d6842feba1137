/**
 * How much each organization has in the folder of archives. No organization takes more than it leaves free for others, or than the
 * operator has said: one that keeps everything must not keep another one's nightly archive from being stored.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { MAX_ARCHIVE_FOLDER_SHARE } from "../core/archive-limits.ts";
import { entriesOf } from "./folder-entries.ts";
import { failure, type Failure } from "../core/errors.ts";

/** The most that one organization has in the folder: a part of what it has there and what is free, or a number of bytes. */
export type ShareLimit = { readonly part: number } | { readonly bytes: number };

/** What is removed or added by other programs is noticed after so long, or later where looking takes long: it costs a look at each file. */
const LOOKED_AT_AGAIN_MS = 30_000;
const LOOKED_AT_AGAIN_FACTOR = 20;

interface Share {
  bytes: number;
  /** By the process's own clock. */
  readonly until: number;
}

export class ArchiveShares {
  readonly #folder: string;
  readonly #limit: ShareLimit;
  readonly #unfinishedBytes: (owner: string) => number;
  /** By owner. Requests that come while the files are looked at wait for the same look. */
  readonly #shares = new Map<string, Promise<Share>>();

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

  /** So many bytes of an object were removed, or were not written after all. */
  giveBack(name: string, bytes: number): void {
    const given = (share: Share): void => void (share.bytes = Math.max(0, share.bytes - bytes));
    this.#shares.get(ownerOf(name))?.then(given, () => undefined);
  }

  async #share(name: string): Promise<Share> {
    const owner = ownerOf(name);
    const known = this.#shares.get(owner);
    if (known !== undefined && performance.now() < (await known).until) return known;
    // Another request may have begun to look meanwhile.
    const others = this.#shares.get(owner);
    if (others !== undefined && others !== known) return others;
    const share = this.#look(owner);
    this.#shares.set(owner, share);
    // The next request looks again.
    share.catch(() => this.#shares.delete(owner));
    return share;
  }

  async #look(owner: string): Promise<Share> {
    const began = performance.now();
    const bytes = (await bytesBelow(join(this.#folder, owner))) + this.#unfinishedBytes(owner);
    const now = performance.now();
    return { bytes, until: now + Math.max(LOOKED_AT_AGAIN_MS, LOOKED_AT_AGAIN_FACTOR * (now - began)) };
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

/** A folder or a file that is gone has none. */
async function bytesBelow(path: string): Promise<number> {
  let bytes = 0;
  for await (const entry of entriesOf(path)) {
    const below = join(path, entry.name);
    if (entry.isDirectory()) bytes += await bytesBelow(below);
    else if (entry.isFile()) bytes += (await stat(below).catch(() => null))?.size ?? 0;
  }
  return bytes;
}
