/**
 * What a database's object offers for documents. A door bounds the body, checks who asks, and puts the answers into its own form. All rules
 * of documents are in `src/documents/`.
 */
import type { Failure } from "../core/errors.ts";
import type { Grant } from "./grant.ts";

/** An app, with `tableId` null, or one table. */
export interface AppOrTable {
  readonly appId: string;
  readonly tableId: string | null;
}

export interface DocumentRequest {
  /** JSON: one request `{appId, tableId, action, …}`, or a batch `{requests: [{…}, …], atomic?: boolean}`. */
  readonly text: string;
  /** What the caller may use besides what the grant says. Undefined: every table. */
  readonly tables?: readonly AppOrTable[];
}

/** What a request named, as far as it could be read. An error shows it. */
export interface DocumentSubject {
  readonly appId: string | null;
  readonly tableId: string | null;
  readonly action: string | null;
}

/** `json`: the text of the answer as the action's documentation shows it, for example `{"ids":{"id":"a"}}`, or `null`. */
export type DocumentResult = { readonly ok: true; readonly json: string } | Failure;

export interface DocumentAnswer {
  readonly ok: true;
  /** Whether the request was a batch. Otherwise there is exactly one result. */
  readonly isBatch: boolean;
  /** In the order of the requests. */
  readonly results: readonly { readonly subject: DocumentSubject; readonly result: DocumentResult }[];
}

export type TableCommand =
  /** `definition`: parsed JSON, `{ids: [{name, type}], columns?: [{name, type, indexed?}]}`. Creates the table or changes it. */
  | { readonly command: "define"; readonly appId: string; readonly tableId: string; readonly definition: unknown }
  | { readonly command: "get"; readonly appId: string; readonly tableId: string }
  /** Drops the definition and the indexes. The documents stay. */
  | { readonly command: "delete"; readonly appId: string; readonly tableId: string }
  /** In the order of apps and tables. `appId` null: of all apps. `cursor`: the `next` of the page before. */
  | { readonly command: "list"; readonly appId: string | null; readonly limit: number; readonly cursor: string | null };

export type IdType = "string" | "integer";
export type ColumnType = "keyword" | "text" | "integer" | "number" | "boolean" | "geo" | "nested";

/** How far the indexes of a table are. */
export interface TableIndexState {
  /** "building": searches use the earlier indexes, if there are any. */
  readonly state: "live" | "building";
  /** Entries that the build has looked at. null: it is whole. */
  readonly done: number | null;
  /** How many there were when the build began. null: they are not counted yet, or the index is whole. */
  readonly total: number | null;
  /** Entries under the table that are no documents: bad ids, or values that are no objects. */
  readonly skipped: number;
  /** Columns of documents of which something is not indexed: a value of another type than the defined one, or more than fits. */
  readonly leftOut: number;
}

export interface TableInfo {
  readonly appId: string;
  readonly tableId: string;
  readonly ids: readonly { readonly name: string; readonly type: IdType }[];
  /** null: the columns are mapped as they come. */
  readonly columns: readonly { readonly name: string; readonly type: ColumnType; readonly indexed: boolean }[] | null;
  /** Whether the first document defined the table. */
  readonly inferred: boolean;
  /** null: there is no index yet. */
  readonly index: TableIndexState | null;
}

export type TableAnswer =
  | { readonly ok: true; readonly kind: "table"; readonly table: TableInfo; readonly isNew: boolean }
  | { readonly ok: true; readonly kind: "tables"; readonly tables: readonly TableInfo[]; readonly next: string | null }
  | { readonly ok: true; readonly kind: "deleted" };

export interface DocumentStub {
  /**
   * Carries out one request or a batch. Requests of a batch are carried out in order, each on its own; those of an atomic one all or none.
   * A failure of a request is its result; a failure of the call means that no request was carried out.
   */
  documents(grant: Grant, request: DocumentRequest): Promise<DocumentAnswer | Failure>;
  /** Definitions of tables. A table that does not exist is "not-found". */
  documentTables(grant: Grant, command: TableCommand): Promise<TableAnswer | Failure>;
}
