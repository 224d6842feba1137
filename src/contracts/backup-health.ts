/**
 * How a database's backup is doing, as its organization is told: what an alert needs, and the numbers of the metrics. It changes rarely
 * while all is well, so that few messages are needed.
 */
import type { BackupInfo, BackupStatus } from "./backup-commands.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { asSentence } from "../core/errors.ts";

/** What lasts less than this is not reported: destinations fail for moments, and commits wait a moment before they are sent. */
export const BACKUP_NEWS_AFTER_MS = 60_000;

/** How much of an error's sentence is told. */
const MAX_ERROR_CHARACTERS = 300;

export interface BackupHealth {
  readonly status: BackupStatus["code"];
  readonly paused: boolean;
  /**
   * Its attempts have been failing since then, or something wrong was found in the bucket then. null: neither, or not for long, or no
   * attempt is made.
   */
  readonly failing: { readonly since: UnixMs; readonly error: string } | null;
  /** Since when the oldest commit outside of the backup has been waiting. null: none has waited for long. */
  readonly behindSince: UnixMs | null;
  /** Bytes of log that wait to be sent. 0 while none has waited for long. */
  readonly backlogBytes: number;
  /** When the last object of the log was stored. */
  readonly lastSuccessAt: UnixMs | null;
  /** How many generations can be restored from. */
  readonly generations: number;
  /** The result of the last verification that ended. */
  readonly verification: {
    readonly finishedAt: UnixMs;
    readonly good: boolean;
    readonly error: string | null;
    readonly damagedObject: string | null;
  } | null;
}

/** `afterMs`: a problem that has not lasted this long does not count. */
export function healthOf(info: BackupInfo, now: UnixMs, afterMs: number): BackupHealth {
  const { status, paused, lastObject, verification } = info;
  const isBehind = info.lagMs >= afterMs;
  const { last } = verification;
  return {
    status: status.code,
    paused,
    failing: failingOf(info, now, afterMs),
    behindSince: isBehind ? asUnixMs(now - info.lagMs) : null,
    backlogBytes: isBehind ? info.backlogBytes : 0,
    lastSuccessAt: lastObject?.storedAt ?? null,
    generations: info.generations.filter(({ after }) => after !== null).length,
    verification:
      last === null
        ? null
        : {
            finishedAt: last.finishedAt,
            good: last.good,
            error: last.error === null ? null : shortened(last.error),
            damagedObject: last.damagedObject,
          },
  };
}

/** When `healthOf` will change if nothing happens. null: never. */
export function nextHealthAt(info: BackupInfo, now: UnixMs, afterMs: number): UnixMs | null {
  const { lastError, lagMs } = info;
  const times: number[] = [];
  if (lastError !== null && lastError.since + afterMs > now && !info.paused) times.push(lastError.since + afterMs);
  if (lastError !== null && lastError.shownUntil !== null) times.push(lastError.shownUntil);
  if (lagMs > 0 && lagMs < afterMs) times.push(now - lagMs + afterMs);
  return times.length === 0 ? null : asUnixMs(Math.min(...times));
}

function failingOf(info: BackupInfo, now: UnixMs, afterMs: number): BackupHealth["failing"] {
  const { status, paused, lastError, createdAt } = info;
  if (paused) return null;
  if (status.code === "failed") return { since: lastError?.since ?? createdAt, error: shortened(status.message) };
  if (lastError === null || now - lastError.since < afterMs) return null;
  return { since: lastError.since, error: shortened(lastError.message) };
}

function shortened(text: string): string {
  return text.length <= MAX_ERROR_CHARACTERS ? asSentence(text) : `${text.slice(0, MAX_ERROR_CHARACTERS - 1)}…`;
}
