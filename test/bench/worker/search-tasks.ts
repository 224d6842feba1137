/** Searches measured inside one object, beside bare SQL statements that find the same rows. */
import { encodeKey } from "../../../src/codec/key-codec.ts";
import { encodeV8 } from "../../../src/codec/v8/codec.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { Encoding } from "../../../src/core/operations.ts";
import type { BulkStorage } from "../../../src/core/storage.ts";
import { definitionKey, encodeDefinition } from "../../../src/documents/definition.ts";
import { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { search } from "../../../src/documents/search/search.ts";
import { Database } from "../../../src/engine/database.ts";
import { documentOf, type DocumentQuery, documentQueries } from "../searched-documents.ts";
import { writeOf } from "../operations.ts";

export type SearchTask =
  /** Sets the documents number `from` to `to` - 1, before there is an index. */
  | { readonly task: "set documents"; readonly from: number; readonly to: number }
  /** Defines the table, and builds its index. Answers the number of documents. */
  | { readonly task: "index documents" }
  /** The query of that name, so many times, by a search or by SQL. Answers how many rows it found the last time. */
  | { readonly task: "search documents"; readonly query: string; readonly times: number; readonly by: "search" | "sql" }
  /** Does nothing: shows how long the object was busy. */
  | { readonly task: "tick" };

const TABLE = { appId: "app", tableId: "table" };
const COLUMNS = [
  { name: "city", type: "keyword", indexed: true },
  { name: "name", type: "keyword", indexed: true },
  { name: "price", type: "number", indexed: true },
  { name: "text", type: "text", indexed: true },
  { name: "place", type: "geo", indexed: true },
] as const;

export class SearchTasks {
  readonly #storage: BulkStorage;
  readonly #index: DocumentIndex;
  readonly #database: Database;

  constructor(storage: BulkStorage) {
    this.#storage = storage;
    this.#index = new DocumentIndex({ storage, isMade: false });
    const clock = { now: () => asUnixMs(Date.now()) };
    this.#database = new Database({ storage, clock, derivedTables: this.#index });
  }

  async run(task: SearchTask): Promise<number> {
    switch (task.task) {
      case "set documents":
        return this.#set(task.from, task.to);
      case "index documents":
        return this.#build();
      case "search documents":
        return this.#search(task.query, task.times, task.by);
      case "tick":
        return 0;
    }
  }

  #set(from: number, to: number): number {
    for (let start = from; start < to; start += 500) {
      const mutations = Array.from({ length: Math.min(500, to - start) }, (_, i) => {
        const key = encodeKey([TABLE.appId, TABLE.tableId, ...documentOf(start + i).ids]);
        const value = encodeV8(documentOf(start + i).columns);
        if (!key.ok || !value.ok) throw new Error("expected a document");
        return setOf(key.bytes, value.bytes);
      });
      this.#database.commit([writeOf(mutations)]);
    }
    return to - from;
  }

  async #build(): Promise<number> {
    const ids = [{ name: "id", type: "string" }] as const;
    const definition = encodeDefinition({ ids, columns: COLUMNS, inferred: false });
    this.#database.commit([writeOf([setOf(definitionKey(TABLE), definition)])]);
    while (await this.#index.step()) await turn();
    return this.#index.table(TABLE)?.live?.done ?? 0;
  }

  async #search(name: string, times: number, by: "search" | "sql"): Promise<number> {
    const query = documentQueries.find((one) => one.name === name);
    if (query === undefined) throw new Error(`expected a query, got ${name}`);
    let found: number | string = 0;
    for (let i = 0; i < times; i++) found = by === "sql" ? this.#bySql(query) : await this.#bySearch(query);
    // Each row begins so. The rows are counted once, because a search does not count them.
    return typeof found === "string" ? found.split(`{"ids":{`).length - 1 : found;
  }

  /** The text that leaves the object. */
  async #bySearch({ request }: DocumentQuery): Promise<string> {
    const answer = await search(TABLE, request, null, {
      sql: this.#storage.sql,
      table: (name) => this.#index.table(name),
      now: () => asUnixMs(Date.now()),
      mayHaveExpired: () => this.#database.mayHaveExpired(),
      pause: turn,
      ended: () => undefined,
    });
    if (!answer.ok) throw new Error(answer.message);
    return answer.json;
  }

  #bySql({ sql }: DocumentQuery): number {
    if (sql === null) throw new Error("expected a statement");
    const live = this.#index.table(TABLE)?.live;
    if (live === undefined || live === null) throw new Error("expected an index");
    const id = (column: string, type: "keyword" | "number" | "text" | "geo") => live.index(column, "", type)?.id ?? 0;
    const { query, bindings } = sql({ id, prefix: live.prefix });
    let rows = 0;
    for (const row of this.#storage.sql.exec(query, ...bindings).raw()) if (row.length > 0) rows += 1;
    return rows;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function setOf(key: Uint8Array, value: Uint8Array) {
  return {
    type: "set",
    key,
    value,
    encoding: Encoding.v8,
    expiresAt: null,
    versionstampedKey: false,
  } as const;
}
