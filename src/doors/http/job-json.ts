/** Jobs, times and moments as every door with JSON shows them. */
import { textOfKeyNotation } from "../../codec/json-notation/key-notation.ts";
import type { Job } from "../../contracts/resources.ts";
import type {
  RestorableRange,
  RestoreOutcome,
  RestorePoint,
  VerificationReport,
} from "../../contracts/restore-commands.ts";
import { fromHex } from "../../core/bytes.ts";
import { asSentence } from "../../core/errors.ts";
import { versionstampHex } from "../../core/versionstamp.ts";

export function jobJson(info: Job) {
  const { result, createdAt, finishedAt } = info;
  const shown =
    result === null
      ? null
      : {
          phase: result.phase,
          versionstamp: result.versionstamp,
          damagedObject: result.damagedObject,
          verification: result.verification === null ? null : verificationJson(result.verification),
          undone: undoneJson(result.outcome?.undone ?? null),
          before: result.outcome === null ? null : beforeJson(info.databaseId, result.outcome),
          undeleted: result.undeleted,
        };
  return {
    ...info,
    error: sentenceOrNull(info.error),
    result: shown,
    createdAt: timeText(createdAt),
    finishedAt: timeTextOrNull(finishedAt),
  };
}

export function verificationJson({ range, ...report }: VerificationReport) {
  return {
    ...report,
    problems: report.problems.map(asSentence),
    damaged: report.damaged.map(({ intactUpTo, problem, ...one }) => ({
      ...one,
      intactUpTo: intactUpTo === null ? null : versionstampHex(intactUpTo),
      problem: asSentence(problem),
    })),
    range: restorableRangeJson(range),
  };
}

function undoneJson(found: RestoreOutcome["undone"]) {
  if (found === null) return null;
  const { commits, isExact, first } = found;
  return { commits, exact: isExact, first: first === null ? null : versionstampHex(first) };
}

function beforeJson(databaseId: string, { before: found, prefix }: RestoreOutcome) {
  if (found === null) return null;
  const versionstamp = versionstampHex(found.version);
  const body = { at: versionstamp, ...(typeof prefix === "string" ? { prefix: prefixJson(prefix) } : {}) };
  const fork = { method: "POST", path: `/api/databases/${databaseId}/forks`, body };
  return { versionstamp, stored: found.stored, fork: found.stored ? fork : null };
}

export function restorableRangeJson(range: RestorableRange | null) {
  return range === null ? null : { first: restorePointJson(range.first), last: restorePointJson(range.last) };
}

export function restorePointJson({ version, time: at }: RestorePoint) {
  return { versionstamp: versionstampHex(version), time: timeText(at) };
}

export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

export function timeTextOrNull(ms: number | null): string | null {
  return ms === null ? null : timeText(ms);
}

/** A message as a sentence, whatever it was made from. */
export function sentenceOrNull(text: string | null): string | null {
  return text === null ? null : asSentence(text);
}

/** An encoded key in hex, in the notation. */
export function prefixJson(hex: string): unknown {
  return JSON.parse(textOfKeyNotation(fromHex(hex)));
}
