/** Times as the notation writes them: ISO 8601 as `Date.prototype.toISOString` gives it, which for the years to 9999 is RFC 3339. */
import { daysOfMonth } from "../../core/rfc3339.ts";

const iso = /^(\d{4}|[+-]\d{6})-(\d\d)-(\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/i;

/**
 * Milliseconds since 1970. In it is lenient where a time is certain: a day stands for its first moment in UTC, seconds and their
 * fraction may be missing, the offset may be another than Z. Undefined for anything else, days that no calendar has among it.
 */
export function msOfTime(text: string): number | undefined {
  const found = iso.exec(text);
  if (found === null) return undefined;
  const [year, month, day] = found.slice(1).map(Number);
  const ms = Date.parse(text);
  // The runtime makes a day in March of February 30.
  return Number(day) <= daysOfMonth(Number(year), Number(month)) && !Number.isNaN(ms) ? ms : undefined;
}
