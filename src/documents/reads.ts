/**
 * What `get` and `getMany` answer. Each answer is one snapshot. Decoding some megabytes of documents takes tenths of a second, so others get
 * turns meanwhile; when one of them writes, a page ends with the documents that were read before.
 */
import { compareBytes, justAfter } from "../core/bytes.ts";
import { MAX_DOCUMENT_ANSWER_CHARACTERS, MAX_LOOKED_AT_BYTES, MAX_LOOKED_AT_ROWS } from "../core/document-limits.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { Version } from "../core/versionstamp.ts";
import { reading } from "../codec/json-notation/members.ts";
import type { StoredEntry } from "../core/operations.ts";
import { intersectRange, type KeyRange } from "../codec/key-prefix.ts";
import type { DocumentResult } from "../contracts/document-commands.ts";
import type { Database } from "../engine/database.ts";
import { comparisonsHold } from "./comparisons.ts";
import { tablePrefix, type TableDefinition, type TableName } from "./definition.ts";
import { type Columns, columnsOf, textOfDocument, textOfEntry, textOfIds } from "./document.ts";
import { type DocumentId, idsOfKey, type ReadId } from "./ids.ts";
import { idsOfPlace, rangeOfIds } from "./key-bounds.ts";
import type { GetManyRequest, GetRequest } from "./request.ts";
import { type GivenIds, idsInOrder, inferredIds, keyOfNamed, noWords } from "./requested-ids.ts";

/** What the requests of one call may still look at and answer. */
export interface ReadBudget {
  rows: number;
  bytes: number;
  characters: number;
}

export function freshBudget(): ReadBudget {
  return { rows: MAX_LOOKED_AT_ROWS, bytes: MAX_LOOKED_AT_BYTES, characters: MAX_DOCUMENT_ANSWER_CHARACTERS };
}

/** Why a batch answers no further request whose answer cannot be empty. null: it does. */
export function answersAreFull({ characters }: ReadBudget): Failure | null {
  if (characters > 0) return null;
  return failure(
    "limit",
    `The answers of this batch have more than ${MAX_DOCUMENT_ANSWER_CHARACTERS} characters, which is the limit. Send fewer requests in one batch.`,
  );
}

export interface ReadContext {
  readonly database: Pick<Database, "readPage" | "lastVersion">;
  readonly clock: Clock;
  /** The turns of the organization's long requests in the process. */
  readonly turns: Pick<WorkTurns, "begin" | "worked" | "next">;
  readonly definitionOf: (table: TableName) => TableDefinition | null;
  /** The part of a range that the caller may see. */
  readonly admitted: (range: KeyRange) => KeyRange;
  readonly budget: ReadBudget;
}

/** After so many bytes of documents others get a turn. One document more is allowed. */
export const BYTES_PER_STEP = 1024 * 1024;

/** A page of no more documents takes no milliseconds. */
const SHORT_PAGE_ROWS = 20;

/** Rows that are read at once where a filter may drop them. */
const FILTERED_PAGE_ROWS = 500;

/** The value of a column, or of an id, which comes first. */
export function lookupIn(
  ids: readonly Pick<ReadId, "name">[],
  values: readonly DocumentId[],
  columns: Columns,
): (name: string) => unknown {
  return (name) => {
    const index = ids.findIndex((id) => id.name === name);
    if (index !== -1) return values[index];
    return Object.hasOwn(columns, name) ? columns[name] : undefined;
  };
}

export function answerGet(request: GetRequest, context: ReadContext): DocumentResult {
  const refused = answersAreFull(context.budget);
  if (refused !== null) return refused;
  const definitions = context.definitionOf(request.table)?.ids ?? inferredIds(request.ids, noWords);
  const ids = idsInOrder(request.ids, "ids", definitions, noWords);
  const key = keyOfNamed(tablePrefix(request.table), ids);
  const range = { ...context.admitted({ start: key, end: justAfter(key) }), limit: 1, reverse: false };
  const [entry] = context.database.readPage(range, { maxBytes: MAX_LOOKED_AT_BYTES, keysOnly: false }).entries;
  if (entry === undefined) return { ok: true, json: "null" };
  context.budget.bytes -= entry.key.length + entry.value.length;
  const json = textOfEntry(definitions, ids, entry, request.columns) ?? "null";
  context.budget.characters -= json.length;
  return { ok: true, json };
}

export async function answerGetMany(request: GetManyRequest, context: ReadContext): Promise<DocumentResult> {
  const isLong = request.rowsLimit > SHORT_PAGE_ROWS || request.filter.comparisons.length > 0;
  const refused = isLong ? await context.turns.begin() : null;
  if (refused !== null) return refused;
  const reader = reading(() => new ManyReader(request, context));
  return isFailure(reader) ? reader : reader.answer();
}

/** Looks at the entries of a range, from its first on, until a limit is reached. */
class ManyReader {
  readonly #request: GetManyRequest;
  readonly #context: ReadContext;
  readonly #definitions: readonly ReadId[];
  readonly #prefix: Uint8Array;
  readonly #data: string[] = [];
  /** The page shows the database as of this version. */
  readonly #version: Version;
  /** What was not looked at yet. */
  #rest: KeyRange;
  /** Bytes of documents since others had a turn, and when that was. */
  #bytesOfStep = 0;
  #since: UnixMs;

  constructor(request: GetManyRequest, context: ReadContext) {
    this.#request = request;
    this.#context = context;
    this.#prefix = tablePrefix(request.table);
    this.#version = context.database.lastVersion;
    this.#since = context.clock.now();
    const definitions = context.definitionOf(request.table)?.ids ?? idsOfAnyType(request.ids);
    const ids = idsInOrder(request.ids, "ids", definitions, anyType);
    const endIds = idsInOrder(request.endIds, "endIds", definitions, anyType);
    const { start, end } = rangeOfIds(this.#prefix, ids, endIds, request.isDescending);
    this.#definitions = definitions;
    // A forged place leads nowhere else.
    const range = intersectRange(this.#prefix, start, end) ?? { start, end: start };
    this.#rest = context.admitted(range);
  }

  async answer(): Promise<DocumentResult> {
    const { budget } = this.#context;
    let isAtEnd = false;
    while (!isAtEnd && this.#mayGoOn && hasRoom(budget)) isAtEnd = await this.#look();
    const next = isAtEnd ? null : this.#next();
    const nextId = next === null ? "" : `,"nextId":{"ids":${textOfIds(this.#definitions, next)}}`;
    const json = `{"data":[${this.#data.join(",")}]${nextId}}`;
    budget.characters -= nextId.length;
    this.#context.turns.worked(this.#since);
    return { ok: true, json };
  }

  get #mayGoOn(): boolean {
    return this.#data.length < this.#request.rowsLimit && this.#version === this.#context.database.lastVersion;
  }

  /** Looks at the next entries. Returns whether there are no more. */
  async #look(): Promise<boolean> {
    const { budget, database } = this.#context;
    const { rowsLimit, filter, isDescending } = this.#request;
    const wanted = rowsLimit - this.#data.length;
    const rows = filter.comparisons.length === 0 ? wanted : Math.max(wanted, FILTERED_PAGE_ROWS);
    const range = { ...this.#rest, limit: Math.min(rows, budget.rows), reverse: isDescending };
    const { entries, more } = database.readPage(range, { maxBytes: budget.bytes, keysOnly: false });
    const { clock, turns } = this.#context;
    for (const [index, entry] of entries.entries()) {
      if (this.#bytesOfStep > BYTES_PER_STEP) {
        turns.worked(this.#since);
        await turns.next();
        this.#bytesOfStep = 0;
        this.#since = clock.now();
      }
      this.#bytesOfStep += entry.value.length;
      budget.rows -= 1;
      budget.bytes -= entry.key.length + entry.value.length;
      this.#passed(entry);
      this.#take(entry);
      const isFull = this.#data.length === rowsLimit || budget.characters <= 0;
      if (isFull) return !more && index === entries.length - 1;
    }
    return !more;
  }

  #passed({ key }: StoredEntry): void {
    const { start, end } = this.#rest;
    this.#rest = this.#request.isDescending ? { start, end: key } : { start: justAfter(key), end };
  }

  #take(entry: StoredEntry): void {
    const ids = idsOfKey(entry.key, this.#prefix.length, this.#definitions);
    const text = ids === null ? null : this.#textOf(ids, entry);
    if (text === null) return;
    this.#context.budget.characters -= text.length;
    this.#data.push(text);
  }

  /** null: the entry is no document, or the filter drops it. */
  #textOf(ids: readonly DocumentId[], entry: StoredEntry): string | null {
    const { filter, columns: only } = this.#request;
    if (filter.comparisons.length === 0) return textOfEntry(this.#definitions, ids, entry, only);
    const columns = columnsOf(entry);
    if (columns === null || !comparisonsHold(filter, lookupIn(this.#definitions, ids, columns))) return null;
    return textOfDocument(this.#definitions, { ids, columns, value: entry.value }, only);
  }

  /** The ids at which the next page begins. null: nothing is left. */
  #next(): readonly DocumentId[] | null {
    if (compareBytes(this.#rest.start, this.#rest.end) >= 0) return null;
    const range = { ...this.#rest, limit: 1, reverse: this.#request.isDescending };
    const [entry] = this.#context.database.readPage(range, { maxBytes: 0, keysOnly: true }).entries;
    if (entry === undefined) return null;
    const ids = idsOfKey(entry.key, this.#prefix.length, this.#definitions);
    return ids ?? idsOfPlace(entry.key.subarray(this.#prefix.length), this.#definitions.length);
  }
}

function hasRoom({ rows, bytes, characters }: ReadBudget): boolean {
  return rows > 0 && bytes > 0 && characters > 0;
}

/** The ids of a table that nobody has defined. */
function idsOfAnyType(given: GivenIds): readonly ReadId[] {
  return [...given.keys()].map((name) => ({ name, type: "any" }));
}

/** A bound may stand for an id of any type. */
function anyType(): "any" {
  return "any";
}
