/**
 * When a schedule is due. A schedule is five fields as in crontab, and a time zone. Where the clocks of the zone are set forward, the runs in
 * the missing hour are one, at the moment of the change; a schedule of every hour, or of every few hours, misses none. Where they are set
 * back, a run in the repeated hour comes once.
 */
import { Cron } from "croner";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { MAX_CRON_CHARACTERS } from "../../core/archive-limits.ts";
import { failure, type Failure } from "../../core/errors.ts";

export interface CronTimes {
  /** The first run after this time. null: there is none. */
  after(time: UnixMs): UnixMs | null;
}

/**
 * A clock that was set back by less than this repeats no run. A clock that was set back further was wrong before: runs are computed from
 * its present time.
 */
const SMALL_STEP_BACK_MS = 60 * 60 * 1000;

const EXAMPLE = 'such as "0 3 * * *" for every night at three';

/** `invalid` also for a schedule that never runs, as one for the 30th of February. */
export function cronTimes(cron: string, timezone: string, now: UnixMs): CronTimes | Failure {
  if (cron.length > MAX_CRON_CHARACTERS) {
    return failure("limit", `cron has ${cron.length} characters; the limit is ${MAX_CRON_CHARACTERS}.`);
  }
  // "?" would mean the present time, and "@daily" is a name.
  const fields = cron.trim().split(/\s+/);
  if (fields.length !== 5 || /[^0-9A-Za-z*/,\-#+]/.test(fields.join(""))) {
    return failure("invalid", `cron must have five fields, minute, hour, day, month and weekday, ${EXAMPLE}.`);
  }
  if (!isTimezone(timezone)) {
    return failure("invalid", 'timezone must be a name of the IANA time zones, such as "Europe/Berlin" or "UTC".');
  }
  let times: Cron;
  let onTheWall: Cron;
  try {
    times = new Cron(fields.join(" "), { timezone, mode: "5-part" });
    onTheWall = new Cron(fields.join(" "), { timezone: "UTC", mode: "5-part" });
  } catch {
    return failure(
      "invalid",
      `cron has a field that is out of range or malformed: it must be five fields, ${EXAMPLE}.`,
    );
  }
  const offset = offsetsOf(timezone);
  const goesOn = fields[1]?.startsWith("*") === true;
  const after = (time: UnixMs): UnixMs | null => {
    const next = times.nextRun(new Date(time));
    if (next === null) return null;
    return asUnixMs((goesOn ? null : missing(onTheWall, offset, time, next.getTime())) ?? next.getTime());
  };
  return after(now) === null ? failure("invalid", "cron never runs: there is no such day.") : { after };
}

/**
 * The first change of the zone's clocks, after `from` and before `to`, that leaves out a time at which the schedule would run. null: there is
 * none. croner itself makes up only for a schedule of one time a day.
 */
function missing(onTheWall: Cron, offset: (at: number) => number, from: number, to: number): number | null {
  for (let start = from; start < to; start += WEEK_MS) {
    let [low, high] = [start, Math.min(start + WEEK_MS, to)];
    const [before, after] = [offset(low), offset(high)];
    if (after <= before) continue;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offset(middle) === before) low = middle;
      else high = middle;
    }
    const run = onTheWall.nextRun(new Date(high + before - 1));
    if (run !== null && run.getTime() < high + after) return high;
  }
  return null;
}

/** Clocks do not change twice in a week. */
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

/** How far the clocks of the zone are ahead of UTC at a time, in milliseconds. */
function offsetsOf(timezone: string): (at: number) => number {
  const format = new Intl.DateTimeFormat("en", { timeZone: timezone, timeZoneName: "longOffset" });
  return (at) => {
    const name = format.formatToParts(at).find(({ type }) => type === "timeZoneName")?.value ?? "";
    // Such as GMT+05:45, or GMT alone.
    const [, sign, hours = "0", minutes = "0", seconds = "0"] = /([+-])(\d+):(\d+)(?::(\d+))?$/.exec(name) ?? [];
    const size = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
    return sign === "-" ? -size : size;
  };
}

/** The next `count` runs, the first one first. */
export function nextRuns(times: CronTimes, now: UnixMs, count: number): UnixMs[] {
  const runs: UnixMs[] = [];
  for (let at = times.after(now); at !== null && runs.length < count; at = times.after(at)) runs.push(at);
  return runs;
}

/** Whether runs cannot be over up to this time: the clock that said so was wrong. */
export function isWrong(anchor: UnixMs, now: UnixMs): boolean {
  return anchor > now + SMALL_STEP_BACK_MS;
}

function isTimezone(name: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+\-/]{0,63}$/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
