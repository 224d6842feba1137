/**
 * What went wrong with backups, as far as webhooks are told of it: a backup whose attempts have been failing for ten minutes, and a
 * failed verification; later, that the problem has ended. An incident is told once, however often it is reported. Its end is told only if
 * its beginning was told. Incidents that come together are told together. Callers hold the transaction, and the tables exist.
 */
import type { BackupHealth } from "../contracts/backup-health.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { MAX_DATABASES_IN_EVENT } from "../core/limits.ts";
import type { Sql, SqlValue } from "../core/storage.ts";
import type { BackupEvent } from "../contracts/webhooks.ts";

/** A backup that fails for less time than this is no incident: buckets fail for moments. */
const FAILED_FOR_MS = 10 * 60 * 1000;

/** Incidents that are due within the same minute are told together. */
const GATHERED_MS = 60 * 1000;

type Kind = "backup" | "verification";

/**
 * `working`: the backup works again. The other words: the incident does not matter any more, because somebody paused or ended the backup,
 * or deleted the database.
 */
export type Resolution = "working" | "paused" | "ended" | "deleted";

export interface Incident {
  readonly databaseId: string;
  readonly since: UnixMs;
  readonly resolved: Resolution | null;
  readonly resolvedAt: UnixMs | null;
}

/** The incidents that one event tells of. */
export interface Told {
  readonly event: BackupEvent;
  readonly incidents: readonly Incident[];
}

interface Row extends Record<string, SqlValue> {
  database_id: string;
  kind: Kind;
  since: number;
  told: number;
  resolved: Resolution | null;
  resolved_at: number | null;
}

/** In this order, because the end of an incident must come after its beginning. */
const EVENTS: readonly { readonly event: BackupEvent; readonly kind: Kind; readonly isOver: boolean }[] = [
  { event: "backup.failed", kind: "backup", isOver: false },
  { event: "backup.verification_failed", kind: "verification", isOver: false },
  { event: "backup.recovered", kind: "backup", isOver: true },
  { event: "backup.verification_recovered", kind: "verification", isOver: true },
];

export class Incidents {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Stores how a database's backup is doing. null: the database has no backup any more, for the reason in `gone`. */
  note(databaseId: string, health: BackupHealth | null, gone: "ended" | "deleted", now: UnixMs): void {
    const over = health === null ? gone : health.paused ? "paused" : "working";
    const failing = health?.failing ?? null;
    if (failing === null) this.#end(databaseId, "backup", over, now);
    else this.#begin(databaseId, "backup", failing.since, Math.max(failing.since + FAILED_FOR_MS, now));

    const verification = health?.verification ?? null;
    if (verification?.good === false) this.#begin(databaseId, "verification", verification.finishedAt, now);
    // A paused backup whose verification failed still counts as bad.
    else this.#end(databaseId, "verification", health === null ? gone : "working", now);
  }

  /** When the next incident is to be told. */
  dueAt(): UnixMs | null {
    const { due } = this.#sql.exec<{ due: number | null }>("SELECT min(due_at) AS due FROM incidents").one();
    return due === null ? null : asUnixMs(due);
  }

  /** Takes some of the due incidents, which then count as told. null: none is due. */
  take(now: UnixMs): Told | null {
    for (const { event, kind, isOver } of EVENTS) {
      const rows = this.#sql
        .exec<Row>(
          `SELECT * FROM incidents WHERE due_at <= ?1 AND kind = ?2 AND (resolved IS NOT NULL) = ?3 ORDER BY due_at, database_id LIMIT ?4`,
          now,
          kind,
          isOver ? 1 : 0,
          MAX_DATABASES_IN_EVENT,
        )
        .toArray();
      if (rows.length === 0) continue;
      for (const { database_id } of rows) {
        this.#sql.exec(
          isOver
            ? "DELETE FROM incidents WHERE database_id = ?1 AND kind = ?2"
            : "UPDATE incidents SET told = 1, due_at = NULL WHERE database_id = ?1 AND kind = ?2",
          database_id,
          kind,
        );
      }
      return { event, incidents: rows.map(incidentOf) };
    }
    return null;
  }

  /** Nobody can be told of incidents. Those that begin stay until somebody can be told. */
  leave(now: UnixMs): void {
    this.#sql.exec("DELETE FROM incidents WHERE due_at <= ?1 AND resolved IS NOT NULL", now);
    this.#sql.exec("UPDATE incidents SET due_at = NULL WHERE due_at <= ?1", now);
  }

  /** Somebody can be told of incidents again. */
  wake(now: UnixMs): void {
    this.#sql.exec("UPDATE incidents SET due_at = ?1 WHERE due_at IS NULL AND told = 0", now);
  }

  #begin(databaseId: string, kind: Kind, since: UnixMs, dueAt: number): void {
    // When a backup fails again before the end was told, the incident has not ended. Each failed verification is told by itself.
    this.#sql.exec(
      `INSERT INTO incidents (database_id, kind, since, due_at) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT (database_id, kind) DO UPDATE SET
         since = CASE WHEN told = 1 AND kind = 'backup' THEN since ELSE excluded.since END,
         due_at = CASE WHEN told = 1 AND (kind = 'backup' OR since = excluded.since) THEN NULL ELSE excluded.due_at END,
         resolved = NULL, resolved_at = NULL
       WHERE resolved IS NOT NULL OR since <> excluded.since`,
      databaseId,
      kind,
      since,
      gathered(dueAt),
    );
  }

  #end(databaseId: string, kind: Kind, resolution: Resolution, now: UnixMs): void {
    this.#sql.exec("DELETE FROM incidents WHERE database_id = ?1 AND kind = ?2 AND told = 0", databaseId, kind);
    this.#sql.exec(
      `UPDATE incidents SET resolved = ?3, resolved_at = ?4, due_at = ?5
       WHERE database_id = ?1 AND kind = ?2 AND resolved IS NULL`,
      databaseId,
      kind,
      resolution,
      now,
      gathered(now),
    );
  }
}

/** The next full minute, so that incidents within a minute are told together. */
function gathered(at: number): number {
  return Math.ceil(at / GATHERED_MS) * GATHERED_MS;
}

function incidentOf({ database_id, since, resolved, resolved_at }: Row): Incident {
  return {
    databaseId: database_id,
    since: asUnixMs(since),
    resolved,
    resolvedAt: resolved_at === null ? null : asUnixMs(resolved_at),
  };
}
