/**
 * How commits come about: their transaction, the versions that they take, and what they change in it. Commits that are handed in together
 * share one transaction. An error that is thrown in it undoes all of them. Then they are tried one by one, so that only the commit at fault
 * fails. What follows a commit (watchers, counters, the feed) is up to the caller, which is given what was applied.
 */
import { type Failure, failure, isFailure } from "../core/errors.ts";
import type { UnixMs } from "../core/clock.ts";
import { MAX_SUM_BYTES } from "../core/limits.ts";
import type { CommitResult, Effect, Mutation } from "../core/operations.ts";
import type { SyncStorage, Transact } from "../core/storage.ts";
import { type Version, VERSIONSTAMP_SUFFIX_BYTES } from "../core/versionstamp.ts";
import type { Arrivals } from "./arrivals.ts";
import type { ClockReadings } from "./clock-readings.ts";
import { CommitRefusal } from "./commit-refusal.ts";
import { decisionOf, decisionState } from "./decided-write.ts";
import type { Change, DerivedTables } from "./derived-tables.ts";
import type { EntryTable } from "./entry-table.ts";
import type { FrozenState } from "./frozen-state.ts";
import { logEntryBound } from "./log-entry.ts";
import type { LogCommit, MutationLog } from "./mutation-log.ts";
import { failedChecks, planEffects } from "./plan.ts";
import { arrivalOf, type EngineWrite, lostTurn } from "./turns.ts";
import type { VersionClock } from "./version-clock.ts";

export type CommitOutcome = CommitResult | Failure;

/** A committed write and its result, kept until its transaction has returned. */
export interface Applied {
  readonly outcome: CommitOutcome;
  readonly effects: readonly Effect[];
  /** How many more entries there are than before. */
  readonly added: number;
  /** Filled only while somebody observes the changes, because reading what was there before costs a read for each key. */
  readonly changes: readonly Change[];
  /** Its record in the mutation log. null: there is none. */
  readonly logged: LogCommit | null;
}

export interface CommitParts {
  readonly transact: Transact;
  readonly entries: EntryTable;
  readonly frozen: FrozenState;
  readonly log: MutationLog;
  readonly versions: VersionClock;
  readonly readings: ClockReadings;
  readonly derivedTables: DerivedTables;
  readonly arrivals: Arrivals;
  /** Whether somebody wants to know the changes. */
  readonly isObserved: () => boolean;
  /** Called when a write was undone by an error that no request should be able to cause. */
  readonly onError: (error: unknown) => void;
}

export class CommitPath {
  readonly #transact: Transact;
  readonly #entries: EntryTable;
  readonly #frozen: FrozenState;
  readonly #log: MutationLog;
  readonly #versions: VersionClock;
  readonly #readings: ClockReadings;
  readonly #derivedTables: DerivedTables;
  readonly #arrivals: Arrivals;
  readonly #isObserved: () => boolean;
  readonly #onError: (error: unknown) => void;

  constructor(parts: CommitParts) {
    this.#transact = parts.transact;
    this.#entries = parts.entries;
    this.#frozen = parts.frozen;
    this.#log = parts.log;
    this.#versions = parts.versions;
    this.#readings = parts.readings;
    this.#derivedTables = parts.derivedTables;
    this.#arrivals = parts.arrivals;
    this.#isObserved = parts.isObserved;
    this.#onError = parts.onError;
  }

  /** Applies the writes in order, each whole or not at all. Returns what became of each, in the same order. */
  writes(writes: readonly EngineWrite[], now: UnixMs): Applied[] {
    try {
      const versions = writes.reduce((sum, write) => sum + this.#mostVersionsFor(write), 0);
      const transact = this.#isOneChange(writes) ? unguarded : this.#transact;
      return this.#withVersions(versions, now, transact, () => writes.map((write) => this.#apply(write, now)));
    } catch (error) {
      if (writes.length > 1) return writes.flatMap((write) => this.writes([write], now));
      if (error instanceof CommitRefusal) return [refused(error.failure)];
      this.#onError(error);
      return [refused(failure("internal", "The write failed and nothing of it was stored: this is a bug of Cairn"))];
    }
  }

  /** One commit, of effects that need no plan. Without effects there is only `also`, in the same transaction. */
  effects(effects: readonly Effect[], now: UnixMs, also: () => void): Applied[] {
    const width = this.#widthOf(effects);
    return this.#withVersions(width, now, this.#transact, () => {
      also();
      if (effects.length === 0) return [];
      this.#arrivals.changed(effects);
      return [this.#carryOut(effects, this.#versions.take(width, now))];
    });
  }

  /** One commit, of entries that nobody could read any more. */
  expired(effects: readonly Effect[], now: UnixMs): Applied[] {
    const width = this.#widthOf(effects);
    return this.#withVersions(width, now, this.#transact, () => [
      this.#carryOut(effects, this.#versions.take(width, now)),
    ]);
  }

  /** A commit that changes nothing, and leaves a row in the log: a clear of the empty key, which is no entry's key. */
  marker(now: UnixMs): Applied[] {
    return this.#withVersions(1, now, this.#transact, () => {
      const version = this.#versions.take(1, now);
      const logged = this.#log.append(version, [{ type: "delete", key: new Uint8Array() }], []);
      return [{ outcome: { ok: true, version }, effects: [], added: 0, changes: [], logged }];
    });
  }

  /**
   * Whether the writes need only one call of the table, which is atomic by itself. A transaction around it would cost more than the
   * change.
   */
  #isOneChange(writes: readonly EngineWrite[]): boolean {
    if (this.#log.isWritten || this.#frozen.version !== null || writes.length !== 1) return false;
    return writes.every(
      (write) =>
        decisionOf(write) === undefined &&
        write.mutations.length <= 1 &&
        write.mutations.every(({ key }) => !this.#derivedTables.follows(key)),
    );
  }

  /** The work counts only after this method has returned. Nothing of it may be announced before. */
  #withVersions(count: number, now: UnixMs, transact: Transact, work: () => Applied[]): Applied[] {
    let markStored: () => void = () => undefined;
    try {
      const applied = transact(() => {
        markStored = this.#versions.reserve(count, now);
        const first = this.#versions.next(now);
        const done = work();
        if (done.some(({ logged }) => logged !== null)) this.#readings.note(first, now);
        return done;
      });
      markStored();
      this.#arrivals.kept();
      this.#derivedTables.kept();
      return applied;
    } catch (error) {
      this.#derivedTables.undone();
      this.#readings.undone();
      this.#arrivals.undone();
      throw error;
    }
  }

  #apply(write: EngineWrite, now: UnixMs): Applied {
    if (write.enqueues.length > 0) {
      return refused(failure("unsupported", "This database has no queues: an atomic write cannot enqueue messages"));
    }
    const failed = failedChecks(write, this.#entries, now);
    if (failed.length > 0) return refused({ ok: false, failedChecks: failed });
    const lost = lostTurn(write, this.#entries, now);
    if (lost !== null) return refused({ ok: false, failedChecks: [], turn: lost });
    const decision = decisionOf(write);
    const least = decision?.versions ?? 1;
    const mutations =
      decision?.decide(decisionState(this.#entries, this.#versions.next(now, least), now)) ?? write.mutations;
    if (isFailure(mutations)) return refused(mutations);
    const version = this.#versions.take(Math.max(least, this.#versionsFor(mutations)), now);
    const effects = planEffects(mutations, this.#entries, version, now);
    if (isFailure(effects)) return refused(effects);
    const applied = this.#carryOut(effects, version, true);
    this.#arrivals.changed(applied.effects, arrivalOf(write));
    return applied;
  }

  /** Entries, derived tables and log, all in the open transaction. */
  #carryOut(planned: readonly Effect[], version: Version, mayRefuse = false): Applied {
    const isObserved = this.#isObserved();
    const changes: Change[] = [];
    const followed: Change[] = [];
    const isNew: boolean[] = [];
    let added = 0;
    for (const { key } of planned) this.#frozen.keep(key);
    const effects = planned.filter((effect) => {
      const isFollowed = this.#derivedTables.follows(effect.key);
      const before = isObserved || isFollowed ? this.#entries.stored(effect.key) : null;
      const note = (change: Change) => {
        if (isObserved) changes.push(change);
        if (isFollowed) followed.push(change);
      };
      if (effect.type === "delete") {
        const existed = this.#entries.delete(effect.key);
        if (existed) added -= 1;
        if (before !== null) note({ before, after: null });
        if (existed) isNew.push(false);
        return existed;
      }
      const { key, value, encoding, expiresAt } = effect;
      const more = this.#entries.set(key, value, encoding, version, expiresAt);
      added += more;
      isNew.push(more > 0);
      if (isObserved || isFollowed) note({ before, after: { key, value, encoding, version, expiresAt } });
      return true;
    });
    if (followed.length > 0) this.#derivedTables.apply(followed, mayRefuse);
    const logged = this.#log.append(version, effects, isNew);
    return { outcome: { ok: true, version }, effects, added, changes, logged };
  }

  /** How many versions the write takes at most. */
  #mostVersionsFor(write: EngineWrite): number {
    const decision = decisionOf(write);
    if (decision === undefined) return this.#versionsFor(write.mutations);
    const { versions, maxBytes, maxMutations } = decision;
    return Math.max(versions, this.#log.versionsFor(maxBytes + maxMutations * logEntryBound(0, 0)));
  }

  #versionsFor(mutations: readonly Mutation[]): number {
    if (!this.#log.isWritten) return 1;
    let bytes = 0;
    for (const mutation of mutations) {
      const given = "value" in mutation ? mutation.value.length : 0;
      // The result of a sum may be larger than its operand.
      const value = mutation.type === "sum" ? Math.max(given, MAX_SUM_BYTES) : given;
      bytes += logEntryBound(mutation.key.length + VERSIONSTAMP_SUFFIX_BYTES, value);
    }
    return this.#log.versionsFor(bytes);
  }

  #widthOf(effects: readonly Effect[]): number {
    const bytes = effects.reduce((sum, one) => sum + logEntryBound(one.key.length, valueBytes(one)), 0);
    return this.#log.versionsFor(bytes);
  }
}

/** Runs work in the open transaction, or in one of its own when none is open. */
export function transactIn(storage: SyncStorage): Transact {
  let isOpen = false;
  return (work) => {
    if (isOpen) return work();
    isOpen = true;
    try {
      return storage.transactionSync(work);
    } finally {
      isOpen = false;
    }
  };
}

export function valueBytes(effect: Effect): number {
  return effect.type === "set" ? effect.value.length : 0;
}

/** For work that is atomic by itself. */
const unguarded: Transact = (work) => work();

function refused(outcome: CommitOutcome): Applied {
  return { outcome, effects: [], added: 0, changes: [], logged: null };
}
