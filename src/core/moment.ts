/**
 * A moment to go back to, as people write it at every door: a versionstamp, a time as in RFC 3339, how long ago ("-5m"), or "latest".
 * This file also has the one rule for what is too late: a moment that is not over yet may still get commits.
 */
import { asUnixMs, type UnixMs } from "./clock.ts";
import { failure, type Failure } from "./errors.ts";
import { readTime } from "./rfc3339.ts";
import {
  asVersion,
  timeOfVersion,
  type Version,
  versionAtTime,
  versionOfHex,
  versionstampHex,
} from "./versionstamp.ts";

export type Moment =
  /** The newest state. */
  | { readonly kind: "latest" }
  /** Exactly this commit, or this place between two commits. */
  | { readonly kind: "versionstamp"; readonly version: Version }
  /** The end of this millisecond. A commit whose time is shown as this millisecond is included. */
  | { readonly kind: "time"; readonly time: UnixMs };

/** What becomes of a `+` in a query that was not escaped. */
const offsetAfterSpace = /:\d\d(\.\d+)? \d\d:\d\d$/;

const ago = /^-(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?$/;
const SECONDS = [86_400, 3_600, 60, 1] as const;

/** Versions in one millisecond. Times are shown to the millisecond. */
const VERSIONS_PER_MS = 1000;

/** `now`: the time that a moment such as "-5m" is counted from. */
export function readMoment(text: string, now: UnixMs): { readonly ok: true; readonly moment: Moment } | Failure {
  if (text === "latest") return { ok: true, moment: { kind: "latest" } };
  const version = versionOfHex(text.toLowerCase());
  if (version !== undefined) return { ok: true, moment: { kind: "versionstamp", version } };
  const secondsAgo = secondsOf(text);
  if (secondsAgo !== null) return momentAt(text, asUnixMs(now - secondsAgo * 1000));
  const read = readTime(text);
  if (read.ok) return momentAt(text, read.time);
  const shown = JSON.stringify(text.slice(0, 60));
  if (read.flaw !== null) return failure("invalid", `${shown} is no time: ${read.flaw}`);
  const hint = offsetAfterSpace.test(text) ? " In a URL write + as %2B, or use Z." : "";
  return failure(
    "invalid",
    `${shown} is no moment. It must be a time as in RFC 3339 (2026-11-22T14:03:07Z), a versionstamp (20 hexadecimal digits, the last four 0), how long ago (-5m, -1h30m, -2d), or latest.${hint}`,
  );
}

/** The greatest version that belongs to the moment. `latest`: the last version of the database. */
export function versionOfMoment(moment: Moment, latest: Version): Version {
  switch (moment.kind) {
    case "latest":
      return latest;
    case "versionstamp":
      return moment.version;
    case "time":
      return asVersion(moment.time * VERSIONS_PER_MS + VERSIONS_PER_MS - 1);
  }
}

/** A text that means the same moment whenever it is read. */
export function fixedMoment(moment: Moment): string {
  switch (moment.kind) {
    case "latest":
      return "latest";
    case "versionstamp":
      return versionstampHex(moment.version);
    case "time":
      return new Date(moment.time).toISOString();
  }
}

/**
 * Why a moment is too late: a commit that belongs to it may still be made. null: it is not too late. A moment at or before the last
 * commit never is, also when versions run ahead of the clock.
 */
export function tooLate(version: Version, lastVersion: Version, now: UnixMs): Failure | null {
  // Until its millisecond is over, a moment may get another commit.
  if (version <= lastVersion || version < versionAtTime(now)) return null;
  return failure(
    "not-found",
    `${momentText(version)} is not over yet: it is not the past. The newest state is "latest"`,
  );
}

/** The moment as people read it. */
export function momentText(version: Version): string {
  return `${versionstampHex(version)} (${new Date(timeOfVersion(version)).toISOString()})`;
}

/** Seconds: "-1h30m" is 5,400. null: the text has another form. */
function secondsOf(text: string): number | null {
  const found = text.length < 2 ? null : ago.exec(text);
  if (found === null) return null;
  return SECONDS.reduce((sum, seconds, i) => sum + seconds * Number(found[i + 1] ?? 0), 0);
}

function momentAt(text: string, time: UnixMs): { readonly ok: true; readonly moment: Moment } | Failure {
  if (time < 0 || !Number.isSafeInteger((time + 1) * VERSIONS_PER_MS)) {
    return failure("invalid", `${text} lies outside the times that a database can have: 1970 to 2255`);
  }
  return { ok: true, moment: { kind: "time", time } };
}
