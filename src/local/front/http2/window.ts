/** How much a client may still send: the receiving side of flow control (RFC 9113, section 5.2). */
import { MAX_WINDOW } from "./protocol.ts";

/** A window is opened again when this part of it was read, or more than what is left: some of it may wait for readers that are slow. */
const OPENED_BY = 1 / 2;

export class ReceiveWindow {
  readonly #size: number;
  /** What the client may still send. */
  #left: number;
  /** What was read since the window was opened last. */
  #read = 0;

  constructor(size: number) {
    this.#size = size;
    this.#left = size;
  }

  /** Takes bytes that have come. False: the client was not allowed to send them. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** Notes that bytes were read. Returns by how much to open the window now: 0 if not yet. */
  release(bytes: number): number {
    this.#read += bytes;
    if (this.#read < this.#size * OPENED_BY && this.#read < this.#left) return 0;
    const opened = this.#read;
    this.#read = 0;
    this.#left += opened;
    return opened;
  }
}

/** The size that all windows of a client's streams begin with. A new size changes the open ones, too (section 6.9.2). */
export interface FirstSize {
  bytes: number;
}

/** How much may still be sent to a client. It can be below 0, after the client has made the windows of all streams smaller. */
export class SendWindow {
  readonly #first: FirstSize;
  /** What was opened, without what was used. */
  #more = 0;

  constructor(first: FirstSize) {
    this.#first = first;
  }

  get left(): number {
    return this.#first.bytes + this.#more;
  }

  /** Whether the window is as large as it may be, or smaller. */
  get isValid(): boolean {
    return this.left <= MAX_WINDOW;
  }

  /** False: the window becomes larger than any may be. */
  open(bytes: number): boolean {
    this.#more += bytes;
    return this.isValid;
  }

  use(bytes: number): void {
    this.#more -= bytes;
  }
}
