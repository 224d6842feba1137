/**
 * Times of a history whose clock was once set back. A commit's version is its time, with one exception: while the clock was ahead, and
 * after it was set back until it had caught up, versions were ahead of the real time. For such a time it cannot be known which commit was
 * the last. Instead, the possible ones are named, so that a person chooses.
 */
import type { UnixMs } from "../../../core/clock.ts";
import { type ClockReading, type ClockSpan, spansOf, withPresent } from "../../../core/clock-spans.ts";
import { failure, type Failure } from "../../../core/errors.ts";
import { type Moment, versionOfMoment } from "../../../core/moment.ts";
import { asVersion, LAST_VERSION, timeOfVersion, type Version, versionstampHex } from "../../../core/versionstamp.ts";
import type { BackupBucket, ReadProblem } from "./backup-bucket.ts";
import type { Catalog } from "./catalog.ts";
import { type ResolvedMoment, resolveMoment } from "./points.ts";

/** The last version that was given out, as far as is known, and the present time. */
export interface Present {
  readonly lastVersion: Version;
  readonly now: UnixMs;
}

/** As `resolveMoment`. "conflict" for a time that may belong to several commits. `latest`: the version that "latest" means. */
export async function resolveAt(
  bucket: BackupBucket,
  catalog: Catalog,
  moment: Moment,
  latest: Version,
  { lastVersion, now }: Present,
): Promise<ResolvedMoment | ReadProblem | Failure> {
  if (moment.kind === "time") {
    for (const span of spansOf(withPresent(readingsOf(catalog), lastVersion, now))) {
      if (moment.time >= span.end) continue;
      const found = await candidatesIn(bucket, catalog, span, moment.time);
      if (!found.ok) return found;
      if (found.candidates.length > 1) return ambiguous(moment.time, span, found.candidates);
    }
  }
  return resolveMoment(bucket, catalog, versionOfMoment(moment, latest));
}

/** Ascending by version. Two generations that got the same commits for a while have the same readings from that time. */
export function readingsOf({ generations }: Catalog): ClockReading[] {
  const readings = new Map(generations.flatMap(({ clock }) => clock).map((one) => [one.version, one]));
  return [...readings.values()].toSorted((a, b) => a.version - b.version);
}

/** A commit that may have been the last one up to the time, and what is known of it. */
interface Candidate {
  readonly version: Version;
  readonly what: string;
}

/** Usually one. None when the span says the same as the versions do. */
async function candidatesIn(
  bucket: BackupBucket,
  catalog: Catalog,
  { readings, end }: ClockSpan,
  time: UnixMs,
): Promise<{ readonly ok: true; readonly candidates: readonly Candidate[] } | ReadProblem> {
  const [first] = readings;
  const candidates: Candidate[] = [];
  const add = async (version: Version, what: string): Promise<ReadProblem | null> => {
    const resolved = await resolveMoment(bucket, catalog, version);
    if (!resolved.ok) return "code" in resolved ? null : resolved;
    if (candidates.every((one) => one.version !== resolved.version)) {
      candidates.push({ version: resolved.version, what });
    }
    return null;
  };
  const endOf = (at: UnixMs): Version => versionOfMoment({ kind: "time", time: at }, LAST_VERSION);
  const isBefore = time < first.time;
  let problem = await add(
    endOf(isBefore ? first.time : time),
    isBefore ? "the last one before the clock was ahead" : "the last one whose versionstamp is of that time or before",
  );
  const [earliest] = candidates;
  // Up to the last commit before the clock was ahead, versions are times.
  if (isBefore && earliest !== undefined && time <= timeOfVersion(earliest.version))
    return { ok: true, candidates: [] };
  problem ??= await add(asVersion(first.version - 1), "the last one before that was noticed");
  if (!isBefore) {
    const reading = readings.findLast((one) => one.time <= time) ?? first;
    const next = readings.find((one) => one.version > reading.version);
    const ends = next === undefined ? "before the clock had caught up" : `before the clock said ${textOf(next.time)}`;
    problem ??= await add(reading.version, `one made when the clock, set back, said ${textOf(reading.time)}`);
    problem ??= await add(next === undefined ? endOf(end) : asVersion(next.version - 1), `the last one ${ends}`);
  }
  return problem ?? { ok: true, candidates };
}

function ambiguous(time: UnixMs, { readings: [first] }: ClockSpan, candidates: readonly Candidate[]): Failure {
  const named = candidates.map(({ version, what }) => `${versionstampHex(version)}, ${what}`);
  return failure(
    "conflict",
    `${textOf(time)} is ambiguous: the server's clock was ahead and was set back, at the latest at ${textOf(first.time)}, so that it is not known which commit was the last one at that time. Name one of these by its versionstamp: ${named.join("; ")}`,
  );
}

function textOf(time: UnixMs): string {
  return new Date(time).toISOString();
}
