/** A database with the indexes of documents in an object's storage, and the action `search` on it. */
import { encodeKey, type KeyPart } from "../../../src/codec/key-codec.ts";
import { encodeV8 } from "../../../src/codec/v8/codec.ts";
import { isFailure } from "../../../src/core/errors.ts";
import { Encoding, type Mutation } from "../../../src/core/operations.ts";
import type { Sql } from "../../../src/core/storage.ts";
import { definitionKey, encodeDefinition, type TableDefinition } from "../../../src/documents/definition.ts";
import { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { search } from "../../../src/documents/search/search.ts";
import { Database } from "../../../src/engine/database.ts";
import { MovableClock, remove, set, write } from "./engine.ts";

export type Ids = readonly (string | number)[];
export type Document = Readonly<Record<string, unknown>>;

export interface SearchResult {
  readonly data: readonly { readonly ids: Document; readonly columns: Document; readonly highlight?: Document }[];
  readonly nextToken?: string;
  readonly totalCounts?: number;
  readonly groups?: readonly Document[];
  readonly suggestions?: readonly { readonly text: string; readonly documents: number }[];
}

export class Searched {
  readonly clock = new MovableClock();
  readonly table = { appId: "app", tableId: "table" };
  readonly index: DocumentIndex;
  readonly database: Database;
  /** How often a search has let others run. */
  pauses = 0;
  /** Called in each pause. */
  inPause: () => void | Promise<void> = () => undefined;
  readonly #sql: Sql;

  /** `sql`: what searches use. */
  constructor(storage: DurableObjectStorage, isMade = false, sql: Sql = storage.sql) {
    this.#sql = sql;
    this.index = new DocumentIndex({ storage, isMade });
    this.database = new Database({ storage, clock: this.clock, derivedTables: this.index });
  }

  /** Without columns: they are mapped as they come. */
  async define(
    columns?: TableDefinition["columns"],
    ids: TableDefinition["ids"] = [{ name: "id", type: "string" }],
  ): Promise<void> {
    const value = encodeDefinition({ ids, columns, inferred: columns === undefined });
    this.commit([set(definitionKey(this.table), value, { encoding: Encoding.v8 })]);
    while (await this.index.step()) {
      // Until the index is whole.
    }
  }

  put(ids: Ids, document: unknown, expiresAt: number | null = null): void {
    this.commit([this.setOf(ids, document, expiresAt)]);
  }

  putAll(documents: readonly (readonly [Ids, unknown])[]): void {
    for (let at = 0; at < documents.length; at += 500) {
      this.commit(documents.slice(at, at + 500).map(([ids, document]) => this.setOf(ids, document, null)));
    }
  }

  setOf(ids: Ids, document: unknown, expiresAt: number | null): Mutation {
    const value = encodeV8(document);
    if (!value.ok) throw new Error(value.message);
    return set(this.keyOf(ids), value.bytes, { encoding: Encoding.v8, expiresAt });
  }

  delete(ids: Ids): void {
    this.commit([remove(this.keyOf(ids))]);
  }

  keyOf(ids: Ids): Uint8Array {
    const parts: KeyPart[] = [this.table.appId, this.table.tableId, ...ids];
    const key = encodeKey(parts);
    if (!key.ok) throw new Error(key.message);
    return key.bytes;
  }

  commit(mutations: readonly Mutation[]): void {
    for (const outcome of this.database.commit([write([...mutations])])) {
      if (!outcome.ok) throw new Error(JSON.stringify(outcome));
    }
  }

  async tried(request: Document): Promise<SearchResult | string> {
    const only = Array.isArray(request["getColumns"]) ? new Set<string>(request["getColumns"]) : null;
    const answer = await search(this.table, request, only, {
      sql: this.#sql,
      table: (name) => this.index.table(name),
      now: () => this.clock.now(),
      mayHaveExpired: () => this.database.mayHaveExpired(),
      pause: async () => {
        this.pauses += 1;
        await this.inPause();
      },
      ended: () => undefined,
    });
    return isFailure(answer) ? `${answer.code}: ${answer.message}` : (JSON.parse(answer.json) as SearchResult);
  }

  async search(request: Document): Promise<SearchResult> {
    const result = await this.tried(request);
    if (typeof result === "string") throw new Error(result);
    return result;
  }

  /** The first ids of the rows. */
  async ids(request: Document): Promise<unknown[]> {
    return (await this.search(request)).data.map(({ ids }) => Object.values(ids)[0]);
  }
}
