/** Tables that are made from the entries and kept beside them, such as the indexes of documents. */
import type { KeyRange } from "../codec/key-prefix.ts";
import type { StoredEntry } from "../core/operations.ts";

/**
 * Tables that are derived from the entries: they are changed in the same transaction, never logged, and built again when they are lost.
 * Nothing is read or called for keys that they do not follow, except `follows`.
 */
export interface DerivedTables {
  /**
   * Whether changes of this key are handed to `apply`. Asked for each key that is written, and for a key that is still to get its
   * versionstamp. Runs no statement in a database that has no such tables.
   */
  follows(key: Uint8Array): boolean;
  /**
   * What a commit has changed of the keys that are followed, in order. In the commit's transaction: a throw undoes the commit. `mayRefuse`:
   * the commit is a request's, and may be refused with a `CommitRefusal`.
   */
  apply(changes: readonly Change[], mayRefuse: boolean): void;
  /** Other entries have taken the place of those in the range; null: of all. In the transaction of that restore. */
  replaced(range: KeyRange | null): void;
  /** The transaction of the calls before has returned. */
  kept(): void;
  /** The transaction of the calls before was rolled back: what was noted of it in memory does not hold. */
  undone(): void;
}

/** The change of one key: what was stored before and after. One of the two is there. */
export type Change =
  | { readonly before: StoredEntry | null; readonly after: StoredEntry }
  | { readonly before: StoredEntry; readonly after: null };

export const NO_DERIVED_TABLES: DerivedTables = {
  follows: () => false,
  apply: () => undefined,
  replaced: () => undefined,
  kept: () => undefined,
  undone: () => undefined,
};
