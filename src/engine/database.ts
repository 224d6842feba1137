/**
 * One database: the entries, and the only way to read and change them. Everything here is synchronous, so nothing runs between the lines
 * of a call. The owner of this object decides when a call is made (`objects/`).
 *
 * The steps of a commit (`commit-path.ts`): checks, plan (`plan.ts`, with every failure that a request can cause), then entries, derived
 * tables and mutation log, and after the transaction, here, the watchers.
 */
import { assert } from "../core/assert.ts";
import { justAfter } from "../core/bytes.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import type { ClockReading } from "../core/clock-spans.ts";
import { type KeyRange, rangeOfPrefix } from "../codec/key-prefix.ts";
import { MAX_DOCUMENTS_DELETED_PER_COMMIT } from "../core/document-limits.ts";
import type { Adoption, Effect, LostTurn, ReadRange, StoredEntry } from "../core/operations.ts";
import type { SyncStorage, Transact } from "../core/storage.ts";
import { fateOf, NOTHING_UNDELETED, type UndeleteCounts } from "../core/undelete.ts";
import { asVersion, type Version } from "../core/versionstamp.ts";
import { Arrivals } from "./arrivals.ts";
import { ClockReadings } from "./clock-readings.ts";
import { type Applied, type CommitOutcome, CommitPath, transactIn, valueBytes } from "./commit-path.ts";
import { type Change, type DerivedTables, NO_DERIVED_TABLES } from "./derived-tables.ts";
import { type EntryBounds, EntryTable } from "./entry-table.ts";
import { FeedLog } from "./feed-log.ts";
import { FrozenState } from "./frozen-state.ts";
import { type LevelBounds, type LevelPage, readLevel } from "./level-page.ts";
import { bytesOf, MutationLog } from "./mutation-log.ts";
import { type Counters, Mark } from "./mark.ts";
import { migrateDatabase } from "./engine-schema.ts";
import { RangeCount } from "./range-count.ts";
import type { SideState } from "./side-state.ts";
import { type EngineWrite, lostTurn } from "./turns.ts";
import { VersionClock } from "./version-clock.ts";
import { WatchHub } from "./watch-hub.ts";
import { watchedState } from "./watched-state.ts";

export interface DatabaseOptions {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  readonly derivedTables?: DerivedTables;
  /** Whether there may be a frozen state already: to look for one costs a row read for each table. true by default. */
  readonly mayBeFrozen?: boolean;
  /** Called after a commit that set expiries, with the earliest of them. */
  readonly onExpirySet?: (at: UnixMs) => void;
  /** Called after a transaction that left a record in the mutation log, with the bytes of the record. */
  readonly onLogged?: (bytes: number) => void;
  /** Called after something was counted: a read, or entries that were set or deleted. Must not throw. */
  readonly onUse?: (use: Use) => void;
  /** Called when a write was undone by an error that no request should be able to cause. The write's outcome says only that. */
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

export interface DeletedEntries {
  readonly deleted: number;
  readonly next: Uint8Array | null;
  /** At or above the version of the commit. */
  readonly version: Version;
}

/** "write": the counted use has written something itself. */
export type Use = "read" | "write" | "other read";

export class Database {
  readonly log: MutationLog;
  readonly feed: FeedLog;
  /** A state that is read while commits go on. */
  readonly frozen: FrozenState;
  readonly watches: WatchHub;
  /** Writes that wait for their turn at a key. */
  readonly arrivals = new Arrivals();
  readonly #storage: SyncStorage;
  readonly #clock: Clock;
  readonly #entries: EntryTable;
  readonly #mark: Mark;
  readonly #versions: VersionClock;
  readonly #readings: ClockReadings;
  readonly #derivedTables: DerivedTables;
  readonly #onExpirySet: (at: UnixMs) => void;
  readonly #onLogged: (bytes: number) => void;
  readonly #onUse: (use: Use) => void;
  readonly #transact: Transact;
  readonly #commits: CommitPath;
  /** No entry expires before this time. null: not known. */
  #expiresFrom: number | null = null;
  readonly #observers = new Set<(changes: readonly Change[]) => void>();

  /** Opens the database in `storage`, and makes or migrates its schema. Does not read the clock. */
  constructor({
    storage,
    clock,
    derivedTables = NO_DERIVED_TABLES,
    mayBeFrozen = true,
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
    this.#transact = transactIn(storage);
    this.#entries = new EntryTable(storage.sql, this.#transact);
    this.frozen = new FrozenState(storage, this.#entries, mayBeFrozen);
    this.#mark = new Mark(storage.sql);
    this.#versions = new VersionClock(this.#mark);
    this.#readings = new ClockReadings(storage.sql);
    this.log = new MutationLog(storage);
    const { log } = this;
    this.feed = new FeedLog({
      storage,
      log,
      lastVersion: () => this.#versions.last,
      replacedAt: () => this.#mark.replacedAt,
    });
    this.#commits = new CommitPath({
      transact: this.#transact,
      entries: this.#entries,
      frozen: this.frozen,
      log,
      versions: this.#versions,
      readings: this.#readings,
      derivedTables,
      arrivals: this.arrivals,
      isObserved: () => this.#observers.size > 0,
      onError,
    });
    const { feed } = this;
    this.watches = new WatchHub(
      watchedState({ table: this.#entries, clock, log, mark: this.#mark, versions: this.#versions, feed }),
    );
  }

  /** At or above the version of every commit so far. */
  get lastVersion(): Version {
    return this.#versions.last;
  }

  /**
   * The entries of each range, all from one snapshot. null when keys and values have more than `maxBytes`; little more than that is
   * loaded to find out.
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
    // Counted only now: a client asks again for what was not answered, and that read is counted.
    for (const size of sizes) this.#mark.countRead(size);
    this.#onUse("read");
    return answer;
  }

  /**
   * The first entries of a range, from one snapshot: at most the range's limit, and no more than `maxBytes` of keys and values, but at
   * least one. `more`: the range has further entries. One row more is read to know that. `keysOnly`: values are empty.
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

  /** Returns why the write would not be applied if its turn were now, or null if it would. */
  lostTurn(write: EngineWrite): LostTurn | null {
    return lostTurn(write, this.#entries, this.#clock.now());
  }

  /** Reads entries of one level from one snapshot: those of the range whose keys have one part more than the encoded parent. */
  readLevel(parent: Uint8Array, range: KeyRange, bounds: LevelBounds): LevelPage {
    const page = readLevel(this.#entries, parent, range, bounds, this.#clock.now());
    this.#mark.countRead(page.entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0));
    this.#onUse("read");
    return page;
  }

  /** Counts a read that was made beside this class, such as a search. */
  countOtherRead(bytes: number): void {
    this.#mark.countRead(bytes);
    this.#onUse("other read");
  }

  /** Begins a count of a range, which is made in slices while writes go on. */
  startCount(range: KeyRange, sliceRows?: number): RangeCount {
    this.#mark.countRead(0);
    this.#onUse("read");
    return new RangeCount(
      {
        table: this.#entries,
        clock: this.#clock,
        observe: (observer) => this.observe(observer),
        lastVersion: () => this.lastVersion,
        replacedAt: () => this.#mark.replacedAt,
      },
      range,
      sliceRows,
    );
  }

  /** The entry of an encoded key, for a request that is about other entries: it does not count as a read. */
  entry(key: Uint8Array): StoredEntry | null {
    return this.#entries.get(key, this.#clock.now());
  }

  /** Bytes of keys and values that `read` would return. Loads none of them. */
  readBytes(ranges: readonly ReadRange[]): number {
    const now = this.#clock.now();
    return ranges.reduce((sum, range) => sum + this.#entries.rangeBytes(range, now), 0);
  }

  /**
   * Applies the writes in order, in one transaction. Each is applied whole or not at all. Returns an outcome for each, in the same order.
   */
  commit(writes: readonly EngineWrite[]): CommitOutcome[] {
    const applied = this.#commits.writes(writes, this.#clock.now());
    this.#announce(applied);
    return applied.map(({ outcome }) => outcome);
  }

  /** Deletes at most `limit` entries whose expiry has passed, as one commit. Returns how many there were. */
  deleteExpired(limit: number): number {
    const now = this.#clock.now();
    const keys = this.#deletedAtOnce(this.#entries.expired(now, limit));
    if (keys.length === 0) return 0;
    const effects = keys.map((key): Effect => ({ type: "delete", key }));
    this.#announce(this.#commits.expired(effects, now));
    return keys.length;
  }

  /**
   * Deletes the first `limit` entries of a range, as one commit. `also` is called in the same transaction with their number, and with the
   * place where the rest of the range begins; null: nothing is left.
   */
  deleteWithin(
    range: KeyRange,
    limit: number,
    also: (deleted: number, next: Uint8Array | null) => void,
  ): DeletedEntries {
    const now = this.#clock.now();
    const found = this.#entries.keys(range, limit, now).map(({ key }) => key);
    const keys = this.#deletedAtOnce(found);
    const effects = keys.map((key): Effect => ({ type: "delete", key }));
    const deleted = effects.length;
    const last = deleted === limit || deleted < found.length ? keys.at(-1) : undefined;
    const next = last === undefined ? null : justAfter(last);
    this.#announce(this.#commits.effects(effects, now, () => also(deleted, next)));
    return { deleted, next, version: this.#versions.last };
  }

  /**
   * Brings entries of an earlier moment back, as one commit: those that `fateOf` says. Each key comes once. `also` is called in the same
   * transaction with what became of the entries.
   */
  bringBack(entries: readonly StoredEntry[], force: boolean, also: (counts: UndeleteCounts) => void): void {
    const now = this.#clock.now();
    const counts = { ...NOTHING_UNDELETED };
    const effects: Effect[] = [];
    for (const entry of entries) {
      const { key, value, encoding, expiresAt } = entry;
      const fate = fateOf(entry, this.#entries.version(key, now), { force, now });
      counts[fate] += 1;
      if (fate === "count") effects.push({ type: "set", key, value, encoding, expiresAt });
    }
    this.#announce(this.#commits.effects(effects, now, () => also(counts)));
  }

  /**
   * All entries above `after` (null: all entries) in key order, from one snapshot, until the bounds are reached. At least one entry when
   * there is any, so an empty result means the end.
   */
  scan(after: Uint8Array | null, bounds: EntryBounds): StoredEntry[] {
    return this.#entries.scan(after, bounds);
  }

  /** The greatest stored key. null: there is no entry. */
  lastKey(): Uint8Array | null {
    return this.#entries.lastKey();
  }

  /** Calls `observer` after each transaction with its changes, in order. Returns a function that ends this. */
  observe(observer: (changes: readonly Change[]) => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Makes a commit that changes nothing, and leaves a row in the log: a clear of the empty key, which is no entry's key. */
  logMarker(): Version {
    this.#announce(this.#commits.marker(this.#clock.now()));
    return this.#versions.last;
  }

  /**
   * Returns a version such that every commit so far is at or below it and every later one above it, whatever the clock does. So the
   * database's present content is also its content as of that version. Writes at most one row.
   */
  closeNow(): Version {
    const upTo = this.#versions.upToNow(this.#clock.now());
    this.#transact(() => this.#versions.raise(upTo))();
    return upTo;
  }

  /** Freezes the present state, to be read while commits go on, and returns its version. No restore may be under way. */
  freeze(): Version {
    const version = this.closeNow();
    this.frozen.begin(version, this.#clock.now());
    return version;
  }

  /**
   * Replaces the database's state by the one that was built beside it, in one transaction; with a prefix, only the keys under it. Entries
   * keep their versionstamps, and new commits get versions above all that were seen here. `also` is called in the same transaction, with
   * the version up to which the database held its earlier state. Watchers are told.
   */
  adopt(side: SideState, { entries, floor, prefix }: Adoption, also: (heldUpTo: Version) => void): void {
    assert(this.frozen.version === null, "no frozen state while another state takes the place of the live one");
    const heldUpTo = this.#versions.upToNow(this.#clock.now());
    const before = this.#mark.counters.entries;
    const replacedBefore = this.#mark.replacedAt;
    // Above every version that a client may have been told together with the earlier state.
    const raisedTo = asVersion(Math.max(floor, heldUpTo, this.#versions.last + 1));
    const range = prefix === null ? null : rangeOfPrefix(prefix);
    let raised: () => void;
    try {
      raised = this.#storage.transactionSync(() => {
        this.#mark.notePeak();
        let others = 0;
        if (range === null) side.takeOver();
        else others = before - side.takeOverWithin(range);
        this.#derivedTables.replaced(range);
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
      this.#derivedTables.undone();
      throw error;
    }
    raised();
    this.#derivedTables.kept();
    this.arrivals.allChanged();
    this.#expiresFrom = null;
    const next = this.#entries.nextExpiry();
    if (next !== null) this.#onExpirySet(next);
    this.watches.noteAll(range);
    this.watches.flush();
  }

  /** What the clock showed while versions ran ahead of it, ascending by version. Kept only while there was a log. */
  clockReadings(): ClockReading[] {
    return this.#readings.all();
  }

  /** All that was counted since the database was made. */
  counters(): Readonly<Counters> {
    return { ...this.#mark.counters };
  }

  /** The number of reads and writes together. Comparing it shows at no cost whether anything happened. */
  get operations(): number {
    return this.#mark.operations;
  }

  /** Whether a sleep now would lose something that was counted. */
  get isUnsaved(): boolean {
    return this.#mark.isUnsaved;
  }

  /** A number that changes whenever the counters are stored: by `saveCounters`, or together with the mark of versions. */
  get saves(): number {
    return this.#mark.saves;
  }

  /** To be called before much is removed: its space becomes spare. */
  notePeak(): void {
    this.#mark.notePeak();
  }

  /** Bytes that can be stored at least without making the object's file larger: the space of what was deleted. */
  get spareBytes(): number {
    return this.#mark.spareBytes;
  }

  /** How many entries are stored, expired ones included. They are counted anew, once, when that is cheap. */
  countEntries(): number {
    return this.#mark.countEntries();
  }

  /** Stores the counters and the last version. Writes one row, or none when nothing was counted since the last time. */
  saveCounters(): void {
    if (this.#mark.isUnsaved) this.#versions.settle();
  }

  /** Whether an entry may be there that has expired. Reads a row at most, and none while it is known that nothing has. */
  mayHaveExpired(): boolean {
    this.#expiresFrom ??= this.#entries.nextExpiry() ?? Number.POSITIVE_INFINITY;
    if (this.#clock.now() < this.#expiresFrom) return false;
    // By the next time that entry may be deleted.
    this.#expiresFrom = null;
    return true;
  }

  /** When the next entry expires, or has expired. null when no entry has an expiry. */
  nextExpiry(): UnixMs | null {
    return this.#entries.nextExpiry();
  }

  /** A key that derived tables follow costs them rows of their own, so fewer are deleted by one commit. */
  #deletedAtOnce(keys: readonly Uint8Array[]): readonly Uint8Array[] {
    const areMany = keys.length > MAX_DOCUMENTS_DELETED_PER_COMMIT;
    if (!areMany || !keys.some((key) => this.#derivedTables.follows(key))) return keys;
    return keys.slice(0, MAX_DOCUMENTS_DELETED_PER_COMMIT);
  }

  #announce(applied: readonly Applied[]): void {
    let earliest: UnixMs | null = null;
    let loggedBytes = 0;
    for (const { outcome, effects, added, logged } of applied) {
      if (!outcome.ok) continue;
      if (logged !== null) {
        loggedBytes += bytesOf(logged);
        this.feed.note(logged);
      }
      this.#mark.counters.entries += added;
      for (const effect of effects) {
        this.#mark.countWrite(effect.key.length + valueBytes(effect));
        this.watches.note(effect.key, outcome.version);
        if (effect.type === "delete" || effect.expiresAt === null) continue;
        if (earliest === null || effect.expiresAt < earliest) earliest = effect.expiresAt;
      }
    }
    if (earliest !== null) {
      if (this.#expiresFrom !== null) this.#expiresFrom = Math.min(this.#expiresFrom, earliest);
      this.#onExpirySet(earliest);
    }
    if (loggedBytes > 0) this.#onLogged(loggedBytes);
    if (applied.some(({ effects }) => effects.length > 0)) this.#onUse("write");
    this.watches.flush();
    if (this.#observers.size === 0) return;
    const changes = applied.flatMap((one) => one.changes);
    for (const observer of this.#observers) observer(changes);
  }
}
