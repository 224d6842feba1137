/**
 * Stores every entry of the database beside the log, while writes go on: ranges of keys, each from one consistent read. The last key of a
 * range, and the sequence number of its name, are stored before it is sent. A range that is sent again has the entries of that time, and
 * gets another number, because the first object may have arrived. Changes in between are in the log, which began before. So are all keys
 * above the greatest key of that time. The snapshot ends at that key, however fast writers append. When every range is stored and the log
 * has reached the last read, the generation's record says how the snapshot ends. After that `differential` says, once, that the snapshot
 * is complete.
 */
import { compareBytes } from "../../core/bytes.ts";
import type { Clock, UnixMs } from "../../core/clock.ts";
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import { previousOf, storedObject } from "./folder-chain.ts";
import {
  differentialName,
  encodeDifferential,
  type GenerationPlace,
  snapshotObjectName,
} from "../format/object-names.ts";
import { encodeSnapshotRange, snapshotEntryBound, type SnapshotEntry } from "../format/snapshot-range.ts";
import type { Generation } from "./generation-row.ts";
import type { Generations } from "./generations.ts";
import type { Ownership } from "./ownership.ts";
import type { BackupPolicy } from "./policy.ts";
import type { DatabaseSource } from "../sources.ts";

/** A slice ends after this many requests, or this much time. */
const RANGES_PER_SLICE = 8;
const SLICE_MS = 1_000;

export interface SnapshotterOptions {
  readonly database: DatabaseSource;
  readonly generations: Generations;
  readonly clock: Clock;
  readonly policy: BackupPolicy;
  readonly ownership: Ownership;
}

export class Snapshotter {
  readonly #options: SnapshotterOptions;

  constructor(options: SnapshotterOptions) {
    this.#options = options;
  }

  dueAt(): UnixMs | null {
    const generation = this.#current();
    return generation === null || this.#options.generations.awaitsLog(generation) ? null : this.#options.clock.now();
  }

  /** Returns the failure that ended the slice early, or null. `completed` is called when a generation has become complete. */
  async run(destination: Destination, databaseId: string, completed: () => void): Promise<DestinationFailure | null> {
    const { clock } = this.#options;
    const until = clock.now() + SLICE_MS;
    for (let count = 0; count < RANGES_PER_SLICE && clock.now() <= until; count++) {
      const generation = this.#current();
      if (generation === null || this.#options.generations.awaitsLog(generation)) return null;
      const place = { databaseId, start: generation.start };
      if (generation.scannedAt !== null) return this.#finish(generation, destination, place, completed);
      const failure = await this.#storeRange(generation, destination, place);
      if (failure !== null) return failure;
    }
    return null;
  }

  #current(): Generation | null {
    return this.#options.generations.live().find(({ state }) => state === "snapshotting") ?? null;
  }

  async #storeRange(
    generation: Generation,
    destination: Destination,
    place: GenerationPlace,
  ): Promise<DestinationFailure | null> {
    const { generations } = this.#options;
    const { start, snapshotAfter, snapshotPending, snapshotEnd } = generation;
    const entries = snapshotEnd === null ? [] : this.#scan(snapshotAfter, snapshotPending ?? snapshotEnd);
    const last = entries.at(-1);
    if (last === undefined && snapshotPending === null) {
      generations.snapshotScanned(start);
      return null;
    }
    if (last === undefined) return this.#withdraw(generation, destination, place);

    const sequence = generation.sequence + 1;
    generations.snapshotPending(start, last.key, sequence);
    const name = snapshotObjectName(place, { series: sequence, sequence });
    const bytes = encodeSnapshotRange(entries, previousOf(generation.snapshot));
    const outcome = await this.#options.ownership.store(destination, place, name, bytes);
    if (typeof outcome !== "string") return outcome;
    if (outcome === "ours" && this.#isStill(generation, sequence))
      generations.snapshotStored(start, storedObject(place, name, bytes));
    return null;
  }

  /**
   * Deletes the object of a range that was sent and is empty by now. If the object arrived, it must not stay as the folder's last one.
   */
  async #withdraw(
    { start, sequence }: Generation,
    destination: Destination,
    place: GenerationPlace,
  ): Promise<DestinationFailure | null> {
    const standing = await this.#options.ownership.confirm(destination, place);
    if (standing !== "ours") return standing === "left" ? null : standing;
    const outcome = await destination.delete(snapshotObjectName(place, { series: sequence, sequence }));
    if (!outcome.ok) return outcome;
    const now = this.#options.generations.get(start);
    if (now?.state === "snapshotting" && now.snapshotPending !== null) {
      this.#options.generations.snapshotStored(start, null);
    }
    return null;
  }

  async #finish(
    { start, consistentFrom }: Generation,
    destination: Destination,
    place: GenerationPlace,
    completed: () => void,
  ): Promise<DestinationFailure | null> {
    const { generations, ownership } = this.#options;
    const version = consistentFrom ?? generations.decideConsistency(start);
    // The record is written first: where there is a `differential`, the end of the snapshot is known.
    let outcome = await ownership.conclude(destination, place);
    if (outcome === "ours") {
      outcome = await ownership.store(destination, place, differentialName(place), encodeDifferential(version));
    }
    if (typeof outcome !== "string") return outcome;
    if (outcome === "ours" && generations.get(start)?.state === "snapshotting") {
      generations.complete(start);
      completed();
    }
    return null;
  }

  #isStill({ start }: Generation, sequence: number): boolean {
    const now = this.#options.generations.get(start);
    return now?.state === "snapshotting" && now.snapshotPending !== null && now.sequence === sequence;
  }

  /** The entries of the next range: above `after`, up to and including `upTo`, as many as one object takes. */
  #scan(after: Uint8Array | null, upTo: Uint8Array): readonly SnapshotEntry[] {
    const { database, policy } = this.#options;
    const found = database.scan(after, { maxBytes: policy.rangeBytes, maxEntries: policy.snapshotRangeEntries });
    let size = 0;
    const end = found.findIndex(({ key, value }) => {
      if (compareBytes(key, upTo) > 0) return true;
      const before = size;
      size += snapshotEntryBound(key.length, value.length);
      return before > 0 && size > policy.rangeBytes;
    });
    return end === -1 ? found : found.slice(0, end);
  }
}
