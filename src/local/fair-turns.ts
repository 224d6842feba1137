/**
 * Turns at work of which only so much goes on at a time. Those who share a key wait for each other in the order in which they came, and the
 * keys take turns: a key that asks for much keeps the others waiting for one turn.
 *
 * What WebSockets ask of the server process is such work (handshakes, ends, pieces of what they send; the key is their path): thousands of
 * clients that connect again at once, after a restart or a lost network, would keep every other request waiting. So are new requests, by their
 * client's connection, and listings of the folder of archives, by organization.
 */

export interface Turn {
  /**
   * Ends the turn: the work is done, or nobody needs it any more, or it has taken so long that other work begins. May be called again.
   */
  over(): void;
  /** Says how much of a place the turn takes. Without that it takes one place. */
  weigh(places: number): void;
}

interface Waiting extends Turn {
  readonly start: () => void;
}

/** An object stands for itself. */
type Key = string | object;

export class FairTurns {
  readonly #most: number;
  #underWay = 0;
  /** By key. The key whose turn is next comes first. */
  readonly #waiting = new Map<Key, Set<Waiting>>();

  constructor(most: number) {
    this.#most = most;
  }

  /** How many with this key wait. */
  waiting(key: Key): number {
    return this.#waiting.get(key)?.size ?? 0;
  }

  /** Calls `begin` with the turn when it has come, which may be at once, and never after `over`. `begin` must not throw. */
  enter(key: Key, begin: (turn: Turn) => void): Turn {
    let state: "waiting" | "under way" | "over" = "waiting";
    let weight = 1;
    const turn: Waiting = {
      start: () => {
        state = "under way";
        this.#underWay += weight;
        begin(turn);
      },
      over: () => {
        if (state === "over") return;
        if (state === "waiting") this.#remove(key, turn);
        else this.#underWay -= weight;
        state = "over";
        this.#next();
      },
      weigh: (places) => {
        if (state === "under way") this.#underWay += places - weight;
        weight = places;
      },
    };
    // Nobody waits, as a rule.
    if (this.#waiting.size === 0 && this.#underWay < this.#most) {
      turn.start();
      return turn;
    }
    const others = this.#waiting.get(key);
    if (others === undefined) this.#waiting.set(key, new Set([turn]));
    else others.add(turn);
    this.#next();
    return turn;
  }

  #next(): void {
    while (this.#underWay < this.#most) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const [key, turns] = next;
      const [first] = turns;
      // The key goes behind the other keys.
      this.#waiting.delete(key);
      if (turns.size > 1) this.#waiting.set(key, turns);
      if (first === undefined) continue;
      turns.delete(first);
      first.start();
    }
  }

  #remove(key: Key, turn: Waiting): void {
    const turns = this.#waiting.get(key);
    turns?.delete(turn);
    if (turns?.size === 0) this.#waiting.delete(key);
  }
}
