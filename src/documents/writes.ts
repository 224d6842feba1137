/**
 * What `create`, `update` and `delete` change. All of it is decided in one step with the write, by `DecisionState`: the definition of the
 * table, whether the document exists, whether the condition holds. Requests of an atomic batch see what the earlier ones of it have
 * changed.
 *
 * An entry that is no document, because its value is no object, is never overwritten or deleted. A document keeps its expiry when it is
 * updated; a create makes a document without one.
 */
import { toBinaryText } from "../core/bytes.ts";
import type { UnixMs } from "../core/clock.ts";
import { MAX_DEFINITIONS_BYTES, MAX_DEFINITIONS_LOOKED_AT, MAX_TABLES } from "../core/document-limits.ts";
import type { Entropy } from "../core/entropy.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_ATOMIC_WRITE_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES } from "../core/limits.ts";
import { Encoding, type Mutation, type SetMutation } from "../core/operations.ts";
import { rangeOfPrefix } from "../codec/key-prefix.ts";
import { Refused, reading, tooMuch } from "../codec/json-notation/members.ts";
import type { DecisionState } from "../engine/decided-write.ts";
import { checkColumnTypes } from "./column-types.ts";
import { comparisonsHold } from "./comparisons.ts";
import {
  definitionKey,
  definitionsPrefix,
  encodeDefinition,
  type TableDefinition,
  type TableName,
  tablePrefix,
} from "./definition.ts";
import type { Definitions } from "./definitions.ts";
import { beginsAsObject, type Columns, columnsOf, encodeColumns, textOfIds } from "./document.ts";
import { GENERATED_IDS, IdGenerator } from "./generated-ids.ts";
import type { DocumentId } from "./ids.ts";
import { lookupIn } from "./reads.ts";
import type {
  Condition,
  CreateRequest,
  DeleteRequest,
  IncrementRequest,
  UpdateRequest,
  WriteRequest,
} from "./request.ts";
import {
  checkNewIds,
  idsInOrder,
  inferredIds,
  keyOfNamed,
  noWords,
  typeOfGenerated,
  withGenerated,
} from "./requested-ids.ts";

export interface WriteContext {
  readonly entropy: Entropy;
  readonly definitions: Definitions;
  /** Why the caller may not write this key. null: the caller may. */
  readonly refusedKey: (key: Uint8Array) => Failure | null;
  /** Why the caller may not define this table. null: the caller may. */
  readonly refusedTable: (table: TableName) => Failure | null;
}

type Stored = Pick<SetMutation, "value" | "encoding" | "expiresAt">;

/** The document that is there. Its columns are decoded only for a request that asks for them. */
class Found {
  readonly expiresAt: UnixMs | null;
  readonly #stored: Stored;
  #columns: Columns | undefined;

  constructor(stored: Stored) {
    if (!beginsAsObject(stored)) throw new Refused(NO_DOCUMENT);
    this.expiresAt = stored.expiresAt;
    this.#stored = stored;
  }

  get columns(): Columns {
    if (this.#columns === undefined) {
      const columns = columnsOf(this.#stored);
      if (columns === null) throw new Refused(NO_DOCUMENT);
      this.#columns = columns;
    }
    return this.#columns;
  }
}

const NO_DOCUMENT = failure(
  "type-mismatch",
  "The entry with these ids is no document, because its value is no object. Another program has written it; it stays as it is.",
);

/** A document whose existence and condition were checked. */
interface Target {
  readonly table: TableName;
  /** null: the table is not defined yet. */
  readonly definition: TableDefinition | null;
  readonly definitions: TableDefinition["ids"];
  readonly ids: readonly DocumentId[];
  readonly key: Uint8Array;
  /** null: there is no document. */
  readonly found: Found | null;
}

const INTEGERS = "from -(2^53-1) to 2^53-1";

/** How many versions a write of these requests takes: one for each id that is made of one. */
export function versionsOf(requests: readonly WriteRequest[]): number {
  const counted = requests.flatMap(({ ids }) => [...ids.values()]).filter((id) => typeOfWord(id) === "integer");
  return Math.max(1, counted.length);
}

function typeOfWord(id: DocumentId): string | undefined {
  return typeof id === "string" ? GENERATED_IDS.get(id) : undefined;
}

/** The most mutations that the requests decide on: each document, and each table's definition. */
export function mostMutations(requests: number): number {
  return 2 * requests;
}

/** The most bytes of keys and values that the requests write. */
export function mostBytes(requests: number): number {
  return Math.min(MAX_ATOMIC_WRITE_BYTES, requests * 2 * (MAX_VALUE_BYTES + MAX_KEY_BYTES));
}

/**
 * The encoded key of the document whose columns have to be decoded before it is written. null: that is not necessary. Refuses ids that are
 * wrong.
 */
export function keyOfDecoded(request: WriteRequest, definition: TableDefinition | null): Uint8Array | null {
  const { action, table, ids, condition } = request;
  const isDecoded = action === "update" || action === "increment" || condition.comparisons.length > 0;
  if (!isDecoded || [...ids.values()].some((id) => typeOfWord(id) !== undefined)) return null;
  return keyOfNamed(tablePrefix(table), idsInOrder(ids, "ids", definition?.ids ?? inferredIds(ids, noWords), noWords));
}

/** Plans the requests of one write, one after the other. */
export class WritePlan {
  readonly #state: DecisionState;
  readonly #context: WriteContext;
  readonly #generator: IdGenerator;
  readonly #mutations: Mutation[] = [];
  /** The entries that the plan changes, as they will be. null: none. */
  readonly #changed = new Map<string, Stored | null>();
  #defined: Defined = { tables: 0, bytes: 0 };
  #bytes = 0;

  /** `versions`: as `versionsOf` says. */
  constructor(state: DecisionState, context: WriteContext, versions: number) {
    this.#state = state;
    this.#context = context;
    this.#generator = new IdGenerator(context.entropy, state.version, versions);
  }

  get mutations(): readonly Mutation[] {
    return this.#mutations;
  }

  /** The JSON of the request's answer, or why it is refused. After a refusal the plan is of no use. */
  add(request: WriteRequest): string | Failure {
    return reading(() => this.#answer(request));
  }

  #answer(request: WriteRequest): string {
    switch (request.action) {
      case "create":
        return this.#create(request);
      case "update":
        return this.#update(request);
      case "increment":
        return this.#increment(request);
      case "delete":
        return this.#delete(request);
    }
  }

  #create(request: CreateRequest): string {
    const target = this.#target(request);
    const columns = withoutNulls(request.columns);
    this.#store(target, columns, columns, null);
    return `{"ids":${textOfIds(target.definitions, target.ids)}}`;
  }

  #update(request: UpdateRequest): string {
    const target = this.#target(request);
    const merged = new Map(Object.entries(target.found?.columns ?? {}));
    for (const [name, value] of Object.entries(request.columns)) {
      if (value === null) merged.delete(name);
      else merged.set(name, value);
    }
    this.#store(target, Object.fromEntries(merged), withoutNulls(request.columns), target.found?.expiresAt ?? null);
    return `{"ids":${textOfIds(target.definitions, target.ids)}}`;
  }

  #increment(request: IncrementRequest): string {
    const target = this.#target(request);
    const merged = new Map(Object.entries(target.found?.columns ?? {}));
    const results = new Map<string, number>();
    for (const [name, amount] of request.amounts) results.set(name, sumOf(name, merged.get(name), amount));
    for (const [name, result] of results) merged.set(name, result);
    const changed = Object.fromEntries(results);
    this.#store(target, Object.fromEntries(merged), changed, target.found?.expiresAt ?? null);
    return `{"columns":${JSON.stringify(changed)}}`;
  }

  #delete(request: DeleteRequest): string {
    const { key, found } = this.#target(request);
    if (found !== null) {
      this.#mutations.push({ type: "delete", key });
      this.#changed.set(toBinaryText(key), null);
    }
    return `{"success":true}`;
  }

  /** Finds the document, and refuses the request unless its condition holds. */
  #target({ action, table, ids: given, condition }: WriteRequest): Target {
    const definition = this.#definitionOf(table);
    const typeOfId = action === "create" ? typeOfGenerated : noWords;
    const definitions = definition?.ids ?? inferredIds(given, typeOfId);
    const named = idsInOrder(given, "ids", definitions, typeOfId);
    const ids = action === "create" ? withGenerated(named, this.#generator) : named;
    const key = keyOfNamed(tablePrefix(table), ids);
    throwIf(this.#context.refusedKey(key));
    const entry = this.#entry(key);
    const found = entry === null ? null : new Found(entry);
    checkCondition(condition, found, (name) => lookupIn(definitions, ids, found?.columns ?? {})(name));
    return { table, definition, definitions, ids, key, found };
  }

  #definitionOf(table: TableName): TableDefinition | null {
    const key = definitionKey(table);
    return this.#context.definitions.decode(key, this.#entry(key));
  }

  #entry(key: Uint8Array): Stored | null {
    const changed = this.#changed.get(toBinaryText(key));
    return changed === undefined ? this.#state.get(key) : changed;
  }

  /** `given`: the columns whose types have to be checked. */
  #store(target: Target, columns: Columns, given: Columns, expiresAt: UnixMs | null): void {
    const { table, definition, definitions, ids, key, found } = target;
    for (const { name } of definitions) {
      if (!Object.hasOwn(given, name)) continue;
      throw new Refused(
        failure(
          "invalid",
          `columns[${JSON.stringify(name)}] is an id of this table; an id stands in ids, not in columns.`,
        ),
      );
    }
    checkColumnTypes(definition?.columns, given);
    if (found === null) checkNewIds(definitions, ids);
    if (definition === null) this.#define(table, { ids: definitions, columns: undefined, inferred: true });
    this.#set(key, encodeColumns(columns), expiresAt);
  }

  #define(table: TableName, definition: TableDefinition): void {
    throwIf(this.#context.refusedTable(table));
    const key = definitionKey(table);
    if (this.#entry(key) !== null) {
      throw new Refused(
        failure(
          "type-mismatch",
          `The entry ["CDB:tables", appId, tableId] is no valid definition of this table; another program has written it. Define the table, or delete the entry.`,
        ),
      );
    }
    const value = encodeDefinition(definition);
    const bytes = key.length + value.length;
    throwIf(noRoomForDefinition(this.#state, bytes, null, this.#defined));
    this.#defined = { tables: this.#defined.tables + 1, bytes: this.#defined.bytes + bytes };
    this.#set(key, value, null);
  }

  #set(key: Uint8Array, value: Uint8Array, expiresAt: UnixMs | null): void {
    this.#bytes += key.length + value.length;
    if (this.#bytes > MAX_ATOMIC_WRITE_BYTES) {
      tooMuch(
        `The documents of the atomic batch have more than ${MAX_ATOMIC_WRITE_BYTES} bytes of keys and values, which is the limit.`,
      );
    }
    const stored = { value, encoding: Encoding.v8, expiresAt };
    this.#mutations.push({ type: "set", key, ...stored, versionstampedKey: false });
    this.#changed.set(toBinaryText(key), stored);
  }
}

/** What a write has defined already. */
export interface Defined {
  readonly tables: number;
  readonly bytes: number;
}

/** Why the database has no room for a definition. `before`: bytes of the one that it replaces; null: it makes a table. null: there is room. */
export function noRoomForDefinition(
  state: DecisionState,
  bytes: number,
  before: number | null,
  made: Defined = { tables: 0, bytes: 0 },
): Failure | null {
  const all = rangeOfPrefix(definitionsPrefix());
  const tables = state.keys(all, MAX_TABLES).length + made.tables;
  if (before === null && tables >= MAX_TABLES) {
    return failure(
      "limit",
      `This database has ${tables} tables; the limit is ${MAX_TABLES}. Delete the definition of one that is not needed.`,
    );
  }
  if (before !== null && bytes <= before) return null;
  const together = state.bytes(all, MAX_DEFINITIONS_LOOKED_AT) + made.bytes + bytes - (before ?? 0);
  if (together <= MAX_DEFINITIONS_BYTES) return null;
  return failure(
    "limit",
    `With this definition the tables of the database have definitions of ${together} bytes; the limit is ${MAX_DEFINITIONS_BYTES}. Name fewer columns, or delete the definition of a table that is not needed.`,
  );
}

function checkCondition(condition: Condition, found: Found | null, lookup: (name: string) => unknown): void {
  const { type } = condition;
  if (type === "exist" && found === null) {
    throw unfulfilled(`there is no document with these ids, and condition.type is "exist"`);
  }
  if (type === "notExist" && found !== null) {
    throw unfulfilled(`there is a document with these ids, and condition.type is "notExist"`);
  }
  if (!comparisonsHold(condition, lookup)) {
    const columns = [...new Set(condition.comparisons.map(({ column }) => column))].join(", ");
    throw unfulfilled(`condition.conditionList does not hold for the document's ${columns}`);
  }
}

function unfulfilled(why: string): Refused {
  return new Refused(failure("precondition-failed", `The condition does not hold: ${why}. Nothing was written.`));
}

/** A missing column counts as 0, and so does one that holds null. */
function sumOf(name: string, before: unknown, amount: number): number {
  const where = `columns[${JSON.stringify(name)}]`;
  const start = before ?? 0;
  if (typeof start !== "number" || !Number.isSafeInteger(start)) {
    throw new Refused(
      failure("type-mismatch", `${where} of the document is not an integer ${INTEGERS}, so it cannot be incremented.`),
    );
  }
  const sum = start + amount;
  if (Number.isSafeInteger(sum)) return sum === 0 ? 0 : sum;
  throw new Refused(
    failure("type-mismatch", `${where} would be ${start} + ${amount}, which is not ${INTEGERS}. Nothing was written.`),
  );
}

/** A null means that there is no such column. */
function withoutNulls(columns: Columns): Columns {
  return Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== null));
}

function throwIf(refused: Failure | null): void {
  if (refused !== null) throw new Refused(refused);
}
