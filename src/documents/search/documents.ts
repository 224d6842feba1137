/** Reads the documents of hits, as they are now. */
import { compareBytes, toHex } from "../../core/bytes.ts";
import { endOfPlainPart } from "../../codec/key-codec.ts";
import { plainJsonOfObject, ValuesText } from "../../codec/v8/plain-json.ts";
import type { UnixMs } from "../../core/clock.ts";
import type { Encoding } from "../../core/operations.ts";
import type { Sql } from "../../core/storage.ts";
import { LIVE_TABLES } from "../../engine/entry-table.ts";
import { ROW_IN_PAGE, RowPage } from "../../engine/row-page.ts";
import type { TableDefinition } from "../definition.ts";
import { type Columns, columnsOf, textOfDocument, textOfIds } from "../document.ts";
import { type DocumentId, idsOfKey } from "../ids.ts";
import type { DocumentTable } from "../index/registry.ts";
import { NUMBERS } from "../index/schema.ts";
import type { Hit } from "./cursors.ts";
import type { Candidate } from "./matches.ts";
import { COST, type Steps } from "./steps.ts";

/** A document that was read. What is not asked of it is not decoded. */
export class FoundDocument implements Candidate {
  readonly ids: Uint8Array;
  /** The stored value. */
  readonly value: Uint8Array;
  readonly number: number | null;
  readonly #encoding: Encoding;
  readonly #definition: TableDefinition;
  readonly #values: ValuesText | null;
  #columns: Columns | null | undefined;

  /** `values`: the text of the buffer that the ids and the value are views of. */
  constructor(
    { ids, value, encoding, number }: Pick<FoundDocument, "ids" | "value" | "number"> & { readonly encoding: Encoding },
    definition: TableDefinition,
    values: ValuesText | null = null,
  ) {
    this.#values = values;
    this.ids = ids;
    this.value = value;
    this.number = number;
    this.#encoding = encoding;
    this.#definition = definition;
  }

  get columns(): Columns {
    return this.#read() ?? {};
  }

  /** Whether the entry is a document at all. */
  get isDocument(): boolean {
    return this.#idValues() !== null && this.#read() !== null;
  }

  /** The JSON of the document, `{"ids":{…},"columns":{…}}`. `only`: the columns to show; null: all. */
  text(only: ReadonlySet<string> | null): string {
    const { ids } = this.#definition;
    const values = () => this.#idValues() ?? [];
    const plain = plainJsonOfObject(this.value, only, this.#values);
    if (plain !== null) return `{"ids":${this.#plainIds() ?? textOfIds(ids, values())},"columns":${plain}}`;
    return textOfDocument(ids, { ids: values(), columns: this.columns, value: this.value }, only);
  }

  /** The ids as JSON, when they are strings of plain characters whose text is known. */
  #plainIds(): string | null {
    if (this.#values === null) return null;
    let text = "{";
    let at = 0;
    for (const { name } of this.#definition.ids) {
      const end = endOfPlainPart(this.ids, at);
      if (end === -1) return null;
      const { byteOffset } = this.ids;
      const id = this.#values.text.slice(byteOffset + at + 1, byteOffset + end);
      text += `${at === 0 ? "" : ","}${JSON.stringify(name)}:"${id}"`;
      at = end + 1;
    }
    return at === this.ids.length ? `${text}}` : null;
  }

  #idValues(): readonly DocumentId[] | null {
    return idsOfKey(this.ids, 0, this.#definition.ids);
  }

  #read(): Columns | null {
    if (this.#columns === undefined) this.#columns = columnsOf({ value: this.value, encoding: this.#encoding });
    return this.#columns;
  }
}

/** Documents that are read with one statement. Their values are inline, or are read when their turn comes. */
export const DOCUMENT_WINDOW = 500;

export class DocumentReader {
  readonly #sql: Sql;
  readonly #table: DocumentTable;
  readonly #steps: Steps;
  readonly #now: () => UnixMs;
  readonly #prepare: (document: FoundDocument) => Promise<void> | null;

  /** `prepare` does what takes long with a document that is to be compared, before it is seen. It is called again until it returns null. */
  constructor(
    sql: Sql,
    table: DocumentTable,
    steps: Steps,
    now: () => UnixMs,
    prepare: (document: FoundDocument) => Promise<void> | null = () => null,
  ) {
    this.#prepare = prepare;
    this.#sql = sql;
    this.#table = table;
    this.#steps = steps;
    this.#now = now;
  }

  /**
   * Calls `see` with the document of each hit, in order; hits whose entry has expired or is gone are passed over. `areDocuments`: an index
   * has found them since others last wrote, so they are documents; otherwise entries that are none are passed over. Ends early when `see`
   * returns false. `withNumbers`: the documents' numbers are needed where the hits have none.
   */
  async each(
    hits: readonly Hit[],
    { withNumbers = false, areDocuments = false }: { readonly withNumbers?: boolean; readonly areDocuments?: boolean },
    see: (document: FoundDocument) => boolean,
  ): Promise<boolean> {
    const before = this.#steps.pauses;
    let window = DOCUMENT_WINDOW;
    let at = 0;
    while (at < hits.length) {
      const some = hits.slice(at, at + window);
      const isCertain = areDocuments && this.#steps.pauses === before;
      let done = some.length;
      for (const { document, index } of this.#read(some, withNumbers, this.#now())) {
        this.#steps.spend(COST.document + document.value.length * COST.byteOfDocument);
        if (isCertain || document.isDocument) {
          const preparing = isCertain ? null : this.#prepare(document);
          if (preparing !== null) {
            await preparing;
            // It is read again, because it may have changed meanwhile. There may be more such documents.
            [done, window] = [index, AFTER_LARGE];
            break;
          }
          if (!see(document)) return false;
        }
        if (!this.#steps.isDue) continue;
        // The others are read again, because they may change during the pause.
        done = index + 1;
        break;
      }
      at += done;
      await this.#steps.rest();
    }
    return true;
  }

  /** The documents that are stored under these ids, expired or not: what the indexes still have. */
  stored(hits: readonly Hit[]): FoundDocument[] {
    return Array.from(this.#read(hits, false, NEVER), ({ document }) => document).filter((one) => one.isDocument);
  }

  /** The documents of a statement that gives `ids`, in its order. `?1` is the prefix, `?2` the time; the bindings follow. null: they are too large. */
  page(hits: string, bindings: readonly (string | number | Uint8Array)[]): FoundDocument[] | null {
    const { prefix, definition } = this.#table;
    const { page } = this.#sql.exec<{ page: ArrayBuffer | null }>(pageOf(hits), prefix, this.#now(), ...bindings).one();
    this.#steps.spend(COST.statement);
    const documents: FoundDocument[] = [];
    let bytes = 0;
    const buffer = page ?? new ArrayBuffer(0);
    const rows = new RowPage(buffer);
    const values = new ValuesText(buffer);
    while (rows.hasMore) {
      const row = rows.next();
      if (row === null) continue;
      const value = row.value ?? this.#largeValue(row.large);
      if (value === null) continue;
      bytes += value.length;
      if (bytes > MAX_PAGE_BYTES) return null;
      const found = { ids: row.key, value, encoding: row.encoding, number: null };
      documents.push(new FoundDocument(found, definition, row.value === null ? null : values));
    }
    return documents;
  }

  *#read(
    hits: readonly Hit[],
    withNumbers: boolean,
    now: number,
  ): Generator<{ readonly document: FoundDocument; readonly index: number }> {
    if (hits.length === 0) return;
    const isKnown = !withNumbers || hits.every(({ number }) => number !== null);
    const ids = JSON.stringify(hits.map((hit) => toHex(hit.ids)));
    const { prefix, id, definition } = this.#table;
    const { page } = this.#sql.exec<{ page: ArrayBuffer | null }>(READ, prefix, now, ids).one();
    const numbers = isKnown ? null : this.#numbers(ids, id);
    this.#steps.spend(COST.statement);
    const rows = new RowPage(page ?? new ArrayBuffer(0));
    let index = -1;
    while (rows.hasMore) {
      const row = rows.next();
      if (row === null) continue;
      let hit: Hit | undefined;
      // The rows come in the order of the hits; those of some hits are missing.
      do hit = hits[++index];
      while (hit !== undefined && compareBytes(hit.ids, row.key) !== 0);
      const value = row.value ?? this.#largeValue(row.large);
      if (hit === undefined || value === null) continue;
      const number = hit.number ?? numbers?.get(index) ?? null;
      yield { document: new FoundDocument({ ids: hit.ids, value, encoding: row.encoding, number }, definition), index };
    }
  }

  /** By the places of the ids in the list. */
  #numbers(ids: string, table: number): ReadonlyMap<number, number> {
    return new Map(this.#sql.exec(READ_NUMBERS, ids, table).raw<[number, number]>());
  }

  #largeValue(id: number): Uint8Array | null {
    const [row] = this.#sql.exec<{ v: ArrayBuffer }>(READ_LARGE, id).toArray();
    return row === undefined ? null : new Uint8Array(row.v);
  }
}

/** Documents that are read with one statement after a large one. */
const AFTER_LARGE = 16;

/** Bytes of a page that is read with one statement. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;

/** Before every expiry. */
const NEVER = -1;

const { entries, largeValues } = LIVE_TABLES;

/** The entries that hits name by their ids, as one value: `row-page.ts`, with the ids in place of the key. Each hit is looked up, so the order of the hits stays. */
function pageOf(hits: string): string {
  return `SELECT CAST(group_concat(${ROW_IN_PAGE}, '') AS BLOB) AS page FROM (
    SELECT h.ids AS k, e.v, e.large, e.encoding, e.version, e.expires_at FROM (${hits}) h
      CROSS JOIN ${entries} e ON e.k = CAST(?1 || h.ids AS BLOB) AND (e.expires_at IS NULL OR e.expires_at > ?2))`;
}

const READ = pageOf("SELECT unhex(value) AS ids FROM json_each(?3)");
const READ_NUMBERS = `SELECT j.key, x.n FROM json_each(?1) j JOIN ${NUMBERS} x ON x.table_id = ?2 AND x.ids = unhex(j.value)`;
const READ_LARGE = `SELECT v FROM ${largeValues} WHERE id = ?1`;
