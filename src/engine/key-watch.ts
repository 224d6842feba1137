/**
 * A watch of some keys. It tells the state of all of them, never the changes. While it waits, it remembers only that something changed.
 */
import { compareBytes } from "../core/bytes.ts";
import type { KeyRange } from "../codec/key-prefix.ts";
import type { Entry } from "../core/operations.ts";
import type { Version } from "../core/versionstamp.ts";
import type { WatchedState } from "./watched-state.ts";
import type { WatchMessage, WatchView } from "./watch-view.ts";

/**
 * Gets the entries of all keys, in the keys' order. Must not throw, because the commit that others are told of has happened. Must not
 * call the hub, because the hub is telling others at that moment.
 */
export type DeliverEntries = (entries: readonly (Entry | null)[]) => void;

export class KeyWatch implements WatchView {
  readonly #keys: readonly Uint8Array[];
  readonly #state: WatchedState;
  readonly #deliver: DeliverEntries;
  /** What the last message told. undefined before the first message, or when that is not known any more. */
  #told: readonly (Version | null)[] | undefined;
  hasNews: boolean;

  constructor(keys: readonly Uint8Array[], state: WatchedState, deliver: DeliverEntries, isResumed: boolean) {
    this.#keys = keys;
    this.#state = state;
    this.#deliver = deliver;
    this.hasNews = !isResumed;
  }

  noted(): void {
    this.hasNews = true;
  }

  isWithin({ start, end }: KeyRange): boolean {
    return this.#keys.some((key) => compareBytes(key, start) >= 0 && compareBytes(key, end) < 0);
  }

  replaced(): void {
    this.hasNews = true;
  }

  lost(): void {
    this.#told = undefined;
    this.hasNews = true;
  }

  next(): WatchMessage | null {
    this.hasNews = false;
    const entries = this.#state.read(this.#keys);
    const versions = entries.map((entry) => entry?.version ?? null);
    const told = this.#told;
    this.#told = versions;
    if (told !== undefined && versions.every((version, i) => version === told[i])) return null;
    let bytes = 0;
    for (const entry of entries) bytes += entry === null ? 0 : entry.key.length + entry.value.length;
    return { bytes, send: () => this.#deliver(entries) };
  }
}
