/**
 * Conditional requests (RFC 9110, section 13). The versionstamp of an entry is its ETag: `"0006…0000"`. A condition that one check of an
 * atomic write can express is judged by the write itself. Any other condition is judged by a read, and the write checks that nothing
 * changed in between.
 */
import { quotedExcerpt } from "../../codec/json-notation/place.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type { Check } from "../../core/operations.ts";
import { type Version, versionOfHex, versionstampHex } from "../../core/versionstamp.ts";

/** "other": a tag that no entry of ours can have. */
type Tag = Exclude<Check["version"], null>;

interface Condition {
  /** `*`: any entry fulfils the condition. */
  readonly any: boolean;
  readonly tags: readonly Tag[];
}

export interface Preconditions {
  readonly match: Condition | null;
  readonly noneMatch: Condition | null;
}

export function etagOf(version: Version): string {
  return `"${versionstampHex(version)}"`;
}

export function preconditionsOf(headers: Headers): Preconditions | Failure {
  const match = conditionOf(headers, "If-Match");
  if (isFailure(match)) return match;
  const noneMatch = conditionOf(headers, "If-None-Match");
  return isFailure(noneMatch) ? noneMatch : { match, noneMatch };
}

/** Whether the conditions hold for the present version. null: there is no entry. */
export function holds({ match, noneMatch }: Preconditions, version: Version | null): boolean {
  return (match === null || isMet(match, version)) && (noneMatch === null || !isMet(noneMatch, version));
}

/** The checks of a write that mean the same. undefined: no checks do. */
export function checksOf({ match, noneMatch }: Preconditions, key: Uint8Array): Check[] | undefined {
  if (match === null && noneMatch === null) return [];
  if (match === null) return noneMatch?.any === true ? [{ key, version: null }] : undefined;
  const [version, ...more] = match.tags;
  const isOne = !match.any && noneMatch === null && version !== undefined && more.length === 0;
  return isOne ? [{ key, version }] : undefined;
}

function isMet({ any, tags }: Condition, version: Version | null): boolean {
  return version !== null && (any || tags.includes(version));
}

const ENTITY_TAG = /^(W\/)?(?:"([\x21\x23-\x7e\x80-\xff]*)"|([0-9a-f]{20}))$/i;

function conditionOf(headers: Headers, name: "If-Match" | "If-None-Match"): Condition | null | Failure {
  const text = headers.get(name);
  if (text === null) return null;
  if (text.trim() === "*") return { any: true, tags: [] };
  const tags: Tag[] = [];
  for (const each of text.split(",")) {
    const [whole, weak, quoted, bare] = ENTITY_TAG.exec(each.trim()) ?? [];
    if (whole === undefined) {
      return failure(
        "invalid",
        `The header ${name} is ${quotedExcerpt(text)}; it must be * or versionstamps in quotes, like "0006443d7c1f20a80000".`,
      );
    }
    // Where bytes have to be the same, a weak tag equals none (RFC 9110, section 8.8.3.2).
    const comparable = weak === undefined || name === "If-None-Match";
    tags.push((comparable && versionOfHex((quoted ?? bare ?? "").toLowerCase())) || "other");
  }
  return { any: false, tags };
}
