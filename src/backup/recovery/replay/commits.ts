/** The commits of one log object, and what each has changed: as little as is asked for. */
import { toHex } from "../../../core/bytes.ts";
import { admitsKey } from "../../../codec/key-prefix.ts";
import type { ChangedKey, RestorePointInfo } from "../../../contracts/restore-commands.ts";
import { timeOfVersion, type Version } from "../../../core/versionstamp.ts";
import { isKey } from "../../format/fields.ts";
import { isLastOfCommit } from "../../format/log-stamp.ts";
import { type LogEntry, openMutationRange } from "../../format/mutation-range.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";
import type { Generation } from "./catalog.ts";
import type { LogObject } from "./log-index.ts";

/** What is to be told of a commit beside its version. */
export interface CommitDetail {
  /** Of its keys, so many: those that it changed first. */
  readonly mostKeys: number;
  /** Bytes of the keys (`keyBytesOf`) of all commits together, at the most. */
  readonly mostKeyBytes: number;
  /** Only keys under this one count. A commit that changed none of them is not told at all. null: all. */
  readonly prefix: Uint8Array | null;
}

/** Which commits are wanted: of those above `after`, up to and with `upTo`, so many that are the nearest to the one or the other. */
export interface CommitWindow {
  readonly after: number;
  readonly upTo: number;
  readonly nearestTo: "after" | "upTo";
  readonly most: number;
}

/** What is written around a key, and held of it in memory, about. */
const KEY_OVERHEAD_BYTES = 64;

/** Whether the object's name says all there is to know. */
export function isNamedWhole({ first, last }: LogObject, detail: CommitDetail | null): boolean {
  return detail === null && first.version === last.version;
}

/**
 * Ascending. `detail` null: only their versions. Fewer when their keys pass what `detail` allows: then those are here that do not,
 * and one more.
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

/** Holds no more of them than are wanted: an object may have hundreds of thousands. */
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
  const { prefix } = detail;
  let changed = new ChangedKeys(detail);
  for (const { type, key, stamp } of entries) {
    // The clear of what no entry has for its key changes nothing: the backup's own are of the empty key.
    const isChange = key.length > 0 && isKey(key) && (prefix === null || admitsKey(prefix, key));
    if (isChange) changed.add(key, type === "set" ? type : "delete");
    if (!isLastOfCommit(stamp)) continue;
    const { keys, more } = changed;
    if (prefix === null || keys.length + more > 0) yield { ...pointAt(stamp.version), changes: { keys, more } };
    if (keys.length + more > 0) changed = new ChangedKeys(detail);
  }
}

/** Of one commit. */
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

  /** What a commit does to one key twice is told once, as it was in the end. */
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
