/**
 * What happens when a handler of a connection throws: that connection ends, and no other does. Without a guard, a throw in one handler
 * ends the process with all connections. Every handler in this folder goes through the guard of its connection, which the linter checks
 * (cairn/guarded-handlers).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** The error is a bug of the front or of node. It is reported to the operator of the server. */
export type ReportBug = (error: unknown) => void;

/** The arguments of handlers, by the name of their event. */
interface Events {
  readonly checkContinue: [request: IncomingMessage, response: ServerResponse];
  readonly clientError: [error: Error & { readonly code?: string }, socket: Duplex];
  readonly close: [];
  /** A socket passes none. A server of HTTP/1.1 passes both. */
  readonly connect: [request?: IncomingMessage, socket?: Duplex];
  readonly connection: [socket: Socket];
  readonly data: [piece: Buffer];
  readonly drain: [];
  readonly end: [];
  readonly error: [error: Error];
  readonly listening: [];
  readonly readable: [];
  readonly request: [request: IncomingMessage, response: ServerResponse];
  readonly upgrade: [message: IncomingMessage, socket: Duplex, head: Buffer];
}

export interface Emitter<Event extends keyof Events> {
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

  /** As `on`. Returns a function that removes the handler. */
  until<Event extends keyof Events>(
    emitter: Emitter<NoInfer<Event>>,
    event: Event,
    handler: (...args: Events[Event]) => void,
  ): () => void {
    const guarded = this.wrap(handler);
    emitter.on(event, guarded);
    return () => void emitter.off(event, guarded);
  }

  /** Returns a function that cancels the timer. */
  after(ms: number, handler: () => void): () => void {
    const timer = setTimeout(this.wrap(handler), ms);
    return () => clearTimeout(timer);
  }

  /** Runs the handler after everything that has arrived by now was handled. */
  soon(handler: () => void): void {
    setImmediate(this.wrap(handler));
  }

  /** Runs the handler after what runs now, before anything else that has arrived is handled. */
  next(handler: () => void): void {
    queueMicrotask(this.wrap(handler));
  }

  /** A handler that ends its connection instead of throwing, for callers that take a function and are no emitters. */
  wrap<Args extends unknown[]>(handler: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        handler(...args);
      } catch (error) {
        this.#fail(error);
      }
    };
  }

  /** Runs the action now. */
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
