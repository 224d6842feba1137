/**
 * One database: the entries, and the one way to read and to change them. Everything here is synchronous, so nothing comes between
 * the lines of a call; whoever holds the object decides when (`objects/`).
 *
 * A commit goes: checks, plan (`plan.ts`: every failure that a request can cause), then entries, derived tables, mutation log, and
 * after the transaction the watchers. Commits handed in together share one transaction. Whatever is thrown in it takes all of it
 * back, and the commits are then tried one by one, so that the one at fault fails alone.
 */
import type { Clock, UnixMs } from "../core/clock.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_SUM_BYTES } from "../core/limits.ts";
import type { AtomicWrite, CommitResult, Entry, ReadRange } from "../core/operations.ts";
import type { SyncStorage } from "../core/storage.ts";
import type { Version } from "../core/versionstamp.ts";
import { EntryTable } from "./entry-table.ts";
import { logEntryBound } from "./log-entry.ts";
import { MutationLog } from "./mutation-log.ts";
import { type Effect, failedChecks, planEffects } from "./plan.ts";
import { type Counters, Mark } from "./mark.ts";
import { migrate } from "./schema.ts";
import { VersionClock } from "./version-clock.ts";
import { WatchHub } from "./watch-hub.ts";

/** What a versionstamped key is longer than the key in the mutation. */
const VERSIONSTAMP_SUFFIX_BYTES = 22;

export type CommitOutcome = CommitResult | Failure;

/** A table that is kept from the entries: changed in the same transaction, never logged, built anew when it is lost. */
export interface DerivedTable {
  /** What a commit changed, in order; deletes only of what was there. A throw undoes the commit. */
  apply(effects: readonly Effect[], version: Version): void;
}

export interface DatabaseOptions {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  readonly derivedTables?: readonly DerivedTable[];
  /** After a commit that set an expiry: the earliest that it set. */
  readonly onExpirySet?: (at: UnixMs) => void;
  /** A write was undone by something that no request should be able to cause; its outcome says no more than that. */
  readonly onError?: (error: unknown) => void;
}

/** A committed write and what it came to, kept until its transaction has returned. */
interface Applied {
  readonly outcome: CommitOutcome;
  readonly effects: readonly Effect[];
  /** How many entries there are more than before. */
  readonly added: number;
}

export class Database {
  readonly log: MutationLog;
  readonly watches: WatchHub;
  readonly #storage: SyncStorage;
  readonly #clock: Clock;
  readonly #entries: EntryTable;
  readonly #mark: Mark;
  readonly #versions: VersionClock;
  readonly #derivedTables: readonly DerivedTable[];
  readonly #onExpirySet: (at: UnixMs) => void;
  readonly #onError: (error: unknown) => void;

  /** Opens the database in `storage`, making or migrating its schema. */
  constructor({
    storage,
    clock,
    derivedTables = [],
    onExpirySet = () => undefined,
    onError = () => undefined,
  }: DatabaseOptions) {
    migrate(storage);
    this.#storage = storage;
    this.#clock = clock;
    this.#derivedTables = derivedTables;
    this.#onExpirySet = onExpirySet;
    this.#onError = onError;
    this.#entries = new EntryTable(storage.sql);
    this.#mark = new Mark(storage.sql);
    this.#versions = new VersionClock(this.#mark);
    this.log = new MutationLog(storage);
    this.watches = new WatchHub((keys) => keys.map((key) => this.#entries.get(key, this.#clock.now())));
  }

  /** At or above the version of every commit so far. */
  get lastVersion(): Version {
    return this.#versions.last;
  }

  /**
   * The entries of each range, all from one snapshot; or null when keys and values come to more than `maxBytes`, found out without
   * loading much more than that.
   */
  read(ranges: readonly ReadRange[], maxBytes: number): Entry[][] | null {
    const now = this.#clock.now();
    let bytes = 0;
    const answer: Entry[][] = [];
    for (const range of ranges) {
      const entries: Entry[] = [];
      const before = bytes;
      for (const entry of this.#entries.range(range, now)) {
        bytes += entry.key.length + entry.value.length;
        if (bytes > maxBytes) return null;
        entries.push(entry);
      }
      this.#mark.countRead(bytes - before);
      answer.push(entries);
    }
    return answer;
  }

  /** Bytes of keys and values that `read` would have to give; loads none of them. */
  readBytes(ranges: readonly ReadRange[]): number {
    const now = this.#clock.now();
    return ranges.reduce((sum, range) => sum + this.#entries.rangeBytes(range, now), 0);
  }

  /** Applies the writes in order, each whole or not at all, in one transaction. An outcome for each, in the same order. */
  commit(writes: readonly AtomicWrite[]): CommitOutcome[] {
    const applied = this.#applyTogether(writes, this.#clock.now());
    this.#announce(applied);
    return applied.map(({ outcome }) => outcome);
  }

  /** Deletes at most `limit` entries whose expiry has passed, as one commit. Returns how many there were. */
  deleteExpired(limit: number): number {
    const now = this.#clock.now();
    const keys = this.#entries.expired(now, limit);
    if (keys.length === 0) return 0;
    const effects = keys.map((key): Effect => ({ type: "delete", key }));
    const width = this.log.versionsFor(effects.reduce((sum, { key }) => sum + logEntryBound(key.length, 0), 0));
    this.#announce(this.#transaction(width, now, () => [this.#carryOut(effects, this.#versions.take(width, now))]));
    return keys.length;
  }

  /** What was counted since the database was made. */
  counters(): Readonly<Counters> {
    return { ...this.#mark.counters };
  }

  /** Reads and writes together: whether anything happened, at no cost. */
  get operations(): number {
    return this.#mark.counters.reads + this.#mark.counters.writes;
  }

  /** How many entries are stored, expired ones included; made sure of, once, if that is cheap. */
  countEntries(): number {
    return this.#mark.countEntries();
  }

  /** Stores the counters as they are. One row written. */
  saveCounters(): void {
    this.#mark.write(this.#mark.version);
  }

  /** When the next entry expires or has expired; null when none will. */
  nextExpiry(): UnixMs | null {
    return this.#entries.nextExpiry();
  }

  #applyTogether(writes: readonly AtomicWrite[], now: UnixMs): Applied[] {
    try {
      const versions = writes.reduce((sum, write) => sum + this.#versionsFor(write), 0);
      return this.#transaction(versions, now, () => writes.map((write) => this.#apply(write, now)));
    } catch (error) {
      if (writes.length > 1) return writes.flatMap((write) => this.#applyTogether([write], now));
      this.#onError(error);
      return [refused(failure("internal", "The write failed and nothing of it was stored: this is a bug of Cairn"))];
    }
  }

  /** What was done counts when this has returned, and only then may be announced. */
  #transaction(versions: number, now: UnixMs, work: () => Applied[]): Applied[] {
    let markStored: () => void = () => undefined;
    const applied = this.#storage.transactionSync(() => {
      markStored = this.#versions.reserve(versions, now);
      return work();
    });
    markStored();
    return applied;
  }

  #apply(write: AtomicWrite, now: UnixMs): Applied {
    if (write.enqueues.length > 0) {
      return refused(failure("unsupported", "This database has no queues: an atomic write cannot enqueue messages"));
    }
    const failed = failedChecks(write, this.#entries, now);
    if (failed.length > 0) return refused({ ok: false, failedChecks: failed });
    const version = this.#versions.take(this.#versionsFor(write), now);
    const effects = planEffects(write.mutations, this.#entries, version, now);
    return "ok" in effects ? refused(effects) : this.#carryOut(effects, version);
  }

  /** Entries, derived tables, log: all in the transaction that is open. */
  #carryOut(planned: readonly Effect[], version: Version): Applied {
    let added = 0;
    const effects = planned.filter((effect) => {
      if (effect.type === "delete") {
        const existed = this.#entries.delete(effect.key);
        if (existed) added -= 1;
        return existed;
      }
      added += this.#entries.set(effect.key, effect.value, effect.encoding, version, effect.expiresAt);
      return true;
    });
    for (const table of this.#derivedTables) table.apply(effects, version);
    this.log.append(version, effects);
    return { outcome: { ok: true, version }, effects, added };
  }

  #versionsFor(write: AtomicWrite): number {
    if (!this.log.isWritten) return 1;
    let bytes = 0;
    for (const mutation of write.mutations) {
      const given = "value" in mutation ? mutation.value.length : 0;
      // The result of a sum may be larger than its operand.
      const value = mutation.type === "sum" ? Math.max(given, MAX_SUM_BYTES) : given;
      bytes += logEntryBound(mutation.key.length + VERSIONSTAMP_SUFFIX_BYTES, value);
    }
    return this.log.versionsFor(bytes);
  }

  #announce(applied: readonly Applied[]): void {
    let earliest: UnixMs | null = null;
    for (const { effects, added } of applied) {
      this.#mark.counters.entries += added;
      for (const effect of effects) {
        this.#mark.countWrite(effect.key.length + (effect.type === "set" ? effect.value.length : 0));
        this.watches.note(effect.key);
        if (effect.type === "delete" || effect.expiresAt === null) continue;
        if (earliest === null || effect.expiresAt < earliest) earliest = effect.expiresAt;
      }
    }
    if (earliest !== null) this.#onExpirySet(earliest);
    this.watches.flush();
  }
}

function refused(outcome: CommitOutcome): Applied {
  return { outcome, effects: [], added: 0 };
}
