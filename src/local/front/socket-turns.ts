/**
 * What WebSockets ask of the server process: handshakes, ends, pieces of what they send. Only a few are under way at a time. Otherwise
 * thousands of clients that connect again at once, after a restart or a lost network, would keep every other request waiting. Paths take
 * turns, so that the clients of one database do not wait for all clients of another.
 */

export interface Turn {
  /**
   * Ends the turn: the server is done with the handshake or the end, or nobody needs it any more, or it has taken so long that another one
   * begins. May be called again.
   */
  over(): void;
  /** Says how much of a place the turn takes. Without that it takes one place. */
  weigh(places: number): void;
}

interface Waiting extends Turn {
  readonly start: () => void;
}

export class SocketTurns {
  readonly #most: number;
  #underWay = 0;
  /** The key is the path. The path whose turn is next comes first. */
  readonly #waiting = new Map<string, Set<Waiting>>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Calls `begin` with the turn when it has come, which may be at once, and never after `over`. `begin` must be guarded (see `guard.ts`). */
  enter(path: string, begin: (turn: Turn) => void): Turn {
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
        if (state === "waiting") this.#remove(path, turn);
        else this.#underWay -= weight;
        state = "over";
        this.#next();
      },
      weigh: (places) => {
        if (state === "under way") this.#underWay += places - weight;
        weight = places;
      },
    };
    const others = this.#waiting.get(path);
    if (others === undefined) this.#waiting.set(path, new Set([turn]));
    else others.add(turn);
    this.#next();
    return turn;
  }

  #next(): void {
    while (this.#underWay < this.#most) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const [path, turns] = next;
      const [first] = turns;
      // The path goes behind the other paths.
      this.#waiting.delete(path);
      if (turns.size > 1) this.#waiting.set(path, turns);
      if (first === undefined) continue;
      turns.delete(first);
      first.start();
    }
  }

  #remove(path: string, turn: Waiting): void {
    const turns = this.#waiting.get(path);
    turns?.delete(turn);
    if (turns?.size === 0) this.#waiting.delete(path);
  }
}
