/**
 * Limits how fast the bytes that clients send on WebSockets, and new requests, go to the server process. That process has one thread. While it
 * finds something to read on one WebSocket, it looks at no other connection, and it takes up new requests before it goes on with others: a
 * client that sends without a pause would keep all others waiting for minutes. So only a few small pieces are on their way at a time. Then the
 * front makes a request of its own. The answer shows that the server process has read the pieces before the request and has looked at its other
 * connections.
 */
import { SOCKET_PIECES_UNDER_WAY } from "../../core/limits.ts";
import { FairTurns, type Turn } from "../fair-turns.ts";

export interface PassedPiece {
  /** Says which part of a complete piece it is. */
  readonly weigh: (part: number) => void;
  /** The server process has answered, so it has read the piece. */
  readonly read: () => void;
}

export class ServerPace {
  readonly #ask: (answered: () => void) => void;
  readonly #turns = new FairTurns(SOCKET_PIECES_UNDER_WAY);
  /** Pieces that were passed on, which the server process may not have read, and which part of a complete piece each is. */
  readonly #passed = new Map<Turn, number>();
  /** How many complete pieces came since the front's last request. */
  #pieces = 0;
  #isAsking = false;

  /** `ask` makes the front's request. It calls `answered` once, later, when the server process has answered or there is no server process. */
  constructor(ask: (answered: () => void) => void) {
    this.#ask = ask;
  }

  /**
   * Calls `pass` when the piece's turn has come. `pass` passes the piece on, and says which part of a complete piece it was. It must be
   * guarded (see `guard.ts`). `key`: pieces with other keys have turns in between.
   */
  enter(key: string | object, pass: (piece: PassedPiece) => void): Turn {
    return this.#turns.enter(key, (turn) => {
      this.#passed.set(turn, 0);
      pass({
        weigh: (part) => {
          turn.weigh(part);
          this.#passed.set(turn, part);
          this.#pieces += part;
        },
        read: () => this.#read(turn),
      });
      this.#askIfMany();
    });
  }

  #read(turn: Turn): void {
    const part = this.#passed.get(turn);
    if (part === undefined) return;
    this.#passed.delete(turn);
    this.#pieces = this.#passed.size === 0 ? 0 : this.#pieces - part;
    turn.over();
  }

  /** Makes a request when half of the places are taken: a single piece is not worth one. The other half stays free until the answer. */
  #askIfMany(): void {
    if (this.#isAsking || this.#pieces < SOCKET_PIECES_UNDER_WAY / 2) return;
    this.#isAsking = true;
    const asked = [...this.#passed.keys()];
    this.#passed.clear();
    this.#pieces = 0;
    this.#ask(() => {
      this.#isAsking = false;
      for (const turn of asked) turn.over();
      this.#askIfMany();
    });
  }
}
