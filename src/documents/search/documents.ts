/** Reads the documents of hits, as they are now. */
import { compareBytes, toHex } from "../../core/bytes.ts";
import { endOfPlainPart } from "../../codec/key-codec.ts";
import type { JsonBytes } from "../../codec/json-bytes.ts";
import { writePlainObject } from "../../codec/v8/plain-json.ts";
import type { UnixMs } from "../../core/clock.ts";
import type { Encoding } from "../../core/operations.ts";
import type { Sql } from "../../core/storage.ts";
import { LIVE_TABLES } from "../../engine/entry-table.ts";
import type { TableDefinition } from "../definition.ts";
import { type Columns, columnsOf, textOfDocument, textOfIds } from "../document.ts";
import { type DocumentId, idsOfKey } from "../ids.ts";
import type { DocumentTable } from "../index/registry.ts";
import { NUMBERS } from "../index/schema.ts";
import type { Hit } from "./cursors.ts";
import { DOCUMENT_IN_PAGE, DocumentPage } from "./document-page.ts";
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
  #columns: Columns | null | undefined;

  constructor(
    ids: Uint8Array,
    value: Uint8Array,
    encoding: Encoding,
    number: number | null,
    definition: TableDefinition,
  ) {
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

  /** Writes the document, `{"ids":{…},"columns":{…}`, without the brace that ends it. `only`: the columns to show; null: all. */
  writeTo(json: JsonBytes, only: ReadonlySet<string> | null): void {
    const start = json.length;
    json.ascii('{"ids":');
    if (!this.#writePlainIds(json)) json.text(textOfIds(this.#definition.ids, this.#idValues() ?? []));
    json.ascii(',"columns":');
    if (writePlainObject(this.value, only, json)) return;
    json.length = start;
    const { ids } = this.#definition;
    const read = { ids: this.#idValues() ?? [], columns: this.columns, value: this.value };
    json.text(textOfDocument(ids, read, only).slice(0, -1));
  }

  /** Writes the ids, when they are strings of plain characters. */
  #writePlainIds(json: JsonBytes): boolean {
    const start = json.length;
    let at = 0;
    for (const name of idNamesOf(this.#definition)) {
      const end = endOfPlainPart(this.ids, at);
      if (end === -1) {
        json.length = start;
        return false;
      }
      json.reserve(name.length + end - at);
      json.raw(name);
      json.latin1(this.ids, at + 1, end);
      at = end + 1;
    }
    json.ascii("}");
    return at === this.ids.length;
  }

  #idValues(): readonly DocumentId[] | null {
    return idsOfKey(this.ids, 0, this.#definition.ids);
  }

  #read(): Columns | null {
    if (this.#columns === undefined) this.#columns = columnsOf({ value: this.value, encoding: this.#encoding });
    return this.#columns;
  }
}

/** What stands before each id in JSON, in UTF-8: `{"shop":` and `,"order":`. */
function idNamesOf(definition: TableDefinition): readonly Uint8Array[] {
  let names = idNames.get(definition);
  if (names === undefined) {
    names = definition.ids.map(({ name }, index) => utf8.encode(`${index === 0 ? "{" : ","}${JSON.stringify(name)}:`));
    idNames.set(definition, names);
  }
  return names;
}

const idNames = new WeakMap<TableDefinition, readonly Uint8Array[]>();
const utf8 = new TextEncoder();

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
    const rows = new DocumentPage(page);
    let bytes = 0;
    while (rows.next()) {
      const value = rows.value ?? this.#largeValue(rows.large);
      if (value === null) continue;
      bytes += value.length;
      if (bytes > MAX_PAGE_BYTES) return null;
      documents.push(new FoundDocument(rows.ids, value, rows.encoding, null, definition));
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
    const rows = new DocumentPage(page);
    let index = -1;
    while (rows.next()) {
      let hit: Hit | undefined;
      // The rows come in the order of the hits; those of some hits are missing.
      do hit = hits[++index];
      while (hit !== undefined && compareBytes(hit.ids, rows.ids) !== 0);
      const value = rows.value ?? this.#largeValue(rows.large);
      if (hit === undefined || value === null) continue;
      const number = hit.number ?? numbers?.get(index) ?? null;
      yield { document: new FoundDocument(hit.ids, value, rows.encoding, number, definition), index };
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

/** The entries that hits name by their ids, as a `DocumentPage`. Each hit is looked up, so the order of the hits stays. */
function pageOf(hits: string): string {
  return `SELECT CAST(group_concat(${DOCUMENT_IN_PAGE}, '') AS BLOB) AS page FROM (${hits}) h
    CROSS JOIN ${entries} e ON e.k = CAST(?1 || h.ids AS BLOB) AND (e.expires_at IS NULL OR e.expires_at > ?2)`;
}

const READ = pageOf("SELECT unhex(value) AS ids FROM json_each(?3)");
const READ_NUMBERS = `SELECT j.key, x.n FROM json_each(?1) j JOIN ${NUMBERS} x ON x.table_id = ?2 AND x.ids = unhex(j.value)`;
const READ_LARGE = `SELECT v FROM ${largeValues} WHERE id = ?1`;
