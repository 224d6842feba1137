/**
 * A reader of the change feed. It is told every commit that changed something under its prefix, in order and whole, and up to which
 * version that is (`upTo`). Later messages only have later commits. A receiver that continues later gives the last `upTo` as `after`.
 *
 * A reader that is behind keeps only a place in the log. When the log does not reach back to the place, the caller must find what comes
 * after it (`behind`), and pass it in (`give`).
 */
import { MAX_SMALL_MESSAGE_BYTES } from "../core/limits.ts";
import type { Version } from "../core/versionstamp.ts";
import type { LogPage, NoFeedPage } from "./feed-log.ts";
import type { WatchMessage, WatchView } from "./watch-view.ts";

export interface FeedOptions {
  /** Everything up to and including this version was read. null: only commits from now on are wanted. */
  readonly after: Version | null;
  /**
   * "new": a new connection, which gets a message at once, if only with `upTo`. The other two are connections that continue after the
   * object's memory was lost. "taken": the receiver had acknowledged every message and was told everything. "under way": a message up to
   * `after` had not been acknowledged.
   */
  readonly connection: "new" | "taken" | "under way";
}

/** Neither function may throw or call the hub, because the hub is telling others at that moment. */
export interface FeedReceiver {
  /** The page is valid only during the call. */
  deliver(page: LogPage): void;
  /** The log does not have what comes after this place. Nothing is told until it is given. */
  behind(after: Version, why: NoFeedPage): void;
}

export interface FeedParts {
  readonly page: (after: Version, prefix: Uint8Array) => LogPage | NoFeedPage;
  readonly smallPage: (after: Version, prefix: Uint8Array, maxBytes: number) => LogPage | null;
  readonly lastVersion: () => Version;
  /** The version before the change that is being noted: no commit lies between the two. */
  readonly notedBefore: () => Version;
}

export class FeedView implements WatchView {
  readonly #prefix: Uint8Array;
  readonly #parts: FeedParts;
  readonly #receiver: FeedReceiver;
  /** Everything up to here was told, or does not concern this reader. */
  #after: Version;
  #isAtEnd: boolean;
  /** A message is due even if it has no commits. */
  #isOwed: boolean;
  #isBehind = false;
  #given: LogPage | null = null;

  constructor(prefix: Uint8Array, { after, connection }: FeedOptions, parts: FeedParts, receiver: FeedReceiver) {
    this.#prefix = prefix;
    this.#parts = parts;
    this.#receiver = receiver;
    this.#isAtEnd = after === null || connection === "taken";
    this.#after = this.#isAtEnd ? parts.lastVersion() : (after ?? parts.lastVersion());
    this.#isOwed = connection === "new";
  }

  get hasNews(): boolean {
    if (this.#isBehind && this.#given === null) return false;
    return this.#isOwed || !this.#isAtEnd;
  }

  /** The reader was told everything. */
  get isCaughtUp(): boolean {
    return this.#isAtEnd && !this.#isOwed;
  }

  noted(): void {
    if (!this.#isAtEnd) return;
    this.#isAtEnd = false;
    const before = this.#parts.notedBefore();
    if (before > this.#after) this.#after = before;
  }

  /** Tells the reader its place, unless it gets a message anyway. */
  progress(): void {
    if (!this.#isAtEnd) return;
    this.noted();
    this.#isOwed = true;
  }

  isWithin(): boolean {
    // Which keys were replaced is not stored. A later reader is told that some were, so every reader is.
    return true;
  }

  replaced(): void {
    this.noted();
  }

  lost(): void {
    // Only an acknowledgement without a message comes here: a reader that continues knows what was under way.
  }

  /** What comes after the place that `behind` told. */
  give(page: LogPage): void {
    this.#given = page;
  }

  next(): WatchMessage | null {
    const page = this.#given ?? this.#parts.page(this.#after, this.#prefix);
    this.#given = null;
    this.#isBehind = typeof page === "string";
    if (typeof page === "string") {
      this.#receiver.behind(this.#after, page);
      return null;
    }
    return this.#messageOf(page);
  }

  /** While there is no room for others, a message of at most `MAX_SMALL_MESSAGE_BYTES`. null: there is none so small, and nothing was told. */
  nextSmall(): WatchMessage | null {
    if (this.#given !== null || this.#isBehind) return null;
    const page = this.#parts.smallPage(this.#after, this.#prefix, MAX_SMALL_MESSAGE_BYTES);
    return page === null ? null : this.#messageOf(page);
  }

  #messageOf(page: LogPage): WatchMessage | null {
    const { commits, reset, upTo, isLast, bytes } = page;
    const isNothing = commits.length === 0 && reset === null && isLast && !this.#isOwed;
    this.#after = upTo;
    this.#isAtEnd = isLast;
    // A reader that was told "more follows" must also be told when nothing follows.
    this.#isOwed = !isLast;
    return isNothing ? null : { bytes, send: () => this.#receiver.deliver(page) };
  }
}
