/**
 * Spans in which versions ran ahead of the clock, because it had been set back: what is known of them are readings of the clock
 * (`engine/clock-readings.ts`). Here is what they say about a time: which commits may be the last up to then.
 */
import { asUnixMs, type UnixMs } from "./clock.ts";
import { CLOCK_BEHIND_MS } from "./limits.ts";
import { asVersion, timeOfVersion, type Version } from "./versionstamp.ts";

/** From this version on commits were made when the clock said this time, or later: the version's own time is further on. */
export interface ClockReading {
  readonly version: Version;
  readonly time: UnixMs;
}

export interface ClockSpan {
  /** Ascending by version, and about by time. */
  readonly readings: readonly [ClockReading, ...ClockReading[]];
  /** From here on times and versions agree again. */
  readonly end: UnixMs;
}

/** Whether the clock was neither set back again between the two, nor caught up. `later` has the greater version. */
export function areOfOneSpan(earlier: ClockReading, later: ClockReading): boolean {
  const wentOn = later.time >= earlier.time - CLOCK_BEHIND_MS;
  return wentOn && timeOfVersion(later.version) <= timeOfVersion(earlier.version) + CLOCK_BEHIND_MS;
}

/** Whether a commit that is made now gets a version that is ahead of the clock. */
export function isAhead(lastVersion: Version, now: UnixMs): boolean {
  return timeOfVersion(lastVersion) - now >= CLOCK_BEHIND_MS;
}

/** With the reading that a commit made now would have: until one is made, nothing else tells that the clock was set back. */
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

/** What the clock said when the commit was made, or a little before; null: the time of its version, as far as is known. */
export function clockAt(readings: readonly ClockReading[], version: Version): UnixMs | null {
  const reading = readings.findLast((one) => one.version <= version);
  if (reading === undefined) return null;
  const isOfItsSpan = timeOfVersion(version) <= timeOfVersion(reading.version) + CLOCK_BEHIND_MS;
  return isOfItsSpan ? reading.time : null;
}
