/**
 * Spans of time in which versions ran ahead of the clock, because the clock had been set back. Such a span is known from readings of the
 * clock (`engine/clock-readings.ts`). This file says what the readings mean for a time: which commits may be the last ones up to that
 * time.
 */
import { asUnixMs, type UnixMs } from "./clock.ts";
import { CLOCK_BEHIND_MS } from "./limits.ts";
import { asVersion, timeOfVersion, type Version } from "./versionstamp.ts";

/** Commits from this version on were made when the clock showed this time, or later. The time of the version itself is further ahead. */
export interface ClockReading {
  readonly version: Version;
  readonly time: UnixMs;
}

export interface ClockSpan {
  /** Ascending by version, and nearly ascending by time. */
  readonly readings: readonly [ClockReading, ...ClockReading[]];
  /** From here on the times of versions agree with the clock again. */
  readonly end: UnixMs;
}

/**
 * Whether the clock, between these two readings, was neither set back again nor caught up with the versions. `later` has the greater
 * version.
 */
export function areOfOneSpan(earlier: ClockReading, later: ClockReading): boolean {
  const wentOn = later.time >= earlier.time - CLOCK_BEHIND_MS;
  return wentOn && timeOfVersion(later.version) <= timeOfVersion(earlier.version) + CLOCK_BEHIND_MS;
}

/** Whether a commit that is made now gets a version ahead of the clock. */
export function isAhead(lastVersion: Version, now: UnixMs): boolean {
  return timeOfVersion(lastVersion) - now >= CLOCK_BEHIND_MS;
}

/** The readings, and the one that a commit made now would add. Until a commit is made, nothing else shows that the clock was set back. */
export function withPresent(
  readings: readonly ClockReading[],
  lastVersion: Version,
  now: UnixMs,
): readonly ClockReading[] {
  const present = { version: asVersion(lastVersion + 1), time: now };
  const last = readings.at(-1);
  const isKnown = last !== undefined && areOfOneSpan(last, present);
  return !isAhead(lastVersion, now) || isKnown ? readings : [...readings, present];
}

/** `readings`: ascending by version. */
export function spansOf(readings: readonly ClockReading[]): ClockSpan[] {
  const groups: [ClockReading, ...ClockReading[]][] = [];
  let before: ClockReading | undefined;
  for (const reading of readings) {
    const group = groups.at(-1);
    if (group !== undefined && before !== undefined && areOfOneSpan(before, reading)) group.push(reading);
    else groups.push([reading]);
    before = reading;
  }
  return groups.map((group) => ({
    readings: group,
    end: asUnixMs(Math.max(...group.map(({ version }) => timeOfVersion(version)))),
  }));
}

/** What the clock showed when the commit was made, or a little earlier. null: the time of its version, as far as is known. */
export function clockAt(readings: readonly ClockReading[], version: Version): UnixMs | null {
  const reading = readings.findLast((one) => one.version <= version);
  if (reading === undefined) return null;
  const isOfItsSpan = timeOfVersion(version) <= timeOfVersion(reading.version) + CLOCK_BEHIND_MS;
  return isOfItsSpan ? reading.time : null;
}
