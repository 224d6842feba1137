/** The commits of one log object, and what each has changed: as little as is asked for. */
import { toHex } from "../../../core/bytes.ts";
import { admitsKey } from "../../../codec/key-prefix.ts";
import type { ChangedKey, RestorePointInfo } from "../../../contracts/restore-commands.ts";
import { timeOfVersion, type Version } from "../../../core/versionstamp.ts";
import { isLastOfCommit } from "../../format/log-stamp.ts";
import { type LogEntry, openMutationRange } from "../../format/mutation-range.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";
import type { Generation } from "./catalog.ts";
import type { LogObject } from "./log-index.ts";

/** What is to be told of a commit beside its version. */
export interface CommitDetail {
  /** Of its keys, so many: those that it changed first. */
  readonly mostKeys: number;
  /** Only keys under this one count. A commit that changed none of them is not told at all. null: all. */
  readonly prefix: Uint8Array | null;
}

/** Whether the object's name says all there is to know. */
export function isNamedWhole({ first, last }: LogObject, detail: CommitDetail | null): boolean {
  return detail === null && first.version === last.version;
}

/** Ascending. `detail` null: only their versions. */
export async function commitsOf(
  bucket: BackupBucket,
  { place }: Generation,
  object: LogObject,
  detail: CommitDetail | null,
): Promise<{ readonly ok: true; readonly commits: readonly RestorePointInfo[] } | ReadProblem> {
  if (isNamedWhole(object, detail)) return { ok: true, commits: [pointAt(object.last.version)] };
  const read = await bucket.read(object.name);
  if (!read.ok) return read;
  const range = openMutationRange(place, object.name, read.bytes);
  if (!range.ok) return range;
  return { ok: true, commits: detail === null ? versionsIn(range.read()) : changesIn(range.read(), detail) };
}

export function pointAt(version: Version): RestorePointInfo {
  return { version, time: timeOfVersion(version), clock: null, changes: null };
}

function versionsIn(entries: Iterable<LogEntry>): RestorePointInfo[] {
  const commits: RestorePointInfo[] = [];
  for (const { stamp } of entries) if (isLastOfCommit(stamp)) commits.push(pointAt(stamp.version));
  return commits;
}

function changesIn(entries: Iterable<LogEntry>, { mostKeys, prefix }: CommitDetail): RestorePointInfo[] {
  const commits: RestorePointInfo[] = [];
  let keys = new Map<string, ChangedKey>();
  let count = 0;
  for (const { type, key, stamp } of entries) {
    // The clear of the empty key changes nothing.
    if (key.length > 0 && (prefix === null || admitsKey(prefix, key))) {
      count += 1;
      const name = toHex(key);
      // What a commit does to one key twice is told once, as it was in the end.
      if (keys.has(name)) count -= 1;
      if (keys.has(name) || keys.size < mostKeys) {
        keys.set(name, { key: key.slice(), change: type === "set" ? "set" : "delete" });
      }
    }
    if (!isLastOfCommit(stamp)) continue;
    const changes = { keys: [...keys.values()], more: count - keys.size };
    if (prefix === null || count > 0) commits.push({ ...pointAt(stamp.version), changes });
    keys = new Map();
    count = 0;
  }
  return commits;
}
