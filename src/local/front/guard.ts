/**
 * What a connection of the front does when one of its handlers throws: it ends, and no other connection does. Without a guard a throw in
 * one handler ends the process, and with it everybody. Every handler in this folder goes through the guard of its connection; the linter
 * (cairn/guarded-handlers) holds that.
 */
import type { IncomingMessage } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";

/** What was thrown is a bug of the front, or of node: told to whoever runs the server. */
export type ReportBug = (error: unknown) => void;

/** What handlers are given, by the name of their event. */
interface Events {
  readonly close: [broken?: boolean];
  readonly connect: [];
  readonly connection: [socket: Socket];
  readonly data: [piece: Buffer];
  readonly drain: [];
  readonly end: [];
  readonly error: [error: Error];
  readonly listening: [];
  readonly readable: [];
  readonly response: [response: IncomingMessage];
  readonly socket: [socket: Socket];
  readonly stream: [stream: ServerHttp2Stream, headers: IncomingHttpHeaders];
  readonly timeout: [];
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

  /** Returns what takes the handler away again. */
  on<Event extends keyof Events>(
    emitter: Emitter<NoInfer<Event>>,
    event: Event,
    handler: (...args: Events[Event]) => void,
  ): () => void {
    const guarded = this.wrap(handler);
    emitter.on(event, guarded);
    return () => void emitter.off(event, guarded);
  }

  once<Event extends keyof Events>(
    emitter: Emitter<NoInfer<Event>>,
    event: Event,
    handler: (...args: Events[Event]) => void,
  ): () => void {
    const guarded = this.wrap(handler);
    emitter.once(event, guarded);
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

  #fail(error: unknown): void {
    this.#report(error);
    try {
      this.#end();
    } catch (endError) {
      this.#report(endError);
    }
  }
}

/** At most one line a minute, so that a client that has found a bug fills no disk. */
const REPORT_INTERVAL_MS = 60_000;

/** Reports with `write`, which takes whole lines; what came in between is counted in the next. */
export function boundedReport(write: (line: string) => void, now: () => number = () => performance.now()): ReportBug {
  let reportedAt = Number.NEGATIVE_INFINITY;
  let count = 0;
  return (error) => {
    count += 1;
    if (now() - reportedAt < REPORT_INTERVAL_MS) return;
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    write(`Connections ended by an error of the front: ${count}. The latest: ${what}\n`);
    reportedAt = now();
    count = 0;
  };
}
