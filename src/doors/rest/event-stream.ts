/**
 * Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html) from a watch or a feed. The next update is
 * requested when the client has taken the one before, so a slow client costs one update, and no queue grows. The text of an update is
 * written piece by piece, as the client takes it. A comment every fifteen seconds keeps the connection open, and shows when a client is
 * gone.
 *
 * The stream ends when the object goes away, and after `endsAfterMs`. The client then asks again from the id of the last event. When the
 * stream ends for good, a last event, `error`, gives the reason.
 */
import type { Failure } from "../../core/errors.ts";
import { isFailure } from "../../core/errors.ts";
import { SSE_COMMENT_MS } from "../../core/limits.ts";
import type { Timers } from "../../core/timers.ts";
import type { Ration } from "../http/ration.ts";
import type { LinkEvent, SessionLink } from "./session-link.ts";
import { nextBytes } from "./text-stream.ts";

const SHORT_UPDATE_BYTES = 16 * 1024;

export interface EventStreamParts {
  readonly link: SessionLink;
  /** The first event, which was awaited. */
  readonly first: LinkEvent;
  readonly timers: Timers;
  readonly ration: Pick<Ration, "turn" | "rest">;
  /** The text for an update, in pieces. No pieces: nothing is sent for it. */
  readonly textOf: (update: Uint8Array) => Iterable<string> | Failure;
  /** null: the stream lasts. */
  readonly endsAfterMs: number | null;
}

const encoder = new TextEncoder();

export function eventStreamAnswer(parts: EventStreamParts, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(new EventStream(parts).stream(), {
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      // Some proxies keep what they pass on until they have much of it.
      "x-accel-buffering": "no",
      ...headers,
    },
  });
}

/** `data` must not have line ends. */
export function eventText(name: string, data: string, id?: string): string {
  return `event: ${name}\n${id === undefined ? "" : `id: ${id}\n`}data: ${data}\n\n`;
}

class EventStream {
  readonly #parts: EventStreamParts;
  #waiting: LinkEvent | null;
  #pieces: Iterator<string> | null = null;
  /** Whether the text of the update takes milliseconds. Then each piece of it is made at the request's turn. */
  #isLong = false;
  #owesAcknowledgement = false;
  #isOver = false;
  #cancelEnd: (() => void) | undefined;

  constructor(parts: EventStreamParts) {
    this.#parts = parts;
    this.#waiting = parts.first;
  }

  stream(): ReadableStream<Uint8Array> {
    const { link, timers, endsAfterMs } = this.#parts;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          if (endsAfterMs !== null) this.#cancelEnd = timers.after(endsAfterMs, () => this.#timeIsOver());
          link.onEnd(() => {
            // What is left of an update is not kept for a client that the object has given up.
            if (this.#pieces === null) return;
            this.#end();
            controller.error(new Error("The database has ended the stream in the middle of an event."));
          });
        },
        pull: (controller) => this.#pull(controller),
        cancel: () => this.#end(),
      },
      { highWaterMark: 0 },
    );
  }

  /** Called when the client has taken everything before, and not again until the promise has settled. */
  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      if (this.#pieces !== null) {
        if (this.#isLong) await this.#parts.ration.turn();
        // It may have ended meanwhile.
        if (this.#pieces === null) continue;
        const { bytes, isLast } = nextBytes(this.#pieces);
        this.#parts.ration.rest();
        if (isLast) this.#pieces = null;
        if (bytes.length > 0) {
          controller.enqueue(bytes);
          return;
        }
      }
      const { link, timers } = this.#parts;
      if (this.#owesAcknowledgement) link.acknowledge();
      this.#owesAcknowledgement = false;
      // An event that has come is sent, also when the stream ends.
      const event = this.#waiting ?? (this.#isOver ? LOST : await link.next(timers, SSE_COMMENT_MS));
      this.#waiting = null;
      if (event === null && !this.#isOver) {
        controller.enqueue(encoder.encode(": nothing new\n\n"));
        return;
      }
      if (event?.type === "update") {
        const said = this.#parts.textOf(event.body);
        if (!isFailure(said)) {
          this.#pieces = said[Symbol.iterator]();
          this.#isLong = event.body.length > SHORT_UPDATE_BYTES;
          this.#owesAcknowledgement = true;
          continue;
        }
        controller.enqueue(encoder.encode(errorText(said)));
      } else if (event?.type === "failure") {
        controller.enqueue(encoder.encode(errorText(event.failure)));
      }
      this.#end();
      controller.close();
      return;
    }
  }

  /** An event that was begun is whole when the stream ends, and counts at the object until then. */
  #timeIsOver(): void {
    this.#isOver = true;
    if (this.#pieces === null) this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#pieces = null;
    this.#cancelEnd?.();
    this.#parts.link.close();
  }
}

const LOST: LinkEvent = { type: "lost" };

function errorText({ code, message, oldest }: Failure): string {
  return eventText("error", JSON.stringify({ code, message, oldest }));
}
