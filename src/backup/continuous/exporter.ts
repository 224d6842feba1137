/**
 * Sends the mutation log to every live generation: bounded ranges of whole commits, one object each, one request at a time. The end of a
 * range is stored before the range is sent. Its bytes are a function of the log and of the object before it. So sending it again,
 * whatever happened, stores the same object. The cursor moves only after the destination has confirmed, and when the generation is still
 * this database's.
 *
 * Rows written for each range: its end, the cursor, the position of the log's reader, and the alarm. A commit costs nothing here: waiting
 * bytes are counted in memory, and counted again from the log after a restart.
 */
import { assert } from "../../core/assert.ts";
import { asUnixMs, type Clock, earliest, type UnixMs } from "../../core/clock.ts";
import { NO_VERSION, timeOfVersion, type Version } from "../../core/versionstamp.ts";
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import { storedObject } from "./folder-chain.ts";
import type { GenerationPlace } from "../format/object-names.ts";
import { type Generation, isLive } from "./generation-row.ts";
import type { Generations } from "./generations.ts";
import { type LogRange, logRange, pendingRange } from "./log-range.ts";
import type { Ownership } from "./ownership.ts";
import type { BackupPolicy } from "./policy.ts";
import type { DatabaseSource } from "../sources.ts";

/** Each range is one request to store it and one to see that it counts. The drivers may try each twice. */
const RANGES_PER_SLICE = 6;

/**
 * The count of waiting bytes is stored each time so many more have come. So a restart reads at most that much of the log to know the
 * count.
 */
const COUNT_EVERY_BYTES = 16 * 1024 * 1024;

/** The part of the log that a generation still lacks. */
interface Waiting {
  bytes: number;
  /** How many of these bytes are in the stored count. */
  countedBytes: number;
  /** Since when, by our clock. null: nothing waits. */
  since: UnixMs | null;
}

export interface ExporterOptions {
  readonly database: DatabaseSource;
  readonly generations: Generations;
  readonly clock: Clock;
  readonly policy: BackupPolicy;
  readonly ownership: Ownership;
  /** The task is due at this time, which is earlier than before. */
  readonly dueBy: (at: UnixMs) => void;
}

export class Exporter {
  readonly #options: ExporterOptions;
  readonly #waiting = new Map<Version, Waiting>();
  #intervalMs = 0;
  /** Commits up to here are sent without delay. */
  #hurriedUpTo: Version = NO_VERSION;

  constructor(options: ExporterOptions) {
    this.#options = options;
  }

  /** Commits took this many bytes of the log. */
  noted(bytes: number): void {
    const { clock, dueBy, policy } = this.#options;
    const now = clock.now();
    for (const waiting of this.#waiting.values()) {
      const before = waiting.bytes;
      waiting.bytes += bytes;
      // After the clock was set back, waiting commits must not wait until it has caught up.
      if (waiting.since === null || waiting.since > now) {
        waiting.since = now;
        dueBy(asUnixMs(now + this.#intervalMs));
      }
      for (const bound of [policy.rangeBytes, policy.backlogBytes + 1, waiting.countedBytes + COUNT_EVERY_BYTES]) {
        if (before < bound && waiting.bytes >= bound) dueBy(now);
      }
    }
  }

  /** Somebody waits for everything up to this version, so it is sent without delay. null: nobody waits any more. */
  hurry(upTo: Version | null): void {
    this.#hurriedUpTo = upTo ?? NO_VERSION;
    if (upTo !== null) this.#options.dueBy(this.#options.clock.now());
  }

  dueAt(intervalMs: number): UnixMs | null {
    this.#intervalMs = intervalMs;
    return earliest(this.#live().map((generation) => this.#dueOf(generation)));
  }

  /** Exports what is due. Returns the failure that ended it early, or null. */
  async run(destination: Destination, databaseId: string): Promise<DestinationFailure | null> {
    for (let count = 0; count < RANGES_PER_SLICE; count++) {
      const now = this.#options.clock.now();
      const next = this.#live().find((generation) => {
        const due = this.#dueOf(generation);
        return due !== null && due <= now;
      });
      if (next === undefined) break;
      const { start } = next;
      const failure = await this.#options.ownership.inTurn(() => this.#exportRange(start, destination, databaseId));
      if (failure !== null) return failure;
    }
    return null;
  }

  /** Live generations whose waiting log exceeds the limit. */
  overBound(): Generation[] {
    return this.#live().filter((generation) => this.#waitingOf(generation).bytes > this.#options.policy.backlogBytes);
  }

  /** Live generations whose count should be stored, because a restart would otherwise have too much log to count. */
  uncounted(): Generation[] {
    return this.#live().filter((generation) => {
      const { bytes, countedBytes } = this.#waitingOf(generation);
      return bytes - countedBytes >= COUNT_EVERY_BYTES;
    });
  }

  /** Stores the counts, one row for each generation. */
  keepCount(): void {
    for (const generation of this.uncounted()) {
      const waiting = this.#waitingOf(generation);
      this.#options.generations.counted(generation.start, waiting.bytes);
      waiting.countedBytes = waiting.bytes;
    }
  }

  /** For the generation that lacks most: how many bytes wait, and for how long the oldest commit has been waiting. */
  backlog(): { readonly bytes: number; readonly lagMs: number } {
    const now = this.#options.clock.now();
    let bytes = 0;
    let lagMs = 0;
    for (const generation of this.#live()) {
      const waiting = this.#waitingOf(generation);
      bytes = Math.max(bytes, waiting.bytes);
      if (waiting.since !== null) lagMs = Math.max(lagMs, now - waiting.since);
    }
    return { bytes, lagMs };
  }

  #live(): Generation[] {
    const live = this.#options.generations.live();
    const starts = new Set(live.map(({ start }) => start));
    for (const start of this.#waiting.keys()) if (!starts.has(start)) this.#waiting.delete(start);
    for (const generation of live) this.#waitingOf(generation);
    return live;
  }

  #dueOf(generation: Generation): UnixMs | null {
    const waiting = this.#waitingOf(generation);
    if (waiting.since === null) return null;
    const now = this.#options.clock.now();
    const since = asUnixMs(Math.min(waiting.since, now));
    waiting.since = since;
    const { bytes } = waiting;
    // A complete snapshot waits for the log to reach it. A log that ends waits for nothing more.
    const isHurried = generation.exported < this.#hurriedUpTo;
    const awaited = isHurried || this.#options.generations.awaitsLog(generation) || generation.endsAt !== null;
    const atOnce = bytes >= this.#options.policy.rangeBytes || generation.pendingUpTo !== null || awaited;
    return atOnce ? now : asUnixMs(since + this.#intervalMs);
  }

  #waitingOf(generation: Generation): Waiting {
    const { start, exported, counted, endsAt } = generation;
    const known = this.#waiting.get(start);
    if (known !== undefined && endsAt === null) return known;
    const ended = endsAt !== null && this.#options.generations.hasStored(generation, endsAt);
    const countedBytes = ended || counted === null ? 0 : counted.bytes;
    const bytes = ended ? 0 : countedBytes + this.#options.database.log.bytesAfter(counted?.upTo ?? exported);
    const waiting = { bytes, countedBytes, since: ended ? null : this.#sinceOf(exported) };
    this.#waiting.set(start, waiting);
    return waiting;
  }

  /** When the first commit above `exported` was made. Versions may be ahead of the clock: that is no reason to wait longer. */
  #sinceOf(exported: Version): UnixMs | null {
    const first = this.#options.database.log.firstAfter(exported);
    return first === null ? null : asUnixMs(Math.min(timeOfVersion(first), this.#options.clock.now()));
  }

  async #exportRange(start: Version, destination: Destination, databaseId: string): Promise<DestinationFailure | null> {
    const { generations, clock, ownership } = this.#options;
    const place = { databaseId, start };
    const range = this.#chooseRange(place);
    if (range === null) return null;
    const { commits, name, bytes } = range;
    const outcome = await ownership.store(destination, place, name, bytes);
    if (outcome === "left") return null;
    if (outcome !== "ours") return outcome;

    const upTo = commits.at(-1)?.version;
    const now = generations.get(start);
    if (upTo === undefined || now === null || !isLive(now) || now.pendingUpTo !== upTo) return null;
    const first = commits.find(({ version }) => now.consistentFrom !== null && version > now.consistentFrom);
    const waiting = this.#waitingOf(now);
    waiting.bytes -= commits.reduce((sum, { parts }) => sum + parts.reduce((size, part) => size + part.length, 0), 0);
    waiting.countedBytes = waiting.bytes;
    waiting.since = this.#sinceOf(upTo);
    const stored = storedObject(place, name, bytes);
    generations.logStored(start, stored, first?.version ?? null, waiting.bytes, clock.now());
    return null;
  }

  /** The range that was chosen before; or a new one, whose end is then stored. null: the generation does not need it any more. */
  #chooseRange(place: GenerationPlace): LogRange | null {
    const { database, generations, policy } = this.#options;
    const generation = generations.get(place.start);
    if (generation === null || !isLive(generation)) return null;
    const pending = pendingRange(database.log, place, generation);
    if (pending !== null) return pending;
    const commits = database.log.read(generation.exported, policy.rangeBytes, generation.endsAt ?? undefined);
    const last = commits.at(-1);
    assert(last !== undefined, `a commit after ${generation.exported} in the log`);
    generations.logPending(place.start, last.version);
    return logRange(place, commits, generation);
  }
}
