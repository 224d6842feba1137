/**
 * Which tasks of an object were under way when it died. So a task that kills the object, and with it all others of the process, is not
 * run without end.
 *
 * Storing the beginning of a task costs two rows: one to write it, one to remove it. So that is done only when it is worth it. A task
 * that kills leaves an alarm that was not rung to its end, and the object starts again with a late alarm. Only then is the beginning of
 * each due task stored, at each of its runs in the next minute. It may kill in a later run than the first: deaths are forgotten only after
 * a run that brought the work further. An object whose alarms ring on time writes nothing.
 */
import { backoffMs } from "../core/backoff.ts";
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import { MAX_DEATHS_OF_WORK } from "../core/limits.ts";
import type { SqlValue } from "../core/storage.ts";
import type { ObjectTables } from "./object-tables.ts";

/** No server restarts faster than this, and on a machine that is not busy few alarms are later than this. */
export const LATE_MS = 100;

/**
 * After a death, each task waits for a different time, up to this. So the other tasks are not under way together with the one that
 * killed.
 */
const WAIT_AFTER_DEATH_MS = 5_000;

/** After many deaths, a task waits this long. Each further death doubles the time. */
const FIRST_HOLD_MS = 15 * 60_000;
const LONGEST_HOLD_MS = 6 * 60 * 60_000;

/** How long the runs of a task are watched, from when it may run after a death. */
const WATCHED_MS = 60_000;

/** So long after a task could run again, its deaths do not count any more. */
const FORGOTTEN_MS = 24 * 60 * 60_000;

/** The part of a task that this class needs. */
interface WatchedTask {
  readonly name: string;
  place?(): string;
}

interface Unfinished {
  /** How many runs have begun and not ended. */
  readonly begun: number;
  /** When the task may run again. null while it runs. */
  readonly notBefore: UnixMs | null;
  /** How far the work was when the run began. Not stored. undefined: the task does not run, or does not say. */
  readonly place?: string | undefined;
}

interface Row extends Record<string, SqlValue> {
  name: string;
  begun: number;
  not_before: number | null;
}

export class UnfinishedTasks {
  readonly #tables: ObjectTables;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #unfinished = new Map<string, Unfinished>();
  /** Until when the beginning of each run is stored. */
  readonly #watched = new Map<string, UnixMs>();

  /** `random`: from 0 to 1. */
  constructor(tables: ObjectTables, clock: Clock, random: () => number) {
    this.#tables = tables;
    this.#clock = clock;
    this.#random = random;
    if (!tables.has("unfinished_tasks")) return;
    const rows = tables.storage.sql.exec<Row>("SELECT name, begun, not_before FROM unfinished_tasks").toArray();
    for (const { name, begun, not_before } of rows) this.#notice(name, begun, not_before);
  }

  /** These tasks were due at an alarm that is late, and may have been under way. */
  suspect(names: readonly string[]): void {
    for (const name of names) if (!this.#watched.has(name)) this.#watch(name, this.#clock.now());
  }

  /** When the task may run. null: whenever it is due. */
  notBefore(name: string): UnixMs | null {
    return this.#unfinished.get(name)?.notBefore ?? null;
  }

  /** To be called before each run. */
  begin(task: WatchedTask): void {
    const { name } = task;
    if (!this.#isWatched(name)) return;
    const begun = (this.#unfinished.get(name)?.begun ?? 0) + 1;
    this.#write(name, { begun, notBefore: null, place: task.place?.() });
  }

  /** To be called when the run has ended, whether it failed or not. */
  end(task: WatchedTask): void {
    const { name } = task;
    const unfinished = this.#unfinished.get(name);
    if (unfinished === undefined) return;
    const begun = unfinished.begun - 1;
    const isFurther = unfinished.place === undefined || task.place?.() !== unfinished.place;
    if (begun > 0 && !isFurther && this.#isWatched(name)) {
      this.#write(name, { begun, notBefore: this.#clock.now() });
    } else {
      this.#unfinished.delete(name);
      this.#remove(name);
    }
  }

  /** Why the task waits: the object died too often while it was running. null: it does not wait. */
  reason(name: string): string | null {
    const { begun, notBefore } = this.#unfinished.get(name) ?? { begun: 0, notBefore: null };
    if (begun < MAX_DEATHS_OF_WORK || notBefore === null || notBefore <= this.#clock.now()) return null;
    const at = new Date(notBefore).toISOString();
    return `The server ended ${begun} times in a row while this was under way. It is tried again at ${at}.`;
  }

  #notice(name: string, begun: number, noticed: number | null): void {
    const now = this.#clock.now();
    if (noticed !== null && noticed + FORGOTTEN_MS < now) {
      this.#remove(name);
      return;
    }
    // The wait after an earlier death continues. When its end is further away than any wait, the clock was set back.
    const latest = now + LONGEST_HOLD_MS;
    if (noticed !== null && noticed <= latest) {
      this.#unfinished.set(name, { begun, notBefore: asUnixMs(noticed) });
      this.#watch(name, Math.max(noticed, now));
      return;
    }
    const isHeld = begun >= MAX_DEATHS_OF_WORK;
    const wait = isHeld
      ? backoffMs(begun - MAX_DEATHS_OF_WORK, LONGEST_HOLD_MS, FIRST_HOLD_MS)
      : Math.floor(this.#random() * WAIT_AFTER_DEATH_MS);
    this.#write(name, { begun, notBefore: asUnixMs(now + wait) });
    this.#watch(name, now + wait);
    console.error(`task ${name} was under way when the object died (${begun} in a row, next in ${wait} ms)`);
  }

  #isWatched(name: string): boolean {
    return this.#clock.now() < (this.#watched.get(name) ?? 0);
  }

  #watch(name: string, from: number): void {
    this.#watched.set(name, asUnixMs(from + WATCHED_MS));
  }

  #remove(name: string): void {
    this.#tables.storage.sql.exec("DELETE FROM unfinished_tasks WHERE name = ?1", name);
  }

  #write(name: string, unfinished: Unfinished): void {
    this.#tables.make("unfinished_tasks");
    this.#tables.storage.sql.exec(
      `INSERT INTO unfinished_tasks (name, begun, not_before) VALUES (?1, ?2, ?3)
       ON CONFLICT (name) DO UPDATE SET begun = excluded.begun, not_before = excluded.not_before`,
      name,
      unfinished.begun,
      unfinished.notBefore,
    );
    this.#unfinished.set(name, unfinished);
  }
}
