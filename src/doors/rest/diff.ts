/** The keys that differ between two moments: `GET diff?from=&to=&prefix=`. Without `to`, the second moment is now. */
import { textOfKeyNotation } from "../../codec/json-notation/key-notation.ts";
import { compareBytes } from "../../core/bytes.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { MAX_DIFF_KEYS, MAX_READ_ENTRIES } from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import { jsonAnswer } from "../http/answers.ts";
import type { Operation } from "../http/call.ts";
import { numberOf } from "../http/query.ts";
import { behindCursor, cursorBehind, rangeOfQuery, SELECTOR_PARAMETERS } from "./parameters.ts";
import { EntryPages } from "./key-pages.ts";

export const diffMoments: Operation = {
  access: "read",
  query: ["from", "to", ...SELECTOR_PARAMETERS, "limit", "cursor"],
  async answer(call) {
    const { query, openPast, grant, stub } = call;
    const range = rangeOfQuery(query);
    if (isFailure(range)) return range;
    const limit = numberOf(query, "limit", { least: 1, most: MAX_READ_ENTRIES, fallback: MAX_READ_ENTRIES });
    if (isFailure(limit)) return limit;
    const rest = behindCursor(range, query.get("cursor"), false);
    if (isFailure(rest)) return rest;
    const [from, to] = [query.get("from"), query.get("to")];
    if (from === null) return NO_FROM;
    const before = await openPast(from);
    if (isFailure(before)) return before;
    const after = to === null ? { grant, stub } : await openPast(to);
    if (isFailure(after)) return after;
    const [older, newer] = [before, after].map((state) => new EntryPages(call, state, rest, { keysOnly: true }));
    if (older === undefined || newer === undefined) return NO_FROM;
    const changes: string[] = [];
    let last: Uint8Array | null = null;
    while (changes.length < limit && older.taken + newer.taken < MAX_DIFF_KEYS) {
      const was = await older.peek();
      if (was !== null && isFailure(was)) return was;
      const is = await newer.peek();
      if (is !== null && isFailure(is)) return is;
      const order = orderOf(was, is);
      if (order === null) return jsonAnswer(`{"changes":[${changes.join(",")}]}`);
      const [left, right] = [order <= 0 ? was : null, order >= 0 ? is : null];
      if (left !== null) older.take();
      if (right !== null) newer.take();
      last = (left ?? right)?.key ?? last;
      if (left?.version !== right?.version) changes.push(textOfChange(left, right));
    }
    return jsonAnswer(`{"changes":[${changes.join(",")}]${last === null ? "" : cursorBehind(last)}}`);
  },
};

const NO_FROM = failure(
  "invalid",
  "from is missing; it must be a moment like 2026-11-22T14:03:07Z, a versionstamp, or how long ago, like -1h.",
);

/** Which key comes first. Below 0: the older state's; above 0: the newer state's; 0: they are equal. null: no state has another key. */
function orderOf(was: StoredEntry | null, is: StoredEntry | null): number | null {
  if (was === null) return is === null ? null : 1;
  return is === null ? -1 : compareBytes(was.key, is.key);
}

function textOfChange(was: StoredEntry | null, is: StoredEntry | null): string {
  const key = textOfKeyNotation((is ?? was)?.key ?? new Uint8Array(0));
  const change = was === null ? "created" : is === null ? "deleted" : "updated";
  return `{"key":${key},"change":"${change}","from":${stampOf(was)},"to":${stampOf(is)}}`;
}

function stampOf(entry: StoredEntry | null): string {
  return entry === null ? "null" : `"${versionstampHex(entry.version)}"`;
}
