/** A moment to go back to, as people write it: a versionstamp, or a time by RFC 3339. */
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_TIME_MS } from "../../core/limits.ts";
import { asVersion, timeOfVersion, type Version, versionOfHex, versionstampHex } from "../../core/versionstamp.ts";

/** What a `+` that was not escaped in a query has become. */
const offsetAfterSpace = /:\d\d(\.\d+)? \d\d:\d\d$/;
const rfc3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** Versions within a millisecond, which is as exactly as times are shown. */
const VERSIONS_PER_MS = 1000;

/** The greatest version of that moment: a commit whose time is shown as this one is included. */
export function parseMoment(text: string): { readonly ok: true; readonly version: Version } | Failure {
  const version = versionOfHex(text.toLowerCase());
  if (version !== undefined) return { ok: true, version };
  const ms = rfc3339.test(text) ? Math.floor(Date.parse(text.replace(" ", "T"))) : Number.NaN;
  if (Number.isNaN(ms)) {
    const hint = offsetAfterSpace.test(text) ? "; in a URL write + as %2B, or use Z" : "";
    return failure(
      "invalid",
      `${JSON.stringify(text.slice(0, 60))} is neither a versionstamp (20 hex digits, the last four 0) nor a time like 2026-11-22T14:03:07Z${hint}`,
    );
  }
  const greatest = ms * VERSIONS_PER_MS + VERSIONS_PER_MS - 1;
  if (ms < 0 || ms > MAX_TIME_MS || !Number.isSafeInteger(greatest)) {
    return failure("invalid", `${text} lies outside the times that a database can have: 1970 to 2255`);
  }
  return { ok: true, version: asVersion(greatest) };
}

/** For people. */
export function momentText(version: Version): string {
  return `${versionstampHex(version)} (${new Date(timeOfVersion(version)).toISOString()})`;
}
