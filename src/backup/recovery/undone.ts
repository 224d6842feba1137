/**
 * Counts the commits that a restore in place undoes: first those after its moment that the backup holds, then those that wait in the
 * mutation log. The caller knew of the first ones when it asked for the restore; the others were acknowledged while it ran. Counting
 * takes a bounded number of requests. A backup that cannot be read does not prevent the restore: then the answer says "at least".
 */
import type { Failure } from "../../core/errors.ts";
import { admitsKey } from "../../codec/key-prefix.ts";
import { MAX_UNDONE_PAGES } from "../../core/limits.ts";
import type { Undone } from "../../contracts/restore-commands.ts";
import type { Version } from "../../core/versionstamp.ts";
import { type CommitInWireForm, entriesOf, isMarker } from "../format/mutation-range.ts";
import type { OpenBackup } from "./open-backup.ts";
import type { Catalog } from "./replay/catalog.ts";
import { pointsAround } from "./replay/point-pages.ts";
import type { LogSource } from "../sources.ts";

/** The count so far: plain JSON. */
export interface UndoneCount extends Undone {
  /** Commits up to and including this version have been counted. */
  readonly upTo: Version;
  /** Commits above this version are in the mutation log, which is kept for the count. Those up to it are in the bucket. */
  readonly keptAfter: Version;
  /** How many pages of the bucket were read. */
  readonly pages: number;
}

export interface UndoneOptions {
  readonly log: LogSource;
  /** Opens the backup as it is known now. */
  readonly open: () => Promise<OpenBackup | Failure>;
  /** The last commit that is stored in the present generation. null: there is none. */
  readonly storedUpTo: () => Version | null;
  readonly lastVersion: () => Version;
}

/** The name of the log's reader during the count. */
const READER = "restore in place";

const PAGE_POINTS = 10_000;
const LOG_PAGE_BYTES = 2 * 1024 * 1024;

export class UndoneCounter {
  readonly #options: UndoneOptions;

  constructor(options: UndoneOptions) {
    this.#options = options;
  }

  /** From now on the log keeps commits that are not stored in the bucket. In the caller's transaction. */
  begin(moment: Version): UndoneCount {
    const { log, storedUpTo, lastVersion } = this.#options;
    const stored = storedUpTo();
    this.end();
    // Without a present generation it is not known what was lost between the end of the last one and now.
    const known = stored ?? lastVersion();
    const keptAfter = known < moment ? moment : known;
    log.register(READER, keptAfter);
    return { commits: 0, isExact: stored !== null, first: null, upTo: moment, keptAfter, pages: 0 };
  }

  /** In the caller's transaction. */
  end(): void {
    this.#options.log.unregister(READER);
  }

  /** Whether everything that is left to count is in the log. */
  isInLog({ upTo, keptAfter }: UndoneCount): boolean {
    return upTo >= keptAfter;
  }

  /** Counts one page of the bucket. `prefix`: only commits that changed something under it count; null: all. */
  async countStored(count: UndoneCount, prefix: Uint8Array | null): Promise<UndoneCount> {
    const { keptAfter, pages } = count;
    const opened = await this.#options.open();
    const detail = { mostKeys: 0, mostKeyBytes: 0, prefix };
    const options = { direction: "after", limit: PAGE_POINTS, detail } as const;
    const page = opened.ok ? await pointsAround(opened.bucket, opened.catalog, count.upTo, options) : opened;
    if (!page.ok) return { ...count, isExact: false, upTo: keptAfter };
    const changing = page.points.filter(({ version, changes }) => version <= keptAfter && (changes?.more ?? 0) > 0);
    const counted = withMore(count, changing);
    const isOver = page.next === null || page.next >= keptAfter;
    const isGivenUp = !isOver && pages + 1 >= MAX_UNDONE_PAGES;
    const isKnown = opened.ok && !hasGap(opened.catalog, count.upTo);
    return {
      ...counted,
      isExact: count.isExact && isKnown && !isGivenUp,
      upTo: isOver || isGivenUp ? keptAfter : page.next,
      pages: pages + 1,
    };
  }

  /** Counts a part of the log. When the result is the same count, nothing more is there at present. */
  countWaiting(count: UndoneCount, prefix: Uint8Array | null): UndoneCount {
    const commits = this.#options.log.read(count.upTo, LOG_PAGE_BYTES);
    const upTo = commits.at(-1)?.version;
    if (upTo === undefined) return count;
    const changing = commits.filter((commit) => !isMarker(commit) && (prefix === null || changesUnder(commit, prefix)));
    return { ...withMore(count, changing), upTo };
  }
}

/** Whether commits after this version are in the log of no generation. */
function hasGap({ generations, lost }: Catalog, after: Version): boolean {
  const newest = generations.at(-1);
  return (
    generations.some((one) => one !== newest && one.end !== null && one.end.heldUpTo >= after) ||
    lost.some(({ consistentFrom }) => consistentFrom > after)
  );
}

function changesUnder(commit: CommitInWireForm, prefix: Uint8Array): boolean {
  for (const { key } of entriesOf(commit)) if (admitsKey(prefix, key)) return true;
  return false;
}

function withMore(count: UndoneCount, commits: readonly { readonly version: Version }[]): UndoneCount {
  return { ...count, commits: count.commits + commits.length, first: count.first ?? commits[0]?.version ?? null };
}
