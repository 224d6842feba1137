/**
 * The databases of one organization: rows and lists. A database is creating, ready, deleting or deleted, in this order. Only a ready
 * database is visible. One that could not be made goes from creating to deleted. Callers hold the transaction.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { assert } from "../core/assert.ts";
import { type Failure, isFailure } from "../core/errors.ts";
import type { Ordering } from "../contracts/management.ts";
import type { DatabaseInfo, FeedSetting, NumberedPage, Page, Scopes } from "../contracts/resources.ts";
import type { Jurisdiction, LocationHint } from "../contracts/placement.ts";
import type { Sql, SqlValue } from "../core/storage.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";

export type DatabaseState = "creating" | "ready" | "deleting" | "deleted";

export interface DatabaseRecord extends DatabaseInfo {
  readonly state: DatabaseState;
  /** The job that deletes the database, from "deleting" on. null also for a deleted database that could not be made. */
  readonly deletionJob: string | null;
}

interface Row extends Record<string, SqlValue> {
  id: string;
  name: string;
  description: string;
  state: DatabaseState;
  location_hint: LocationHint | null;
  jurisdiction: Jurisdiction | null;
  feed: string | null;
  created_at: number;
  updated_at: number;
  deletion_job: string | null;
}

const COLUMNS = "id, name, description, state, location_hint, jurisdiction, feed, created_at, updated_at, deletion_job";
const SORT_COLUMNS = { createdAt: "created_at", updatedAt: "updated_at" } as const;

export class Databases {
  readonly #sql: Sql;
  readonly #organizationId: string;

  constructor(sql: Sql, organizationId: string) {
    this.#sql = sql;
    this.#organizationId = organizationId;
  }

  get(id: string): DatabaseRecord | undefined {
    const [row] = this.#sql.exec<Row>(`SELECT ${COLUMNS} FROM databases WHERE id = ?1`, id).toArray();
    return row === undefined ? undefined : this.#record(row);
  }

  add(database: DatabaseInfo): void {
    this.#sql.exec(
      `INSERT INTO databases (id, name, description, state, location_hint, jurisdiction, created_at, updated_at)
       VALUES (?1, ?2, ?3, 'creating', ?4, ?5, ?6, ?6)`,
      database.id,
      database.name,
      database.description,
      database.locationHint,
      database.jurisdiction,
      database.createdAt,
    );
    this.#sql.exec("UPDATE organization SET databases_ever = databases_ever + 1");
  }

  describe(id: string, name: string, description: string, now: UnixMs): void {
    this.#sql.exec(
      "UPDATE databases SET name = ?2, description = ?3, updated_at = ?4 WHERE id = ?1",
      id,
      name,
      description,
      now,
    );
  }

  /** Stores what the database's object keeps for feeds. */
  setFeed(id: string, feed: FeedSetting | null, now: UnixMs): void {
    this.#sql.exec(
      "UPDATE databases SET feed = ?2, updated_at = ?3 WHERE id = ?1",
      id,
      feed === null ? null : JSON.stringify(feed),
      now,
    );
  }

  /** Goes from creating to ready. A database in any later state stays as it is. */
  becomeReady(id: string): void {
    const { rowsWritten } = this.#sql.exec(
      "UPDATE databases SET state = 'ready' WHERE id = ?1 AND state = 'creating'",
      id,
    );
    if (rowsWritten > 0) this.#count(1);
  }

  /** Goes from creating to deleted: the database could not be made. Returns whether it was creating. */
  giveUp(id: string): boolean {
    const { rowsWritten } = this.#sql.exec(
      "UPDATE databases SET state = 'deleted' WHERE id = ?1 AND state = 'creating'",
      id,
    );
    return rowsWritten > 0;
  }

  /** Goes from ready to deleting. */
  beginDeletion(id: string, jobId: string, now: UnixMs): void {
    const { rowsWritten } = this.#sql.exec(
      "UPDATE databases SET state = 'deleting', deletion_job = ?2, updated_at = ?3 WHERE id = ?1 AND state = 'ready'",
      id,
      jobId,
      now,
    );
    assert(rowsWritten > 0, "only a ready database to be deleted");
    this.#count(-1);
  }

  becomeDeleted(id: string): void {
    this.#sql.exec("UPDATE databases SET state = 'deleted' WHERE id = ?1 AND state = 'deleting'", id);
  }

  /** How many databases are ready. The number is kept in the organization's row. */
  #countReady(): number {
    return this.#sql.exec<{ databases: number }>("SELECT databases FROM organization").one().databases;
  }

  /** How many rows there are, of every state. This is what the limit counts. */
  countEver(): number {
    return this.#sql.exec<{ n: number }>("SELECT databases_ever AS n FROM organization").one().n;
  }

  /** Whether any database is creating, ready or deleting. */
  any(): boolean {
    return this.#sql.exec("SELECT 1 FROM databases WHERE state <> 'deleted' LIMIT 1").toArray().length > 0;
  }

  /**
   * The page after a cursor, of databases that the scopes cover and whose id or name contains the query's text. A page at the end costs
   * no more than one at the start.
   */
  list(scopes: Scopes, ordering: Ordering, limit: number, cursor: string | null): Page<DatabaseInfo> | Failure {
    const { sort, order, query } = ordering;
    const label = `${sort} ${order} ${query ?? ""}`;
    const column = SORT_COLUMNS[sort];
    const conditions = this.#conditions(scopes, query, ["id", "name"]);
    if (cursor !== null) {
      const after = decodeCursor(cursor, label);
      if (isFailure(after)) return after;
      conditions.texts.push(`(${column}, id) ${order === "asc" ? ">" : "<"} (?, ?)`);
      conditions.values.push(after.value, after.id);
    }
    const rows = this.#select(conditions, column, order, limit + 1, 0);
    const items = rows.slice(0, limit);
    const last = items.at(-1);
    const next =
      last === undefined || rows.length <= limit
        ? null
        : encodeCursor({ ordering: label, value: last[sort], id: last.id });
    return { items, next };
  }

  /**
   * A page by its number, from 1, of databases whose id contains the query's text. Rows are counted from the nearer end, so a page in the
   * middle costs most.
   */
  page(scopes: Scopes, ordering: Ordering, limit: number, page: number): NumberedPage<DatabaseInfo> {
    const { sort, order, query } = ordering;
    const column = SORT_COLUMNS[sort];
    const conditions = this.#conditions(scopes, query, ["id"]);
    const total = scopes.databases === "all" && query === null ? this.#countReady() : this.#countOf(conditions);
    const start = (page - 1) * limit;
    const end = Math.min(start + limit, total);
    if (start >= end) return { items: [], total };
    if (start <= total / 2) return { items: this.#select(conditions, column, order, limit, start), total };
    const fromTheEnd = this.#select(conditions, column, order === "asc" ? "desc" : "asc", end - start, total - end);
    return { items: fromTheEnd.toReversed(), total };
  }

  /** `columns`: where the text is looked for. ASCII letters are found in either case. */
  #conditions(
    scopes: Scopes,
    query: string | null,
    columns: readonly ("id" | "name")[],
  ): { texts: string[]; values: (string | number)[] } {
    const texts = ["state = 'ready'"];
    const values: (string | number)[] = [];
    if (scopes.databases !== "all") {
      texts.push("id IN (SELECT value FROM json_each(?))");
      values.push(JSON.stringify(scopes.databases));
    }
    if (query !== null) {
      const isId = isWholeId(query);
      texts.push(
        isId ? "id = lower(?)" : `(${columns.map((column) => `instr(lower(${column}), lower(?)) > 0`).join(" OR ")})`,
      );
      for (const _ of isId ? ["id"] : columns) values.push(query);
    }
    return { texts, values };
  }

  #select(
    conditions: { texts: readonly string[]; values: readonly (string | number)[] },
    column: string,
    order: "asc" | "desc",
    limit: number,
    offset: number,
  ): DatabaseInfo[] {
    const inOrder = `ORDER BY ${column} ${order}, id ${order}`;
    // Skipped rows are read in the index only.
    const ids = `SELECT id FROM databases WHERE ${conditions.texts.join(" AND ")} ${inOrder} LIMIT ? OFFSET ?`;
    const rows = this.#sql.exec<Row>(
      `SELECT ${COLUMNS} FROM databases WHERE id IN (${ids}) ${inOrder}`,
      ...conditions.values,
      limit,
      offset,
    );
    return rows.toArray().map((row) => databaseInfo(this.#record(row)));
  }

  #countOf(conditions: { texts: readonly string[]; values: readonly (string | number)[] }): number {
    const query = `SELECT count(*) AS n FROM databases WHERE ${conditions.texts.join(" AND ")}`;
    return this.#sql.exec<{ n: number }>(query, ...conditions.values).one().n;
  }

  #count(difference: 1 | -1): void {
    this.#sql.exec("UPDATE organization SET databases = databases + ?1", difference);
  }

  #record(row: Row): DatabaseRecord {
    return {
      id: row.id,
      organizationId: this.#organizationId,
      name: row.name,
      description: row.description,
      locationHint: row.location_hint,
      jurisdiction: row.jurisdiction,
      // `setFeed` wrote it, from a value of this type.
      feed: row.feed === null ? null : (JSON.parse(row.feed) as FeedSetting),
      createdAt: asUnixMs(row.created_at),
      updatedAt: asUnixMs(row.updated_at),
      state: row.state,
      deletionJob: row.deletion_job,
    };
  }
}

export function couldNotBeMade({ state, deletionJob }: DatabaseRecord): boolean {
  return state === "deleted" && deletionJob === null;
}

/** The part of a record that is shown. */
export function databaseInfo(record: DatabaseRecord): DatabaseInfo {
  const { id, organizationId, name, description, locationHint, jurisdiction, feed, createdAt, updatedAt } = record;
  return { id, organizationId, name, description, locationHint, jurisdiction, feed, createdAt, updatedAt };
}

function isWholeId(query: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(query);
}
