/**
 * Times as people and programs send them: RFC 3339, section 5.6, and no other form. A text of another form is refused. The runtime's own
 * parser would read 31 February as 3 March, and a day without a time as a whole time.
 */
import { asUnixMs, type UnixMs } from "./clock.ts";

/** `flaw`: what is wrong with a time of the right form, as a clause. null: the text has another form. */
export type TimeRead =
  | { readonly ok: true; readonly time: UnixMs }
  | { readonly ok: false; readonly flaw: string | null };

const form = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,30}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

const MINUTE_MS = 60_000;

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/**
 * To the millisecond, rounded down. The second 60 is accepted only where there may be a leap second, and means the next second, as in
 * POSIX.
 */
export function readTime(text: string): TimeRead {
  const found = form.exec(text);
  if (found === null) return { ok: false, flaw: null };
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found.slice(1, 7).map(Number);
  const [fraction = "", sign = "+", offsetHour = "00", offsetMinute = "00"] = found.slice(7);
  const days = daysOfMonth(year, month);
  if (days === 0) return flawed(`there is no month ${found[2]}`);
  if (day < 1 || day > days) return flawed(`month ${found[2]} of ${found[1]} has ${days} days`);
  if (hour > 23) return flawed(`there is no hour ${found[4]}`);
  if (minute > 59) return flawed(`there is no minute ${found[5]}`);
  if (second > 60) return flawed(`there is no second ${found[6]}`);
  if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) {
    return flawed(`there is no offset ${sign}${offsetHour}:${offsetMinute}`);
  }
  const offset = (Number(offsetHour) * 60 + Number(offsetMinute)) * (sign === "+" ? MINUTE_MS : -MINUTE_MS);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second, Number(fraction.padEnd(3, "0").slice(0, 3)));
  const time = date.getTime() - offset;
  if (second === 60 && !isAtMonthsEnd(time)) return flawed("there is no leap second then");
  return { ok: true, time: asUnixMs(time) };
}

/** What a text that was not read should be, to follow "must be". */
export function wantedOfTime({ flaw }: Extract<TimeRead, { ok: false }>): string {
  return `a time as in RFC 3339, such as "2031-01-01T00:00:00Z"${flaw === null ? "" : `: ${flaw}`}`;
}

/** How many days a month (1 to 12) has; 0: there is no such month. */
export function daysOfMonth(year: number, month: number): number {
  const isLeapYear = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  if (month === 2) return isLeapYear ? 29 : 28;
  return DAYS[month - 1] ?? 0;
}

function flawed(flaw: string): TimeRead {
  return { ok: false, flaw };
}

/** Whether the time lies in the second that follows a month in UTC. */
function isAtMonthsEnd(time: number): boolean {
  const date = new Date(time);
  return (
    date.getUTCDate() === 1 && date.getUTCHours() === 0 && date.getUTCMinutes() === 0 && date.getUTCSeconds() === 0
  );
}
