/**
 * Finds log objects by version without listing a whole log. Names sort by their first commit, and listings only go forward, so the object
 * at or before a version is found by probing backwards.
 */
import { asVersion, type Version } from "../../../core/versionstamp.ts";
import type { DestinationFailure, ListedObject } from "../../destinations/destination.ts";
import { type Damage, damage } from "../../format/damage.ts";
import {
  beforeLogObjects,
  type GenerationPlace,
  type LogObjectName,
  logsPrefix,
  parseLogObjectName,
} from "../../format/object-names.ts";
import type { BackupBucket } from "./backup-bucket.ts";

export interface LogObject extends ListedObject, LogObjectName {}

export interface LogNeighbours {
  readonly ok: true;
  /** Some consecutive objects that begin at or before the version, ascending, up to the last such object. Empty: there is none. */
  readonly upTo: readonly LogObject[];
  /** The first objects that begin after the version, ascending. Empty: there is none. */
  readonly following: readonly LogObject[];
}

/** Twenty minutes of a log that is flushed every two seconds are 600 objects, well within one page. */
const FIRST_PROBE = 20 * 60 * 1_000_000;

export async function logObjectsAround(
  bucket: BackupBucket,
  place: GenerationPlace,
  version: Version,
): Promise<LogNeighbours | Damage | DestinationFailure> {
  // The wanted object begins at or after `low`. No object begins between `high` and `version`.
  let low: number = place.start;
  let high: number = version + 1;
  let probe = Math.max(low, version - FIRST_PROBE);
  // For the end of a log, the version is far above it. Then steps from below, each twice as long, come close sooner than halving.
  let step = 0;
  for (;;) {
    const page = await logPage(bucket, place, asVersion(probe));
    if (!page.ok) return page;
    const upTo = page.objects.filter(({ first }) => first.version <= version);
    const last = upTo.at(-1);
    const whole = page.last || upTo.length < page.objects.length;
    if (whole && (last !== undefined || probe === low)) {
      return { ok: true, upTo, following: page.objects.slice(upTo.length) };
    }
    if (last === undefined) {
      high = probe;
    } else {
      low = last.first.version;
      step = Math.max(2 * step, low - probe);
    }
    probe = low + Math.min(step, Math.floor((high - low) / 2));
  }
}

/** The objects that begin at this version or later, in order, at most 1,000. */
export async function logPage(
  bucket: BackupBucket,
  place: GenerationPlace,
  from: Version,
): Promise<
  { readonly ok: true; readonly objects: readonly LogObject[]; readonly last: boolean } | Damage | DestinationFailure
> {
  const page = await bucket.list(logsPrefix(place), beforeLogObjects(place, from));
  if (!page.ok) return page;
  const objects: LogObject[] = [];
  for (const object of page.objects) {
    const name = parseLogObjectName(place, object.name);
    if (!name.ok) return name;
    const before = objects.at(-1);
    if (before !== undefined && name.first.version <= before.last.version) {
      return damage(object.name, "begins with a commit that objects before it have passed");
    }
    objects.push({ ...object, first: name.first, last: name.last });
  }
  return { ok: true, objects, last: page.next === null };
}
