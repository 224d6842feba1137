/** What a client of a prefix watch does: it keeps a map, applies messages in order, and acknowledges when it is told to. */
import { expect } from "vitest";
import { compareBytes, toHex } from "../../src/core/bytes.ts";
import { admitsKey } from "../../src/codec/key-prefix.ts";
import { MAX_KEY_BYTES, MAX_VALUE_BYTES, MAX_WATCH_PAGE_BYTES, MAX_WATCH_PAGE_ENTRIES } from "../../src/core/limits.ts";
import type { Version } from "../../src/core/versionstamp.ts";
import type { PrefixMessage, PrefixOptions } from "../../src/engine/prefix-watch.ts";
import type { PrefixWatcher, WatchHub } from "../../src/engine/watch-hub.ts";
import { HubReceiver } from "./hub-receiver.ts";

export const EVERYTHING: PrefixOptions = {
  after: null,
  updatesOnly: false,
  ignoreDeletes: false,
  keysOnly: false,
  connection: "new",
};

/** A message without the memory that it was a view of. */
export interface ToldMessage {
  readonly reset: boolean;
  /** By the key's bytes as hexadecimal digits: the version and the value, or null where there is none of them. */
  readonly keys: readonly (readonly [string, Version | null, string | null])[];
  readonly upTo: Version | null;
}

export class PrefixReceiver extends HubReceiver {
  readonly prefix: Uint8Array;
  readonly options: PrefixOptions;
  readonly messages: ToldMessage[] = [];
  /** The version and the value of each key that there is. */
  readonly view = new Map<string, { version: Version; value: string | null }>();
  /** The view is the state as of this version, or was when all that it was told later had not come; null: it is no state. */
  upTo: Version | null = null;
  watcher: PrefixWatcher | null = null;

  constructor(prefix: Uint8Array, options: Partial<PrefixOptions> = {}) {
    super();
    this.prefix = prefix;
    this.options = { ...EVERYTHING, ...options };
  }

  get last(): ToldMessage | undefined {
    return this.messages.at(-1);
  }

  /** On a new connection, unless `how` says other. */
  connect(hub: WatchHub, how: Partial<PrefixOptions> = {}): void {
    if (how.connection === undefined) this.isWaiting = false;
    const options = { ...this.options, after: this.upTo, ...how };
    this.watcher = hub.addPrefix(this.prefix, options, (message) => this.#take(message));
  }

  protected get count(): number {
    return this.messages.length;
  }

  /** The same connection, after the object's memory was lost. */
  goOn(hub: WatchHub): void {
    this.connect(hub, { connection: this.isWaiting ? "under way" : "taken" });
  }

  #take({ reset, keys, upTo }: PrefixMessage): void {
    this.received();
    if (reset) {
      this.view.clear();
      this.upTo = null;
    }
    let bytes = 0;
    const told = keys.map(({ key, version, entry }) => {
      expect(admitsKey(this.prefix, key), "only keys under the prefix are told").toBe(true);
      if (entry !== null) expect([compareBytes(entry.key, key), entry.version]).toEqual([0, version]);
      expect(entry === null, "there are values, unless only keys are watched").toBe(
        version === null || this.options.keysOnly,
      );
      if (this.options.ignoreDeletes) expect(version).not.toBeNull();
      bytes += key.length + (entry?.value.length ?? 0);
      const value =
        entry === null ? null : `${entry.encoding} ${entry.value.length} ${toHex(entry.value.subarray(0, 20))}`;
      const name = toHex(key);
      if (version === null) this.view.delete(name);
      else this.view.set(name, { version, value });
      return [name, version, value] as const;
    });
    expect(new Set(told.map(([name]) => name)).size, "a key is told once in a message").toBe(told.length);
    expect(told.length).toBeLessThanOrEqual(MAX_WATCH_PAGE_ENTRIES);
    expect(bytes).toBeLessThan(MAX_WATCH_PAGE_BYTES + MAX_VALUE_BYTES + MAX_KEY_BYTES);
    if (upTo !== null) this.upTo = upTo;
    this.messages.push({ reset, keys: told, upTo });
  }
}
