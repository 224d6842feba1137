/**
 * How fast that which clients send on WebSockets goes to the server process. That process has one thread. While it finds something to read
 * on one WebSocket, it looks at no other connection: a client that always sends more would keep everybody else waiting, for minutes. So only a
 * few small pieces are on their way at a time. An answer to a request of the front's own shows that the server process has read the pieces
 * before it and has looked at its other connections.
 */
import { SOCKET_PIECES_UNDER_WAY } from "../../core/limits.ts";
import { SocketTurns, type Turn } from "./socket-turns.ts";

export class SocketPace {
  readonly #ask: (answered: () => void) => void;
  readonly #turns = new SocketTurns(SOCKET_PIECES_UNDER_WAY);
  /** The turns of pieces that were passed since the last question. */
  #passed: Turn[] = [];
  #isAsking = false;

  /** `ask` calls `answered` once, later, when the server process has answered or there is none. */
  constructor(ask: (answered: () => void) => void) {
    this.#ask = ask;
  }

  /** Calls `pass`, which passes a piece on, when its turn has come. It must be guarded. */
  enter(path: string, pass: () => void): Turn {
    return this.#turns.enter(path, (turn) => {
      this.#passed.push(turn);
      pass();
      this.#askIfMany();
    });
  }

  /** A lone piece is not worth a question. Half of the places stay free for others meanwhile. */
  #askIfMany(): void {
    if (this.#isAsking || this.#passed.length < SOCKET_PIECES_UNDER_WAY / 2) return;
    this.#isAsking = true;
    const passed = this.#passed;
    this.#passed = [];
    this.#ask(() => {
      this.#isAsking = false;
      for (const turn of passed) turn.over();
      this.#askIfMany();
    });
  }
}
