/** When a database's backup is verified by itself. A time that was missed while nobody was there counts once. */
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_VERIFICATION_INTERVAL_HOURS } from "../core/limits.ts";
import type { SyncStorage } from "../core/storage.ts";
import { hasBackupTables, migrateBackupTables } from "./schema.ts";

const HOUR_MS = 60 * 60 * 1000;

/** Another job is running: one at a time. */
const BUSY_MS = 10 * 60 * 1000;

export class VerificationSchedule {
  readonly #storage: SyncStorage;
  readonly #clock: Clock;
  /** undefined: not read yet. */
  #row: { readonly everyMs: number; readonly nextAt: UnixMs } | null | undefined;

  constructor(storage: SyncStorage, clock: Clock) {
    this.#storage = storage;
    this.#clock = clock;
  }

  /** null: never. */
  set(hours: number | null): Failure | null {
    if (hours !== null && !(hours >= 1 && hours <= MAX_VERIFICATION_INTERVAL_HOURS)) {
      return failure("limit", `A backup is verified every 1 to ${MAX_VERIFICATION_INTERVAL_HOURS} hours, not ${hours}`);
    }
    migrateBackupTables(this.#storage);
    this.#row = undefined;
    const { sql } = this.#storage;
    if (hours === null) {
      sql.exec("DELETE FROM verification_schedule");
    } else {
      const everyMs = Math.round(hours * HOUR_MS);
      sql.exec(
        `INSERT INTO verification_schedule (only, every_ms, next_at) VALUES (1, ?1, ?2)
         ON CONFLICT (only) DO UPDATE SET every_ms = excluded.every_ms, next_at = excluded.next_at`,
        everyMs,
        this.#clock.now() + everyMs,
      );
    }
    return null;
  }

  dueAt(): UnixMs | null {
    return this.#read()?.nextAt ?? null;
  }

  /** null: never. */
  get everyHours(): number | null {
    const row = this.#read();
    return row === null ? null : row.everyMs / HOUR_MS;
  }

  /** Whether it is time now. The next time is set. */
  take(busy: boolean): boolean {
    const row = this.#read();
    const now = this.#clock.now();
    if (row === null || row.nextAt > now) return false;
    this.#storage.sql.exec("UPDATE verification_schedule SET next_at = ?1", now + (busy ? BUSY_MS : row.everyMs));
    this.#row = undefined;
    return !busy;
  }

  #read(): { readonly everyMs: number; readonly nextAt: UnixMs } | null {
    if (this.#row === undefined) {
      const [row] = hasBackupTables(this.#storage)
        ? this.#storage.sql
            .exec<{ every_ms: number; next_at: number }>("SELECT every_ms, next_at FROM verification_schedule")
            .toArray()
        : [];
      this.#row = row === undefined ? null : { everyMs: row.every_ms, nextAt: asUnixMs(row.next_at) };
    }
    return this.#row;
  }
}
