/**
 * The shape of a Durable Object's synchronous storage, as far as we use it, so that the engine and the directory name nothing of
 * Cloudflare. `ctx.storage` fits it as it is.
 */
export type SqlValue = ArrayBuffer | string | number | null;

export interface SqlCursor<Row> extends Iterable<Row> {
  toArray(): Row[];
  one(): Row;
  /** Rows as arrays in the order of the columns: the cheapest way to read many. */
  raw<Columns extends SqlValue[]>(): IterableIterator<Columns>;
  /** Exact and billed. Complete only when the cursor has been read to its end. */
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

export interface Sql {
  /** Numbers must be safe integers or doubles (a bigint throws, a boolean binds as text). Blobs come back as ArrayBuffer. */
  exec<Row extends Record<string, SqlValue>>(
    query: string,
    ...bindings: (ArrayBuffer | ArrayBufferView | string | number | null)[]
  ): SqlCursor<Row>;
  /** Bytes of the whole object's database file. */
  readonly databaseSize: number;
}

/** A type that no promise fits, so that an async callback to a transaction does not compile. */
export type Synchronous<T> = T extends PromiseLike<unknown> ? never : T;

/** Does all of the work or, when it throws, none. */
export type Transact = <T>(work: () => Synchronous<T>) => T;

export interface SyncStorage {
  readonly sql: Sql;
  /** Rolls back when the callback throws; nests as savepoints. Open cursors must be finished before it rolls back. */
  transactionSync<T>(callback: () => Synchronous<T>): T;
}
