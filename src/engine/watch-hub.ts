/**
 * Who watches what, who is to be told, and when. There are watches of some keys (`key-watch.ts`), watches of a prefix (`prefix-watch.ts`)
 * and readers of the change feed (`feed-view.ts`). For all of them, at most one message is under way to each receiver. Changes meanwhile
 * are told by the next message, which has the state of that time. Messages under way take memory, so their bytes are limited. A watch
 * that finds no room waits for its turn.
 *
 * Finding the watches of a changed key costs one look-up or a few, however many watches there are (`watch-index.ts`). Changes are kept
 * for prefix watches from the first prefix watch on (`recent-changes.ts`). Without prefix watches a commit pays nothing for them.
 *
 * Nothing here is stored. After the object's memory was lost (hibernation), the caller adds the watches again. While a watch waits for
 * room, the object must not sleep, because nobody would remember that the watch has news. An acknowledgement without a message under way
 * belongs to a message from before the loss. What has changed since that message is unknown, so the watch tells as much as it can
 * (`lost`). A watch of keys may be added again without knowing whether a message was under way. For a watch of a prefix the caller must
 * know, because its messages say up to which version they are complete.
 */
import { toHex } from "../core/bytes.ts";
import type { KeyRange } from "../codec/key-prefix.ts";
import {
  FEED_PROGRESS_MS,
  MAX_PROMPT_BYTES_UNDER_WAY,
  MAX_RECENT_LOG_BYTES,
  MAX_SMALL_BYTES_UNDER_WAY,
  MAX_WATCH_BYTES_UNDER_WAY,
  PROMPT_MS,
} from "../core/limits.ts";
import { NO_VERSION, timeOfVersion, type Version } from "../core/versionstamp.ts";
import type { LogPage } from "./feed-log.ts";
import { type FeedOptions, type FeedReceiver, FeedView } from "./feed-view.ts";
import { type DeliverEntries, KeyWatch } from "./key-watch.ts";
import { type DeliverPrefix, type PrefixOptions, PrefixWatch } from "./prefix-watch.ts";
import { RecentChanges } from "./recent-changes.ts";
import { SharedReads } from "./shared-reads.ts";
import { type NameKind, WatchIndex } from "./watch-index.ts";
import type { WatchMessage, WatchView } from "./watch-view.ts";
import type { WatchedState } from "./watched-state.ts";

export interface Watcher {
  /** The receiver has taken the last message and is ready for another. */
  acknowledge(): void;
  remove(): void;
}

export interface FeedWatcher extends PrefixWatcher {
  /** What comes after the place that `behind` told. */
  give(page: LogPage): void;
}

export interface PrefixWatcher extends Watcher {
  /**
   * The receiver has taken everything up to and including this version. It is as good as the `upTo` of a message, and newer when other
   * keys have changed since. null: a message is under way.
   */
  readonly upTo: Version | null;
}

const NOTHING_UNDER_WAY = { bytesUnderWay: 0, isSmall: false, promptUntil: 0 } as const;

const ROOM_OF_PROMPT = MAX_WATCH_BYTES_UNDER_WAY + MAX_PROMPT_BYTES_UNDER_WAY;

interface Watch {
  readonly view: WatchView;
  awaitingAcknowledgement: boolean;
  /** Bytes of keys and values in the message under way. */
  bytesUnderWay: number;
  /** The message is a small one, which has room of its own. */
  isSmall: boolean;
  /** Until then the watch is prompt; 0: it has acknowledged nothing yet. */
  promptUntil: number;
}

export class WatchHub {
  readonly #state: WatchedState;
  readonly #reads: SharedReads;
  readonly #index = new WatchIndex<Watch>();
  readonly #watches = new Set<Watch>();
  readonly #toTell = new Set<Watch>();
  /** Watches that found no room for a message, in the order in which they will be told. Prompt watches are told first. */
  readonly #waiting = new Set<Watch>();
  readonly #promptWaiting = new Set<Watch>();
  /** Kept from the first prefix watch on. */
  #recent: RecentChanges | null = null;
  readonly #feeds = new Map<Watch, FeedView>();
  /** The version that is being noted, and the version before it. */
  #noting: Version = NO_VERSION;
  #notedBefore: Version = NO_VERSION;
  /** When readers of the feed were last told how far it is. */
  #progressAt = 0;
  #bytesUnderWay = 0;
  #smallBytesUnderWay = 0;
  #onCrowded: () => void = () => undefined;

  constructor(state: WatchedState) {
    this.#state = state;
    this.#reads = new SharedReads(state);
  }

  get size(): number {
    return this.#watches.size;
  }

  /** Whether some watches wait until others have taken their messages. */
  get isCrowded(): boolean {
    return this.#waiting.size + this.#promptWaiting.size > 0;
  }

  /** `listener` is called when watches begin to wait, within the commit or the call that caused it. It must not throw. */
  onCrowded(listener: () => void): void {
    this.#onCrowded = listener;
  }

  /** A new watcher is told the state of its keys at once. A resumed watcher was told before. */
  add(keys: readonly Uint8Array[], deliver: DeliverEntries, { resumed }: { resumed: boolean }): Watcher {
    const view = new KeyWatch(keys, this.#state, deliver, resumed);
    const names = [...new Map(keys.map((key) => [toHex(key), key])).values()];
    return this.#add(view, names, "key", false);
  }

  /**
   * Watches all keys under the prefix: an encoded key, or empty for all keys. Keeps `prefix`. A watch of a new connection is at once told
   * what `options` say.
   */
  addPrefix(prefix: Uint8Array, options: PrefixOptions, deliver: DeliverPrefix): PrefixWatcher {
    this.#recent ??= new RecentChanges(this.#state.lastVersion);
    const recent = this.#recent;
    const changesAfter = (version: Version): number | null => {
      if (version < recent.knownAfter) this.#learnFromLog(recent);
      return recent.firstAfter(version);
    };
    const view = new PrefixWatch(prefix, options, { reads: this.#reads, recent, changesAfter }, deliver);
    return this.#add(view, [prefix], "prefix", options.connection === "under way");
  }

  /**
   * Reads the change feed under the prefix: an encoded key, or empty for all keys. Keeps `prefix`. A reader of a new connection is told
   * at once.
   */
  addFeed(prefix: Uint8Array, options: FeedOptions, receiver: FeedReceiver): FeedWatcher {
    const parts = {
      page: (after: Version, under: Uint8Array) => this.#state.feed.page(after, under),
      smallPage: (after: Version, under: Uint8Array, maxBytes: number) =>
        this.#state.feed.smallPage(after, under, maxBytes),
      lastVersion: () => this.#state.lastVersion,
      notedBefore: () => this.#notedBefore,
    };
    const view = new FeedView(prefix, options, parts, receiver);
    const watch: Watch = {
      view,
      awaitingAcknowledgement: options.connection === "under way",
      ...NOTHING_UNDER_WAY,
    };
    const unfollow = this.#state.feed.follow();
    this.#feeds.set(watch, view);
    const watcher = this.#watch(watch, [prefix], "prefix", () => {
      this.#feeds.delete(watch);
      unfollow();
    });
    const state = this.#state;
    return {
      ...watcher,
      get upTo() {
        return watch.awaitingAcknowledgement || !view.isCaughtUp ? null : state.lastVersion;
      },
      give: (page) => {
        view.give(page);
        if (this.#watches.has(watch)) this.#tell(watch);
      },
    };
  }

  /** The setting for feeds has changed, so their readers look again. */
  feedChanged(): void {
    this.#notedBefore = this.#noting;
    for (const [watch, view] of this.#feeds) {
      view.replaced();
      this.#toTell.add(watch);
    }
    this.flush();
  }

  /** Forgets all watchers without telling them. Their handles must not be used any more. For when the entries are gone. */
  clear(): void {
    this.#index.clear();
    for (const watches of [this.#watches, this.#toTell, this.#waiting, this.#promptWaiting, this.#feeds])
      watches.clear();
    this.#recent = null;
    this.#bytesUnderWay = 0;
    this.#smallBytesUnderWay = 0;
  }

  /** The commit of this version changed this key. Versions must not descend. Nobody is told before `flush`. */
  note(key: Uint8Array, version: Version): void {
    const number = this.#recent?.add(key, version) ?? 0;
    if (version !== this.#noting) {
      this.#notedBefore = this.#noting;
      this.#noting = version;
      if (this.#feeds.size > 0) this.#tellProgress(version);
    }
    if (this.#watches.size === 0) return;
    this.#index.visit(key, (watch) => {
      watch.view.noted(number);
      this.#toTell.add(watch);
    });
  }

  /** Every key, or every key from `start` to before `end`, may have changed: the state was replaced, at the last version. */
  noteAll(range: KeyRange | null): void {
    this.#notedBefore = this.#noting;
    this.#recent?.forgetUpTo(this.#state.lastVersion);
    for (const watch of this.#watches) {
      if (range !== null && !watch.view.isWithin(range)) continue;
      watch.view.replaced();
      this.#toTell.add(watch);
    }
  }

  /** Tells the watchers that are concerned and ready. To be called when the noted commits are in the tables. */
  flush(): void {
    if (this.#toTell.size === 0) return;
    const toTell = [...this.#toTell];
    this.#toTell.clear();
    this.#reads.share(() => {
      for (const watch of toTell) this.#tell(watch);
    });
  }

  #add(view: WatchView, names: readonly Uint8Array[], kind: NameKind, awaitingAcknowledgement: boolean): PrefixWatcher {
    return this.#watch({ view, awaitingAcknowledgement, ...NOTHING_UNDER_WAY }, names, kind, () => undefined);
  }

  #watch(watch: Watch, names: readonly Uint8Array[], kind: NameKind, onRemoved: () => void): PrefixWatcher {
    const { view } = watch;
    const state = this.#state;
    let removed = false;
    for (const name of names) this.#index.add(name, kind, watch);
    this.#watches.add(watch);
    this.#tell(watch);
    return {
      get upTo() {
        return watch.awaitingAcknowledgement || view.hasNews ? null : state.lastVersion;
      },
      acknowledge: () => {
        if (removed) return;
        if (watch.awaitingAcknowledgement) watch.promptUntil = state.now() + PROMPT_MS;
        else view.lost();
        watch.awaitingAcknowledgement = false;
        this.#makeRoom(watch);
        this.#tell(watch);
      },
      remove: () => {
        if (removed) return;
        removed = true;
        for (const watches of [this.#watches, this.#toTell, this.#waiting, this.#promptWaiting]) watches.delete(watch);
        for (const name of names) this.#index.remove(name, kind, watch);
        onRemoved();
        this.#makeRoom(watch);
      },
    };
  }

  /** Tells readers of the feed now and then how far it is, although nothing concerns them. So less has to be read when they continue. */
  #tellProgress(version: Version): void {
    const time = timeOfVersion(version);
    if (time - this.#progressAt < FEED_PROGRESS_MS) return;
    const isFirst = this.#progressAt === 0;
    this.#progressAt = time;
    if (isFirst) return;
    for (const [watch, view] of this.#feeds) {
      view.progress();
      this.#toTell.add(watch);
    }
  }

  /** Adds what the log knows of earlier changes, as far as there is room. */
  #learnFromLog(recent: RecentChanges): void {
    if (recent.roomBefore === 0) return;
    const bounds = { maxLogBytes: MAX_RECENT_LOG_BYTES, maxChangeBytes: recent.roomBefore };
    const { changes, knownAfter } = this.#state.logged(recent.knownAfter, bounds);
    recent.addBefore(changes, knownAfter);
  }

  #tell(watch: Watch): void {
    if (!watch.view.hasNews || watch.awaitingAcknowledgement) return;
    const isPrompt = this.#isPrompt(watch);
    if (this.#bytesUnderWay >= (isPrompt ? ROOM_OF_PROMPT : MAX_WATCH_BYTES_UNDER_WAY)) {
      if (this.#tellSmall(watch)) return;
      const wasCrowded = this.isCrowded;
      (isPrompt ? this.#promptWaiting : this.#waiting).add(watch);
      if (!wasCrowded) this.#onCrowded();
      return;
    }
    const message = watch.view.next();
    if (message !== null) this.#send(watch, message, false);
  }

  /** Whether the watch needs no other room. */
  #tellSmall(watch: Watch): boolean {
    const view = this.#feeds.get(watch);
    if (view === undefined || this.#smallBytesUnderWay >= MAX_SMALL_BYTES_UNDER_WAY) return false;
    const message = view.nextSmall();
    if (message !== null) this.#send(watch, message, true);
    return message !== null || !view.hasNews;
  }

  #send(watch: Watch, message: WatchMessage, isSmall: boolean): void {
    watch.awaitingAcknowledgement = true;
    watch.bytesUnderWay = message.bytes;
    watch.isSmall = isSmall;
    if (isSmall) this.#smallBytesUnderWay += message.bytes;
    else this.#bytesUnderWay += message.bytes;
    message.send();
  }

  /** A clock that was set back makes nobody prompt for longer. */
  #isPrompt({ promptUntil }: Watch): boolean {
    const left = promptUntil - this.#state.now();
    return left > 0 && left <= PROMPT_MS;
  }

  /** The watch's message was taken, or never will be. Watches that wait for room are told. */
  #makeRoom(watch: Watch): void {
    if (watch.isSmall) this.#smallBytesUnderWay -= watch.bytesUnderWay;
    else this.#bytesUnderWay -= watch.bytesUnderWay;
    watch.bytesUnderWay = 0;
    for (const next of this.#promptWaiting) {
      if (this.#bytesUnderWay >= ROOM_OF_PROMPT) break;
      this.#promptWaiting.delete(next);
      this.#tell(next);
    }
    for (const next of this.#waiting) {
      if (this.#bytesUnderWay >= MAX_WATCH_BYTES_UNDER_WAY) break;
      this.#waiting.delete(next);
      this.#tell(next);
    }
  }
}
