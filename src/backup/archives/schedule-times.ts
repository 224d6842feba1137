/**
 * When a schedule is due. A schedule is five fields as in crontab, and a time zone. Where the clocks of the zone are set forward, a run in
 * the missing hour comes at the same distance after the change. Where they are set back, a run in the repeated hour comes once.
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
  try {
    times = new Cron(fields.join(" "), { timezone, mode: "5-part" });
  } catch {
    return failure(
      "invalid",
      `cron has a field that is out of range or malformed: it must be five fields, ${EXAMPLE}.`,
    );
  }
  const after = (time: UnixMs): UnixMs | null => {
    const next = times.nextRun(new Date(time));
    return next === null ? null : asUnixMs(next.getTime());
  };
  return after(now) === null ? failure("invalid", "cron never runs: there is no such day.") : { after };
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
