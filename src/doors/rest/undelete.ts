/**
 * Undelete: `POST undelete` `{"at":moment,"selector":{"prefix":["orders"]}}` brings back the entries of that moment that are
 * gone since. Only keys without an entry are written. With `force`, entries that have changed since are put back too. What one atomic
 * write can bring back is brought back by one. A job brings back more. A dry run lists what would be brought back, in pages.
 */
import { textOfKeyNotation } from "../../codec/json-notation/key-notation.ts";
import { described } from "../../codec/json-notation/place.ts";
import { flagOf, keyOf, objectOf, onlyMembers, reading, refuse } from "../../codec/json-notation/members.ts";
import { rangeOfSelector } from "../../codec/json-notation/selector.ts";
import type { JsonObject } from "../../codec/json-notation/types.ts";
import { encodeEntryList } from "../../codec/entry-list.ts";
import type { KeyRange } from "../../codec/key-prefix.ts";
import { refusedAccess, refusedRange } from "../../contracts/grant.ts";
import { assert } from "../../core/assert.ts";
import { justAfter } from "../../core/bytes.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import {
  MAX_DIFF_KEYS,
  MAX_IMPORT_BATCH_ENTRIES,
  MAX_READ_ENTRIES,
  MAX_REST_KEYS_BODY_BYTES,
  MAX_UNDELETE_BATCH_BYTES,
} from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { fateOf, NOTHING_UNDELETED } from "../../core/undelete.ts";
import { NO_VERSION, versionstampHex } from "../../core/versionstamp.ts";
import { readJsonBody } from "../http/request-body.ts";
import { jsonAnswer, listOf } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import type { PastState } from "../http/past.ts";
import { begun } from "./jobs.ts";
import { EntryPages } from "./key-pages.ts";
import { behindCursor, cursorBehind } from "./parameters.ts";

const EXAMPLE = '{"at":"2026-11-22T14:03:07Z","selector":{"prefix":["orders"]}}';

interface Asked {
  readonly at: string;
  readonly range: KeyRange;
  readonly force: boolean;
  readonly dryRun: boolean;
  /** That of the page of a dry run before. null: there was none. */
  readonly cursor: string | null;
}

/** What is to be brought back, without the values. */
interface Plan {
  readonly wanted: readonly StoredEntry[];
  readonly counts: typeof NOTHING_UNDELETED;
  /** Where the plan ends, although the range goes on: the last key that was looked at. null: the range is over. */
  readonly endedAt: Uint8Array | null;
}

export const undelete: Operation = {
  access: "write",
  query: [],
  async answer(call) {
    const body = await readJsonBody(call.request, MAX_REST_KEYS_BODY_BYTES, call);
    if (isFailure(body)) return body;
    const asked = reading(() => askedOf(objectOf(body.value, "The body", EXAMPLE)));
    if (isFailure(asked)) return asked;
    const refused = refusedAccess(call.grant, "read", call.clock.now()) ?? refusedRange(call.grant, asked.range);
    if (refused !== null) return refused;
    const rest = behindCursor(asked.range, asked.cursor, false);
    if (isFailure(rest)) return rest;
    const past = await call.openPast(asked.at);
    if (isFailure(past)) return past;
    const found = await planOf(call, asked, new EntryPages(call, past, rest, { keysOnly: true }));
    if (isFailure(found)) return found;
    if (asked.dryRun) return jsonAnswer(textOf(found, found.endedAt === null ? "" : cursorBehind(found.endedAt)));
    return found.endedAt === null ? bringBack(call, asked, past, found) : begin(call, asked, past);
  },
};

function askedOf(json: JsonObject): Asked | Failure {
  onlyMembers(json, ["at", "key", "prefix", "selector", "force", "dryRun", "cursor"], "The body");
  const { at, key, prefix, selector, cursor = null } = json;
  if (typeof at !== "string") return refuse("at is missing; it must be a moment, like 2026-11-22T14:03:07Z.");
  if ([key, prefix, selector].filter((named) => named !== undefined).length !== 1) {
    return refuse("The body must name a key, a prefix or a selector, one of them.");
  }
  const flags = { force: flagOf(json, "The body", "force"), dryRun: flagOf(json, "The body", "dryRun") };
  if (cursor !== null && typeof cursor !== "string") {
    return refuse(`cursor is ${described(cursor)}; it must be that of the page before.`);
  }
  if (cursor !== null && !flags.dryRun)
    return refuse("cursor goes with dryRun only; without dryRun nothing is left for a second page.");
  if (key !== undefined) {
    const start = keyOf(key, "key");
    return { at, ...flags, cursor, range: { start, end: justAfter(start) } };
  }
  const named = prefix === undefined ? objectOf(selector, "selector", '{"prefix":["orders"]}') : { prefix };
  onlyMembers(named, ["prefix", "start", "end"], "selector");
  const range = rangeOfSelector(named, prefix === undefined ? "selector." : "");
  return range.ok ? { at, ...flags, cursor, range: range.range } : range;
}

/** Ends where one atomic write, or one page of a dry run, would have more entries than it may have, and after many keys in any case. */
async function planOf(call: RestCall, asked: Asked, then: EntryPages): Promise<Plan | Failure> {
  const wanted: StoredEntry[] = [];
  const counts = { ...NOTHING_UNDELETED };
  let last: Uint8Array | null = null;
  for (;;) {
    const batch = await nextBatch(then);
    if (isFailure(batch)) return batch;
    if (batch.length === 0) return { wanted, counts, endedAt: null };
    const keys = batch.map(({ key }) => key);
    const present = listOf(await call.stub.entries(call.grant, { command: "versions", keys }));
    if (isFailure(present)) return present;
    const rule = { force: asked.force, now: call.clock.now() };
    for (const [index, entry] of batch.entries()) {
      const fate = fateOf(entry, present.entries[index]?.version ?? null, rule);
      if (fate === "count" && wanted.length === MAX_IMPORT_BATCH_ENTRIES) return { wanted, counts, endedAt: last };
      if (fate === "count") wanted.push(entry);
      counts[fate] += 1;
      last = entry.key;
    }
    if (then.taken >= MAX_DIFF_KEYS) return { wanted, counts, endedAt: last };
  }
}

async function nextBatch(then: EntryPages): Promise<StoredEntry[] | Failure> {
  const batch: StoredEntry[] = [];
  while (batch.length < MAX_READ_ENTRIES) {
    const entry = await then.peek();
    if (entry === null) break;
    if (isFailure(entry)) return entry;
    then.take();
    batch.push(entry);
  }
  return batch;
}

/** One atomic write, or the job where the values are too large for one. */
async function bringBack(call: RestCall, asked: Asked, past: PastState, plan: Plan): Promise<Response | Failure> {
  const { stub, grant } = call;
  if (plan.wanted.length === 0) return jsonAnswer(textOf(plan, ""));
  const keys = plan.wanted.map(({ key }) => key);
  const command = { command: "get", keys, maxBytes: MAX_UNDELETE_BATCH_BYTES } as const;
  const list = listOf(await call.ration.entries(past, command));
  if (isFailure(list)) return list.code === "limit" ? begin(call, asked, past) : list;
  const { entries } = list;
  const written = await stub.importEntries(
    grant,
    encodeEntryList({ entries, more: false, readAt: NO_VERSION }),
    asked.force,
  );
  if (isFailure(written)) return written;
  const counts = { ...plan.counts, count: written.written, skipped: plan.counts.skipped + written.skipped };
  return jsonAnswer(textOf({ ...plan, counts }, `,"versionstamp":"${versionstampHex(written.version)}"`));
}

async function begin(call: RestCall, { range, force }: Asked, past: PastState): Promise<Response | Failure> {
  const counted = await past.stub.countEntries(past.grant, range);
  if (isFailure(counted)) return counted;
  const { at } = past.grant;
  assert(at !== undefined, "a grant of a state of the past");
  const answer = await call.stub.beginUndelete(call.grant, range, { at, force, total: counted.count });
  return isFailure(answer) ? answer : begun(call, answer.job);
}

function textOf({ wanted, counts }: Plan, more: string): string {
  const told = wanted.map(
    ({ key, version }) => `{"key":${textOfKeyNotation(key)},"versionstamp":"${versionstampHex(version)}"}`,
  );
  return `{${JSON.stringify(counts).slice(1, -1)},"entries":[${told.join(",")}]${more}}`;
}
