/** Times as the notation writes them: ISO 8601 as `Date.prototype.toISOString` gives it. For years up to 9999 that is RFC 3339. */
import { daysOfMonth } from "../../core/rfc3339.ts";

const iso = /^(\d{4}|[+-]\d{6})-(\d\d)-(\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/i;

/**
 * Milliseconds since 1970. The reader is lenient where the time is certain: a day stands for its first moment in UTC, seconds and their
 * fraction may be missing, and the offset need not be Z. Undefined for anything else, for example a day that no calendar has.
 */
export function msOfTime(text: string): number | undefined {
  const found = iso.exec(text);
  if (found === null) return undefined;
  const [year, month, day] = found.slice(1).map(Number);
  const ms = Date.parse(text);
  // The runtime's parser turns February 30 into a day in March.
  return Number(day) <= daysOfMonth(Number(year), Number(month)) && !Number.isNaN(ms) ? ms : undefined;
}
