/**
 * A watch of KV Connect: a response that lasts, fed from one socket to the database's object. Each WatchOutput is sent after its length
 * as 4 bytes little endian. A length of 0 keeps the stream alive. It also shows when a client has vanished, because the runtime reports
 * that only at a write. The object's next output is requested when the client has taken the one before. So a slow client gets the latest
 * state, and no queue grows.
 *
 * The stream ends when the grant ends, when the object says so, or when the object cannot be reached any more. Clients then ask again,
 * and get the reason in that answer. However the stream ends, the socket is closed and no timer is left.
 */
import { unreachable } from "../../core/assert.ts";
import type { Grant } from "../../contracts/grant.ts";
import type { Clock } from "../../core/clock.ts";
import { decodeWatch } from "../../codec/datapath.ts";
import { encodeWatch } from "../../codec/datapath-requests.ts";
import { failure, type Failure } from "../../core/errors.ts";
import type { Timers } from "../../core/timers.ts";
import type { DatabaseStub } from "../../contracts/database.ts";
import type { FailureOfThrown } from "../http/thrown.ts";
import { WATCH_ANSWER } from "./responses.ts";
import { openLink, WatchLink, type LinkEvent } from "./watch-link.ts";

export const KEEP_ALIVE_MS = 5000;

/** The wait before each attempt to reach an object that went away: about three seconds in all, shorter than a keep-alive. */
export const RECONNECT_DELAYS_MS = [100, 200, 400, 800, 1600] as const;

const LENGTH_BYTES = 4;

/**
 * Bytes that are enqueued at once. The runtime asks for the next piece while it still writes the one before, so it holds at most one
 * piece too much.
 */
const PIECE_BYTES = 256 * 1024;

/** Timers cannot be set further ahead. */
const MAX_TIMER_MS = 0x7fff_ffff;

export interface WatchParts {
  readonly stub: DatabaseStub;
  readonly grant: Grant;
  /** The Watch message, as the client sent it. */
  readonly watch: Uint8Array;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly failureOfThrown: FailureOfThrown;
}

/** Answers with a stream when the object's first output has come. An earlier failure has a status of its own. */
export async function answerWatch(parts: WatchParts): Promise<Response | Failure> {
  const decoded = decodeWatch(parts.watch);
  if (!decoded.ok) return decoded;
  // Encoded anew, because it is kept as long as the watch lasts: only the keys, not everything that the client may have sent with them.
  const source = new WatchSource({ ...parts, watch: encodeWatch(decoded.keys) });
  const flaw = await source.start();
  if (flaw !== undefined) return flaw;
  return new Response(source.stream(), WATCH_ANSWER);
}

/** "quiet": nothing came for the time of a keep-alive. "over": the watch has ended. */
type Step = Exclude<LinkEvent, { type: "lost" }> | { readonly type: "quiet" } | { readonly type: "over" };

class WatchSource {
  readonly #parts: WatchParts;
  #link: WatchLink | undefined;
  /** Attempts to connect since the last output. A watch that has had an output waits before the next attempt, too. */
  #tries = 0;
  /** The object waits to hear that the client has taken its last output. */
  #owesAcknowledgement = false;
  #over = false;
  /** Ends the present wait, if there is one. */
  #interrupt: (() => void) | undefined;
  #cancelDeadline: (() => void) | undefined;
  #first: Uint8Array | undefined;
  /** The part of the current output that was not requested yet. */
  #rest: Uint8Array = NOTHING;

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

  /** Connects and waits for the first output. */
  async start(): Promise<Failure | undefined> {
    const step = await this.#next();
    if (step.type === "output") {
      this.#first = step.bytes;
      return undefined;
    }
    this.#end();
    return step.type === "failure"
      ? step.failure
      : failure("unavailable", "The database did not answer the watch in time. Try again.");
  }

  /** To be called once, after `start` has succeeded. */
  stream(): ReadableStream<Uint8Array> {
    const { grant, clock, timers } = this.#parts;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          const left = Math.max(0, grant.expiresAt - clock.now());
          this.#cancelDeadline = timers.after(Math.min(left, MAX_TIMER_MS), () => {
            const rest = this.#rest;
            this.#end();
            // A message that was begun is sent completely before the stream ends.
            if (rest.length > 0) controller.enqueue(rest);
            controller.close();
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
    const first = this.#first;
    this.#first = undefined;
    if (first !== undefined) this.#begin(controller, framed(first));
    if (this.#rest.length > 0) {
      controller.enqueue(this.#rest.subarray(0, PIECE_BYTES));
      this.#rest = this.#rest.subarray(PIECE_BYTES);
      return;
    }
    this.#link?.onNextEvent(undefined);
    if (this.#owesAcknowledgement) this.#link?.acknowledge();
    this.#owesAcknowledgement = false;
    const step = await this.#next();
    switch (step.type) {
      case "output":
        this.#begin(controller, framed(step.bytes));
        return this.#pull(controller);
      case "quiet":
        controller.enqueue(new Uint8Array(LENGTH_BYTES));
        return;
      case "failure":
        this.#end();
        controller.close();
        return;
      case "over":
        return;
      default:
        unreachable(step);
    }
  }

  /**
   * When the object gives up a client that takes the output too slowly, the client is not sent the rest, and the rest is not kept for it.
   */
  #begin(controller: ReadableStreamDefaultController<Uint8Array>, frame: Uint8Array): void {
    this.#rest = frame;
    const link = this.#link;
    link?.onNextEvent(() => {
      if (!link.hasFailed || this.#rest.length === 0) return;
      this.#end();
      controller.error(new Error("The database has ended the watch in the middle of a message."));
    });
  }

  async #next(): Promise<Step> {
    while (!this.#over) {
      if (this.#link === undefined) {
        const flaw = await this.#connect();
        if (flaw !== undefined) return { type: "failure", failure: flaw };
        continue;
      }
      const event = await this.#nextEvent(this.#link);
      if (event.type === "output") {
        this.#tries = 1;
        this.#owesAcknowledgement = true;
      }
      if (event.type !== "lost") return event;
      this.#link = undefined;
      this.#owesAcknowledgement = false;
    }
    return { type: "over" };
  }

  /** Makes a link, unless the watch has ended meanwhile. Returns the reason when there is none. */
  async #connect(): Promise<Failure | undefined> {
    const { stub, grant, watch, failureOfThrown } = this.#parts;
    for (let flaw = failure("unavailable", "The database's connection was lost. Try again."); ;) {
      const tries = this.#tries++;
      if (tries > 0) {
        const delay = RECONNECT_DELAYS_MS[tries - 1];
        if (delay === undefined) return flaw;
        await this.#pause(delay);
      }
      if (this.#over) return undefined;
      const opened = await openLink(stub, grant, watch).catch((error: unknown) =>
        failureOfThrown(error, "database", "read"),
      );
      if (opened instanceof WatchLink) {
        this.#link = opened;
        // The watch may have ended while the connection was made, and then `#end` found no link.
        if (this.#over) this.#end();
        return undefined;
      }
      if (opened.code !== "unavailable") return opened;
      flaw = opened;
    }
  }

  #nextEvent(link: WatchLink): Promise<LinkEvent | Step> {
    const waiting = link.take();
    if (waiting !== undefined) return Promise.resolve(waiting);
    return new Promise((resolve) => {
      const finish = (event: LinkEvent | Step): void => {
        cancelTimer();
        link.onNextEvent(undefined);
        this.#interrupt = undefined;
        resolve(event);
      };
      const cancelTimer = this.#parts.timers.after(KEEP_ALIVE_MS, () => finish({ type: "quiet" }));
      link.onNextEvent(() => finish(link.take() ?? { type: "quiet" }));
      this.#interrupt = () => finish({ type: "over" });
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        cancelTimer();
        this.#interrupt = undefined;
        resolve();
      };
      const cancelTimer = this.#parts.timers.after(ms, finish);
      this.#interrupt = finish;
    });
  }

  #end(): void {
    this.#over = true;
    this.#rest = NOTHING;
    this.#link?.close();
    this.#link = undefined;
    this.#cancelDeadline?.();
    this.#interrupt?.();
  }
}

const NOTHING = new Uint8Array(0);

function framed(output: Uint8Array): Uint8Array {
  const frame = new Uint8Array(LENGTH_BYTES + output.length);
  new DataView(frame.buffer).setUint32(0, output.length, true);
  frame.set(output, LENGTH_BYTES);
  return frame;
}
