/**
 * Requests that wait for their turn at a key, and whether somebody was faster. A request arrives, waits, and at its turn is told whether a
 * commit has changed its key since it arrived. Until it leaves, a request that has written counts as under way: whoever arrives at its
 * key meanwhile was overtaken by it. So of requests at one key that are under way together, exactly one writes.
 *
 * Marks are made inside the transaction of the commit, because the next write of the group must see them, and are taken back with it.
 */
import { toBinaryText } from "../core/bytes.ts";

/** One request at one key. */
export interface Arrival {
  readonly key: Uint8Array;
  /** Whether a commit has changed the key since the request arrived. */
  readonly isOvertaken: boolean;
}

class Waiting implements Arrival {
  readonly key: Uint8Array;
  readonly name: string;
  isOvertaken: boolean;
  hasWritten = false;

  constructor(key: Uint8Array, name: string, isOvertaken: boolean) {
    this.key = key;
    this.name = name;
    this.isOvertaken = isOvertaken;
  }
}

export class Arrivals {
  readonly #waiting = new Map<string, Set<Waiting>>();
  /** Takes back the marks of the open transaction. */
  #undo: (() => void)[] = [];

  /** To be ended by `leave`, when the answer may be sent. */
  arrive(key: Uint8Array): Arrival {
    const name = toBinaryText(key);
    const others = this.#waiting.get(name);
    const isOvertaken = others !== undefined && [...others].some(({ hasWritten }) => hasWritten);
    const arrival = new Waiting(key, name, isOvertaken);
    if (others === undefined) this.#waiting.set(name, new Set([arrival]));
    else others.add(arrival);
    return arrival;
  }

  leave(arrival: Arrival): void {
    if (!(arrival instanceof Waiting)) return;
    const others = this.#waiting.get(arrival.name);
    others?.delete(arrival);
    if (others?.size === 0) this.#waiting.delete(arrival.name);
  }

  /** What a commit has changed. `by`: the request that did it, if it waited here. */
  changed(changes: Iterable<{ readonly key: Uint8Array }>, by?: Arrival): void {
    if (this.#waiting.size === 0) return;
    for (const { key } of changes) {
      for (const one of this.#waiting.get(toBinaryText(key)) ?? []) this.#mark(one, one === by);
    }
  }

  /** Everything has changed. */
  allChanged(): void {
    for (const others of this.#waiting.values()) for (const one of others) this.#mark(one, false);
    this.kept();
  }

  /** The transaction is over, and what was marked in it stays. */
  kept(): void {
    if (this.#undo.length > 0) this.#undo = [];
  }

  /** The transaction was undone. */
  undone(): void {
    for (const undo of this.#undo.toReversed()) undo();
    this.#undo = [];
  }

  #mark(one: Waiting, wrote: boolean): void {
    const { isOvertaken, hasWritten } = one;
    this.#undo.push(() => {
      one.isOvertaken = isOvertaken;
      one.hasWritten = hasWritten;
    });
    if (wrote) one.hasWritten = true;
    else one.isOvertaken = true;
  }
}
