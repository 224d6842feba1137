/**
 * Limits how fast the bytes that clients send on WebSockets go to the server process. That process has one thread. While it finds something
 * to read on one WebSocket, it looks at no other connection: a client that sends without a pause would keep all others waiting for minutes. So
 * only a few small pieces are on their way at a time. Then the front makes a request of its own. The answer shows that the server process has
 * read the pieces before the request and has looked at its other connections.
 */
import { SOCKET_PIECES_UNDER_WAY } from "../../core/limits.ts";
import { FairTurns, type Turn } from "../fair-turns.ts";

export class SocketPace {
  readonly #ask: (answered: () => void) => void;
  readonly #turns = new FairTurns(SOCKET_PIECES_UNDER_WAY);
  /** The turns of pieces that were passed on since the front's last request. */
  #passed: Turn[] = [];
  /** How many complete pieces these come to. A small one is a part of one. */
  #pieces = 0;
  #isAsking = false;

  /** `ask` makes the front's request. It calls `answered` once, later, when the server process has answered or there is no server process. */
  constructor(ask: (answered: () => void) => void) {
    this.#ask = ask;
  }

  /**
   * Calls `pass` when the piece's turn has come. `pass` passes the piece on, and says which part of a complete piece it was. It must be
   * guarded (see `guard.ts`).
   */
  enter(path: string, pass: (weigh: (part: number) => void) => void): Turn {
    return this.#turns.enter(path, (turn) => {
      this.#passed.push(turn);
      pass((part) => {
        turn.weigh(part);
        this.#pieces += part;
      });
      this.#askIfMany();
    });
  }

  /** Makes a request when half of the places are taken: a single piece is not worth one. The other half stays free until the answer. */
  #askIfMany(): void {
    if (this.#isAsking || this.#pieces < SOCKET_PIECES_UNDER_WAY / 2) return;
    this.#isAsking = true;
    const passed = this.#passed;
    this.#passed = [];
    this.#pieces = 0;
    this.#ask(() => {
      this.#isAsking = false;
      for (const turn of passed) turn.over();
      this.#askIfMany();
    });
  }
}
