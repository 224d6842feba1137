/**
 * When a database's backup is verified by itself: at the interval that its owner has set, or else as often as costs little. When times
 * were missed because the server was stopped, the backup is verified once.
 */
import type { VerificationInterval } from "../../contracts/backup-commands.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import { type Failure, failure } from "../../core/errors.ts";
import { MAX_VERIFICATION_INTERVAL_HOURS } from "../../core/limits.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { hasBackupTables, migrateBackupTables } from "../backup-schema.ts";

const HOUR_MS = 60 * 60 * 1000;

/** How long a verification waits when another job is running. */
const BUSY_MS = 10 * 60 * 1000;

/** About how much the next verification reads from the bucket, and how many rows it writes where it builds the state to compare. */
export interface VerificationCost {
  readonly bytes: number;
  readonly objects: number;
  readonly rows: number;
}

/**
 * What the automatic verifications of one backup may cost for each day. A verification that costs n times as much comes every n days.
 * In a month that is 0.15 $ for rows written on Cloudflare, 0.05 $ for reads of R2, and 0.18 $ for bytes where the bucket's
 * cloud charges 0.09 $ for each GB that leaves it.
 */
export const DAILY_VERIFICATION: VerificationCost = { bytes: 64 * 1024 * 1024, objects: 5_000, rows: 5_000 };

const SHORTEST_HOURS = 24;

/** Hours between two verifications of a backup whose owner has set no interval. */
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
    // When the time is further away than any interval, the clock was set back.
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

  /** Whether a verification is due now. Sets the next time. */
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
