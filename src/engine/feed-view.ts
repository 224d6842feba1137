/**
 * A reader of the change feed: it is told every commit that changed something under its prefix, in order and whole, and up to where that
 * is (`upTo`). Everything that it is told later is later than that. A receiver that goes on later gives the last `upTo` as `after`.
 *
 * A reader that is behind keeps a place in the log, and nothing else. What comes after a place that the log does not reach back to is for
 * the caller to find (`behind`), and to hand in (`give`).
 */
import type { Version } from "../core/versionstamp.ts";
import type { LogPage, NoFeedPage } from "./feed-log.ts";
import type { WatchMessage, WatchView } from "./watch-view.ts";

export interface FeedOptions {
  /** Everything up to and with this version was read. Null: what is committed from now on is wanted. */
  readonly after: Version | null;
  /**
   * "new": a connection of now, which is told at once, though it be only `upTo`. The others go on after the object's memory was lost.
   * "taken": the receiver had acknowledged everything, and everything was told. "under way": a message up to `after` had not been
   * acknowledged.
   */
  readonly connection: "new" | "taken" | "under way";
}

/** Neither may throw, nor come back to the hub: others are being told just now. */
export interface FeedReceiver {
  /** The page is valid during the call alone. */
  deliver(page: LogPage): void;
  /** What comes after this place is not to be had here. Nothing is told until it is given. */
  behind(after: Version, why: NoFeedPage): void;
}

export interface FeedParts {
  readonly page: (after: Version, prefix: Uint8Array) => LogPage | NoFeedPage;
  readonly lastVersion: () => Version;
  /** Before the change that is being noted: no commit between this version and that change. */
  readonly notedBefore: () => Version;
}

export class FeedView implements WatchView {
  readonly #prefix: Uint8Array;
  readonly #parts: FeedParts;
  readonly #receiver: FeedReceiver;
  /** Everything up to here is told, or concerns nobody here. */
  #after: Version;
  #isAtEnd: boolean;
  /** A message is owed, though it may have no commits. */
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

  /** It was told everything. */
  get isCaughtUp(): boolean {
    return this.#isAtEnd && !this.#isOwed;
  }

  noted(): void {
    if (!this.#isAtEnd) return;
    this.#isAtEnd = false;
    const before = this.#parts.notedBefore();
    if (before > this.#after) this.#after = before;
  }

  /** It is told its place, unless it is told anyway. */
  progress(): void {
    if (!this.#isAtEnd) return;
    this.noted();
    this.#isOwed = true;
  }

  isWithin(): boolean {
    // Which keys were replaced is not stored. A reader that comes later is told that some were, so all are.
    return true;
  }

  replaced(): void {
    this.noted();
  }

  lost(): void {
    // Only an acknowledgement of nothing comes here: what was under way is known of a reader that goes on.
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
    const { commits, reset, upTo, isLast, bytes } = page;
    const isNothing = commits.length === 0 && reset === null && isLast && !this.#isOwed;
    this.#after = upTo;
    this.#isAtEnd = isLast;
    // Whoever was told that more follows is told when nothing does.
    this.#isOwed = !isLast;
    return isNothing ? null : { bytes, send: () => this.#receiver.deliver(page) };
  }
}
