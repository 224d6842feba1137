/**
 * The tables of the indexes. They are derived from the entries, never logged, and made when the first table is defined: a database without
 * documents has none of them. `docs/ARCHITECTURE.md`, "What is stored", says what each holds. What a search needs to know:
 *
 * - **`document_tables`** has a row for each build of a table's index. A search uses the build whose state is "live". A build keeps its own
 *   `document_indexes`, and everything below has the id of one of the two.
 * - **`document_indexes`** has a row for each column and type that some document has had: `name` is the column, `path` is empty or the dot
 *   path below it (`nested`). `has_many` is 1 from the first document on that has more than one row in the index.
 * - **`document_values`** has a row for each distinct value that a document has in an index. `ids`: the bytes of the encoded key after those
 *   of app and table. `v` by the type of the index: keyword TEXT, in the order of code points, only its first `MAX_KEYWORD_CHARS`; number
 *   INTEGER or REAL; boolean 0 or 1; present 0. A document has a row of the type "present" when its column has a value that no other index
 *   of the column shows: an object without members, a date, a value of another type than the defined one.
 * - **`document_numbers`** gives each document that has a text or a place a number, because the two kinds of tables below need one.
 * - **`document_text_<index>`** (FTS5): the tokens of a text column, as `cutTexts` gives them. Its rowid is the document's number. Every
 *   document has a row whose column has a text other than "". `document_words_<index>` is its vocabulary.
 * - **`document_geo_<index>`** (R*Tree): the places of a column. `id / POINTS_PER_DOCUMENT` is the document's number; `lat` and `lon` are
 *   exact, the corners are rounded outwards.
 * - **`document_skipped`** has a row for each entry under the table that is no document: bad ids, or a value that is no plain object.
 *
 * An entry that has expired and is not deleted yet is in all of them. A search must leave such entries out: there are few,
 * and `entries_expiry` finds them.
 */
import { migrate, type Schema, schemaOf } from "../../core/migrations.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { FTS_TOKENIZER } from "../text/cut.ts";

export const TABLES = "document_tables";
export const INDEXES = "document_indexes";
export const VALUES = "document_values";
export const NUMBERS = "document_numbers";
export const SKIPPED = "document_skipped";

/** Ids of places that one document has in the R*Tree of a column: from `number * POINTS_PER_DOCUMENT` on. */
export const POINTS_PER_DOCUMENT = 1024;

const SCHEMA: Schema = schemaOf("document_schema", [
  [
    `CREATE TABLE ${TABLES} (
       id INTEGER PRIMARY KEY, app TEXT NOT NULL, name TEXT NOT NULL, definition BLOB NOT NULL, state TEXT NOT NULL,
       cursor BLOB, settled BLOB, done INTEGER NOT NULL, total INTEGER, skipped INTEGER NOT NULL, left_out INTEGER NOT NULL,
       is_full INTEGER NOT NULL
     )`,
    `CREATE TABLE ${INDEXES} (
       id INTEGER PRIMARY KEY, table_id INTEGER NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, type TEXT NOT NULL,
       has_many INTEGER NOT NULL
     )`,
    `CREATE TABLE ${VALUES} (
       ix INTEGER NOT NULL, v NOT NULL, ids BLOB NOT NULL, PRIMARY KEY (ix, v, ids)
     ) WITHOUT ROWID`,
    `CREATE TABLE ${NUMBERS} (n INTEGER PRIMARY KEY, table_id INTEGER NOT NULL, ids BLOB NOT NULL, UNIQUE (table_id, ids))`,
    `CREATE TABLE ${SKIPPED} (table_id INTEGER NOT NULL, ids BLOB NOT NULL, PRIMARY KEY (table_id, ids)) WITHOUT ROWID`,
  ],
]);

/** Makes the tables, or brings them to their newest version. */
export function makeIndexTables(storage: SyncStorage): void {
  migrate(storage, SCHEMA);
}

export function textTable(index: number): string {
  return `document_text_${index}`;
}

export function geoTable(index: number): string {
  return `document_geo_${index}`;
}

/** The words of a table of texts, with the number of documents that each is in. It has no rows of its own. */
export function vocabularyTable(index: number): string {
  return `document_words_${index}`;
}

export function makeTextTables(index: number): readonly string[] {
  const text = textTable(index);
  return [
    `CREATE VIRTUAL TABLE ${text} USING fts5(words, content='', contentless_delete=1, tokenize="${FTS_TOKENIZER}")`,
    `CREATE VIRTUAL TABLE ${vocabularyTable(index)} USING fts5vocab('${text}', 'row')`,
  ];
}

export function dropTextTables(index: number): readonly string[] {
  return [`DROP TABLE ${vocabularyTable(index)}`, `DROP TABLE ${textTable(index)}`];
}

export function makeGeoTable(index: number): string {
  return `CREATE VIRTUAL TABLE ${geoTable(index)} USING rtree(id, min_lat, max_lat, min_lon, max_lon, +lat, +lon)`;
}
