/**
 * Puts many items in order, in pieces: to sort all of them at once would hold everybody. Each few thousand items that are added are sorted by
 * themselves, as a run. The runs are merged when the items are taken.
 */

/** What items are sorted by. Those of one list are of one type. */
export type Order = string | number;

/** One is sorted in about a millisecond. */
const RUN = 4096;

interface Item {
  readonly order: Order;
  readonly item: number;
}

/** Lists of plain values take a fifth of the memory of a list of objects. */
interface Run {
  readonly orders: readonly Order[];
  readonly items: readonly number[];
  taken: number;
}

export class SortedRuns {
  #added: Item[] = [];
  readonly #runs: Run[] = [];

  add(order: Order, item: number): void {
    this.#added.push({ order, item });
    if (this.#added.length === RUN) this.#sort();
  }

  /** Calls `use` for the next items, at most so many of them. Returns how many; fewer than `most` are the last. Nothing is added after it. */
  take(most: number, use: (order: Order, item: number) => void): number {
    if (this.#added.length > 0) this.#sort();
    for (let taken = 0; taken < most; taken += 1) {
      const next = this.#next();
      if (next === undefined) return taken;
      use(next.order, next.item);
    }
    return most;
  }

  #sort(): void {
    const sorted = this.#added.toSorted(byOrder);
    this.#added = [];
    this.#runs.push({ orders: sorted.map(({ order }) => order), items: sorted.map(({ item }) => item), taken: 0 });
  }

  /** There are few runs, so looking at all of them is as fast as a heap. */
  #next(): Item | undefined {
    let first: Run | undefined;
    let least: Order | undefined;
    for (const run of this.#runs) {
      const order = run.orders[run.taken];
      if (order === undefined || (least !== undefined && order >= least)) continue;
      [first, least] = [run, order];
    }
    const item = first?.items[first.taken];
    if (first === undefined || least === undefined || item === undefined) return undefined;
    first.taken += 1;
    return { order: least, item };
  }
}

/** That texts are in another order than in SQLite, in rare cases, only makes it slower. */
function byOrder({ order: a }: Item, { order: b }: Item): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
