/** The requests of one socket that are not answered yet: their ids, how many there may be, and the bytes of their frames. */
import { type Failure, failure } from "../core/errors.ts";
import { MAX_SOCKET_PENDING_BYTES, MAX_SOCKET_REQUESTS_IN_FLIGHT } from "../core/limits.ts";
import type { SocketRequest } from "../codec/socket.ts";

export interface UnansweredRequestsParts {
  /** Whether the database's sockets may keep this many more bytes of unanswered frames. If so, the bytes are counted from then on. */
  readonly takePending: (bytes: number) => boolean;
  readonly givePendingBack: (bytes: number) => void;
  /** Whether the id is that of an open watch. */
  readonly isWatch: (id: number) => boolean;
}

/** A frame counts until the last of its requests is answered. */
interface UnansweredFrame {
  readonly bytes: number;
  unanswered: number;
}

export class UnansweredRequests {
  readonly #parts: UnansweredRequestsParts;
  readonly #frames = new Map<number, UnansweredFrame>();
  #bytes = 0;

  constructor(parts: UnansweredRequestsParts) {
    this.#parts = parts;
  }

  has(id: number): boolean {
    return this.#frames.has(id);
  }

  /** True: the requests of the frame count from now on. False: there is no room for them. A failure: the whole socket is refused. */
  admit(requests: readonly SocketRequest[], bytes: number): boolean | Failure {
    const ids = new Set<number>();
    for (const { id, type } of requests) {
      if (type === "ack") continue;
      if (ids.has(id) || this.#frames.has(id) || this.#parts.isWatch(id)) {
        return failure("invalid", `The id ${id} is that of a request that is not answered yet, or of an open watch.`);
      }
      ids.add(id);
    }
    const inFlight = this.#frames.size + ids.size;
    if (inFlight > MAX_SOCKET_REQUESTS_IN_FLIGHT) {
      const limit = MAX_SOCKET_REQUESTS_IN_FLIGHT;
      return failure("limit", `${inFlight} requests are not answered yet; the limit is ${limit}.`);
    }
    const allBytes = this.#bytes + bytes;
    if (allBytes > MAX_SOCKET_PENDING_BYTES) {
      const limit = MAX_SOCKET_PENDING_BYTES;
      return failure("limit", `Frames of ${allBytes} bytes are not answered yet; the limit is ${limit}.`);
    }
    if (ids.size === 0) return true;
    if (!this.#parts.takePending(bytes)) return false;
    this.#bytes = allBytes;
    const frame = { bytes, unanswered: ids.size };
    for (const id of ids) this.#frames.set(id, frame);
    return true;
  }

  /** Does nothing for one that does not count. */
  answered(id: number): void {
    const frame = this.#frames.get(id);
    if (frame === undefined) return;
    this.#frames.delete(id);
    frame.unanswered -= 1;
    if (frame.unanswered > 0) return;
    this.#bytes -= frame.bytes;
    this.#parts.givePendingBack(frame.bytes);
  }

  /** Nothing is to be answered any more. */
  clear(): void {
    this.#parts.givePendingBack(this.#bytes);
    this.#bytes = 0;
    this.#frames.clear();
  }
}
