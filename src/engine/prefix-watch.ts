/**
 * A watch of all keys under a prefix, with the prefix itself. It tells which keys changed, and the present state of each.
 *
 * A receiver keeps a map of keys and applies messages in order. `reset` empties the map, and makes every earlier `upTo` void. Each state
 * in `keys` replaces or removes one key. Messages belong together up to and including the first one that has `upTo`. After that one, the
 * map is the state as of that version, from one snapshot. A receiver that continues later gives the last `upTo` as `after`.
 *
 * A watch that is behind keeps only two places: the number of the first recent change that it has not told, and the key from which on the
 * state has not been told. States are read when a message is made, so a key that changed twice is told once. When its recent changes are
 * gone, the watch begins the state anew. So a slow receiver gets the latest state, and costs one number of memory.
 *
 * While the state is told in pages, only changes of keys before the current place are told: later pages have the other keys.
 */
import { compareBytes, justAfter, toBinaryText } from "../core/bytes.ts";
import { admitsKey, type KeyRange, rangeOfPrefix } from "../codec/key-prefix.ts";
import { MAX_WATCH_PAGE_BYTES, MAX_WATCH_PAGE_ENTRIES } from "../core/limits.ts";
import type { Version } from "../core/versionstamp.ts";
import type { RecentChanges } from "./recent-changes.ts";
import type { KeyState, SharedReads } from "./shared-reads.ts";
import type { WatchMessage, WatchView } from "./watch-view.ts";

export interface PrefixMessage {
  /** The state begins here. What was told before does not count any more. */
  readonly reset: boolean;
  /** Each key at most once. The list may be empty. */
  readonly keys: readonly KeyState[];
  /** null: the next messages belong together with this one. */
  readonly upTo: Version | null;
}

export interface PrefixOptions {
  /**
   * The receiver has seen everything up to and including this version, which was a message's `upTo`. It is told what has changed since
   * then; when that is not known any more, it is told the whole state, with `reset`. null: it has seen nothing.
   */
  readonly after: Version | null;
  /**
   * Only without `after`: the state is not told, only later changes. The first message has no keys, and its `upTo` says where the changes
   * begin.
   */
  readonly updatesOnly: boolean;
  /** Deletes and expiries are not told. */
  readonly ignoreDeletes: boolean;
  /** Entries are told without their values. */
  readonly keysOnly: boolean;
  /**
   * "new": a new connection. The other two are connections that continue after the object's memory was lost. "taken": the receiver had
   * acknowledged every message and was told everything, so it is told nothing until something changes. "under way": a message had not
   * been acknowledged. When it is, the receiver is told what has changed since `after`, which may be that message's `upTo`.
   */
  readonly connection: "new" | "taken" | "under way";
}

/**
 * The message is valid only during the call. Must not throw, because the commit that others are told of has happened. Must not call the
 * hub, because the hub is telling others at that moment.
 */
export type DeliverPrefix = (message: PrefixMessage) => void;

export interface PrefixParts {
  readonly reads: SharedReads;
  readonly recent: RecentChanges;
  /** The number of the first change above a version. null: not all changes above it are known. */
  readonly changesAfter: (version: Version) => number | null;
}

export class PrefixWatch implements WatchView {
  readonly #prefix: Uint8Array;
  readonly #range: KeyRange;
  readonly #options: PrefixOptions;
  readonly #parts: PrefixParts;
  readonly #deliver: DeliverPrefix;
  /**
   * The first change that has not been told. null: all have been told. It stays a number until the last of the messages that belong
   * together.
   */
  #from: number | null = null;
  /** The state from this key on has not been told. null: it has been told, or need not be. */
  #stateFrom: Uint8Array | null = null;
  #isReset = false;
  /** A message is due even if it has no keys: the first one, or the last of those that belong together. */
  #isOwed = false;

  constructor(prefix: Uint8Array, options: PrefixOptions, parts: PrefixParts, deliver: DeliverPrefix) {
    this.#prefix = prefix;
    this.#range = rangeOfPrefix(prefix);
    this.#options = options;
    this.#parts = parts;
    this.#deliver = deliver;
    const { after, updatesOnly, connection } = options;
    if (connection === "taken") return;
    if (connection === "new" && updatesOnly && after === null) this.#isOwed = true;
    else this.#goOnAfter(after);
  }

  get hasNews(): boolean {
    return this.#isOwed || this.#from !== null;
  }

  noted(change: number): void {
    this.#from ??= change;
  }

  isWithin({ start, end }: KeyRange): boolean {
    return compareBytes(this.#range.start, end) < 0 && compareBytes(start, this.#range.end) < 0;
  }

  replaced(): void {
    this.#beginState();
  }

  lost(): void {
    this.#goOnAfter(this.#options.after);
  }

  next(): WatchMessage | null {
    const { recent, reads } = this.#parts;
    if (this.#from !== null && this.#from < recent.first) this.#beginState();
    const page = new Page();
    const isCaughtUp = this.#addChanges(page);
    if (isCaughtUp && !page.isFull) this.#addState(page);
    const isWhole = isCaughtUp && this.#stateFrom === null;
    if (isWhole) this.#from = null;
    const isReset = this.#isReset;
    const isNothing = isWhole && !this.#isOwed && page.keys.length === 0;
    this.#isReset = false;
    this.#isOwed = !isWhole;
    if (isNothing) return null;
    const message = { reset: isReset, keys: page.keys, upTo: isWhole ? reads.lastVersion : null };
    return { bytes: page.bytes, send: () => this.#deliver(message) };
  }

  #goOnAfter(after: Version | null): void {
    // When no commit of this database had the version, the receiver saw another database.
    const isKnown = after !== null && after <= this.#parts.reads.lastVersion;
    const from = isKnown ? this.#parts.changesAfter(after) : null;
    if (from === null) return this.#beginState();
    this.#from = from;
    this.#isOwed = true;
  }

  #beginState(): void {
    this.#from = this.#parts.recent.next;
    this.#stateFrom = this.#range.start;
    this.#isReset = true;
    this.#isOwed = true;
  }

  /** Adds the present states of recently changed keys, until the page is full. Returns whether all changes have been added. */
  #addChanges(page: Page): boolean {
    const { recent, reads } = this.#parts;
    if (this.#from === null) return true;
    const seen = new Set<string>();
    this.#from = recent.visit(this.#from, (key) => {
      if (!admitsKey(this.#prefix, key)) return true;
      if (this.#stateFrom !== null && compareBytes(key, this.#stateFrom) >= 0) return true;
      const name = toBinaryText(key);
      if (seen.has(name)) return true;
      seen.add(name);
      const state = reads.stateOf(key, name, this.#options.keysOnly);
      if (state.version !== null || !this.#options.ignoreDeletes) page.add(state);
      // A delete that is not told was still read, and counts.
      return !page.isFull && seen.size < MAX_WATCH_PAGE_ENTRIES;
    });
    return this.#from === recent.next;
  }

  /** Adds the state from the first untold key on, until the page is full. */
  #addState(page: Page): void {
    if (this.#stateFrom === null) return;
    const range = { start: this.#stateFrom, end: this.#range.end };
    for (const state of this.#parts.reads.states(range, page.room, this.#options.keysOnly)) {
      page.add(state);
      this.#stateFrom = justAfter(state.key);
      if (page.isFull) return;
    }
    this.#stateFrom = null;
  }
}

/** The contents of one message. */
class Page {
  readonly keys: KeyState[] = [];
  bytes = 0;

  get isFull(): boolean {
    return this.room <= 0 || this.bytes >= MAX_WATCH_PAGE_BYTES;
  }

  get room(): number {
    return MAX_WATCH_PAGE_ENTRIES - this.keys.length;
  }

  add(state: KeyState): void {
    this.keys.push(state);
    this.bytes += state.key.length + (state.entry?.value.length ?? 0);
  }
}
