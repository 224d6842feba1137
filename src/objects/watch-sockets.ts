/**
 * The watches of a database as hibernatable WebSockets (`watchProtocol` in `contracts/database.ts`). The object may be put to sleep while
 * they wait: what a socket watches is in its attachment. An attachment holds 16 KB, and a watch of the longest keys does not fit;
 * such a socket is closed when the object wakes, and its door connects again.
 *
 * A message that is not taken holds memory; who is cut off for that is said in `late-watchers.ts`.
 */
import { type Grant, refusedKeys } from "../contracts/grant.ts";
import { decodeWatch, encodeWatchOutput } from "../codec/datapath.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_WATCHERS } from "../core/limits.ts";
import type { Entry } from "../core/operations.ts";
import type { Watcher, WatchHub } from "../engine/watch-hub.ts";
import { watchProtocol } from "../contracts/database.ts";
import type { LateWatchers } from "./late-watchers.ts";

/** The platform's limit is 16,384; the rest of the attachment stays far below the difference. */
const MAX_ATTACHED_KEY_BYTES = 15_000;

const CLOSE_NORMAL = 1000;
const CLOSE_POLICY = 1008;
const CLOSE_CONNECT_AGAIN = 1012;

interface Attachment {
  readonly grant: Grant;
  /** Undefined before the first message. "too long": they are in memory alone. */
  readonly keys?: readonly Uint8Array[] | "too long";
}

export class WatchSockets {
  readonly #hub: WatchHub;
  readonly #late: LateWatchers;
  readonly #watchers = new Map<WebSocket, Watcher>();
  #closed = false;

  /** `sockets`: those that are open from before the object slept. */
  constructor(hub: WatchHub, sockets: readonly WebSocket[], late: LateWatchers) {
    this.#hub = hub;
    this.#late = late;
    for (const socket of sockets) {
      const { keys } = attachmentOf(socket);
      if (keys === "too long") socket.close(CLOSE_CONNECT_AGAIN, "connect again");
      else if (keys !== undefined) this.#watch(socket, keys, true);
    }
  }

  /** A socket that was just accepted; its keys come with its first message. */
  opened(socket: WebSocket, grant: Grant): void {
    attach(socket, { grant });
  }

  message(socket: WebSocket, message: string | ArrayBuffer): void {
    if (this.#closed) return;
    const watcher = this.#watchers.get(socket);
    if (typeof message === "string") {
      if (message === watchProtocol.ack) this.#taken(socket);
      else refuse(socket, failure("invalid", `Unknown watch message ${JSON.stringify(message.slice(0, 40))}`));
      return;
    }
    if (watcher !== undefined) {
      refuse(socket, failure("invalid", "A watch names its keys once, in its first message"));
      return;
    }
    const watch = decodeWatch(new Uint8Array(message));
    if (!watch.ok) {
      refuse(socket, watch);
      return;
    }
    const refused = refusedKeys(attachmentOf(socket).grant, watch.keys) ?? noMoreWatchers(this.#hub);
    if (refused !== null) {
      refuse(socket, refused);
    } else {
      // Copies: what was decoded are views, which would keep the whole message for as long as the watch lasts.
      const keys = watch.keys.map((key) => key.slice());
      this.#remember(socket, keys);
      this.#watch(socket, keys, false);
    }
  }

  closed(socket: WebSocket): void {
    const watcher = this.#watchers.get(socket);
    this.#watchers.delete(socket);
    this.#late.taken(socket);
    watcher?.remove();
  }

  /** Nothing is sent to these any more. */
  forget(sockets: Iterable<WebSocket>): void {
    for (const socket of sockets) this.closed(socket);
  }

  /** The database is gone: nothing is read or told any more, whatever was under way. The sockets are the caller's to end. */
  close(): void {
    this.#closed = true;
    this.#late.close();
    this.#hub.clear();
    this.#watchers.clear();
  }

  #remember(socket: WebSocket, keys: readonly Uint8Array[]): void {
    const bytes = keys.reduce((sum, key) => sum + key.length, 0);
    attach(socket, {
      grant: attachmentOf(socket).grant,
      keys: bytes > MAX_ATTACHED_KEY_BYTES ? "too long" : keys,
    });
  }

  #watch(socket: WebSocket, keys: readonly Uint8Array[], resumed: boolean): void {
    const watcher = this.#hub.add(keys, (entries) => this.#send(socket, entries), { resumed });
    this.#watchers.set(socket, watcher);
  }

  #taken(socket: WebSocket): void {
    this.#late.taken(socket);
    this.#watchers.get(socket)?.acknowledge();
  }

  #send(socket: WebSocket, entries: readonly (Entry | null)[]): void {
    const output = encodeWatchOutput(entries);
    try {
      socket.send(output);
      this.#late.sent(socket, output.length, () => {
        endSockets([socket], TOO_SLOW);
        this.closed(socket);
      });
    } catch {
      // The peer is gone and its close event is on the way, or was lost: either way nobody waits here any more. Not at once, because
      // the hub is telling others.
      queueMicrotask(() => this.closed(socket));
    }
  }
}

/** Why there can be no more watchers, on whatever sockets they are; null: there can. */
export function noMoreWatchers({ size }: WatchHub): Failure | null {
  if (size < MAX_WATCHERS) return null;
  return failure("unavailable", `This database has ${MAX_WATCHERS} watchers, the most it takes at a time`);
}

export const TOO_SLOW = failure(
  "unavailable",
  "What changed was taken too slowly, and others waited for the memory: watch again",
);

/** Ends these, saying why; those that are on their way out already are left to it. */
export function endSockets(sockets: Iterable<WebSocket>, why: Failure): void {
  for (const socket of sockets) {
    if (socket.readyState === WebSocket.OPEN) refuse(socket, why);
  }
}

function refuse(socket: WebSocket, why: Failure): void {
  try {
    socket.send(JSON.stringify(why));
    socket.close(why.code === "unavailable" ? CLOSE_NORMAL : CLOSE_POLICY, why.code);
  } catch {
    // It closed in this moment: the peer is gone, which is all that was wanted.
  }
}

function attach(socket: WebSocket, attachment: Attachment): void {
  socket.serializeAttachment(attachment);
}

/** Every socket of ours was given one when it was accepted. */
function attachmentOf(socket: WebSocket): Attachment {
  return socket.deserializeAttachment() as Attachment;
}
