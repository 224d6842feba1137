/**
 * The states of the past that can be read. Each is built in an object of its own, which wipes itself when nobody has read it for a while.
 * This class knows which states there are: at most two, and for a third one the least recently used is evicted. There is no state that is
 * unknown here: its row is written before its object gets anything, and removed after the object is empty.
 *
 * All work on these objects is done one after the other. So two requests for one moment get one state. A revocation either finds an
 * object, or is in the list that the object gets with its order.
 */
import { NO_DATABASE } from "../../contracts/database.ts";
import type { NewBackupDestination } from "../../contracts/backup-destinations.ts";
import type { Clock, UnixMs } from "../../core/clock.ts";
import { type Failure, failure } from "../../core/errors.ts";
import { MAX_PAST_STATES, PAST_STATE_HELD_MS } from "../../core/limits.ts";
import {
  checkName,
  type PastInfo,
  pastName,
  type PastEviction,
  type RestoreStub,
  type RevokedToken,
} from "../../contracts/restore-commands.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { asVersion, type Version } from "../../core/versionstamp.ts";
import { GIVEN_UP_PHASE } from "../jobs.ts";
import type { ResolvedMoment } from "./replay/points.ts";
import { hasBackupTables } from "../backup-schema.ts";

/** The only job of such an object. */
const JOB_ID = "past";

/** A client that waits for a state asks several times a second. Not every question is worth a row. */
const ASKED_NOTED_EVERY_MS = 1_000;

/** When building a state killed the server, clients that ask for it again and again must not have it built again at once. */
const HELD_AFTER_DEATHS_MS = 60 * 60 * 1000;

/** `asOf`: what the clock showed when the commit was made. */
export interface DatedMoment extends ResolvedMoment {
  readonly asOf: UnixMs;
}

export interface PastStatesOptions {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  readonly object: (name: string) => RestoreStub;
  readonly revoked: () => readonly RevokedToken[];
  /** The state that a job of the database is reading, which is not evicted. null: there is none. */
  readonly reading: () => Version | null;
}

export class PastStates {
  readonly #options: PastStatesOptions;
  /** Settles when all work that was begun here is done, and never rejects. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** When each state was last asked for, exactly. Its row may be up to a second behind. */
  readonly #askedAt = new Map<Version, UnixMs>();

  constructor(options: PastStatesOptions) {
    this.#options = options;
  }

  /** The state of exactly this commit, without reading the bucket. null: it was never built, or is gone. */
  async find(databaseId: string, version: Version): Promise<PastInfo | Failure | null> {
    return this.#inTurn(async () => {
      if (this.#closed) return NO_DATABASE;
      const isKnown = knownVersions(this.#options.storage).includes(version);
      return isKnown ? this.#find(databaseId, version) : null;
    });
  }

  /** The state of this commit. It is built if it does not exist. */
  async open(
    databaseId: string,
    destination: NewBackupDestination,
    moment: DatedMoment,
    eviction: PastEviction,
  ): Promise<PastInfo | Failure> {
    return this.#inTurn(async () => {
      if (this.#closed) return NO_DATABASE;
      return (
        (await this.#find(databaseId, moment.version)) ?? (await this.#build(databaseId, destination, moment, eviction))
      );
    });
  }

  /** Resolves when every state refuses the token. */
  async revoke(databaseId: string, { tokenId, until }: RevokedToken): Promise<void> {
    const { storage, object } = this.#options;
    await this.#inTurn(async () => {
      for (const version of knownVersions(storage)) await object(pastName(databaseId, version)).revoke(tokenId, until);
    });
  }

  /** The database is being deleted: nothing is built any more. Resolves when its copies are wiped. */
  async close(databaseId: string): Promise<void> {
    const { storage, object } = this.#options;
    this.#closed = true;
    await this.#inTurn(() => discardCopies(storage, object, databaseId));
  }

  async #find(databaseId: string, version: Version): Promise<PastInfo | Failure | null> {
    const name = pastName(databaseId, version);
    const stub = this.#options.object(name);
    const answer = await stub.restore({ command: "job", jobId: JOB_ID });
    if (!answer.ok) return answer.code === "not-found" ? null : answer;
    if (answer.kind !== "job") return null;
    const { status, error, phase, finishedAt } = answer.job;
    if (status === "running" || status === "completed") {
      this.#touch(version);
      return { version, name, ready: status === "completed" };
    }
    // The next request starts building again, unless the object died during that a short time ago.
    const isHeld = phase === GIVEN_UP_PHASE && (finishedAt ?? 0) > this.#options.clock.now() - HELD_AFTER_DEATHS_MS;
    if (!isHeld) await stub.discard();
    return failure("conflict", `The state of that moment could not be built: ${error ?? "it was cancelled"}`);
  }

  async #build(
    databaseId: string,
    destination: NewBackupDestination,
    { generation, version, isExact, asOf }: DatedMoment,
    eviction: PastEviction,
  ): Promise<PastInfo | Failure> {
    const refused = await this.#makeRoom(databaseId, version, eviction);
    if (refused !== null) return refused;
    this.#touch(version);
    const name = pastName(databaseId, version);
    const received = await this.#options.object(name).receive({
      purpose: "past",
      asOf,
      jobId: JOB_ID,
      databaseId,
      destination,
      version,
      isExact,
      floor: version,
      generation: JSON.stringify(generation),
      revoked: this.#options.revoked(),
    });
    return received.ok ? { version, name, ready: false } : received;
  }

  /** Makes room for a state that is not among them, or whose object is empty. */
  async #makeRoom(databaseId: string, version: Version, eviction: PastEviction): Promise<Failure | null> {
    const { storage, clock } = this.#options;
    const others = storage.sql
      .exec<{ version: number; used_at: number }>("SELECT version, used_at FROM past_states")
      .toArray()
      .filter((one) => one.version !== version);
    if (others.length < MAX_PAST_STATES) return null;
    const uses = await Promise.all(others.map((one) => this.#useOf(databaseId, asVersion(one.version), one.used_at)));
    // Clients that read other moments would otherwise have the job build its state again and again.
    const held = this.#options.reading();
    const free = uses.filter((one) => one.version !== held);
    const going = free.toSorted((a, b) => b.at - a.at).slice(MAX_PAST_STATES - 1 - (uses.length - free.length));
    if (eviction === "idle" && going.some(({ at }) => at > clock.now() - PAST_STATE_HELD_MS)) {
      return failure(
        "unavailable",
        "Other moments of this database are being read, as many as is possible at a time: try again",
      );
    }
    for (const one of going) {
      await discardState(storage, this.#options.object, databaseId, one.version);
      this.#askedAt.delete(one.version);
    }
    return null;
  }

  /** When the state was last read or asked for. A state that wiped itself counts as never used. */
  async #useOf(databaseId: string, version: Version, notedAt: number): Promise<{ version: Version; at: number }> {
    const readAt = await this.#options.object(pastName(databaseId, version)).lastUse();
    return { version, at: readAt === null ? 0 : Math.max(readAt, notedAt, this.#askedAt.get(version) ?? 0) };
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #touch(version: Version): void {
    const now = this.#options.clock.now();
    this.#askedAt.set(version, now);
    this.#options.storage.sql.exec(
      `INSERT INTO past_states (version, used_at) VALUES (?1, ?2) ON CONFLICT (version)
       DO UPDATE SET used_at = excluded.used_at WHERE abs(excluded.used_at - used_at) >= ?3`,
      version,
      now,
      ASKED_NOTED_EVERY_MS,
    );
  }
}

/**
 * Wipes the objects that hold a copy of a database that is being deleted: its states of the past, and the trial of its backup. After a
 * failure in the middle, it is called again.
 */
export async function discardCopies(
  storage: SyncStorage,
  object: (name: string) => RestoreStub,
  databaseId: string,
): Promise<void> {
  for (const version of knownVersions(storage)) await discardState(storage, object, databaseId, version);
  // Only the trial's object knows whether there is one. Without the tables there never was.
  if (hasBackupTables(storage)) await object(checkName(databaseId)).discard();
}

async function discardState(
  storage: SyncStorage,
  object: (name: string) => RestoreStub,
  databaseId: string,
  version: Version,
): Promise<void> {
  await object(pastName(databaseId, version)).discard();
  storage.sql.exec("DELETE FROM past_states WHERE version = ?1", version);
}

function knownVersions(storage: SyncStorage): Version[] {
  // The tables are made with the first backup.
  if (!hasBackupTables(storage)) return [];
  return storage.sql
    .exec<{ version: number }>("SELECT version FROM past_states")
    .toArray()
    .map(({ version }) => asVersion(version));
}
