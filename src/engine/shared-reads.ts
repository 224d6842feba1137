/**
 * What prefix watches read. While several watches are told of the same commits, each key is read once for all of them. So a change under
 * a prefix that thousands watch costs one read.
 */
import type { KeyRange } from "../codec/key-prefix.ts";
import type { Entry } from "../core/operations.ts";
import type { Version } from "../core/versionstamp.ts";
import type { WatchedState } from "./watched-state.ts";

/** The present state of a key. */
export interface KeyState {
  readonly key: Uint8Array;
  /** null: there is no entry; it was deleted or has expired. */
  readonly version: Version | null;
  /** null: there is none, or only keys are asked for. */
  readonly entry: Entry | null;
}

export class SharedReads {
  readonly #state: WatchedState;
  /** Entries by their key as binary text. null: nothing is being shared. */
  #entries: Map<string, KeyState> | null = null;
  #keys: Map<string, KeyState> | null = null;

  constructor(state: WatchedState) {
    this.#state = state;
  }

  get lastVersion(): Version {
    return this.#state.lastVersion;
  }

  /** Nothing may be committed during `work`. */
  share(work: () => void): void {
    this.#entries = new Map();
    this.#keys = new Map();
    try {
      work();
    } finally {
      this.#entries = null;
      this.#keys = null;
    }
  }

  /** `name`: the key as binary text. */
  stateOf(key: Uint8Array, name: string, keysOnly: boolean): KeyState {
    const shared = keysOnly ? this.#keys : this.#entries;
    const known = shared?.get(name);
    if (known !== undefined) return known;
    const state = keysOnly ? { key, version: this.#state.version(key), entry: null } : this.#read(key);
    shared?.set(name, state);
    return state;
  }

  /** The states of the first entries of a range, ascending. Each is read when the caller takes it. */
  *states(range: KeyRange, limit: number, keysOnly: boolean): Generator<KeyState, void, undefined> {
    if (keysOnly) {
      for (const { key, version } of this.#state.keys(range, limit)) yield { key, version, entry: null };
      return;
    }
    for (const entry of this.#state.entries(range, limit)) yield { key: entry.key, version: entry.version, entry };
  }

  #read(key: Uint8Array): KeyState {
    const [entry = null] = this.#state.read([key]);
    return { key, version: entry?.version ?? null, entry };
  }
}
