/**
 * All requests that are under way, and the places that they share. When places run short, requests whose clients keep others waiting make
 * room: first the one that has done so longest.
 */
import type { ClientConnection } from "./client-connections.ts";
import type { Places } from "./places.ts";

export interface ExchangePlaces {
  /** Places at the front: from a request's arrival until its client has taken the answer. */
  readonly clients: Places;
  /** Places at the server process: until it has answered. */
  readonly requests: Places;
  /** Places at the server process for watches and WebSockets, which count as both. */
  readonly lasting: Places;
  /** Bytes of requests that the server process has not answered: it may hold them all. */
  readonly requestBytes: Places;
  /** Bytes of answers that came over sessions, until their clients have taken them. */
  readonly answerBytes: Places;
}

/** What places need to know of a request that is under way. An `Exchange` is one. */
export interface PlaceHolder {
  readonly connection: ClientConnection;
  readonly peer: string;
  /** Whether the server is working on it. */
  readonly isAtServer: boolean;
  /** Bytes of the answer that wait for the client. */
  readonly untaken: number;
  holds(places: Places): boolean;
  giveUp(): void;
  /** Ends the request when its client has kept it waiting for too long. Returns whether it should make room for others. */
  check(elapsedMs: number): boolean;
}

/** How many requests are checked to find one that can make room. It limits the cost when there is none. */
const MAX_LOOKS = 1000;

export class Exchanges {
  readonly places: ExchangePlaces;
  readonly #answerBytes: number;
  readonly #all = new Set<PlaceHolder>();
  /** In the order in which they began to keep others waiting. */
  readonly #stalled = new Set<PlaceHolder>();
  /** Those among them that the server is working on. */
  readonly #stalledAtServer = new Set<PlaceHolder>();

  /** `answerBytes`: how many bytes of answers may wait for their clients. Beyond that, requests end whose clients keep others waiting. */
  constructor(places: ExchangePlaces, answerBytes: number) {
    this.places = places;
    this.#answerBytes = answerBytes;
  }

  add(exchange: PlaceHolder): void {
    this.#all.add(exchange);
  }

  delete(exchange: PlaceHolder): void {
    this.#all.delete(exchange);
    this.#unstall(exchange);
  }

  /** Takes a place for a request of this peer. False: there is none, and no other request can make room. */
  take(places: Places, peer: string, count = 1): boolean {
    const taken = places.take(peer, count);
    if (taken === "taken") return true;
    let looks = MAX_LOOKS;
    for (const exchange of places === this.places.clients ? this.#stalled : this.#stalledAtServer) {
      if (looks-- === 0) return false;
      if (!exchange.holds(places) || (taken === "share" && exchange.peer !== peer)) continue;
      exchange.giveUp();
      if (places.take(peer, count) === "taken") return true;
    }
    return false;
  }

  /** Ends requests whose clients have kept them waiting for too long. To be called every second or so. */
  check(elapsedMs: number): void {
    let untaken = 0;
    for (const exchange of this.#all) {
      exchange.connection.guard.run(() => {
        untaken += exchange.untaken;
        if (exchange.check(elapsedMs)) this.#stall(exchange);
        else this.#unstall(exchange);
      });
    }
    for (const exchange of this.#stalled) {
      if (untaken <= this.#answerBytes) return;
      untaken -= exchange.untaken;
      exchange.giveUp();
    }
  }

  #stall(exchange: PlaceHolder): void {
    if (!this.#all.has(exchange)) return;
    if (exchange.isAtServer) this.#stalledAtServer.add(exchange);
    else this.#stalledAtServer.delete(exchange);
    if (this.#stalled.has(exchange)) return;
    this.#stalled.add(exchange);
    exchange.connection.stalled(1);
  }

  #unstall(exchange: PlaceHolder): void {
    this.#stalledAtServer.delete(exchange);
    if (this.#stalled.delete(exchange)) exchange.connection.stalled(-1);
  }
}
