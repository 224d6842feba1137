/**
 * The watches of one socket, of keys and of prefixes, by the ids that its client gave them. What is needed after the object has slept is
 * attached to the socket. For a watch of a prefix that changes with each message, so it is attached a little later: until then a timer
 * keeps the object awake.
 */
import { decodeWatch } from "../codec/datapath.ts";
import { decodeFeedRequest } from "../codec/feed.ts";
import type { SocketRequest } from "../codec/socket.ts";
import { decodePrefixWatch, type WatchedPrefix } from "../codec/socket-prefix.ts";
import { admittedPrefix, type Grant, refusedKeys } from "../contracts/grant.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import { bytesOfPage } from "../core/feed.ts";
import { MAX_SOCKET_WATCHES } from "../core/limits.ts";
import type { Timers } from "../core/timers.ts";
import type { Version } from "../core/versionstamp.ts";
import type { FeedWatcher, Watcher, WatchHub } from "../engine/watch-hub.ts";
import type { Feeds } from "./feeds.ts";
import type { LateWatchers } from "./late-watchers.ts";
import type { Form, SocketAnswers } from "./socket-answers.ts";
import { noMoreWatchers, TOO_SLOW } from "./watch-sockets.ts";

/** Bytes for watches in the attachment, which holds 16,384: their keys, and so many bytes around each key and each watch. */
const MAX_ATTACHED_BYTES = 14_000;
const BYTES_AROUND_A_KEY = 12;
const BYTES_AROUND_A_WATCH = 150;

const ATTACHED_AFTER_MS = 500;

interface KeysState {
  readonly id: number;
  readonly form: Form;
  readonly keys: readonly Uint8Array[];
}

interface PrefixState extends WatchedPrefix {
  readonly id: number;
  readonly form: Form;
  /** Whether a message had not been acknowledged. */
  readonly isUnderWay: boolean;
}

interface FeedState {
  readonly id: number;
  readonly form: Form;
  /** An encoded key. Empty: all keys. */
  readonly feed: Uint8Array;
  /** Everything up to and including this version was told. null: the feed began at the present, and there was no message yet. */
  readonly after: Version | null;
  /** Whether a message had not been acknowledged. */
  readonly isUnderWay: boolean;
}

type WatchState = KeysState | PrefixState | FeedState;

/** "too long": the watches are only in memory. */
export type AttachedWatches = readonly WatchState[] | "too long";

interface OpenWatch {
  readonly id: number;
  readonly form: Form;
  readonly keys: readonly Uint8Array[];
  /** What is attached changes with each message. */
  readonly movesOn: boolean;
  readonly watcher: Watcher;
  /** Also identifies the watch in `late-watchers.ts`. */
  readonly state: () => WatchState;
}

export interface SocketWatchesParts {
  readonly hub: WatchHub;
  readonly feeds: Pick<Feeds, "refusal" | "oldest" | "before">;
  readonly late: LateWatchers;
  readonly timers: Timers;
  readonly answers: SocketAnswers;
  /** Attaches what `attached` returns. */
  readonly remember: () => void;
}

export class SocketWatches {
  readonly #parts: SocketWatchesParts;
  readonly #watches = new Map<number, OpenWatch>();
  #cancelRemember: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: SocketWatchesParts) {
    this.#parts = parts;
  }

  has(id: number): boolean {
    return this.#watches.has(id);
  }

  /** Why the watch is refused. null: it is open. */
  open(request: Extract<SocketRequest, { type: "watch" | "watchPrefix" }>, form: Form, grant: Grant): Failure | null {
    const { type, id, body } = request;
    const decoded = type === "watch" ? decodeWatch(body) : decodePrefixWatch(body);
    if (!decoded.ok) return decoded;
    const refused = refusedKeys(grant, "keys" in decoded ? decoded.keys : [decoded.prefix]) ?? this.#noMore();
    if (refused !== null) return refused;
    // Copied, because decoded keys are views, which would keep the whole frame as long as the watch lasts.
    if ("keys" in decoded) {
      this.#watchKeys({ id, form, keys: decoded.keys.map((key) => key.slice()) }, false);
    } else {
      const { prefix, after, updatesOnly, ignoreDeletes, keysOnly } = decoded;
      const state = {
        id,
        form,
        prefix: prefix.slice(),
        after,
        updatesOnly,
        ignoreDeletes,
        keysOnly,
        isUnderWay: false,
      };
      this.#watchPrefix(state, "new");
    }
    this.#parts.remember();
    return null;
  }

  /** Opens a reader of the change feed. */
  async openFeed(id: number, body: Uint8Array, form: Form, grant: Grant): Promise<Failure | null> {
    const decoded = decodeFeedRequest(body);
    if (!decoded.ok) return decoded;
    const prefix = admittedPrefix(grant, decoded.prefix);
    if (isFailure(prefix)) return prefix;
    const refused = this.#parts.feeds.refusal(prefix) ?? this.#noMore();
    if (refused !== null) return refused;
    const start = decoded.from === "oldest" ? await this.#parts.feeds.oldest() : null;
    if (start !== null && !start.ok) return start;
    if (this.#isClosed) return null;
    const after = start?.version ?? (decoded.from === "now" || decoded.from === "oldest" ? null : decoded.from);
    this.#readFeed({ id, form, feed: prefix.slice(), after, isUnderWay: false }, "new");
    this.#parts.remember();
    return null;
  }

  resume(watches: readonly WatchState[]): void {
    for (const watch of watches) {
      if ("keys" in watch) this.#watchKeys(watch, true);
      else if ("feed" in watch) this.#readFeed(watch, watch.isUnderWay ? "under way" : "taken");
      else this.#watchPrefix(watch, watch.isUnderWay ? "under way" : "taken");
    }
  }

  acknowledge(id: number): void {
    const watch = this.#watches.get(id);
    if (watch === undefined) return;
    this.#parts.late.taken(watch.state);
    watch.watcher.acknowledge();
    if (watch.movesOn) this.#rememberSoon();
  }

  end(id: number): void {
    this.#forget(id);
    this.#parts.remember();
  }

  /** Ends the watches that this grant does not allow. `refused`: why it allows no watch at all. */
  endForbidden(grant: Grant, refused: Failure | null): void {
    for (const { id, keys } of this.#watches.values()) {
      const forbidden = refused ?? refusedKeys(grant, keys);
      if (forbidden !== null) this.#endWith(id, forbidden);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelRemember?.();
    for (const id of this.#watches.keys()) this.#forget(id);
  }

  attached(): AttachedWatches {
    this.#cancelRemember?.();
    this.#cancelRemember = undefined;
    const states: WatchState[] = [];
    let bytes = 0;
    for (const { keys, state } of this.#watches.values()) {
      bytes += BYTES_AROUND_A_WATCH;
      for (const key of keys) bytes += key.length + BYTES_AROUND_A_KEY;
      states.push(state());
    }
    return bytes > MAX_ATTACHED_BYTES ? "too long" : states;
  }

  #noMore(): Failure | null {
    if (this.#watches.size >= MAX_SOCKET_WATCHES) {
      return failure(
        "limit",
        `This socket has ${MAX_SOCKET_WATCHES} watches, which is the limit. Open another socket.`,
      );
    }
    return noMoreWatchers(this.#parts.hub);
  }

  #watchKeys(kept: KeysState, resumed: boolean): void {
    const { id, form, keys } = kept;
    const state = (): WatchState => kept;
    const { hub, answers } = this.#parts;
    const watcher = hub.add(keys, (entries) => this.#told(id, state, answers.watch(id, entries, form)), { resumed });
    this.#watches.set(id, { id, form, keys, movesOn: false, watcher, state });
  }

  #watchPrefix(kept: PrefixState, connection: "new" | "taken" | "under way"): void {
    const { id, form, prefix } = kept;
    const { hub, answers } = this.#parts;
    let { after } = kept;
    // Called only for watches that were added.
    const state = (): WatchState => ({ ...kept, after: watcher.upTo ?? after, isUnderWay: watcher.upTo === null });
    const watcher = hub.addPrefix(prefix, { ...kept, connection }, (update) => {
      // After a reset the earlier versions are void, and what was told of the new state belongs to no version yet.
      if (update.reset) after = null;
      if (update.upTo !== null) ({ upTo: after } = update);
      this.#told(id, state, answers.prefix(id, update, form));
      this.#rememberSoon();
    });
    this.#watches.set(id, { id, form, keys: [prefix], movesOn: true, watcher, state });
  }

  #readFeed(kept: FeedState, connection: "new" | "taken" | "under way"): void {
    const { id, form, feed: prefix } = kept;
    const { hub, answers } = this.#parts;
    let { after } = kept;
    // Asked only of watches that are added.
    const state = (): WatchState => ({ ...kept, after: watcher.upTo ?? after, isUnderWay: watcher.upTo === null });
    const watcher: FeedWatcher = hub.addFeed(
      prefix,
      { after, connection },
      {
        deliver: (page) => {
          after = page.upTo;
          this.#told(id, state, answers.feed(id, page, form));
          this.#rememberSoon();
        },
        // A little later, because the hub is telling others or adding this reader.
        behind: (place) => queueMicrotask(() => void this.#goBack(id, watcher, place, prefix)),
      },
    );
    this.#watches.set(id, { id, form, keys: [prefix], movesOn: true, watcher, state });
  }

  /** What the log does not reach back to comes from the backup. Without it, the reader ends. */
  async #goBack(id: number, watcher: FeedWatcher, after: Version, prefix: Uint8Array): Promise<void> {
    const { feeds } = this.#parts;
    const answer = feeds.refusal(prefix) ?? (await feeds.before(after, prefix).catch(unreadable));
    if (this.#watches.get(id)?.watcher !== watcher) return;
    if (answer.ok) watcher.give({ ...answer.page, bytes: bytesOfPage(answer.page) });
    else this.#endWith(id, answer);
  }

  /** `size`: the size of the message; a failure when it could not be sent. */
  #told(id: number, who: object, size: number | Failure): void {
    // A little later, because the hub is telling others at this moment.
    if (typeof size !== "number") queueMicrotask(() => this.#endWith(id, size));
    else this.#parts.late.sent(who, size, () => this.#endWith(id, TOO_SLOW));
  }

  #endWith(id: number, why: Failure): void {
    const watch = this.#watches.get(id);
    if (watch === undefined) return;
    this.end(id);
    this.#parts.answers.error(id, why, watch.form);
  }

  #forget(id: number): void {
    const watch = this.#watches.get(id);
    if (watch === undefined) return;
    this.#watches.delete(id);
    this.#parts.late.taken(watch.state);
    watch.watcher.remove();
  }

  #rememberSoon(): void {
    this.#cancelRemember ??= this.#parts.timers.after(ATTACHED_AFTER_MS, () => this.#parts.remember());
  }
}

function unreadable(error: unknown): Failure {
  console.error("the feed could not be read from the backup:", error);
  return failure("internal", "The feed could not be read from the backup because of an error in this server.");
}
