/**
 * Which tasks of an object were under way when it died, so that none which kills it is run for ever: with the object die all others of
 * the process.
 *
 * What is written down before a task begins costs two rows, one that goes when it ends. So that is done only when it is worth it: a
 * task that killed leaves behind an alarm that was not rung to its end, and the object starts again with one that is late. Only then,
 * each task that is due is written down at its first run. An object whose alarms ring on time writes nothing.
 */
import { backoffMs } from "../core/backoff.ts";
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import { MAX_DEATHS_OF_WORK } from "../core/limits.ts";
import type { SqlValue } from "../core/storage.ts";
import type { ObjectTables } from "./object-tables.ts";

/** No server starts again faster than this, and few alarms are later than this on a machine that is not busy. */
export const LATE_MS = 100;

/** After a death each waits for another time, up to this: whatever it was that killed, the others are not under way with it again. */
const WAIT_AFTER_DEATH_MS = 5_000;

/** After many, this long, and with each more twice as long. */
const FIRST_HOLD_MS = 15 * 60_000;
const LONGEST_HOLD_MS = 6 * 60 * 60_000;

interface Unfinished {
  /** Runs in a row that have begun and not ended. */
  readonly begun: number;
  /** When it may be run again; null while it runs. */
  readonly notBefore: UnixMs | null;
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
  /** Of those that are late, the ones that have not run since the object started. */
  readonly #suspects = new Set<string>();

  /** `random`: from 0 to 1. */
  constructor(tables: ObjectTables, clock: Clock, random: () => number) {
    this.#tables = tables;
    this.#clock = clock;
    this.#random = random;
    if (!tables.has("unfinished_tasks")) return;
    const rows = tables.storage.sql.exec<Row>("SELECT name, begun, not_before FROM unfinished_tasks").toArray();
    for (const { name, begun, not_before } of rows) this.#notice(name, begun, not_before);
  }

  /** These were due at an alarm that is late, and perhaps under way at it. */
  suspect(names: readonly string[]): void {
    for (const name of names) this.#suspects.add(name);
  }

  /** When the task may be run; null: whenever it is due. */
  notBefore(name: string): UnixMs | null {
    return this.#unfinished.get(name)?.notBefore ?? null;
  }

  /** To be called before each run. */
  begin(name: string): void {
    const before = this.#unfinished.get(name);
    if (before === undefined && !this.#suspects.has(name)) return;
    this.#write(name, { begun: (before?.begun ?? 0) + 1, notBefore: null });
  }

  /** And when it has ended, however that was. */
  end(name: string): void {
    this.#suspects.delete(name);
    if (!this.#unfinished.delete(name)) return;
    this.#tables.storage.sql.exec("DELETE FROM unfinished_tasks WHERE name = ?1", name);
  }

  /** What is to be said of a task that waits because the object died of it, or beside it, too often; null: it does not. */
  reason(name: string): string | null {
    const { begun, notBefore } = this.#unfinished.get(name) ?? { begun: 0, notBefore: null };
    if (begun < MAX_DEATHS_OF_WORK || notBefore === null) return null;
    const at = new Date(notBefore).toISOString();
    return `The server ended ${begun} times in a row while this was under way. It is tried again at ${at}.`;
  }

  #notice(name: string, begun: number, noticed: number | null): void {
    // Of a death that was noticed before, the wait goes on; further away than any wait, the clock was set back.
    const latest = this.#clock.now() + LONGEST_HOLD_MS;
    if (noticed !== null && noticed <= latest) {
      this.#unfinished.set(name, { begun, notBefore: asUnixMs(noticed) });
      return;
    }
    const isHeld = begun >= MAX_DEATHS_OF_WORK;
    const wait = isHeld
      ? backoffMs(begun - MAX_DEATHS_OF_WORK, LONGEST_HOLD_MS, FIRST_HOLD_MS)
      : Math.floor(this.#random() * WAIT_AFTER_DEATH_MS);
    this.#write(name, { begun, notBefore: asUnixMs(this.#clock.now() + wait) });
    console.error(`task ${name} was under way when the object died (${begun} in a row, next in ${wait} ms)`);
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
