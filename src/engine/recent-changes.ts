/**
 * The keys of the last changes of a database, in order. Prefix watches read from it. A watch that is behind keeps only the number of the
 * first change that it has not told. So a slow watch costs no memory of its own, and many slow watches cost no more than one.
 *
 * All of it is in memory, within `MAX_RECENT_CHANGE_BYTES`. The oldest changes are dropped first. A watch that needs a dropped change has
 * to read the whole state.
 */
import { assert } from "../core/assert.ts";
import { MAX_RECENT_CHANGE_BYTES } from "../core/limits.ts";
import type { Version } from "../core/versionstamp.ts";

export interface KeyChange {
  readonly key: Uint8Array;
  readonly version: Version;
}

/** Bytes that a change counts as besides its key: where its key ends, and its version. */
export const CHANGE_OVERHEAD_BYTES = 16;

/** The oldest changes are dropped one chunk at a time. */
const CHUNK_CHANGES = 1_024;
const CHUNK_KEY_BYTES = 64 * 1024;
const FIRST_CHUNK_KEY_BYTES = 1024;

export class RecentChanges {
  /** Never empty. New changes are added to the last chunk. */
  #chunks: Chunk[] = [new Chunk(0)];
  #bytes = 0;
  #knownAfter: Version;
  /** Earlier changes may be put before these: nothing was dropped in between, and none were put there yet. */
  #takesEarlier = true;

  /** `knownAfter`: every change above this version will be added. */
  constructor(knownAfter: Version) {
    this.#knownAfter = knownAfter;
  }

  /** Every change above this version is here. */
  get knownAfter(): Version {
    return this.#knownAfter;
  }

  /** The number of the oldest kept change, or `next` when none is kept. */
  get first(): number {
    return this.#oldest().first;
  }

  /** The number that the next change gets. */
  get next(): number {
    return this.#newest().next;
  }

  /** Bytes that earlier changes may take. They are added only once, and not when something between them and these changes is missing. */
  get roomBefore(): number {
    return this.#takesEarlier ? Math.max(0, MAX_RECENT_CHANGE_BYTES - this.#bytes) : 0;
  }

  /** Copies the key. Versions must not descend. Returns the change's number. */
  add(key: Uint8Array, version: Version): number {
    let chunk = this.#newest();
    if (chunk.isFull) {
      chunk.trim();
      chunk = new Chunk(chunk.next);
      this.#chunks.push(chunk);
    }
    chunk.add(key, version);
    this.#bytes += key.length + CHANGE_OVERHEAD_BYTES;
    while (this.#bytes > MAX_RECENT_CHANGE_BYTES && this.#chunks.length > 1) this.#dropOldest();
    return chunk.next - 1;
  }

  /** Puts changes before all others, once. They must fit into `roomBefore`, ascend, and be all changes above `knownAfter`. */
  addBefore(changes: readonly KeyChange[], knownAfter: Version): void {
    const before: Chunk[] = [];
    let chunk: Chunk | undefined;
    for (const [i, { key, version }] of changes.entries()) {
      if (chunk === undefined || chunk.isFull) {
        chunk?.trim();
        chunk = new Chunk(this.first - changes.length + i);
        before.push(chunk);
      }
      chunk.add(key, version);
      this.#bytes += key.length + CHANGE_OVERHEAD_BYTES;
    }
    chunk?.trim();
    this.#chunks = [...before, ...this.#chunks];
    this.#knownAfter = knownAfter;
    this.#takesEarlier = false;
  }

  /** Something else than changes of keys happened up to this version. Watches that have begun to read may continue. */
  forgetUpTo(version: Version): void {
    if (version <= this.#knownAfter) return;
    this.#knownAfter = version;
    this.#takesEarlier = false;
  }

  /** The number of the first change above the version. null: not all changes above it are known. */
  firstAfter(version: Version): number | null {
    if (version < this.#knownAfter) return null;
    let found = this.next;
    for (const chunk of this.#chunks.toReversed()) {
      if (chunk.lastVersion !== undefined && chunk.lastVersion <= version) break;
      found = chunk.firstAfter(version);
    }
    return found;
  }

  /**
   * Calls `take` with the key of each change from this number on, until it returns false. Returns the number to continue with. The key is
   * a view that is valid until the next change is added.
   */
  visit(from: number, take: (key: Uint8Array) => boolean): number {
    assert(from >= this.first, "to go on from a change that is still known");
    for (const chunk of this.#chunks) {
      for (let number = Math.max(from, chunk.first); number < chunk.next; number++) {
        if (!take(chunk.key(number))) return number + 1;
      }
    }
    return this.next;
  }

  #dropOldest(): void {
    const { bytes, lastVersion } = this.#oldest();
    this.#chunks.shift();
    this.#bytes -= bytes;
    if (lastVersion !== undefined) this.forgetUpTo(lastVersion);
  }

  #oldest(): Chunk {
    const [chunk] = this.#chunks;
    assert(chunk !== undefined, "a chunk of changes");
    return chunk;
  }

  #newest(): Chunk {
    const chunk = this.#chunks.at(-1);
    assert(chunk !== undefined, "a chunk of changes");
    return chunk;
  }
}

/** Some consecutive changes. */
class Chunk {
  readonly first: number;
  #keys = new Uint8Array(FIRST_CHUNK_KEY_BYTES);
  /** Where each change's key ends. */
  readonly #ends: number[] = [];
  readonly #versions: Version[] = [];

  constructor(first: number) {
    this.first = first;
  }

  get next(): number {
    return this.first + this.#ends.length;
  }

  get lastVersion(): Version | undefined {
    return this.#versions.at(-1);
  }

  get bytes(): number {
    return this.#keyBytes + this.#ends.length * CHANGE_OVERHEAD_BYTES;
  }

  get isFull(): boolean {
    return this.#ends.length >= CHUNK_CHANGES || this.#keyBytes >= CHUNK_KEY_BYTES;
  }

  get #keyBytes(): number {
    return this.#ends.at(-1) ?? 0;
  }

  add(key: Uint8Array, version: Version): void {
    const start = this.#keyBytes;
    const end = start + key.length;
    if (end > this.#keys.length) {
      const keys = new Uint8Array(Math.max(end, 2 * this.#keys.length));
      keys.set(this.#keys.subarray(0, start));
      this.#keys = keys;
    }
    this.#keys.set(key, start);
    this.#ends.push(end);
    this.#versions.push(version);
  }

  /** Frees unused space. Nothing may be added afterwards. */
  trim(): void {
    this.#keys = this.#keys.slice(0, this.#keyBytes);
  }

  key(number: number): Uint8Array {
    const index = number - this.first;
    return this.#keys.subarray(this.#ends[index - 1] ?? 0, this.#ends[index]);
  }

  /** The number of its first change above the version, or `next` when there is none. */
  firstAfter(version: Version): number {
    let [low, high] = [0, this.#versions.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      // The middle is below the length.
      if ((this.#versions[middle] as Version) > version) high = middle;
      else low = middle + 1;
    }
    return this.first + low;
  }
}
