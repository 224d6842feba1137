/**
 * Selectors, which name a range of keys as Deno's `list` does: `{"prefix":["users"]}`, alone or with `start`, `end` or both; or `start`,
 * `end` or both without a prefix.
 */
import { compareBytes, justAfter } from "../../core/bytes.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { admitsKey, intersectRange, type KeyRange, rangeOfPrefix } from "../key-prefix.ts";
import { boundOfNotation, keyOfNotation } from "./key-notation.ts";

const NO_PARTS: Uint8Array = new Uint8Array(0);

/** Parsed JSON. An undefined member was not given. */
export interface SelectorJson {
  readonly prefix?: unknown;
  readonly start?: unknown;
  readonly end?: unknown;
}

/**
 * The encoded keys that the selector names. `prefix` names the keys that begin with its parts, but not the key that equals it. The empty
 * prefix, and a selector without members, name every key. `start` is inclusive, `end` exclusive. `root` begins the names in failures:
 * "selector.", "read[0].".
 */
export function rangeOfSelector(
  { prefix, start, end }: SelectorJson,
  root: string,
): { readonly ok: true; readonly range: KeyRange } | Failure {
  const under = prefixBytes(prefix, `${root}prefix`);
  if (!under.ok) return under;
  const { bytes } = under;
  const whole = rangeOfPrefix(bytes);
  const range = bytes.length === 0 ? whole : { start: justAfter(bytes), end: whole.end };
  const from = boundOf(start, `${root}start`, range.start, bytes);
  if (!from.ok) return from;
  const to = boundOf(end, `${root}end`, range.end, bytes);
  if (!to.ok) return to;
  if (compareBytes(from.bytes, to.bytes) > 0) {
    return failure("invalid", `${root}start is behind ${root}end: no key can be between them.`);
  }
  const empty = { start: range.start, end: range.start };
  return { ok: true, range: intersectRange(bytes, from.bytes, to.bytes) ?? empty };
}

type Bytes = { readonly ok: true; readonly bytes: Uint8Array };

function prefixBytes(json: unknown, name: string): Bytes | Failure {
  const isAll = json === undefined || (Array.isArray(json) && json.length === 0);
  return isAll ? { ok: true, bytes: NO_PARTS } : keyOfNotation(json, name);
}

function boundOf(json: unknown, name: string, fallback: Uint8Array, prefix: Uint8Array): Bytes | Failure {
  if (json === undefined) return { ok: true, bytes: fallback };
  const key = boundOfNotation(json, name);
  if (!key.ok || prefix.length === 0 || admitsKey(prefix, key.bytes)) return key;
  return failure("invalid", `${name} does not begin with the parts of the prefix.`);
}
