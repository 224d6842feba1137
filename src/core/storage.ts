/**
 * The shape of a Durable Object's synchronous storage, as far as we use it. So the engine and the directory need no type of Cloudflare's.
 * `ctx.storage` fits this shape.
 */
export type SqlValue = ArrayBuffer | string | number | null;

export interface SqlCursor<Row> extends Iterable<Row> {
  toArray(): Row[];
  one(): Row;
  /** Rows as arrays, in the order of the columns: the cheapest way to read many rows. */
  raw<Columns extends SqlValue[]>(): IterableIterator<Columns>;
  /** The exact number, which is billed. Complete only when the cursor has been read to its end. */
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

export interface Sql {
  /** Numbers must be safe integers or doubles (a bigint throws, a boolean binds as text). Blobs come back as ArrayBuffer. */
  exec<Row extends Record<string, SqlValue>>(
    query: string,
    ...bindings: (ArrayBuffer | ArrayBufferView | string | number | null)[]
  ): SqlCursor<Row>;
  /** Bytes of the file that holds the whole object. */
  readonly databaseSize: number;
}

/** A type that no promise fits. So an async callback of a transaction does not compile. */
export type Synchronous<T> = T extends PromiseLike<unknown> ? never : T;

/** Does all of the work, or none of it when the work throws. */
export type Transact = <T>(work: () => Synchronous<T>) => T;

export interface SyncStorage {
  readonly sql: Sql;
  /** Rolls back when the callback throws. Nested calls are savepoints. Open cursors must be finished before a rollback. */
  transactionSync<T>(callback: () => Synchronous<T>): T;
}

/** Storage that can also run a transaction outside of every other. `ctx.storage` fits this shape. */
export interface BulkStorage extends SyncStorage {
  /**
   * Does all of the work, or none of it when its promise is rejected. It may begin in a later turn. Until it ends nothing else of the object
   * runs, so the work must not wait for anything.
   *
   * It is cheaper than `transactionSync` for work that changes many pages: for a savepoint, SQLite first copies each page that is changed.
   */
  transaction<T>(work: () => Promise<T>): Promise<T>;
}
