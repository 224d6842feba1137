/** A log object: a function of the mutation log and of the object before it. */
import { assert } from "../../core/assert.ts";
import { previousOf } from "./folder-chain.ts";
import { type CommitInWireForm, type EncodedObject, encodeMutationRange } from "../format/mutation-range.ts";
import type { GenerationPlace } from "../format/object-names.ts";
import type { Generation } from "./generation-row.ts";
import type { LogSource } from "../sources.ts";

export interface LogRange extends EncodedObject {
  readonly commits: readonly CommitInWireForm[];
}

export function logRange(place: GenerationPlace, commits: readonly CommitInWireForm[], { log }: Generation): LogRange {
  return { commits, ...encodeMutationRange(place, commits, previousOf(log)) };
}

/** The range that is being sent, or was being sent when the object stopped. null: there is none. */
export function pendingRange(log: LogSource, place: GenerationPlace, generation: Generation): LogRange | null {
  const { exported, pendingUpTo } = generation;
  if (pendingUpTo === null) return null;
  const commits = log.read(exported, Number.MAX_SAFE_INTEGER, pendingUpTo);
  assert(commits.at(-1)?.version === pendingUpTo, `the log to hold the commits up to ${pendingUpTo}`);
  return logRange(place, commits, generation);
}
