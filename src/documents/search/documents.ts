/** Reads the documents of hits, as they are now. */
import { toHex } from "../../core/bytes.ts";
import type { UnixMs } from "../../core/clock.ts";
import type { Encoding } from "../../core/operations.ts";
import type { Sql } from "../../core/storage.ts";
import { LIVE_TABLES } from "../../engine/entry-table.ts";
import { type Columns, columnsOf } from "../document.ts";
import { type DocumentId, idsOfKey } from "../ids.ts";
import type { DocumentTable } from "../index/registry.ts";
import { NUMBERS } from "../index/schema.ts";
import type { Hit } from "./cursors.ts";
import type { Candidate } from "./matches.ts";
import { COST, type Steps } from "./steps.ts";

export interface FoundDocument extends Candidate {
  /** The stored value. */
  readonly value: Uint8Array;
  readonly idValues: readonly DocumentId[];
}

type Row = [at: number, encoding: Encoding, v: ArrayBuffer | null, large: number | null, number: number | null];

/** Documents that are read with one statement. Their values are inline, or are read when their turn comes. */
export const DOCUMENT_WINDOW = 500;

export class DocumentReader {
  readonly #sql: Sql;
  readonly #table: DocumentTable;
  readonly #steps: Steps;
  readonly #now: () => UnixMs;

  constructor(sql: Sql, table: DocumentTable, steps: Steps, now: () => UnixMs) {
    this.#sql = sql;
    this.#table = table;
    this.#steps = steps;
    this.#now = now;
  }

  /**
   * Calls `see` with the document of each hit, in order; hits whose entry has expired, is gone or is no document are passed over. Ends early
   * when `see` returns false. `withNumbers`: the documents' numbers are needed where the hits have none.
   */
  async each(hits: readonly Hit[], withNumbers: boolean, see: (document: FoundDocument) => boolean): Promise<boolean> {
    let at = 0;
    while (at < hits.length) {
      const some = hits.slice(at, at + DOCUMENT_WINDOW);
      let done = some.length;
      for (const row of this.#rows(some, withNumbers)) {
        const document = this.#documentOf(some, row);
        this.#steps.spend(COST.document + (document === null ? 0 : document.value.length * COST.byteOfDocument));
        if (document !== null && !see(document)) return false;
        if (!this.#steps.isDue) continue;
        // The others are read again, because they may change during the pause.
        done = row[0] + 1;
        break;
      }
      at += done;
      await this.#steps.rest();
    }
    return true;
  }

  /** The documents that are stored under these ids, expired or not: what the indexes still have. */
  stored(hits: readonly Hit[]): FoundDocument[] {
    return this.#rowsUntil(hits, true, NEVER).flatMap((row) => this.#documentOf(hits, row) ?? []);
  }

  #rows(hits: readonly Hit[], withNumbers: boolean): Row[] {
    return this.#rowsUntil(hits, withNumbers, this.#now());
  }

  #rowsUntil(hits: readonly Hit[], withNumbers: boolean, now: number): Row[] {
    const isKnown = !withNumbers || hits.every(({ number }) => number !== null);
    const ids = JSON.stringify(hits.map((hit) => toHex(hit.ids)));
    const { prefix, id } = this.#table;
    const rows = isKnown
      ? this.#sql.exec(READ, ids, prefix, now)
      : this.#sql.exec(READ_WITH_NUMBERS, ids, prefix, now, id);
    this.#steps.spend(COST.statement);
    return [...rows.raw<Row>()].toSorted((a, b) => a[0] - b[0]);
  }

  #documentOf(hits: readonly Hit[], [at, encoding, v, large, number]: Row): FoundDocument | null {
    const hit = hits[at];
    const value = v === null ? this.#largeValue(large) : new Uint8Array(v);
    if (hit === undefined || value === null) return null;
    const columns: Columns | null = columnsOf({ value, encoding });
    const { prefix, definition } = this.#table;
    const idValues = idsOfKey(concat(prefix, hit.ids), prefix.length, definition.ids);
    if (columns === null || idValues === null) return null;
    return { ids: hit.ids, columns, value, idValues, number: hit.number ?? number };
  }

  #largeValue(id: number | null): Uint8Array | null {
    const [row] = this.#sql.exec<{ v: ArrayBuffer }>(READ_LARGE, id).toArray();
    return row === undefined ? null : new Uint8Array(row.v);
  }
}

/** Before every expiry. */
const NEVER = -1;

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

const { entries, largeValues } = LIVE_TABLES;
const LIVE = `e.k = CAST(?2 || unhex(j.value) AS BLOB) AND (e.expires_at IS NULL OR e.expires_at > ?3)`;
const READ = `SELECT j.key, e.encoding, e.v, e.large, NULL FROM json_each(?1) j JOIN ${entries} e ON ${LIVE}`;
const READ_WITH_NUMBERS = `SELECT j.key, e.encoding, e.v, e.large, x.n FROM json_each(?1) j JOIN ${entries} e ON ${LIVE}
  LEFT JOIN ${NUMBERS} x ON x.table_id = ?4 AND x.ids = unhex(j.value)`;
const READ_LARGE = `SELECT v FROM ${largeValues} WHERE id = ?1`;
