/**
 * When a database's backup is verified by itself: as its owner has said, or else so often as it costs little. A time that was missed
 * while nobody was there counts once.
 */
import type { VerificationInterval } from "../../contracts/backup-commands.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import { type Failure, failure } from "../../core/errors.ts";
import { MAX_VERIFICATION_INTERVAL_HOURS } from "../../core/limits.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { hasBackupTables, migrateBackupTables } from "../backup-schema.ts";

const HOUR_MS = 60 * 60 * 1000;

/** Another job is running: one at a time. */
const BUSY_MS = 10 * 60 * 1000;

/** What the next verification will read of the backup, and write into the place where it tries it out, about. */
export interface VerificationCost {
  readonly bytes: number;
  readonly objects: number;
  readonly rows: number;
}

/** A day's verification may cost so much; one that costs more comes the more seldom. docs/backups.md says what that is in money. */
export const DAILY_VERIFICATION: VerificationCost = { bytes: 256 * 1024 * 1024, objects: 5_000, rows: 50_000 };

const SHORTEST_HOURS = 24;

/** How often a backup is verified whose owner has said nothing. */
export function automaticHours({ bytes, objects, rows }: VerificationCost): number {
  const days = Math.max(
    bytes / DAILY_VERIFICATION.bytes,
    objects / DAILY_VERIFICATION.objects,
    rows / DAILY_VERIFICATION.rows,
  );
  return Math.min(MAX_VERIFICATION_INTERVAL_HOURS, Math.max(SHORTEST_HOURS, Math.ceil(24 * days)));
}

interface Schedule {
  /** 0: never. */
  readonly everyMs: number;
  readonly automatic: boolean;
  readonly nextAt: UnixMs;
}

export class VerificationSchedule {
  readonly #storage: SyncStorage;
  readonly #clock: Clock;
  readonly #cost: () => VerificationCost;
  /** undefined: not read yet. */
  #row: Schedule | null | undefined;

  constructor(storage: SyncStorage, clock: Clock, cost: () => VerificationCost) {
    this.#storage = storage;
    this.#clock = clock;
    this.#cost = cost;
  }

  set(hours: VerificationInterval): Failure | null {
    const isNumber = typeof hours === "number";
    if (isNumber && !(hours >= 1 && hours <= MAX_VERIFICATION_INTERVAL_HOURS)) {
      return failure("limit", `A backup is verified every 1 to ${MAX_VERIFICATION_INTERVAL_HOURS} hours, not ${hours}`);
    }
    migrateBackupTables(this.#storage);
    this.#row = undefined;
    const everyMs = isNumber ? Math.round(hours * HOUR_MS) : 0;
    const firstMs = hours === "automatic" ? this.#automaticMs() : everyMs;
    this.#storage.sql.exec(
      `INSERT INTO verification_schedule (only, every_ms, next_at, automatic) VALUES (1, ?1, ?2, ?3)
       ON CONFLICT (only) DO UPDATE SET every_ms = excluded.every_ms, next_at = excluded.next_at, automatic = excluded.automatic`,
      everyMs,
      this.#clock.now() + firstMs,
      Number(hours === "automatic"),
    );
    return null;
  }

  /** The backup is gone. */
  clear(): void {
    this.#row = undefined;
    if (hasBackupTables(this.#storage)) this.#storage.sql.exec("DELETE FROM verification_schedule");
  }

  /** null: never. */
  dueAt(): UnixMs | null {
    const row = this.#read();
    if (row === null || (row.everyMs === 0 && !row.automatic)) return null;
    const now = this.#clock.now();
    // Further away than any interval: the clock was set back.
    return row.nextAt > now + MAX_VERIFICATION_INTERVAL_HOURS * HOUR_MS ? now : row.nextAt;
  }

  /** null: never. */
  get everyHours(): number | null {
    const row = this.#read();
    if (row === null || (row.everyMs === 0 && !row.automatic)) return null;
    return row.automatic ? automaticHours(this.#cost()) : row.everyMs / HOUR_MS;
  }

  get isAutomatic(): boolean {
    return this.#read()?.automatic === true;
  }

  /** Whether it is time now. The next time is set. */
  take(busy: boolean): boolean {
    const now = this.#clock.now();
    const row = this.#read();
    const due = this.dueAt();
    if (row === null || due === null || due > now) return false;
    const everyMs = row.automatic ? this.#automaticMs() : row.everyMs;
    this.#storage.sql.exec("UPDATE verification_schedule SET next_at = ?1", now + (busy ? BUSY_MS : everyMs));
    this.#row = undefined;
    return !busy;
  }

  #automaticMs(): number {
    return automaticHours(this.#cost()) * HOUR_MS;
  }

  #read(): Schedule | null {
    if (this.#row === undefined) {
      const [row] = hasBackupTables(this.#storage)
        ? this.#storage.sql
            .exec<{ every_ms: number; next_at: number; automatic: number }>(
              "SELECT every_ms, next_at, automatic FROM verification_schedule",
            )
            .toArray()
        : [];
      this.#row =
        row === undefined
          ? null
          : { everyMs: row.every_ms, nextAt: asUnixMs(row.next_at), automatic: row.automatic === 1 };
    }
    return this.#row;
  }
}
