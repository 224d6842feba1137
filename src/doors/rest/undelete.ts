/**
 * Undelete: `POST undelete` `{"at":moment,"selector":{"prefix":["orders"]}}` brings back the entries of that moment that are
 * gone since. Only keys without an entry are written. With `force`, entries that have changed since are put back too. Up to a thousand
 * entries are written in one commit. More entries take several commits; if the request ends between them, the same request, sent again,
 * writes the rest.
 */
import { textOfKeyNotation } from "../../codec/json-notation/key-notation.ts";
import { flagOf, keyOf, objectOf, reading, refuse } from "../../codec/json-notation/members.ts";
import { rangeOfSelector } from "../../codec/json-notation/selector.ts";
import type { JsonObject } from "../../codec/json-notation/types.ts";
import { encodeEntryList } from "../../codec/entry-list.ts";
import type { KeyRange } from "../../codec/key-prefix.ts";
import { refusedAccess, refusedRange } from "../../contracts/grant.ts";
import { justAfter } from "../../core/bytes.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import {
  MAX_IMPORT_BATCH_ENTRIES,
  MAX_READ_ENTRIES,
  MAX_REST_KEYS_BODY_BYTES,
  MAX_UNDELETE_BATCH_BYTES,
} from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { NO_VERSION, type Version, versionstampHex } from "../../core/versionstamp.ts";
import { problem } from "../http/problem.ts";
import { readJsonBody } from "../http/request-body.ts";
import { jsonAnswer, listOf } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { EntryPages } from "./key-pages.ts";

const EXAMPLE = '{"at":"2026-11-22T14:03:07Z","selector":{"prefix":["orders"]}}';

interface Asked {
  readonly at: string;
  readonly range: KeyRange;
  readonly force: boolean;
  readonly dryRun: boolean;
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
    const past = await call.openPast(asked.at);
    if (isFailure(past)) return past;
    return new Undelete(call, asked, new EntryPages(past, asked.range, { keysOnly: false })).run();
  },
};

function askedOf(json: JsonObject): Asked | Failure {
  const { at, key, prefix, selector } = json;
  if (typeof at !== "string") return refuse("at is missing; it must be a moment, like 2026-11-22T14:03:07Z.");
  if ([key, prefix, selector].filter((named) => named !== undefined).length !== 1) {
    return refuse("The body must name a key, a prefix or a selector, one of them.");
  }
  const flags = { force: flagOf(json, "The body", "force"), dryRun: flagOf(json, "The body", "dryRun") };
  if (key !== undefined) {
    const start = keyOf(key, "key");
    return { at, ...flags, range: { start, end: justAfter(start) } };
  }
  const range =
    prefix === undefined
      ? rangeOfSelector(objectOf(selector, "selector", '{"prefix":["orders"]}'), "selector.")
      : rangeOfSelector({ prefix }, "");
  return range.ok ? { at, ...flags, range: range.range } : range;
}

class Undelete {
  readonly #call: RestCall;
  readonly #asked: Asked;
  readonly #then: EntryPages;
  readonly #told: string[] = [];
  #count = 0;
  #unchanged = 0;
  #skipped = 0;
  #expired = 0;
  #version: Version = NO_VERSION;

  constructor(call: RestCall, asked: Asked, then: EntryPages) {
    this.#call = call;
    this.#asked = asked;
    this.#then = then;
  }

  async run(): Promise<Response> {
    for (;;) {
      const batch = await this.#nextBatch();
      if (isFailure(batch)) return this.#stopped(batch);
      if (batch.length === 0) return jsonAnswer(this.#report());
      const failed = await this.#bringBack(batch);
      if (failed !== null) return this.#stopped(failed);
    }
  }

  async #nextBatch(): Promise<StoredEntry[] | Failure> {
    const batch: StoredEntry[] = [];
    for (let bytes = 0; batch.length < MAX_IMPORT_BATCH_ENTRIES && bytes < MAX_UNDELETE_BATCH_BYTES;) {
      const entry = await this.#then.peek();
      if (entry === null) break;
      if (isFailure(entry)) return entry;
      this.#then.take();
      batch.push(entry);
      bytes += entry.key.length + entry.value.length;
    }
    return batch;
  }

  /** Writes those of the moment's entries that the database does not have as they were then. The batch is in the order of keys. */
  async #bringBack(batch: readonly StoredEntry[]): Promise<Failure | null> {
    const { stub, grant, clock } = this.#call;
    const keys = batch.map(({ key }) => key);
    const present = listOf(await stub.entries(grant, { command: "versions", keys }));
    if (isFailure(present)) return present;
    const now = clock.now();
    const wanted = batch.filter((entry, index) => {
      const version = present.entries[index]?.version;
      const isOver = entry.expiresAt !== null && entry.expiresAt <= now;
      if (version === entry.version) this.#unchanged += 1;
      else if (isOver) this.#expired += 1;
      else if (version !== undefined && !this.#asked.force) this.#skipped += 1;
      else return true;
      return false;
    });
    if (wanted.length === 0) return null;
    if (this.#asked.dryRun) {
      this.#count += wanted.length;
    } else {
      const list = encodeEntryList({ entries: wanted, more: false, readAt: NO_VERSION });
      const answer = await stub.importEntries(grant, list, this.#asked.force);
      if (isFailure(answer)) return answer;
      this.#count += answer.written;
      this.#skipped += answer.skipped;
      this.#version = answer.version;
    }
    for (const { key, version } of wanted) {
      if (this.#told.length === MAX_READ_ENTRIES) break;
      this.#told.push(`{"key":${textOfKeyNotation(key)},"versionstamp":"${versionstampHex(version)}"}`);
    }
    return null;
  }

  /** The problem also says how far the undelete has come: entries that it has brought back stay, and the same request writes the rest. */
  #stopped(why: Failure): Response {
    const members = { count: this.#count, skipped: this.#skipped, unchanged: this.#unchanged, expired: this.#expired };
    return problem(why, { members });
  }

  #report(): string {
    const stamp = this.#version === NO_VERSION ? "" : `,"versionstamp":"${versionstampHex(this.#version)}"`;
    const counts = `"count":${this.#count},"skipped":${this.#skipped},"unchanged":${this.#unchanged},"expired":${this.#expired}`;
    return `{${counts},"entries":[${this.#told.join(",")}]${stamp}}`;
  }
}
