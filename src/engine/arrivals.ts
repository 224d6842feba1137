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

/** One key at which requests wait. */
class Place {
  readonly name: string;
  /** Requests that have not left. */
  waiting = 0;
  /** Those of them that have written. */
  writers = 0;
  /** Commits that have changed the key since the first of them arrived. */
  changes = 0;

  constructor(name: string) {
    this.name = name;
  }
}

class Waiting implements Arrival {
  readonly key: Uint8Array;
  readonly place: Place;
  /** The changes at its arrival. null: it was overtaken when it arrived. */
  readonly #since: number | null;
  hasWritten = false;

  constructor(key: Uint8Array, place: Place) {
    this.key = key;
    this.place = place;
    this.#since = place.writers > 0 ? null : place.changes;
  }

  get isOvertaken(): boolean {
    return this.#since !== this.place.changes;
  }
}

/** Every step costs the same, however many requests wait at one key. */
export class Arrivals {
  readonly #places = new Map<string, Place>();
  /** Functions that take back the marks of the open transaction. */
  #undo: (() => void)[] = [];

  /** The caller must call `leave` when the answer may be sent. */
  arrive(key: Uint8Array): Arrival {
    const name = toBinaryText(key);
    let place = this.#places.get(name);
    if (place === undefined) this.#places.set(name, (place = new Place(name)));
    place.waiting += 1;
    return new Waiting(key, place);
  }

  leave(arrival: Arrival): void {
    if (!(arrival instanceof Waiting)) return;
    const { place, hasWritten } = arrival;
    place.waiting -= 1;
    if (hasWritten) place.writers -= 1;
    if (place.waiting === 0) this.#places.delete(place.name);
  }

  /** Marks the keys that a commit has changed. `by`: the request that wrote, if it waited here. */
  changed(changes: Iterable<{ readonly key: Uint8Array }>, by?: Arrival): void {
    if (this.#places.size === 0) return;
    for (const { key } of changes) {
      const place = this.#places.get(toBinaryText(key));
      if (place !== undefined) this.#mark(place);
    }
    if (by instanceof Waiting) this.#markWriter(by);
  }

  /** Marks all keys: each may have changed. */
  allChanged(): void {
    for (const place of this.#places.values()) place.changes += 1;
  }

  /** Keeps the marks: the transaction has ended. */
  kept(): void {
    if (this.#undo.length > 0) this.#undo = [];
  }

  /** Takes the marks back: the transaction was undone. */
  undone(): void {
    for (const undo of this.#undo) undo();
    this.#undo = [];
  }

  #mark(place: Place): void {
    place.changes += 1;
    this.#undo.push(() => void (place.changes -= 1));
  }

  #markWriter(writer: Waiting): void {
    writer.hasWritten = true;
    writer.place.writers += 1;
    this.#undo.push(() => {
      writer.hasWritten = false;
      writer.place.writers -= 1;
    });
  }
}
