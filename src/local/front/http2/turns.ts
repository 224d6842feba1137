/**
 * How much a connection may do before the others have their turns. The connections that have more to do share what all of them may do
 * between two looks at the system, so that a new request waits for milliseconds, however many of them there are.
 */
import { FrameType } from "./protocol.ts";

/** Frames that come, or are sent with DATA: of one connection, and of all together. They take a few milliseconds at most. */
const FRAMES_OF_ONE = 512;
const FRAMES_OF_ALL = 1024;

/** A request costs as much as so many other frames. */
const FRAMES_PER_REQUEST = 8;

/**
 * A request that breaks off, or comes beyond the limit of streams, costs so many frames more. A client that does nothing else gets few of
 * them into its turn, and others have theirs in between.
 */
export const FRAMES_PER_RESET = 64;

/** Bytes that cost as much as a frame, where each byte may be work: in header blocks and settings. */
const BYTES_PER_FRAME = 64;

/** What a frame costs, in frames. */
export function framesFor(type: number, length: number): number {
  if (type === FrameType.data) return 1;
  return (type === FrameType.headers ? FRAMES_PER_REQUEST : 1) + Math.floor(length / BYTES_PER_FRAME);
}

export class Turns {
  #waiting = 0;

  /** The frames of a turn. */
  get frames(): number {
    return Math.min(FRAMES_OF_ONE, Math.ceil(FRAMES_OF_ALL / (this.#waiting + 1)));
  }

  /** A connection has used its turn up, and waits for the next one. */
  wait(): void {
    this.#waiting += 1;
  }

  /** It waits no more. */
  begin(): void {
    this.#waiting -= 1;
  }
}
