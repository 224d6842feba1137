/**
 * Lists the folder of archives, a page at a time. An organization may have any number of files there, and the folder is served by the
 * process that serves everybody: so listings come one after the other, organizations take turns, and a folder is read in small pieces, of
 * which no more names are kept than the page has.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { MAX_WAITING_LISTINGS } from "../core/archive-limits.ts";
import { ownerOf } from "./archive-shares.ts";
import { FairTurns, type Turn } from "./fair-turns.ts";
import { entriesOf } from "./folder-entries.ts";

export interface ListedFile {
  readonly name: string;
  readonly size: number;
  readonly modified: Date;
}

export interface ListedRange {
  readonly prefix: string;
  /** Only names after it. */
  readonly after: string;
  readonly limit: number;
}

export class ArchiveListings {
  readonly #folder: string;
  readonly #isHidden: (name: string) => boolean;
  readonly #turns = new FairTurns(1);

  /** `isHidden`: whether what has this name in the folder itself is none of the archives. */
  constructor(folder: string, isHidden: (name: string) => boolean) {
    this.#folder = folder;
    this.#isHidden = isHidden;
  }

  /** One file more than the limit shows that there are more. null: too many listings of the organization wait already. */
  async list(range: ListedRange): Promise<ListedFile[] | null> {
    const turn = await this.#turnOf(ownerOf(range.prefix));
    if (turn === null) return null;
    try {
      return await this.#list(range);
    } finally {
      turn.over();
    }
  }

  /** null: there is no room to wait. */
  #turnOf(owner: string): Promise<Turn | null> {
    if (this.#turns.waiting(owner) >= MAX_WAITING_LISTINGS) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#turns.enter(owner, resolve);
    });
  }

  async #list({ prefix, after, limit }: ListedRange): Promise<ListedFile[]> {
    const found: ListedFile[] = [];
    for await (const name of this.#namesBelow("", prefix, after, limit + 1)) {
      // A file that is gone meanwhile is not listed.
      const file = await stat(join(this.#folder, name)).catch(() => null);
      if (file !== null) found.push({ name, size: file.size, modified: file.mtime });
      if (found.length > limit) break;
    }
    return found;
  }

  /** Names of files in order, only those that begin with the prefix and come after the name. */
  async *#namesBelow(below: string, prefix: string, after: string, most: number): AsyncGenerator<string> {
    const isBelowPrefix = (name: string): boolean =>
      name.startsWith(prefix) || (name.endsWith("/") && prefix.startsWith(name));
    let last: string | null = null;
    for (;;) {
      const from: string = last ?? after;
      const mayHoldMore = last === null;
      const names: readonly string[] = await this.#firstNames(below, most, (name) => {
        const isAfter = name > from || (mayHoldMore && name.endsWith("/") && from.startsWith(name));
        return isAfter && isBelowPrefix(name);
      });
      for (const name of names) {
        if (name.endsWith("/")) yield* this.#namesBelow(name, prefix, after, most);
        else yield name;
      }
      last = names.at(-1) ?? null;
      if (last === null || names.length < most) return;
    }
  }

  /** The first names in one folder, in order. Those of folders end in "/". */
  async #firstNames(below: string, most: number, isWanted: (name: string) => boolean): Promise<string[]> {
    let found: string[] = [];
    for await (const entry of entriesOf(join(this.#folder, below))) {
      const name = below + entry.name + (entry.isDirectory() ? "/" : "");
      if (!isWanted(name) || (below === "" && this.#isHidden(entry.name))) continue;
      found.push(name);
      if (found.length > 2 * most) found = firstOf(found, most);
    }
    return firstOf(found, most);
  }
}

/** In the order of strings. Our own names are ASCII, so it is the order of bytes. */
function firstOf(names: readonly string[], most: number): string[] {
  return names.toSorted().slice(0, most);
}
