/**
 * A search never holds its object for long: it works in steps, and lets everything else run between them. How long a step takes is
 * estimated from what it does, because on Cloudflare the clock stands still while code runs.
 */
import { MAX_SEARCH_MICROSECONDS } from "../../core/search-limits.ts";
import { tooMuch } from "../../codec/json-notation/members.ts";

/** Microseconds of work after which a search lets others run: a machine that is five times as slow holds the object for 50 ms. */
const STEP_MICROSECONDS = 10_000;

/** What things cost, in microseconds, on the slow side of what was measured (docs/documents.md). */
export const COST = {
  statement: 20,
  /** A row of an index that is only counted. */
  indexRow: 0.1,
  /** A row of an index that SQLite puts in order, or looks at for a text in it. */
  orderedRow: 0.3,
  /** A row of an index that comes out of SQLite. */
  hit: 1,
  /** A row of an R*Tree, whose page lies anywhere in the file. */
  place: 3,
  /** A document that is found, decoded and compared. */
  document: 15,
  byteOfDocument: 0.02,
  /** A document whose relevance FTS5 computes, and as much again for so many words. */
  ranked: 1,
  wordsPerRanked: 16,
  /** A distance between two places. */
  distance: 0.3,
  /** One place of a word in an index of text; and one that a ranking statement only passes at its start. */
  posting: 0.04,
  walkedPosting: 0.02,
  /** A query that a document is compared with. */
  comparison: 2,
  /** A byte of the document in such a comparison; of a pattern of `wildcard`; and of a text, which is cut into words. */
  byteOfComparison: 0.01,
  byteOfWildcard: 0.05,
  byteOfText: 0.4,
} as const;

export class Steps {
  readonly #pause: (microseconds: number) => Promise<void>;
  readonly #resumed: () => void;
  /** Work since the last pause. */
  spent = 0;
  #total = 0;
  /** How often others had their turn. */
  pauses = 0;

  /**
   * `pause` lets others run. `resumed` is called after each pause, and throws when the search cannot go on as it began.
   */
  constructor(pause: (microseconds: number) => Promise<void>, resumed: () => void) {
    this.#pause = pause;
    this.#resumed = resumed;
  }

  /** Notes work that was done, or is done before the next call of `rest`. */
  spend(microseconds: number): void {
    this.spent += microseconds;
    this.#total += microseconds;
  }

  get isDue(): boolean {
    return this.spent >= STEP_MICROSECONDS;
  }

  /** Lets others run when a step's work was done. No statement may be open. Refuses a search that has done more than one may. */
  async rest(): Promise<void> {
    if (!this.isDue) return;
    if (this.#total > MAX_SEARCH_MICROSECONDS) {
      tooMuch(
        `This search takes more than ${MAX_SEARCH_MICROSECONDS / 1_000_000} seconds of work, which is the limit: add a query that fewer documents meet, ask for less at a time, or compare shorter values.`,
      );
    }
    const { spent } = this;
    this.spent = 0;
    this.pauses += 1;
    await this.#pause(spent);
    this.#resumed();
  }
}
