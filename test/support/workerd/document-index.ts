/**
 * What the tables of the indexes must hold, worked out from the stored entries by code that is written to be obviously right: no index row is
 * without its document, and no document without its rows. For tests after every step.
 */
import { compareBytes, fromHex, toHex } from "../../../src/core/bytes.ts";
import { Encoding } from "../../../src/core/operations.ts";
import { decodeKey } from "../../../src/codec/key-codec.ts";
import { decodeV8 } from "../../../src/codec/v8/codec.ts";
import {
  decodeDefinition,
  definitionKey,
  type TableDefinition,
  tablePrefix,
} from "../../../src/documents/definition.ts";
import { cutTexts } from "../../../src/documents/text/cut.ts";

interface Stored {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly encoding: Encoding;
}

/** Everything that one build should have: a line for each row, and its counts. */
interface Expected {
  readonly rows: string[];
  /** Those of them that a build may not have written yet. */
  readonly mayLack: Set<string>;
  skipped: number;
  leftOut: number;
}

type BuildRow = {
  id: number;
  app: string;
  name: string;
  definition: ArrayBuffer;
  state: string;
  cursor: ArrayBuffer | null;
  settled: ArrayBuffer | null;
  skipped: number;
  left_out: number;
};
type IndexRow = { id: number; table_id: number; name: string; path: string; type: string; has_many: number };

/** Returns what is wrong, a line each. The documents must stay below the limits of what one document has in the index. */
export function flawsOfIndex(storage: DurableObjectStorage): string[] {
  const { sql } = storage;
  const tables = sql.exec<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'").toArray();
  const names = new Set(tables.map(({ name }) => name));
  const entries = storedEntries(sql, names);
  if (!names.has("document_tables")) return wrongTables(entries, []);
  const builds = sql.exec<BuildRow>("SELECT * FROM document_tables").toArray();
  const indexes = sql.exec<IndexRow>("SELECT * FROM document_indexes").toArray();
  const flaws = [...orphans(sql, names, indexes), ...wrongTables(entries, builds)];
  for (const build of builds) {
    if (build.state === "dropping") continue;
    const definition = decodeDefinition(new Uint8Array(build.definition), Encoding.v8);
    if (definition === null) throw new Error(`the build of ${build.name} has no definition`);
    const wanted = expected(entries, build, definition);
    const found = foundRows(sql, build, indexes);
    const what = `${build.app}/${build.name} (${build.state}, ${build.id})`;
    flaws.push(...difference(found, wanted.rows).map((row) => `${what} has a row too many: ${row}`));
    flaws.push(...difference(wanted.rows, [...found, ...wanted.mayLack]).map((row) => `${what} lacks a row: ${row}`));
    flaws.push(
      ...wrongMany(sql, build, indexes).map(
        (index) => `${what} says wrongly that no document has many rows in ${index}`,
      ),
    );
    if (build.skipped !== wanted.skipped) flaws.push(`${what} counts ${build.skipped} skipped, not ${wanted.skipped}`);
    if (build.left_out !== wanted.leftOut)
      flaws.push(`${what} counts ${build.left_out} left out, not ${wanted.leftOut}`);
  }
  return flaws;
}

function storedEntries(sql: SqlStorage, names: ReadonlySet<string>): Stored[] {
  if (!names.has("entries")) return [];
  const rows = sql.exec<{ k: ArrayBuffer; v: ArrayBuffer; encoding: Encoding }>(
    `SELECT k, coalesce(e.v, l.v) AS v, encoding FROM entries e LEFT JOIN large_values l ON l.id = e.large ORDER BY k`,
  );
  return Array.from(rows, ({ k, v, encoding }) => ({ key: new Uint8Array(k), value: new Uint8Array(v), encoding }));
}

/** Rows that belong to nothing. */
function orphans(sql: SqlStorage, names: ReadonlySet<string>, indexes: readonly IndexRow[]): string[] {
  const flaws: string[] = [];
  const count = (what: string, query: string) => {
    const { n } = sql.exec<{ n: number }>(`SELECT count(*) AS n FROM ${query}`).one();
    if (n > 0) flaws.push(`${n} ${what}`);
  };
  count("values without their index", "document_values WHERE ix NOT IN (SELECT id FROM document_indexes)");
  count("indexes without their table", "document_indexes WHERE table_id NOT IN (SELECT id FROM document_tables)");
  count("numbers without their table", "document_numbers WHERE table_id NOT IN (SELECT id FROM document_tables)");
  count("skipped without their table", "document_skipped WHERE table_id NOT IN (SELECT id FROM document_tables)");
  const trees = new Set(
    indexes.flatMap(({ id, type }) => {
      if (type === "text") return [`document_text_${id}`, `document_words_${id}`];
      return type === "geo" ? [`document_geo_${id}`] : [];
    }),
  );
  for (const name of names) {
    if (/^document_(text|geo|words)_\d+$/.test(name) && !trees.delete(name)) flaws.push(`${name} belongs to no index`);
  }
  return [...flaws, ...Array.from(trees, (name) => `${name} is missing`)];
}

/** Tables that should have an index and have none, or the other way round. */
function wrongTables(entries: readonly Stored[], builds: readonly BuildRow[]): string[] {
  const defined = new Set<string>();
  for (const { key, value, encoding } of entries) {
    const decoded = decodeKey(key);
    const [app, appId, tableId] = decoded.ok ? decoded.key : [];
    if (app !== "CDB:tables" || typeof appId !== "string" || typeof tableId !== "string") continue;
    const isDefinition = decodeDefinition(value, encoding) !== null;
    if (isDefinition && toHex(definitionKey({ appId, tableId })) === toHex(key)) defined.add(`${appId}/${tableId}`);
  }
  const current = builds.filter(({ state }) => state !== "dropping");
  const built = current.map(({ app, name }) => `${app}/${name}`);
  const states = current.map(({ app, name, state }) => `${app}/${name} ${state}`);
  return [
    ...[...defined].filter((name) => !built.includes(name)).map((name) => `${name} has no index`),
    ...built.filter((name) => !defined.has(name)).map((name) => `${name} has an index, and no definition`),
    ...states.filter((state, i) => states.indexOf(state) !== i).map((state) => `${state} twice`),
  ];
}

function expected(entries: readonly Stored[], build: BuildRow, definition: TableDefinition): Expected {
  const prefix = tablePrefix({ appId: build.app, tableId: build.name });
  const whole: Expected = { rows: [], mayLack: new Set(), skipped: 0, leftOut: 0 };
  const settled = build.settled === null ? null : new Uint8Array(build.settled);
  const cursor = build.cursor === null ? null : new Uint8Array(build.cursor);
  for (const { key, value, encoding } of entries) {
    if (key.length <= prefix.length || !toHex(key).startsWith(toHex(prefix))) continue;
    if (cursor !== null && compareBytes(key, cursor) >= 0) continue;
    const ids = toHex(key.subarray(prefix.length));
    const decoded = encoding === Encoding.v8 ? decodeV8(value) : null;
    const document: unknown = decoded?.ok === true ? decoded.value : null;
    if (!areIds(key.subarray(prefix.length), definition) || !isObject(document)) {
      whole.rows.push(`skipped ${ids}`);
      whole.skipped += 1;
      continue;
    }
    const before = whole.rows.length;
    for (const [name, column] of Object.entries(document)) addColumn(whole, definition, name, column, ids);
    const added = whole.rows.slice(before);
    if (added.some((row) => /^[^ ]*\/(text|geo) /.test(row))) whole.rows.push(`numbered ${ids}`);
    if (settled === null || compareBytes(key, settled) < 0) continue;
    for (const row of added) if (!/^[^ ]*\/text /.test(row)) whole.mayLack.add(row);
  }
  return whole;
}

function areIds(ids: Uint8Array, definition: TableDefinition): boolean {
  const decoded = decodeKey(ids);
  if (!decoded.ok || decoded.key.length !== definition.ids.length) return false;
  return decoded.key.every((part, i) =>
    definition.ids[i]?.type === "string"
      ? typeof part === "string" && !part.startsWith("CDB:")
      : Number.isSafeInteger(part) && !Object.is(part, -0),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function addColumn(whole: Expected, { columns }: TableDefinition, name: string, value: unknown, ids: string): void {
  const types = columns?.filter((one) => one.name === name && one.indexed).map(({ type }): string => type);
  if (types?.length === 0) return;
  const has = (type: string) => types === undefined || types.includes(type);
  const elements = (Array.isArray(value) ? value : [value]).filter((one) => one !== null && one !== undefined);
  const rows = new Set<string>();
  const texts: string[] = [];
  const points: string[] = [];
  let leftOut = false;
  for (const element of elements) {
    if (typeof element === "string") {
      if (has("keyword")) rows.add(`${name}//keyword ${JSON.stringify(keyword(element))}`);
      if (has("text") && element !== "") texts.push(element);
      const [lat, lon, ...more] = element
        .split(",")
        .map((part) => (/^[-+]?\d+(\.\d+)?$/.test(part) ? Number(part) : NaN));
      const isPoint =
        lat !== undefined && lon !== undefined && more.length === 0 && Math.abs(lat) <= 90 && Math.abs(lon) <= 180;
      if (types?.includes("geo") === true && isPoint && !points.includes(`${lat} ${lon}`)) points.push(`${lat} ${lon}`);
      if (!has("keyword") && !has("text") && !(has("geo") && isPoint)) leftOut = true;
    } else if (has("boolean") && typeof element === "boolean") rows.add(`${name}//boolean ${Number(element)}`);
    else if (
      numberOf(element) !== null &&
      (has("number") || (has("integer") && Number.isSafeInteger(numberOf(element))))
    ) {
      rows.add(`${name}//number ${numberOf(element)}`);
    } else if (has("nested") && isObject(element)) {
      if (!addMembers(rows, name, "", element)) leftOut = true;
    } else leftOut = true;
  }
  const isPresent = elements.some((element) => element !== "");
  if (isPresent && rows.size === 0 && texts.length === 0 && points.length === 0) rows.add(`${name}//present 0`);
  for (const row of rows) whole.rows.push(`${row} ${ids}`);
  if (texts.length > 0) whole.rows.push(`${name}//text ${cutTexts(texts)} ${ids}`);
  points.forEach((point, i) => whole.rows.push(`${name}//geo ${i} ${point} ${ids}`));
  if (leftOut) whole.leftOut += 1;
}

function addMembers(rows: Set<string>, name: string, path: string, object: Record<string, unknown>): boolean {
  let isWhole = true;
  for (const [member, value] of Object.entries(object)) {
    const below = path === "" ? member : `${path}.${member}`;
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one === null || one === undefined) continue;
      if (member.includes(".") || member === "") isWhole = false;
      else if (typeof one === "string") rows.add(`${name}/${below}/keyword ${JSON.stringify(keyword(one))}`);
      else if (typeof one === "boolean") rows.add(`${name}/${below}/boolean ${Number(one)}`);
      else if (numberOf(one) !== null) rows.add(`${name}/${below}/number ${numberOf(one)}`);
      else if (!isObject(one) || !addMembers(rows, name, below, one)) isWhole = false;
    }
  }
  return isWhole;
}

function keyword(text: string): string {
  let cut = "";
  for (const char of text.toWellFormed()) {
    if (cut.length + char.length > 256) break;
    cut += char;
  }
  return cut;
}

function numberOf(value: unknown): number | null {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : null;
  return typeof value === "number" && !Number.isNaN(value) ? value : null;
}

function foundRows(sql: SqlStorage, build: BuildRow, indexes: readonly IndexRow[]): string[] {
  const rows: string[] = [];
  const numbers = new Map<number, string>();
  for (const { n, ids } of sql.exec<{ n: number; ids: ArrayBuffer }>(
    "SELECT n, ids FROM document_numbers WHERE table_id = ?",
    build.id,
  )) {
    numbers.set(n, toHex(new Uint8Array(ids)));
  }
  const idsOf = (n: number) => numbers.get(n) ?? `of the unknown number ${n}`;
  for (const ids of numbers.values()) rows.push(`numbered ${ids}`);
  for (const { ids } of sql.exec<{ ids: ArrayBuffer }>(
    "SELECT ids FROM document_skipped WHERE table_id = ?",
    build.id,
  )) {
    rows.push(`skipped ${toHex(new Uint8Array(ids))}`);
  }
  for (const { id, name, path, type } of indexes.filter((index) => index.table_id === build.id)) {
    const what = `${name}/${path}/${type}`;
    if (type === "text") {
      for (const [n, words] of wordsIn(sql, id)) rows.push(`${what} ${words} ${idsOf(n)}`);
    } else if (type === "geo") {
      const places = sql.exec<{ id: number; lat: number; lon: number }>(`SELECT id, lat, lon FROM document_geo_${id}`);
      for (const place of places.toArray()) {
        rows.push(`${what} ${place.id % 1024} ${place.lat} ${place.lon} ${idsOf(Math.floor(place.id / 1024))}`);
      }
    } else {
      const values = sql.exec<{ v: string | number; ids: ArrayBuffer }>(
        "SELECT v, ids FROM document_values WHERE ix = ?",
        id,
      );
      for (const { v, ids } of values)
        rows.push(`${what} ${typeof v === "string" ? JSON.stringify(v) : v} ${toHex(new Uint8Array(ids))}`);
    }
  }
  return rows;
}

/** Indexes in which a document has many rows although it is not noted. */
function wrongMany(sql: SqlStorage, build: BuildRow, indexes: readonly IndexRow[]): string[] {
  return indexes
    .filter(({ table_id, type, has_many }) => table_id === build.id && has_many === 0 && type !== "text")
    .filter(({ id, type }) => {
      const of =
        type === "geo" ? `document_geo_${id} GROUP BY id / 1024` : `document_values WHERE ix = ${id} GROUP BY ids`;
      return sql.exec(`SELECT 1 FROM ${of} HAVING count(*) > 1`).toArray().length > 0;
    })
    .map(({ name, path, type }) => `${name}/${path}/${type}`);
}

/** The words of each row of a table of texts, in order. */
function wordsIn(sql: SqlStorage, index: number): Map<number, string> {
  const words = new Map<number, string[]>();
  for (const { rowid } of sql.exec<{ rowid: number }>(`SELECT rowid FROM document_text_${index}`).toArray())
    words.set(rowid, []);
  sql.exec(`CREATE VIRTUAL TABLE words_of_test USING fts5vocab(document_text_${index}, instance)`);
  const instances = sql
    .exec<{ term: string; doc: number; offset: number }>("SELECT term, doc, offset FROM words_of_test")
    .toArray();
  sql.exec("DROP TABLE words_of_test");
  for (const { term, doc, offset } of instances) {
    const row = words.get(doc) ?? [];
    words.set(doc, row);
    row[offset] = term;
  }
  return new Map(Array.from(words, ([n, row]) => [n, row.join(" ")]));
}

function difference(rows: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others);
  return rows.filter((row) => !known.has(row)).map(readable);
}

/** With the ids at its end as key parts. */
function readable(row: string): string {
  const hex = /[0-9a-f]+$/.exec(row)?.[0] ?? "";
  const decoded = hex.length % 2 === 0 ? decodeKey(fromHex(hex)) : null;
  return decoded?.ok === true ? `${row.slice(0, -hex.length)}${JSON.stringify(decoded.key.map(String))}` : row;
}
