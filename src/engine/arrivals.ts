/**
 * Requests that wait for their turn at a key, and whether another write was faster. A request arrives and waits. At its turn it learns
 * whether a commit has changed its key since it arrived. A request that has written stays here until it leaves, and a request that
 * arrives at the same key before that is overtaken. So of requests at one key that are under way together, exactly one writes.
 *
 * A commit marks the requests inside its transaction, because the next write of the commit group must see the marks. If the transaction
 * is undone, so are its marks.
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
  /** Functions that take back the marks of the open transaction. */
  #undo: (() => void)[] = [];

  /** The caller must call `leave` when the answer may be sent. */
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

  /** Marks the requests at the keys that a commit has changed. `by`: the request that wrote, if it waited here. */
  changed(changes: Iterable<{ readonly key: Uint8Array }>, by?: Arrival): void {
    if (this.#waiting.size === 0) return;
    for (const { key } of changes) {
      for (const one of this.#waiting.get(toBinaryText(key)) ?? []) this.#mark(one, one === by);
    }
  }

  /** Marks all requests: every key may have changed. */
  allChanged(): void {
    for (const others of this.#waiting.values()) for (const one of others) this.#mark(one, false);
    this.kept();
  }

  /** Keeps the marks: the transaction has ended. */
  kept(): void {
    if (this.#undo.length > 0) this.#undo = [];
  }

  /** Takes the marks back: the transaction was undone. */
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
