/**
 * The mutation log as a change feed: how long it is kept, and pages of it. Every commit comes in order and whole, from any place above
 * `keptAfter`. A place is a version: everything up to and including it has been read.
 *
 * The log's reader `feed` keeps the log. It moves on with time, and when the log grows beyond its limit (`trim`). Commits that it has
 * passed may still be in the log for a backup. They are not returned, because the log may have held fewer keys for the feed.
 *
 * While somebody follows the feed, the last commits are also kept in memory. So a reader that keeps up reads no row, and ten such readers
 * cost no more than one.
 */
import { assert } from "../core/assert.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { admitsKey } from "../codec/key-prefix.ts";
import type { FeedChange, FeedCommit, FeedPage } from "../core/feed.ts";
import {
  MAX_FEED_LOG_BYTES,
  MAX_FEED_PAGE_BYTES,
  MAX_FEED_SCAN_BYTES,
  MAX_RECENT_COMMIT_BYTES,
} from "../core/limits.ts";
import type { SyncStorage } from "../core/storage.ts";
import {
  asVersion,
  LAST_VERSION,
  NO_VERSION,
  timeOfVersion,
  type Version,
  versionAtTime,
} from "../core/versionstamp.ts";
import { changesOfLogPart } from "./log-entry.ts";
import { bytesOf, type LogCommit, type LogRetention, type MutationLog } from "./mutation-log.ts";

const READER = "feed";

/** How often the log is trimmed in the time of a retention; at most once a minute. Each time costs two rows. */
const TRIMS_IN_RETENTION = 24;
const LEAST_TRIM_MS = 60_000;

/** Removing a table takes time that grows with its size. */
const SEGMENTS_AT_ONCE = 4;

/** `bytes`: about how many its changes have in the log. */
export type LogPage = FeedPage & { readonly bytes: number };

/** Why there is no page: nothing is kept for a feed, or the commits after that place are not kept. */
export type NoFeedPage = "off" | "not kept";

export interface FeedLogParts {
  readonly storage: SyncStorage;
  readonly log: MutationLog;
  /** At or above the version of every commit. */
  readonly lastVersion: () => Version;
  /** The version at which a restore last replaced the state. */
  readonly replacedAt: () => Version;
}

export class FeedLog {
  readonly #parts: FeedLogParts;
  /** The stored setting. undefined: not read yet. */
  #kept: (LogRetention & { readonly after: Version }) | null | undefined;
  /** Something was logged since the object started, so a segment of the log may have become full. */
  #isWritten = false;
  /** Nothing could be let go of: it is not tried again before this time. */
  #notBefore = 0;
  /** The version of the oldest commit. null: there is none, or it was not looked up. */
  #oldest: Version | null = null;
  #followers = 0;
  readonly #recent = new RecentCommits();

  constructor(parts: FeedLogParts) {
    this.#parts = parts;
  }

  /** null: nothing is kept. */
  get setting(): LogRetention | null {
    return this.#stored();
  }

  /** The log has every commit above this version. null: nothing is kept. */
  get keptAfter(): Version | null {
    return this.#stored()?.after ?? null;
  }

  /**
   * From now on the log is kept with this setting. null: it is not kept any more. What is already kept stays, unless the setting is for
   * other keys: the log does not have all earlier changes of those.
   */
  keep(setting: LogRetention | null): void {
    const { storage, log, lastVersion } = this.#parts;
    const before = this.#stored();
    const isSame = before !== null && setting !== null && isSamePrefix(before.prefix, setting.prefix);
    this.#kept = undefined;
    this.#oldest = null;
    if (isSame) {
      log.retain(READER, setting.retentionMs);
      return;
    }
    if (setting !== null) log.recordInserts();
    storage.transactionSync(() => {
      if (before !== null) log.unregister(READER);
      if (setting !== null) log.register(READER, lastVersion(), setting);
    });
    if (setting === null) log.trim();
  }

  /** To be called after a commit was logged. */
  note(commit: LogCommit): void {
    this.#isWritten = true;
    if (this.#followers > 0) this.#recent.add(commit);
  }

  /** Keeps the last commits in memory from now on, until the returned function is called. */
  follow(): () => void {
    if (this.#followers === 0) this.#recent.begin(this.#parts.lastVersion());
    this.#followers += 1;
    return () => {
      this.#followers -= 1;
      if (this.#followers === 0) this.#recent.begin(LAST_VERSION);
    };
  }

  /**
   * What comes after a place, under a prefix (encoded; empty: everything). The work is bounded, so the page may be empty although commits
   * follow.
   */
  page(after: Version, prefix: Uint8Array): LogPage | NoFeedPage {
    const { lastVersion, replacedAt } = this.#parts;
    const kept = this.#stored();
    if (kept === null) return "off";
    const last = lastVersion();
    if (after < kept.after || after > last) return "not kept";
    const replaced = replacedAt();
    const reset = after < replaced ? replaced : null;
    const end = reset ?? last;
    const commits: FeedCommit[] = [];
    let [upTo, bytes, scanned] = [after, 0, 0];
    while (bytes < MAX_FEED_PAGE_BYTES && scanned < MAX_FEED_SCAN_BYTES) {
      const read = this.#read(upTo, end);
      for (const commit of read) {
        const size = bytesOf(commit);
        const changes = feedChanges(commit, prefix);
        upTo = commit.version;
        scanned += size;
        if (changes.length > 0) {
          commits.push({ version: commit.version, changes });
          bytes += size;
        }
        if (bytes >= MAX_FEED_PAGE_BYTES || scanned >= MAX_FEED_SCAN_BYTES) break;
      }
      if (read.length === 0) return { commits, reset, upTo: end, isLast: end === last, bytes };
    }
    return { commits, reset: null, upTo, isLast: false, bytes };
  }

  /** The same from memory, where it has no more bytes than this; null: there is none so small, or it is not in memory. */
  smallPage(after: Version, prefix: Uint8Array, maxBytes: number): LogPage | null {
    const { lastVersion, replacedAt } = this.#parts;
    const kept = this.#stored();
    if (kept === null || after < kept.after || after < replacedAt()) return null;
    const last = lastVersion();
    const found = this.#recent.after(after, last);
    if (found === null) return null;
    const commits: FeedCommit[] = [];
    let [upTo, bytes] = [after, 0];
    for (const commit of found) {
      const changes = feedChanges(commit, prefix);
      const size = changes.reduce((sum, { key, set }) => sum + key.length + (set?.value.length ?? 0), 0);
      if (bytes + size > maxBytes) return upTo === after ? null : { commits, reset: null, upTo, isLast: false, bytes };
      upTo = commit.version;
      bytes += size;
      if (changes.length > 0) commits.push({ version: commit.version, changes });
    }
    return { commits, reset: null, upTo: last, isLast: true, bytes };
  }

  /** When `trim` has something to do. null: nothing is kept, or nothing will become too old. */
  trimsAt(now: UnixMs): UnixMs | null {
    const kept = this.#stored();
    if (kept === null) return null;
    if (this.#isWritten && this.#parts.log.isSegmentFull) return now;
    this.#oldest ??= this.#parts.log.firstAfter(kept.after);
    if (this.#oldest === null) return null;
    const stepMs = Math.max(LEAST_TRIM_MS, kept.retentionMs / TRIMS_IN_RETENTION);
    const due = timeOfVersion(this.#oldest) + kept.retentionMs + Math.round(stepMs);
    // A clock that was set back must not make it wait until it has caught up.
    return asUnixMs(Math.max(due, Math.min(this.#notBefore, now + LEAST_TRIM_MS)));
  }

  /** Drops commits that are older than the retention or beyond the limit of the log, one step at a time. */
  trim(now: UnixMs): void {
    const kept = this.#stored();
    if (kept === null) return;
    const { log } = this.#parts;
    const old = log.lastUpTo(asVersion(Math.max(0, versionAtTime(asUnixMs(Math.max(0, now - kept.retentionMs))))));
    const beyond = log.oldestBeyond(MAX_FEED_LOG_BYTES);
    const wanted = Math.max(old ?? NO_VERSION, beyond ?? NO_VERSION);
    const step = log.endOfSegments(kept.after, SEGMENTS_AT_ONCE);
    // Commits that an exporter has not sent are in no backup yet, and they are still in the log. So the feed must not pass them.
    const bounds = [wanted, step, log.neededBesides(READER)].filter((bound) => bound !== null);
    const upTo = asVersion(Math.min(...bounds));
    if (upTo > kept.after) log.advance(READER, upTo);
    this.#notBefore = upTo > kept.after ? 0 : now + LEAST_TRIM_MS;
    log.trim();
    this.#kept = undefined;
    this.#oldest = null;
    this.#isWritten = false;
  }

  #stored(): (LogRetention & { readonly after: Version }) | null {
    if (this.#kept === undefined) this.#kept = this.#parts.log.reader(READER);
    return this.#kept;
  }

  /** Some commits above a place. Empty: there are no more. */
  #read(after: Version, upTo: Version): readonly LogCommit[] {
    return this.#recent.after(after, upTo) ?? this.#parts.log.read(after, MAX_FEED_PAGE_BYTES, upTo);
  }
}

/** The changes of keys under the prefix. The backup's marker is a change of the empty key, so it changes no entry. */
function feedChanges({ parts, inserts }: LogCommit, prefix: Uint8Array): FeedChange[] {
  const changes: FeedChange[] = [];
  let index = 0;
  for (const part of parts) {
    for (const change of changesOfLogPart(part)) {
      const isNew = (((inserts?.[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
      index += 1;
      if (change.key.length === 0 || !admitsKey(prefix, change.key)) continue;
      changes.push({ ...change, isNew });
    }
  }
  return changes;
}

function isSamePrefix(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** The last logged commits, in order, within a limit. */
class RecentCommits {
  #commits: LogCommit[] = [];
  #bytes = 0;
  /** Every logged commit above this version is here. */
  #knownAfter: Version = LAST_VERSION;

  /** From here on commits are added. With `LAST_VERSION`, none are. */
  begin(after: Version): void {
    this.#commits = [];
    this.#bytes = 0;
    this.#knownAfter = after;
  }

  add(commit: LogCommit): void {
    this.#commits.push(commit);
    this.#bytes += bytesOf(commit);
    if (this.#bytes <= MAX_RECENT_COMMIT_BYTES) return;
    // Half of them are dropped at a time: removing one from the front moves all others.
    let dropped = 0;
    while (this.#bytes > MAX_RECENT_COMMIT_BYTES / 2) {
      const oldest = this.#commits[dropped];
      assert(oldest !== undefined, "the bytes of the last commits to be those of commits");
      dropped += 1;
      this.#bytes -= bytesOf(oldest);
      this.#knownAfter = oldest.version;
    }
    this.#commits.splice(0, dropped);
  }

  /** null: not all of these commits are here. */
  after(version: Version, upTo: Version): readonly LogCommit[] | null {
    if (version < this.#knownAfter) return null;
    let [low, high] = [0, this.#commits.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      // The middle is below the length.
      if ((this.#commits[middle] as LogCommit).version > version) high = middle;
      else low = middle + 1;
    }
    const found = this.#commits.slice(low);
    return (found.at(-1)?.version ?? NO_VERSION) <= upTo ? found : found.filter((commit) => commit.version <= upTo);
  }
}
