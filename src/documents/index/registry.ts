/**
 * Which tables have an index, and what is in it: `document_tables` and `document_indexes`, kept in memory from the first use on. Changes
 * are written at once, in the caller's transaction. When that is rolled back, the registry is thrown away and read again.
 */
import { toBinaryText } from "../../core/bytes.ts";
import { MAX_INDEXES, MAX_INDEXES_OF_TABLE, MAX_SEARCH_TREES } from "../../core/document-limits.ts";
import { Encoding } from "../../core/operations.ts";
import type { Sql, SyncStorage } from "../../core/storage.ts";
import { partEnd } from "../../codec/key-codec.ts";
import { type KeyRange, rangeUnder } from "../../codec/key-prefix.ts";
import { decodeDefinition, type TableDefinition, type TableName, tablePrefix } from "../definition.ts";
import { type IndexedColumns, indexedColumns, type IndexType } from "./index-rows.ts";
import { INDEXES, makeGeoTable, makeIndexTables, makeTextTables, TABLES } from "./schema.ts";

/** An index of the values that a column has, or a path below it, of one type. */
export interface ColumnIndex {
  readonly id: number;
  readonly name: string;
  /** Empty, or the dot path below the column. */
  readonly path: string;
  readonly type: IndexType;
  /** Some document has had more than one row in this index: a list, or several objects below a nested column. */
  readonly many: boolean;
}

/** One build of a table's index, as a search sees it. */
export interface DocumentTable extends TableName {
  readonly id: number;
  readonly definition: TableDefinition;
  /** The encoded key of app and table, which the keys of all documents begin with. */
  readonly prefix: Uint8Array;
  /** The keys under it. */
  readonly range: KeyRange;
  /** Entries in the range that are no documents. */
  readonly skipped: number;
  /** Columns of documents of which something has no place in the index. */
  readonly leftOut: number;
  /**
   * An index was refused for want of room. From then on none is made, so that what a document has in the index never changes by itself. Until
   * then, a column without an index has no value in any document.
   */
  readonly isFull: boolean;
  /** Entries that the build has looked at, and how many there were when it began; null: they are not counted yet. */
  readonly done: number;
  readonly total: number | null;
  /** Undefined: no document has such a value, or there was no room for the index. */
  index(name: string, path: string, type: IndexType): ColumnIndex | undefined;
  /** All of a column and of the paths below it. */
  indexesOf(name: string): readonly ColumnIndex[];
}

/** `live`: what searches use; null while the first build is under way. */
export interface TableState {
  readonly live: DocumentTable | null;
  readonly building: DocumentTable | null;
}

export type BuildState = "live" | "building" | "dropping";

type TableRow = {
  id: number;
  app: string;
  name: string;
  definition: ArrayBuffer;
  state: BuildState;
  cursor: ArrayBuffer | null;
  settled: ArrayBuffer | null;
  done: number;
  total: number | null;
  skipped: number;
  left_out: number;
  is_full: number;
};

type IndexRow = { id: number; table_id: number; name: string; path: string; type: IndexType; has_many: number };

export class Build implements DocumentTable {
  readonly id: number;
  readonly appId: string;
  readonly tableId: string;
  readonly prefix: Uint8Array;
  readonly range: KeyRange;
  state: BuildState;
  definition: TableDefinition;
  /** Bytes of the definition as it is stored. */
  definitionBytes: number;
  /** The build has looked at all keys below this one, and follows them. null: all keys. */
  cursor: Uint8Array | null;
  /** At or below the cursor: values and places of documents from this key on may be missing. null: nothing is missing. */
  settled: Uint8Array | null;
  done: number;
  /** null: not counted yet. */
  counted: number | null;
  skipped: number;
  leftOut: number;
  isFull: boolean;
  columns: IndexedColumns;
  readonly #indexes = new Map<string, ColumnIndex>();
  /** Ids of the indexes in which some document has many rows. */
  readonly many = new Set<number>();

  constructor(row: TableRow, definition: TableDefinition) {
    this.id = row.id;
    this.appId = row.app;
    this.tableId = row.name;
    this.prefix = tablePrefix(this);
    this.range = rangeUnder(this.prefix);
    this.state = row.state;
    this.definition = definition;
    this.definitionBytes = row.definition.byteLength;
    this.columns = indexedColumns(definition);
    this.cursor = row.cursor === null ? null : new Uint8Array(row.cursor);
    this.settled = row.settled === null ? null : new Uint8Array(row.settled);
    this.done = row.done;
    this.counted = row.total;
    this.skipped = row.skipped;
    this.leftOut = row.left_out;
    this.isFull = row.is_full === 1;
  }

  get total(): number | null {
    return this.counted === null ? null : Math.max(this.counted, this.done);
  }

  get indexes(): Iterable<ColumnIndex> {
    return this.#indexes.values();
  }

  get size(): number {
    return this.#indexes.size;
  }

  index(name: string, path: string, type: IndexType): ColumnIndex | undefined {
    return this.#indexes.get(nameOf(name, path, type));
  }

  indexesOf(name: string): readonly ColumnIndex[] {
    return [...this.#indexes.values()].filter((index) => index.name === name);
  }

  add(index: ColumnIndex): void {
    this.#indexes.set(nameOf(index.name, index.path, index.type), index);
    if (index.many) this.many.add(index.id);
  }

  remove(index: ColumnIndex): void {
    this.#indexes.delete(nameOf(index.name, index.path, index.type));
  }
}

/** The builds of a table. */
export interface Builds {
  live: Build | null;
  building: Build | null;
}

export class TableRegistry {
  readonly #sql: Sql;
  /** By the table's prefix. */
  readonly #tables = new Map<string, Builds>();
  readonly #dropping: Build[] = [];
  #indexes = 0;
  #trees = 0;

  /** Reads the registry. Makes its tables where there are none. */
  constructor(storage: SyncStorage) {
    makeIndexTables(storage);
    this.#sql = storage.sql;
    const byId = new Map<number, Build>();
    for (const row of this.#sql.exec<TableRow>(READ_TABLES).toArray()) {
      const definition = decodeDefinition(new Uint8Array(row.definition), Encoding.v8);
      // It was valid when it was stored. A version of Cairn for which it is not has no such table.
      const build = new Build(definition === null ? { ...row, state: "dropping" } : row, definition ?? NO_TABLE);
      byId.set(row.id, build);
      if (build.state === "dropping") this.#dropping.push(build);
      else this.#buildsOf(build)[build.state] = build;
    }
    for (const { table_id, has_many, ...row } of this.#sql.exec<IndexRow>(READ_INDEXES).toArray()) {
      const index = { ...row, many: has_many === 1 };
      byId.get(table_id)?.add(index);
      this.#count(index, 1);
    }
  }

  get size(): number {
    return this.#tables.size;
  }

  /** Bytes of the newest definition of each table. */
  get definitionBytes(): number {
    let bytes = 0;
    for (const builds of this.#tables.values()) bytes += newestOf(builds)?.definitionBytes ?? 0;
    return bytes;
  }

  /** Every table that has a build. */
  get all(): readonly Builds[] {
    return [...this.#tables.values()];
  }

  /** A build that is under way, or one that is to be dropped. */
  get building(): Build | null {
    for (const { building } of this.#tables.values()) if (building !== null) return building;
    return null;
  }

  get dropping(): Build | null {
    return this.#dropping[0] ?? null;
  }

  find(name: TableName): Builds | null {
    return this.#tables.get(textOf(tablePrefix(name))) ?? null;
  }

  /** The table that the key is of, or lies under. */
  tableOfKey(key: Uint8Array): Builds | null {
    if (this.#tables.size === 0) return null;
    const app = partEnd(key, 0);
    if (app >= key.length) return null;
    return this.#tables.get(toBinaryText(key, 0, partEnd(key, app))) ?? null;
  }

  /** Begins a build with nothing in it. */
  begin(name: TableName, definition: TableDefinition, value: Uint8Array): Build {
    const { start } = rangeUnder(tablePrefix(name));
    const row = this.#sql.exec<TableRow>(INSERT_TABLE, name.appId, name.tableId, value, start).one();
    const build = new Build(row, definition);
    this.#buildsOf(build).building = build;
    return build;
  }

  /** The definition of the same indexes has changed in its other parts. */
  redefine(build: Build, definition: TableDefinition, value: Uint8Array): void {
    this.#sql.exec(SET_DEFINITION, build.id, value);
    build.definition = definition;
    build.definitionBytes = value.length;
    build.columns = indexedColumns(definition);
  }

  /** A build is whole: from now on searches use it. The live one is to be dropped. */
  goLive(build: Build): void {
    const builds = this.#buildsOf(build);
    if (builds.live !== null) this.drop(builds.live);
    this.#sql.exec(SET_LIVE, build.id);
    build.state = "live";
    build.cursor = null;
    build.settled = null;
    builds.live = build;
    builds.building = null;
  }

  /** Nothing follows the build any more. `DroppedBuilds` removes it. */
  drop(build: Build): void {
    this.#sql.exec(SET_DROPPING, build.id);
    const builds = this.#buildsOf(build);
    if (builds.live === build) builds.live = null;
    if (builds.building === build) builds.building = null;
    if (builds.live === null && builds.building === null) this.#tables.delete(textOf(build.prefix));
    build.state = "dropping";
    this.#dropping.push(build);
  }

  /** Forgets an index whose rows are gone. */
  forgetIndex(build: Build, index: ColumnIndex): void {
    this.#sql.exec(DELETE_INDEX, index.id);
    build.remove(index);
    this.#count(index, -1);
  }

  /** Forgets a build of which nothing is left. */
  forget(build: Build): void {
    this.#sql.exec(DELETE_TABLE, build.id);
    this.#dropping.splice(this.#dropping.indexOf(build), 1);
  }

  /** Stores how far a build is, and what it has counted. */
  save(build: Build): void {
    const { id, cursor, settled, done, counted, skipped, leftOut, isFull } = build;
    this.#sql.exec(SAVE, id, cursor, settled, done, counted, skipped, leftOut, Number(isFull));
  }

  /** Finds the index, or makes it. null: there is no room for it. */
  indexFor(build: Build, name: string, path: string, type: IndexType): number | null {
    const found = build.index(name, path, type);
    if (found !== undefined) return found.id;
    if (build.isFull) return null;
    const isTree = isTreeType(type);
    if (
      build.size >= MAX_INDEXES_OF_TABLE ||
      this.#indexes >= MAX_INDEXES ||
      (isTree && this.#trees >= MAX_SEARCH_TREES)
    ) {
      build.isFull = true;
      this.save(build);
      return null;
    }
    const { id } = this.#sql.exec<{ id: number }>(INSERT_INDEX, build.id, name, path, type).one();
    if (type === "text") for (const statement of makeTextTables(id)) this.#sql.exec(statement);
    if (type === "geo") this.#sql.exec(makeGeoTable(id));
    const index = { id, name, path, type, many: false };
    build.add(index);
    this.#count(index, 1);
    return id;
  }

  /** A document has more than one row in this index. */
  noteMany(build: Build, id: number): void {
    if (build.many.has(id)) return;
    const index = [...build.indexes].find((one) => one.id === id);
    if (index === undefined) return;
    this.#sql.exec(SET_MANY, id);
    build.add({ ...index, many: true });
  }

  #buildsOf(build: Build): Builds {
    const name = textOf(build.prefix);
    let builds = this.#tables.get(name);
    if (builds === undefined) {
      builds = { live: null, building: null };
      this.#tables.set(name, builds);
    }
    return builds;
  }

  #count({ type }: ColumnIndex, more: 1 | -1): void {
    this.#indexes += more;
    if (isTreeType(type)) this.#trees += more;
  }
}

/** Whether an index of this type has a table of its own, whose rows are numbered. */
export function isTreeType(type: IndexType): type is "text" | "geo" {
  return type === "text" || type === "geo";
}

function nameOf(name: string, path: string, type: IndexType): string {
  return `${type} ${path.length} ${path}${name}`;
}

function textOf(prefix: Uint8Array): string {
  return toBinaryText(prefix);
}

const NO_TABLE: TableDefinition = { ids: [], columns: [], inferred: false };

const COLUMNS = "id, app, name, definition, state, cursor, settled, done, total, skipped, left_out, is_full";
const READ_TABLES = `SELECT ${COLUMNS} FROM ${TABLES} ORDER BY id`;
const READ_INDEXES = `SELECT id, table_id, name, path, type, has_many FROM ${INDEXES} ORDER BY id`;
const INSERT_TABLE = `INSERT INTO ${TABLES} (app, name, definition, state, cursor, settled, done, skipped, left_out, is_full)
  VALUES (?1, ?2, ?3, 'building', ?4, ?4, 0, 0, 0, 0) RETURNING ${COLUMNS}`;
const SET_DEFINITION = `UPDATE ${TABLES} SET definition = ?2 WHERE id = ?1`;
const SET_LIVE = `UPDATE ${TABLES} SET state = 'live', cursor = NULL, settled = NULL WHERE id = ?1`;
const SET_DROPPING = `UPDATE ${TABLES} SET state = 'dropping' WHERE id = ?1`;
const SAVE = `UPDATE ${TABLES}
  SET cursor = ?2, settled = ?3, done = ?4, total = ?5, skipped = ?6, left_out = ?7, is_full = ?8 WHERE id = ?1`;
const DELETE_TABLE = `DELETE FROM ${TABLES} WHERE id = ?1`;
const INSERT_INDEX = `INSERT INTO ${INDEXES} (table_id, name, path, type, has_many) VALUES (?1, ?2, ?3, ?4, 0) RETURNING id`;
const SET_MANY = `UPDATE ${INDEXES} SET has_many = 1 WHERE id = ?1`;
const DELETE_INDEX = `DELETE FROM ${INDEXES} WHERE id = ?1`;

/** The build of the newest definition. */
export function newestOf({ live, building }: Builds): Build | null {
  return building ?? live;
}
