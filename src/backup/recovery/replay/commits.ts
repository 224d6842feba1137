/** The commits of one log object, and what each has changed. No more is read than is asked for. */
import { equalBytes, toHex } from "../../../core/bytes.ts";
import { admitsKey } from "../../../codec/key-prefix.ts";
import type { ChangedKey, RestorePointInfo } from "../../../contracts/restore-commands.ts";
import { timeOfVersion, type Version } from "../../../core/versionstamp.ts";
import { isKey } from "../../../codec/stored-entry.ts";
import { isLastOfCommit } from "../../format/log-stamp.ts";
import { type LogEntry, openMutationRange } from "../../format/mutation-range.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";
import type { Generation } from "./catalog.ts";
import type { LogObject } from "./log-index.ts";

/** What to tell of a commit besides its version. */
export interface CommitDetail {
  /** The greatest number of keys of one commit: those that it changed first. */
  readonly mostKeys: number;
  /** The greatest number of bytes of keys (`keyBytesOf`) in all commits together. */
  readonly mostKeyBytes: number;
  /** Only keys under this one count. A commit that changed none of them is left out. null: all keys count. */
  readonly prefix: Uint8Array | null;
  /** Only the prefix itself counts. */
  readonly exact?: boolean;
}

/**
 * Which commits are wanted: of those above `after`, up to and including `upTo`, a number of the nearest to the one bound or the other.
 */
export interface CommitWindow {
  readonly after: number;
  readonly upTo: number;
  readonly nearestTo: "after" | "upTo";
  readonly most: number;
}

/** About how many bytes are written around a key, and held in memory for it. */
const KEY_OVERHEAD_BYTES = 64;

/** Whether the object's name already says everything that is asked for. */
export function isNamedWhole({ first, last }: LogObject, detail: CommitDetail | null): boolean {
  return detail === null && first.version === last.version;
}

/**
 * Ascending. `detail` null: only their versions. When the keys exceed what `detail` allows, there are fewer commits: those that fit, and
 * one more.
 */
export async function commitsOf(
  bucket: BackupBucket,
  { place }: Generation,
  object: LogObject,
  window: CommitWindow,
  detail: CommitDetail | null,
): Promise<{ readonly ok: true; readonly commits: readonly RestorePointInfo[] } | ReadProblem> {
  const mostKeyBytes = detail?.mostKeyBytes ?? 0;
  if (isNamedWhole(object, detail)) {
    return { ok: true, commits: nearest([pointAt(object.last.version)], window, mostKeyBytes) };
  }
  const read = await bucket.read(object.name);
  if (!read.ok) return read;
  const range = openMutationRange(place, object.name, read.bytes);
  if (!range.ok) return range;
  const points = detail === null ? versionsIn(range.read()) : changesIn(range.read(), detail);
  return { ok: true, commits: nearest(points, window, mostKeyBytes) };
}

export function pointAt(version: Version): RestorePointInfo {
  return { version, time: timeOfVersion(version), clock: null, changes: null };
}

export function keyBytesOf({ changes }: RestorePointInfo): number {
  return (changes?.keys ?? []).reduce((sum, { key }) => sum + key.length + KEY_OVERHEAD_BYTES, 0);
}

/** Holds only as many commits as are wanted: an object may have hundreds of thousands. */
function nearest(
  points: Iterable<RestorePointInfo>,
  { after, upTo, nearestTo, most }: CommitWindow,
  mostKeyBytes: number,
): RestorePointInfo[] {
  const kept: RestorePointInfo[] = [];
  let bytes = 0;
  for (const point of points) {
    if (point.version <= after) continue;
    if (point.version > upTo) break;
    kept.push(point);
    bytes += keyBytesOf(point);
    if (nearestTo === "after") {
      if (kept.length >= most || bytes > mostKeyBytes) break;
      continue;
    }
    for (let [oldest] = kept; oldest !== undefined; [oldest] = kept) {
      if (kept.length <= most && bytes - keyBytesOf(oldest) <= mostKeyBytes) break;
      bytes -= keyBytesOf(oldest);
      kept.shift();
    }
  }
  return kept;
}

function* versionsIn(entries: Iterable<LogEntry>): Generator<RestorePointInfo, void> {
  for (const { stamp } of entries) if (isLastOfCommit(stamp)) yield pointAt(stamp.version);
}

function* changesIn(entries: Iterable<LogEntry>, detail: CommitDetail): Generator<RestorePointInfo, void> {
  const { prefix, exact = false } = detail;
  let changed = new ChangedKeys(detail);
  for (const { type, key, stamp } of entries) {
    // A clear of a key that no entry can have changes nothing. The backup's own clears are of the empty key.
    const isChange =
      key.length > 0 && isKey(key) && (prefix === null || (exact ? equalBytes(prefix, key) : admitsKey(prefix, key)));
    if (isChange) changed.add(key, type === "set" ? type : "delete");
    if (!isLastOfCommit(stamp)) continue;
    const { keys, more } = changed;
    if (prefix === null || keys.length + more > 0) yield { ...pointAt(stamp.version), changes: { keys, more } };
    if (keys.length + more > 0) changed = new ChangedKeys(detail);
  }
}

/** The changes of one commit. */
class ChangedKeys {
  /** How many changes are left out. */
  more = 0;
  readonly #detail: CommitDetail;
  readonly #kept = new Map<string, ChangedKey>();
  #bytes = 0;

  constructor(detail: CommitDetail) {
    this.#detail = detail;
  }

  get keys(): ChangedKey[] {
    return [...this.#kept.values()];
  }

  /** When a commit changes a key twice, only the final change is told. */
  add(key: Uint8Array, change: ChangedKey["change"]): void {
    const { mostKeys, mostKeyBytes } = this.#detail;
    const bytes = key.length + KEY_OVERHEAD_BYTES;
    const hasRoom = this.#kept.size < mostKeys && this.#bytes + bytes <= mostKeyBytes;
    const name = hasRoom || this.#kept.size > 0 ? toHex(key) : "";
    const isKept = this.#kept.has(name);
    if (!isKept && !hasRoom) {
      this.more += 1;
      return;
    }
    if (!isKept) this.#bytes += bytes;
    this.#kept.set(name, { key: key.slice(), change });
  }
}
