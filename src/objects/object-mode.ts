/**
 * What an object is for. Most hold a database that is open to everybody. Some are being filled from a backup, hold a state of the
 * past that can only be read, or try a backup out. Kept with the engine's own rows, so that it changes with the state.
 */
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import { type Failure, failure } from "../core/errors.ts";
import { PAST_STATE_IDLE_MS } from "../core/limits.ts";
import { PAST_IS_BEING_BUILT } from "../contracts/restore-commands.ts";
import { type Access, PAST_IS_READ_ONLY } from "../contracts/grant.ts";
import type { SyncStorage } from "../core/storage.ts";
import { asVersion, timeOfVersion } from "../core/versionstamp.ts";
import type { Task } from "./alarm-clock.ts";

export type Mode =
  | "open"
  /** A new database that is not whole yet. */
  | "restoring"
  /** A state of the past, the first not whole yet. */
  | "past, restoring"
  | "past"
  /** A backup is tried out here, or nothing has been brought here yet: nobody reads it. */
  | "check";

/** How exactly the last use survives a restart: a row written for each. */
const USE_NOTED_EVERY_MS = 60_000;

/** No trial takes this long, and nobody waits so long for a state without asking. */
const FORGOTTEN_AFTER_MS = 24 * 60 * 60 * 1000;

export class ObjectMode {
  readonly #storage: SyncStorage;
  readonly #clock: Clock;
  #mode: Mode;
  #asOf: UnixMs | null;
  #usedAt: UnixMs;
  #notedAt: UnixMs;

  /** The engine's schema must be there. `initial`: what it is until it becomes something. */
  constructor(storage: SyncStorage, clock: Clock, initial: "open" | "check") {
    this.#storage = storage;
    this.#clock = clock;
    // Written below, from a value of this type.
    this.#mode = (this.#read("mode") ?? initial) as Mode;
    const asOf = this.#read("as_of_ms");
    // A state that an earlier version has built has only the version of its commit.
    const version = asOf === null ? this.#read("as_of") : null;
    this.#asOf =
      asOf !== null ? asUnixMs(Number(asOf)) : version === null ? null : timeOfVersion(asVersion(Number(version)));
    this.#usedAt = asUnixMs(Number(this.#read("used_at") ?? 0));
    this.#notedAt = this.#usedAt;
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** When somebody last read what is here, or asked for it. */
  get usedAt(): UnixMs {
    return this.#usedAt;
  }

  /** By which expiry is judged: the time of its commit in a state of the past. */
  now(): UnixMs {
    return this.#asOf ?? this.#clock.now();
  }

  /** In the caller's transaction, if there is one. It must not be rolled back after this. */
  become(mode: Mode, asOf: UnixMs | null = null): void {
    this.#write("mode", mode);
    if (asOf !== null) this.#write("as_of_ms", asOf);
    this.#mode = mode;
    this.#asOf = asOf;
    this.#usedAt = this.#clock.now();
    this.#noteUse();
  }

  /** Why this may not be done here; null: it may. */
  refusal(access: Access): Failure | null {
    switch (this.#mode) {
      case "open":
        return null;
      case "restoring":
        return failure("unavailable", "This database is being restored: try again in a few seconds");
      case "past, restoring":
        this.used();
        return PAST_IS_BEING_BUILT;
      case "past":
        this.used();
        return access === "read" ? null : PAST_IS_READ_ONLY;
      case "check":
        return failure("not-found", "There is no such database");
    }
  }

  /** A state of the past is in use just now. */
  used(): void {
    this.#usedAt = this.#clock.now();
    if (Math.abs(this.#usedAt - this.#notedAt) >= USE_NOTED_EVERY_MS) this.#noteUse();
  }

  /**
   * Wipes a state of the past that nobody has read for a while, and a trial or a state half built that whoever wanted it has
   * forgotten. `isRead`: somebody holds it open.
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
        if (isRead()) this.used();
        else await wipe();
      },
    };
  }

  #noteUse(): void {
    this.#notedAt = this.#usedAt;
    this.#write("used_at", this.#usedAt);
  }

  #read(name: string): string | number | null {
    const [row] = this.#storage.sql
      .exec<{ value: string | number }>("SELECT value FROM meta WHERE name = ?1", name)
      .toArray();
    return row?.value ?? null;
  }

  #write(name: string, value: string | number): void {
    this.#storage.sql.exec(
      "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      name,
      value,
    );
  }
}
