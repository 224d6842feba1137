/**
 * What a connection of the front does when one of its handlers throws: it ends, and no other connection does. Without a guard a throw in
 * one handler ends the process, and with it everybody. Every handler in this folder goes through the guard of its connection; the linter
 * (cairn/guarded-handlers) holds that.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** What was thrown is a bug of the front, or of node: told to whoever runs the server. */
export type ReportBug = (error: unknown) => void;

/** What handlers are given, by the name of their event. */
interface Events {
  readonly checkContinue: [request: IncomingMessage, response: ServerResponse];
  readonly clientError: [error: Error & { readonly code?: string }, socket: Duplex];
  readonly close: [];
  /** Of a socket, which gives none; or of a server of HTTP/1.1. */
  readonly connect: [request?: IncomingMessage, socket?: Duplex];
  readonly connection: [socket: Socket];
  readonly data: [piece: Buffer];
  readonly drain: [];
  readonly end: [];
  readonly error: [error: Error];
  readonly listening: [];
  /** Of a WebSocket, which gives more than that. */
  readonly message: [message: unknown];
  readonly open: [];
  readonly readable: [];
  readonly request: [request: IncomingMessage, response: ServerResponse];
  readonly stream: [stream: ServerHttp2Stream, headers: IncomingHttpHeaders];
  /** Of a server, or of a WebSocket, which gives the answer to its handshake alone. */
  readonly upgrade: [message: IncomingMessage, socket?: Duplex, head?: Buffer];
}

interface Emitter<Event extends keyof Events> {
  on(event: Event, handler: (...args: Events[Event]) => void): unknown;
  once(event: Event, handler: (...args: Events[Event]) => void): unknown;
  off(event: Event, handler: (...args: Events[Event]) => void): unknown;
}

export class Guard {
  readonly #end: () => void;
  readonly #report: ReportBug;

  /** `end` breaks the connection off, and may be called more than once. */
  constructor(end: () => void, report: ReportBug) {
    this.#end = end;
    this.#report = report;
  }

  on<Event extends keyof Events>(
    emitter: Emitter<NoInfer<Event>>,
    event: Event,
    handler: (...args: Events[Event]) => void,
  ): void {
    emitter.on(event, this.wrap(handler));
  }

  once<Event extends keyof Events>(
    emitter: Emitter<NoInfer<Event>>,
    event: Event,
    handler: (...args: Events[Event]) => void,
  ): void {
    emitter.once(event, this.wrap(handler));
  }

  /** As `on`; returns what takes the handler away again. */
  until<Event extends keyof Events>(
    emitter: Emitter<NoInfer<Event>>,
    event: Event,
    handler: (...args: Events[Event]) => void,
  ): () => void {
    const guarded = this.wrap(handler);
    emitter.on(event, guarded);
    return () => void emitter.off(event, guarded);
  }

  /** Returns what cancels it. */
  after(ms: number, handler: () => void): () => void {
    const timer = setTimeout(this.wrap(handler), ms);
    return () => clearTimeout(timer);
  }

  /** When what has arrived by now has been looked at. */
  soon(handler: () => void): void {
    setImmediate(this.wrap(handler));
  }

  /** The handler, which ends its connection instead of throwing: for what takes a function and is no emitter. */
  wrap<Args extends unknown[]>(handler: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        handler(...args);
      } catch (error) {
        this.#fail(error);
      }
    };
  }

  /** Does it now. */
  run(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#report(error);
    try {
      this.#end();
    } catch (endError) {
      this.#report(endError);
    }
  }
}
