/**
 * Who watches which keys, who is to be told, and when. A watcher is told the state of its keys, never the changes: at most one
 * message is under way to each, what changes meanwhile is one bit, and the next message is what holds by then. Messages under way
 * take memory, so there is room for so many bytes of them; who finds none waits its turn, and costs that one bit.
 *
 * Nothing here is stored. After the object's memory was lost (hibernation), watchers are added again as `resumed`: an
 * acknowledgement that none of our messages explains was for one sent before, so what has changed since is unknown, and the
 * watcher is told everything.
 */
import { toHex } from "../core/bytes.ts";
import type { KeyRange } from "../codec/key-prefix.ts";
import { MAX_WATCH_BYTES_UNDER_WAY } from "../core/limits.ts";
import type { Entry } from "../core/operations.ts";
import type { Version } from "../core/versionstamp.ts";

/** Reads the entries of some keys from one snapshot, as they are now. */
export type ReadEntries = (keys: readonly Uint8Array[]) => readonly (Entry | null)[];

export interface Watcher {
  /** The receiver has taken the last message and is ready for another. */
  acknowledge(): void;
  remove(): void;
}

interface Watch {
  readonly keys: readonly Uint8Array[];
  /** Told at the last message; undefined before the first, or when that is not known any more. */
  told: readonly (Version | null)[] | undefined;
  awaitingAcknowledgement: boolean;
  /** Of the message under way: bytes of keys and values. */
  bytesUnderWay: number;
  changed: boolean;
  /**
   * All its keys' entries, in their order. Must not throw, because a commit that others are told of has happened, and must not
   * come back here: others are being told just now.
   */
  readonly deliver: (entries: readonly (Entry | null)[]) => void;
}

export class WatchHub {
  readonly #read: ReadEntries;
  readonly #watches = new Map<string, Set<Watch>>();
  readonly #toTell = new Set<Watch>();
  /** Those that find no room for a message, the first to be told first. */
  readonly #waiting = new Set<Watch>();
  #bytesUnderWay = 0;
  #onCrowded: () => void = () => undefined;
  #size = 0;

  constructor(read: ReadEntries) {
    this.#read = read;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether some wait until others have taken their messages. */
  get isCrowded(): boolean {
    return this.#waiting.size > 0;
  }

  /** `listener` is called when that begins, within the commit or the call that caused it. It must not throw. */
  onCrowded(listener: () => void): void {
    this.#onCrowded = listener;
  }

  /** A new watcher is told the state of its keys at once; a resumed one has been told before. */
  add(keys: readonly Uint8Array[], deliver: Watch["deliver"], { resumed }: { resumed: boolean }): Watcher {
    const watch: Watch = {
      keys,
      deliver,
      told: undefined,
      awaitingAcknowledgement: false,
      bytesUnderWay: 0,
      changed: !resumed,
    };
    let removed = false;
    const names = new Set(keys.map(toHex));
    for (const name of names) {
      const watches = this.#watches.get(name) ?? new Set();
      this.#watches.set(name, watches.add(watch));
    }
    this.#size += 1;
    this.#tell(watch);
    return {
      acknowledge: () => {
        if (removed) return;
        if (!watch.awaitingAcknowledgement) {
          watch.told = undefined;
          watch.changed = true;
        }
        watch.awaitingAcknowledgement = false;
        this.#makeRoom(watch);
        this.#tell(watch);
      },
      remove: () => {
        if (removed) return;
        removed = true;
        this.#size -= 1;
        this.#toTell.delete(watch);
        this.#waiting.delete(watch);
        for (const name of names) {
          const watches = this.#watches.get(name);
          watches?.delete(watch);
          if (watches?.size === 0) this.#watches.delete(name);
        }
        this.#makeRoom(watch);
      },
    };
  }

  /** Forgets all watchers, whose handles must not be used any more: the entries are gone, and nobody is told of that here. */
  clear(): void {
    for (const watches of [this.#watches, this.#toTell, this.#waiting]) watches.clear();
    this.#bytesUnderWay = 0;
    this.#size = 0;
  }

  /** A commit changed this key. Nobody is told before `flush`. */
  note(key: Uint8Array): void {
    if (this.#size === 0) return;
    for (const watch of this.#watches.get(toHex(key)) ?? []) {
      watch.changed = true;
      this.#toTell.add(watch);
    }
  }

  /** Every key may have changed, or every one from `start` to before `end`: the state was replaced. */
  noteAll(range: KeyRange | null): void {
    // Names are hexadecimal digits of one width a byte, and so in the order of their keys.
    const [from, to] = range === null ? ["", null] : [toHex(range.start), toHex(range.end)];
    for (const [name, watches] of this.#watches) {
      if (name < from || (to !== null && name >= to)) continue;
      for (const watch of watches) {
        watch.changed = true;
        this.#toTell.add(watch);
      }
    }
  }

  /** Tells whoever is concerned and ready. To be called when the commits that were noted are in the tables. */
  flush(): void {
    if (this.#toTell.size === 0) return;
    const toTell = [...this.#toTell];
    this.#toTell.clear();
    for (const watch of toTell) this.#tell(watch);
  }

  #tell(watch: Watch): void {
    if (!watch.changed || watch.awaitingAcknowledgement) return;
    if (this.#bytesUnderWay >= MAX_WATCH_BYTES_UNDER_WAY) {
      const wasCrowded = this.isCrowded;
      this.#waiting.add(watch);
      if (!wasCrowded) this.#onCrowded();
      return;
    }
    watch.changed = false;
    const entries = this.#read(watch.keys);
    const versions = entries.map((entry) => entry?.version ?? null);
    const { told } = watch;
    watch.told = versions;
    if (told !== undefined && versions.every((version, i) => version === told[i])) return;
    watch.awaitingAcknowledgement = true;
    for (const entry of entries) watch.bytesUnderWay += entry === null ? 0 : entry.key.length + entry.value.length;
    this.#bytesUnderWay += watch.bytesUnderWay;
    watch.deliver(entries);
  }

  /** Its message is taken, or never will be: others that wait are told. */
  #makeRoom(watch: Watch): void {
    this.#bytesUnderWay -= watch.bytesUnderWay;
    watch.bytesUnderWay = 0;
    for (const next of this.#waiting) {
      if (this.#bytesUnderWay >= MAX_WATCH_BYTES_UNDER_WAY) break;
      this.#waiting.delete(next);
      this.#tell(next);
    }
  }
}
