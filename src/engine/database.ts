/**
 * One database: the entries, and the one way to read and to change them. Everything here is synchronous, so nothing comes between
 * the lines of a call; whoever holds the object decides when (`objects/`).
 *
 * A commit goes: checks, plan (`plan.ts`: every failure that a request can cause), then entries, derived tables, mutation log, and
 * after the transaction the watchers. Commits handed in together share one transaction. Whatever is thrown in it takes all of it
 * back, and the commits are then tried one by one, so that the one at fault fails alone.
 */
import type { Clock, UnixMs } from "../core/clock.ts";
import type { ClockReading } from "../core/clock-spans.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import { rangeOfPrefix } from "../codec/key-prefix.ts";
import { MAX_SUM_BYTES } from "../core/limits.ts";
import type { Adoption, AtomicWrite, CommitResult, Effect, ReadRange, StoredEntry } from "../core/operations.ts";
import type { SyncStorage, Transact } from "../core/storage.ts";
import { asVersion, type Version, VERSIONSTAMP_SUFFIX_BYTES } from "../core/versionstamp.ts";
import { ClockReadings } from "./clock-readings.ts";
import { type EntryBounds, EntryTable } from "./entry-table.ts";
import { logEntryBound } from "./log-entry.ts";
import { MutationLog } from "./mutation-log.ts";
import { failedChecks, planEffects } from "./plan.ts";
import { type Counters, Mark } from "./mark.ts";
import { migrateDatabase } from "./engine-schema.ts";
import type { SideState } from "./side-state.ts";
import { VersionClock } from "./version-clock.ts";
import { WatchHub } from "./watch-hub.ts";
import { watchedState } from "./watched-state.ts";

export type CommitOutcome = CommitResult | Failure;

/** A table that is kept from the entries: changed in the same transaction, never logged, built anew when it is lost. */
export interface DerivedTable {
  /** What a commit changed, in order; deletes only of what was there. A throw undoes the commit. */
  apply(effects: readonly Effect[], version: Version): void;
}

/** One key's change, as stored before and after; null: nothing. */
export interface Change {
  readonly before: StoredEntry | null;
  readonly after: StoredEntry | null;
}

export interface DatabaseOptions {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  readonly derivedTables?: readonly DerivedTable[];
  /** After a commit that set an expiry: the earliest that it set. */
  readonly onExpirySet?: (at: UnixMs) => void;
  /** After a transaction that the mutation log has a record of: the bytes that it took there. */
  readonly onLogged?: (bytes: number) => void;
  /** After something was counted: a read, or entries that were set or deleted. Must not throw. */
  readonly onUse?: (use: Use) => void;
  /** A write was undone by something that no request should be able to cause; its outcome says no more than that. */
  readonly onError?: (error: unknown) => void;
}

export interface PageBounds {
  readonly maxBytes: number;
  readonly keysOnly: boolean;
}

export interface EntryPage {
  readonly entries: readonly StoredEntry[];
  readonly more: boolean;
}

/** Whether the use that was counted wrote something itself. */
export type Use = "read" | "write";

/** A committed write and what it came to, kept until its transaction has returned. */
interface Applied {
  readonly outcome: CommitOutcome;
  readonly effects: readonly Effect[];
  /** How many entries there are more than before. */
  readonly added: number;
  /** Only while somebody observes them: learning what was there before costs a read per key. */
  readonly changes: readonly Change[];
  readonly loggedBytes: number;
}

export class Database {
  readonly log: MutationLog;
  readonly watches: WatchHub;
  readonly #storage: SyncStorage;
  readonly #clock: Clock;
  readonly #entries: EntryTable;
  readonly #mark: Mark;
  readonly #versions: VersionClock;
  readonly #readings: ClockReadings;
  readonly #derivedTables: readonly DerivedTable[];
  readonly #onExpirySet: (at: UnixMs) => void;
  readonly #onLogged: (bytes: number) => void;
  readonly #onUse: (use: Use) => void;
  readonly #onError: (error: unknown) => void;
  #inTransaction = false;
  readonly #observers = new Set<(changes: readonly Change[]) => void>();

  /** Opens the database in `storage`, making or migrating its schema. Looks at no clock. */
  constructor({
    storage,
    clock,
    derivedTables = [],
    onExpirySet = () => undefined,
    onLogged = () => undefined,
    onUse = () => undefined,
    onError = () => undefined,
  }: DatabaseOptions) {
    migrateDatabase(storage);
    this.#storage = storage;
    this.#clock = clock;
    this.#derivedTables = derivedTables;
    this.#onExpirySet = onExpirySet;
    this.#onLogged = onLogged;
    this.#onUse = onUse;
    this.#onError = onError;
    this.#entries = new EntryTable(storage.sql, this.#transact);
    this.#mark = new Mark(storage.sql);
    this.#versions = new VersionClock(this.#mark);
    this.#readings = new ClockReadings(storage.sql);
    this.log = new MutationLog(storage);
    const { log } = this;
    this.watches = new WatchHub(
      watchedState({ table: this.#entries, clock, log, mark: this.#mark, versions: this.#versions }),
    );
  }

  /** At or above the version of every commit so far. */
  get lastVersion(): Version {
    return this.#versions.last;
  }

  /**
   * The entries of each range, all from one snapshot; or null when keys and values come to more than `maxBytes`, found out without
   * loading much more than that.
   */
  read(ranges: readonly ReadRange[], maxBytes: number): StoredEntry[][] | null {
    const now = this.#clock.now();
    let bytes = 0;
    const answer: StoredEntry[][] = [];
    const sizes: number[] = [];
    for (const found of this.#entries.ranges(ranges, now)) {
      const entries: StoredEntry[] = [];
      const before = bytes;
      for (const entry of found) {
        bytes += entry.key.length + entry.value.length;
        if (bytes > maxBytes) return null;
        entries.push(entry);
      }
      sizes.push(bytes - before);
      answer.push(entries);
    }
    // Only now: what is not answered is asked for again, and counted then.
    for (const size of sizes) this.#mark.countRead(size);
    this.#onUse("read");
    return answer;
  }

  /**
   * The first entries of a range, from one snapshot: at most its limit, and no more than come to `maxBytes` of keys and values, but at
   * least one. `more`: the range has others behind them. One row more than these is read to know that. `keysOnly`: values are empty.
   */
  readPage(range: ReadRange, { maxBytes, keysOnly }: PageBounds): EntryPage {
    const now = this.#clock.now();
    const ahead = { ...range, limit: range.limit + 1 };
    const entries: StoredEntry[] = [];
    let bytes = 0;
    let more = false;
    const pages = keysOnly ? [this.#entries.keyPage(ahead, now)] : this.#entries.ranges([ahead], now);
    for (const page of pages) {
      for (const entry of page) {
        const size = entry.key.length + entry.value.length;
        more = entries.length === range.limit || (entries.length > 0 && bytes + size > maxBytes);
        if (more) break;
        bytes += size;
        entries.push(entry);
      }
    }
    this.#mark.countRead(bytes);
    this.#onUse("read");
    return { entries, more };
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
    this.#announce(
      this.#withVersions(width, now, this.#transact, () => [this.#carryOut(effects, this.#versions.take(width, now))]),
    );
    return keys.length;
  }

  /**
   * Everything stored above `after` (null: from the start) in key order, from one snapshot, until the bounds are reached: at least
   * one entry, if there is any, so that nothing means the end.
   */
  scan(after: Uint8Array | null, bounds: EntryBounds): StoredEntry[] {
    return this.#entries.scan(after, bounds);
  }

  /** The greatest key stored; null: there is none. */
  lastKey(): Uint8Array | null {
    return this.#entries.lastKey();
  }

  /** From now on told, after each transaction, what changed in it, in order. Returns what ends that. */
  observe(observer: (changes: readonly Change[]) => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** A commit that changes nothing but stands in the log: a clear of the empty key, which is no key of an entry. */
  logMarker(): Version {
    const now = this.#clock.now();
    const applied = this.#withVersions(1, now, this.#transact, () => {
      const version = this.#versions.take(1, now);
      const loggedBytes = this.log.append(version, [{ type: "delete", key: new Uint8Array() }]);
      return [{ outcome: { ok: true, version }, effects: [], added: 0, changes: [], loggedBytes }];
    });
    this.#announce(applied);
    return this.#versions.last;
  }

  /**
   * Every commit so far is at or below the version that this returns, and every later one above, whatever the clock does: what the
   * database holds now is what it held up to then. One row written, if that.
   */
  closeNow(): Version {
    const upTo = this.#versions.upToNow(this.#clock.now());
    this.#transact(() => this.#versions.raise(upTo))();
    return upTo;
  }

  /**
   * Makes the state that was built beside this one the database's, in one transaction; or only what it is under a prefix. Entries
   * keep their versionstamps, and new commits go on above everything seen here. `also` is done in the same transaction, and told up
   * to when the database held what it held before. Watchers are told.
   */
  adopt(side: SideState, { entries, floor, prefix }: Adoption, also: (heldUpTo: Version) => void): void {
    const heldUpTo = this.#versions.upToNow(this.#clock.now());
    const before = this.#mark.counters.entries;
    const replacedBefore = this.#mark.replacedAt;
    // Above every version that somebody may have been told with the state of before.
    const raisedTo = asVersion(Math.max(floor, heldUpTo, this.#versions.last + 1));
    const range = prefix === null ? null : rangeOfPrefix(prefix);
    let raised: () => void;
    try {
      raised = this.#storage.transactionSync(() => {
        this.#mark.notePeak();
        let others = 0;
        if (range === null) side.takeOver();
        else others = before - side.takeOverWithin(range);
        also(heldUpTo);
        this.#mark.counters.entries = others + entries;
        this.#mark.replacedAt = raisedTo;
        const counted = this.#versions.raise(raisedTo);
        this.#mark.write(this.#mark.version);
        return counted;
      });
    } catch (error) {
      this.#mark.counters.entries = before;
      this.#mark.replacedAt = replacedBefore;
      throw error;
    }
    raised();
    const next = this.#entries.nextExpiry();
    if (next !== null) this.#onExpirySet(next);
    this.watches.noteAll(range);
    this.watches.flush();
  }

  /** What the clock said while versions ran ahead of it, ascending: only while there was a log. */
  clockReadings(): ClockReading[] {
    return this.#readings.all();
  }

  /** What was counted since the database was made. */
  counters(): Readonly<Counters> {
    return { ...this.#mark.counters };
  }

  /** Reads and writes together: whether anything happened, at no cost. */
  get operations(): number {
    return this.#mark.operations;
  }

  /** Whether a sleep now would lose something that was counted. */
  get isUnsaved(): boolean {
    return this.#mark.isUnsaved;
  }

  /** Changes whenever the counters are stored: by `saveCounters`, and along with the mark of versions. */
  get saves(): number {
    return this.#mark.saves;
  }

  /** Much is about to be removed: what it leaves is spare. */
  notePeak(): void {
    this.#mark.notePeak();
  }

  /** Bytes that can be stored without the object's file becoming larger, at the least: what was deleted leaves them. */
  get spareBytes(): number {
    return this.#mark.spareBytes;
  }

  /** How many entries are stored, expired ones included; made sure of, once, if that is cheap. */
  countEntries(): number {
    return this.#mark.countEntries();
  }

  /** Stores the counters as they are, and where versions are. One row written; none if nothing was counted since the last time. */
  saveCounters(): void {
    if (this.#mark.isUnsaved) this.#versions.settle();
  }

  /** When the next entry expires or has expired; null when none will. */
  nextExpiry(): UnixMs | null {
    return this.#entries.nextExpiry();
  }

  #applyTogether(writes: readonly AtomicWrite[], now: UnixMs): Applied[] {
    try {
      const versions = writes.reduce((sum, write) => sum + this.#versionsFor(write), 0);
      const transact = this.#isOneChange(writes) ? unguarded : this.#transact;
      return this.#withVersions(versions, now, transact, () => writes.map((write) => this.#apply(write, now)));
    } catch (error) {
      if (writes.length > 1) return writes.flatMap((write) => this.#applyTogether([write], now));
      this.#onError(error);
      return [refused(failure("internal", "The write failed and nothing of it was stored: this is a bug of Cairn"))];
    }
  }

  /**
   * Whether carrying out the writes takes one call of the table, which is whole by itself: a transaction around it would cost more
   * than the change.
   */
  #isOneChange(writes: readonly AtomicWrite[]): boolean {
    if (this.log.isWritten || this.#derivedTables.length > 0) return false;
    return writes.length === 1 && writes.every(({ mutations }) => mutations.length <= 1);
  }

  /** What was done counts when this has returned, and only then may be announced. */
  #withVersions(count: number, now: UnixMs, transact: Transact, work: () => Applied[]): Applied[] {
    let markStored: () => void = () => undefined;
    try {
      const applied = transact(() => {
        markStored = this.#versions.reserve(count, now);
        const first = this.#versions.next(now);
        const done = work();
        if (done.some(({ loggedBytes }) => loggedBytes > 0)) this.#readings.note(first, now);
        return done;
      });
      markStored();
      return applied;
    } catch (error) {
      this.#readings.undone();
      throw error;
    }
  }

  /** In the transaction that is open, or else in one of its own. */
  readonly #transact: Transact = (work) => {
    if (this.#inTransaction) return work();
    this.#inTransaction = true;
    try {
      return this.#storage.transactionSync(work);
    } finally {
      this.#inTransaction = false;
    }
  };

  #apply(write: AtomicWrite, now: UnixMs): Applied {
    if (write.enqueues.length > 0) {
      return refused(failure("unsupported", "This database has no queues: an atomic write cannot enqueue messages"));
    }
    const failed = failedChecks(write, this.#entries, now);
    if (failed.length > 0) return refused({ ok: false, failedChecks: failed });
    const version = this.#versions.take(this.#versionsFor(write), now);
    const effects = planEffects(write.mutations, this.#entries, version, now);
    return isFailure(effects) ? refused(effects) : this.#carryOut(effects, version);
  }

  /** Entries, derived tables, log: all in the transaction that is open. */
  #carryOut(planned: readonly Effect[], version: Version): Applied {
    const isObserved = this.#observers.size > 0;
    const changes: Change[] = [];
    let added = 0;
    const effects = planned.filter((effect) => {
      const before = isObserved ? this.#entries.stored(effect.key) : null;
      if (effect.type === "delete") {
        const existed = this.#entries.delete(effect.key);
        if (existed) added -= 1;
        if (existed && isObserved) changes.push({ before, after: null });
        return existed;
      }
      const { key, value, encoding, expiresAt } = effect;
      added += this.#entries.set(key, value, encoding, version, expiresAt);
      if (isObserved) changes.push({ before, after: { key, value, encoding, version, expiresAt } });
      return true;
    });
    for (const table of this.#derivedTables) table.apply(effects, version);
    const loggedBytes = this.log.append(version, effects);
    return { outcome: { ok: true, version }, effects, added, changes, loggedBytes };
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
    let logged = 0;
    for (const { outcome, effects, added, loggedBytes } of applied) {
      if (!outcome.ok) continue;
      logged += loggedBytes;
      this.#mark.counters.entries += added;
      for (const effect of effects) {
        this.#mark.countWrite(effect.key.length + (effect.type === "set" ? effect.value.length : 0));
        this.watches.note(effect.key, outcome.version);
        if (effect.type === "delete" || effect.expiresAt === null) continue;
        if (earliest === null || effect.expiresAt < earliest) earliest = effect.expiresAt;
      }
    }
    if (earliest !== null) this.#onExpirySet(earliest);
    if (logged > 0) this.#onLogged(logged);
    if (applied.some(({ effects }) => effects.length > 0)) this.#onUse("write");
    this.watches.flush();
    if (this.#observers.size === 0) return;
    const changes = applied.flatMap((one) => one.changes);
    for (const observer of this.#observers) observer(changes);
  }
}

/** For work that is whole by itself. */
const unguarded: Transact = (work) => work();

function refused(outcome: CommitOutcome): Applied {
  return { outcome, effects: [], added: 0, changes: [], loggedBytes: 0 };
}
