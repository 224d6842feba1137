/**
 * What an object with entries is for. Most hold a database that is open. Some are being filled from a backup, hold a state of the past
 * that can only be read, or try out a backup. `lifecycle.ts` says which may become which.
 */
import { NO_DATABASE } from "../contracts/database.ts";
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import { type Failure, failure } from "../core/errors.ts";
import { PAST_STATE_IDLE_MS } from "../core/limits.ts";
import { PAST_IS_BEING_BUILT } from "../contracts/restore-commands.ts";
import { type Access, PAST_IS_READ_ONLY } from "../contracts/grant.ts";
import type { Task } from "./alarm-clock.ts";
import type { ObjectTables } from "./object-tables.ts";

export type Mode =
  | "open"
  /** A new database that is not complete yet. */
  | "restoring"
  /** A state of the past. The first one is not complete yet. */
  | "past, restoring"
  | "past"
  /** A backup is tried out here, or nothing has been brought here yet. It cannot be read. */
  | "check";

/** How exactly the time of the last use survives a restart: each note writes a row. */
const USE_NOTED_EVERY_MS = 60_000;

/** No trial takes this long, and a client that waits for a state asks more often than this. */
const FORGOTTEN_AFTER_MS = 24 * 60 * 60 * 1000;

const IS_BEING_FILLED = failure("unavailable", "This database is being restored: try again in a few seconds");
const WAS_NOT_FILLED = failure(
  "conflict",
  "This database was to be filled from a backup or an archive, and that failed or was cancelled. Its job says why. Delete the database, and begin again.",
);

interface StoredMode {
  readonly mode: Mode;
  /** The time by which expiry is judged. null: the clock's. */
  readonly asOf: UnixMs | null;
  readonly usedAt: UnixMs;
}

/** null: nothing is stored, and the object is what it began as. */
export function storedMode(tables: ObjectTables): StoredMode | null {
  if (!tables.has("mode")) return null;
  const [row] = tables.storage.sql
    .exec<{ mode: string; as_of_ms: number | null; used_at: number }>("SELECT mode, as_of_ms, used_at FROM mode")
    .toArray();
  if (row === undefined) return null;
  const { mode, as_of_ms: asOf, used_at: usedAt } = row;
  // This class wrote it, from a value of this type.
  return { mode: mode as Mode, asOf: asOf === null ? null : asUnixMs(asOf), usedAt: asUnixMs(usedAt) };
}

export class ObjectMode {
  readonly #tables: ObjectTables;
  readonly #clock: Clock;
  #mode: Mode;
  #asOf: UnixMs | null;
  #usedAt: UnixMs;
  #notedAt: UnixMs;
  readonly #isBeingFilled: () => boolean;

  /**
   * The engine's schema must exist. `initial`: the mode until another one is stored. `isBeingFilled`: whether a job is under way, which is
   * asked of a database that is not complete.
   */
  constructor(tables: ObjectTables, clock: Clock, initial: "open" | "check", isBeingFilled: () => boolean) {
    this.#isBeingFilled = isBeingFilled;
    this.#tables = tables;
    this.#clock = clock;
    if (isKeptInMeta(tables)) tables.make("mode");
    const stored = storedMode(tables);
    const { mode, asOf, usedAt } = stored ?? { mode: initial, asOf: null, usedAt: asUnixMs(0) };
    this.#mode = mode;
    this.#asOf = asOf;
    this.#usedAt = usedAt;
    this.#notedAt = usedAt;
    // The idle time of a copy is counted from its first moment, because its job takes a moment to begin.
    if (stored === null && initial === "check") this.become(initial);
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** When the contents were last read or asked for. */
  get usedAt(): UnixMs {
    return this.#usedAt;
  }

  /** The time by which expiry is judged. In a state of the past it is the time of its commit. */
  now(): UnixMs {
    return this.#asOf ?? this.#clock.now();
  }

  /** In the caller's transaction, if there is one, which must not be rolled back after this. */
  become(mode: Mode, asOf: UnixMs | null = null): void {
    this.#mode = mode;
    this.#asOf = asOf;
    this.#usedAt = this.#clock.now();
    this.#store();
  }

  /** Why this access is not allowed here. null: it is allowed. */
  refusal(access: Access): Failure | null {
    switch (this.#mode) {
      case "open":
        return null;
      case "restoring":
        return this.#isBeingFilled() ? IS_BEING_FILLED : WAS_NOT_FILLED;
      case "past, restoring":
        this.#used();
        return PAST_IS_BEING_BUILT;
      case "past":
        this.#used();
        return access === "read" ? null : PAST_IS_READ_ONLY;
      case "check":
        return NO_DATABASE;
    }
  }

  /** Notes that a state of the past is in use. */
  #used(): void {
    this.#usedAt = this.#clock.now();
    if (Math.abs(this.#usedAt - this.#notedAt) >= USE_NOTED_EVERY_MS) this.#store();
  }

  /**
   * Wipes a state of the past that nobody has read for a while, and a trial or half-built state that nobody has asked for in a long time.
   * `isRead`: whether it is being read.
   */
  idleTask(isRead: () => boolean, wipe: () => Promise<void>): Task {
    const idleMs = (): number | null => {
      switch (this.#mode) {
        case "open":
        case "restoring":
          return null;
        case "past":
          return PAST_STATE_IDLE_MS;
        case "past, restoring":
        case "check":
          return FORGOTTEN_AFTER_MS;
      }
    };
    return {
      name: "idle state",
      dueAt: () => {
        const idle = idleMs();
        return idle === null ? null : asUnixMs(this.#usedAt + idle);
      },
      run: async () => {
        if (isRead()) this.#used();
        else await wipe();
      },
    };
  }

  #store(): void {
    this.#notedAt = this.#usedAt;
    this.#tables.make("mode");
    this.#tables.storage.sql.exec(
      `INSERT INTO mode (only, mode, as_of_ms, used_at) VALUES (1, ?1, ?2, ?3)
       ON CONFLICT (only) DO UPDATE SET mode = excluded.mode, as_of_ms = excluded.as_of_ms, used_at = excluded.used_at`,
      this.#mode,
      this.#asOf,
      this.#usedAt,
    );
  }
}

/** Version 0.1 of Cairn kept it there. */
function isKeptInMeta(tables: ObjectTables): boolean {
  if (tables.has("mode")) return false;
  return tables.storage.sql.exec("SELECT 1 FROM meta WHERE name = 'mode'").toArray().length > 0;
}
