/** A WebSocket that passes through the front: what its client sends goes to the server process piece by piece (`server-pace.ts`). */
import type { RequestBody } from "./client.ts";
import type { Guard } from "./guard.ts";
import { SocketFrames } from "./socket-frames.ts";
import type { PassedPiece, ServerPace } from "./server-pace.ts";
import type { Turn } from "../fair-turns.ts";

export interface PassedSocketParts {
  readonly path: string;
  readonly pace: ServerPace;
  readonly guard: Guard;
  /** The bytes that the client sends. The stream is paused while some of them wait here. */
  readonly input: Pick<RequestBody, "pause" | "resume">;
  /** Sends a piece to the server process. false: no more may be sent until `drained` is called. */
  readonly send: (piece: Buffer) => boolean;
}

export class PassedSocket {
  readonly #parts: PassedSocketParts;
  readonly #fromClient = new SocketFrames();
  readonly #fromServer = new SocketFrames();
  /** Bytes that have come from the client and were not passed on. */
  #rest: Buffer | undefined;
  #turn: Turn | undefined;
  #isFull = false;

  constructor(parts: PassedSocketParts) {
    this.#parts = parts;
  }

  /** Bytes of the client's message that has begun and has not ended, as far as it was passed on. */
  get unfinished(): number {
    return this.#fromClient.unfinished;
  }

  /** Whether the server has closed the WebSocket. */
  get isClosed(): boolean {
    return this.#fromServer.hasClosed;
  }

  /** Whether both sides have closed it: nothing may follow. */
  get isOver(): boolean {
    return this.#fromServer.hasClosed && this.#fromClient.hasClosed;
  }

  /** Takes bytes that the client has sent. */
  receive(piece: Buffer): void {
    this.#rest = this.#rest === undefined ? piece : Buffer.concat([this.#rest, piece]);
    this.#passOn();
  }

  /** Must be called when the server process takes more bytes again. */
  drained(): void {
    this.#isFull = false;
    this.#passOn();
  }

  /** Notes bytes that are on their way from the server to the client. */
  answered(piece: Buffer): void {
    this.#fromServer.pass(piece);
  }

  /** Ends the passing on of bytes. */
  over(): void {
    this.#rest = undefined;
    this.#turn?.over();
  }

  #passOn(): void {
    const { path, pace, guard, input } = this.#parts;
    while (this.#rest !== undefined && this.#turn === undefined && !this.#isFull) {
      let when: "now" | "later" = "now";
      let isPassed = false;
      const turn = pace.enter(
        path,
        guard.wrap(({ weigh }: PassedPiece) => {
          isPassed = true;
          this.#turn = undefined;
          this.#pass(weigh);
          if (when === "later") this.#passOn();
        }),
      );
      when = "later";
      if (!isPassed) this.#turn = turn;
    }
    if (this.#rest === undefined && !this.#isFull) input.resume();
    else input.pause();
  }

  #pass(weigh: (part: number) => void): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    const { length, part } = this.#fromClient.passSome(rest);
    weigh(part);
    this.#rest = length < rest.length ? rest.subarray(length) : undefined;
    if (!this.#parts.send(rest.subarray(0, length))) this.#isFull = true;
  }
}
