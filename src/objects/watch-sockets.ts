/**
 * The watches of a database as hibernatable WebSockets (`watchProtocol` in `contracts/database.ts`). The object may be put to sleep while
 * they wait: what a socket watches is in its attachment. An attachment holds 16 KB, and a watch with the longest keys does not fit. Such
 * a socket is closed when the object wakes, and its door connects again.
 *
 * A message that is not taken holds memory. `late-watchers.ts` says which watchers are ended because of that.
 */
import { type Grant, refusedKeys } from "../contracts/grant.ts";
import { decodeWatch, encodeWatchOutput } from "../codec/datapath.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_WATCHERS } from "../core/limits.ts";
import type { Entry } from "../core/operations.ts";
import type { Watcher, WatchHub } from "../engine/watch-hub.ts";
import { watchProtocol } from "../contracts/database.ts";
import type { LateWatchers } from "./late-watchers.ts";

/** The platform's limit is 16,384. The rest of the attachment is much smaller than the difference. */
const MAX_ATTACHED_KEY_BYTES = 15_000;

const CLOSE_NORMAL = 1000;
const CLOSE_POLICY = 1008;
const CLOSE_CONNECT_AGAIN = 1012;

interface Attachment {
  readonly grant: Grant;
  /** Undefined before the first message. "too long": the keys are only in memory. */
  readonly keys?: readonly Uint8Array[] | "too long";
}

export class WatchSockets {
  readonly #hub: WatchHub;
  readonly #late: LateWatchers;
  readonly #watchers = new Map<WebSocket, Watcher>();
  #closed = false;

  /** `sockets`: those that were opened before the object slept. */
  constructor(hub: WatchHub, sockets: readonly WebSocket[], late: LateWatchers) {
    this.#hub = hub;
    this.#late = late;
    for (const socket of sockets) {
      const { keys } = attachmentOf(socket);
      if (keys === "too long") socket.close(CLOSE_CONNECT_AGAIN, "connect again");
      else if (keys !== undefined) this.#watch(socket, keys, true);
    }
  }

  /** A socket was accepted. Its keys come with its first message. */
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
      // Copied, because decoded keys are views, which would keep the whole message as long as the watch lasts.
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

  /** Nothing is sent to these sockets any more. */
  forget(sockets: Iterable<WebSocket>): void {
    for (const socket of sockets) this.closed(socket);
  }

  /** The database is gone: nothing is read or told any more, not even for messages under way. The caller ends the sockets. */
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
      // The peer is gone, and the close event is on its way or was lost. In both cases nobody waits here any more. The watch is removed a
      // little later, because the hub is telling others at this moment.
      queueMicrotask(() => this.closed(socket));
    }
  }
}

/** Why there can be no more watchers, on sockets of either kind. null: there can. */
export function noMoreWatchers({ size }: WatchHub): Failure | null {
  if (size < MAX_WATCHERS) return null;
  return failure("unavailable", `This database has ${MAX_WATCHERS} watchers, the most it takes at a time`);
}

export const TOO_SLOW = failure(
  "unavailable",
  "The messages of this watch were taken too slowly while others waited for the memory: watch again",
);

/** Ends these sockets with this reason. Sockets that are already closing are left alone. */
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
    // The socket closed at this moment: the peer is gone, as intended.
  }
}

function attach(socket: WebSocket, attachment: Attachment): void {
  socket.serializeAttachment(attachment);
}

/** Every socket of ours got an attachment when it was accepted. */
function attachmentOf(socket: WebSocket): Attachment {
  return socket.deserializeAttachment() as Attachment;
}
