/** What a verification reads of a backup, and what that costs. */
import { MAX_INLINE_ROW_BYTES } from "../../core/limits.ts";
import type { Version } from "../../core/versionstamp.ts";
import type { Generation } from "./generation-row.ts";
import type { Generations } from "./generations.ts";
import type { DatabaseSource } from "../sources.ts";
import type { GenerationsToVerify } from "../recovery/open-backup.ts";
import type { VerificationCost } from "../recovery/verification-schedule.ts";

/** How few bytes one change takes in the log, about. */
const LOGGED_ROW_BYTES = 150;

/**
 * `everything`: also generations that were found whole before. Otherwise those that no verification has found whole, and one of the
 * others in turn.
 */
export function toBeVerified(all: readonly Generation[], everything: boolean): GenerationsToVerify {
  const older = all.filter(({ state }) => state === "retired" || state === "ended");
  const [next] = older.toSorted((a, b) => (a.verifiedAt ?? 0) - (b.verifiedAt ?? 0));
  const wanted = everything ? older : older.filter((one) => one.verifiedAt === null || one === next);
  return {
    older: wanted.map(({ start }) => start),
    foreign: all.filter(({ owned }) => !owned).map(({ start }) => start),
  };
}

/**
 * The cost of the next automatic verification. `rows` is an upper estimate: one for each entry, a second one for each value that may be
 * large, and one for each logged change.
 */
export function verificationCost(all: readonly Generation[], entries: number): VerificationCost {
  const { older } = toBeVerified(all, false);
  const newest = all.findLast(({ state }) => state === "complete");
  const read = all.filter((one) => one === newest || older.includes(one.start));
  const sum = (of: (one: Generation) => number): number => read.reduce((total, one) => total + of(one), 0);
  // More values of this size do not fit into the snapshot.
  const large = Math.min(entries, (newest?.snapshot.bytes ?? 0) / MAX_INLINE_ROW_BYTES);
  return {
    bytes: sum(({ log, snapshot }) => log.bytes + snapshot.bytes),
    objects: sum(({ log, snapshot }) => log.objects + snapshot.objects),
    rows: entries + large + (newest?.log.bytes ?? 0) / LOGGED_ROW_BYTES,
  };
}

/** The last commit, when everything is stored. null: something waits, or there is no complete generation. */
export function settledAt(generations: Generations, { log }: Pick<DatabaseSource, "log">): Version | null {
  const whole = generations.live().find(({ state, firstPoint }) => state === "complete" && firstPoint !== null);
  if (whole === undefined || whole.endsAt !== null) return null;
  return log.firstAfter(whole.exported) === null ? whole.exported : null;
}
