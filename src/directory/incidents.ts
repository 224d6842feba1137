/**
 * What went wrong with backups, as far as webhooks are told of it: a backup whose attempts have been failing for ten minutes, and a
 * verification that failed; and in the end that it is over. An incident is told of once, however often it is reported, and its end only
 * if its beginning was told. Many that come together are told together. Callers hold the transaction, and the tables are there.
 */
import type { BackupHealth } from "../contracts/backup-health.ts";
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { MAX_DATABASES_IN_EVENT } from "../core/limits.ts";
import type { Sql, SqlValue } from "../core/storage.ts";
import type { WebhookEvent } from "../contracts/webhooks.ts";

/** A backup that fails for less is no incident: buckets have bad moments. */
const FAILED_FOR_MS = 10 * 60 * 1000;

/** What is due within a minute is told together. */
const GATHERED_MS = 60 * 1000;

type Kind = "backup" | "verification";

/** `working`: it went well again. The others: it does not matter any more, because somebody paused or ended it, or deleted the database. */
export type Resolution = "working" | "paused" | "ended" | "deleted";

export interface Incident {
  readonly databaseId: string;
  readonly since: UnixMs;
  readonly resolved: Resolution | null;
  readonly resolvedAt: UnixMs | null;
}

/** Some incidents that one event tells of. */
export interface Told {
  readonly event: WebhookEvent;
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

/** In this order: what is over was told to have begun before. */
const EVENTS: readonly { readonly event: WebhookEvent; readonly kind: Kind; readonly isOver: boolean }[] = [
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

  /** How a database's backup is doing now; null: it has none any more, for that reason. */
  note(databaseId: string, health: BackupHealth | null, gone: "ended" | "deleted", now: UnixMs): void {
    const over = health === null ? gone : health.paused ? "paused" : "working";
    const failing = health?.failing ?? null;
    if (failing === null) this.#end(databaseId, "backup", over, now);
    else this.#begin(databaseId, "backup", failing.since, Math.max(failing.since + FAILED_FOR_MS, now));

    const verification = health?.verification ?? null;
    if (verification?.good === false) this.#begin(databaseId, "verification", verification.finishedAt, now);
    // A backup that was paused is still the one that was found bad.
    else this.#end(databaseId, "verification", health === null ? gone : "working", now);
  }

  /** When somebody is to be told of something. */
  dueAt(): UnixMs | null {
    const { due } = this.#sql.exec<{ due: number | null }>("SELECT min(due_at) AS due FROM incidents").one();
    return due === null ? null : asUnixMs(due);
  }

  /** Takes some of those that are due: they count as told. null: none is due. */
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

  /** There is nobody who could be told: those that begin are left until there is. */
  leave(now: UnixMs): void {
    this.#sql.exec("DELETE FROM incidents WHERE due_at <= ?1 AND resolved IS NOT NULL", now);
    this.#sql.exec("UPDATE incidents SET due_at = NULL WHERE due_at <= ?1", now);
  }

  /** There is somebody again. */
  wake(now: UnixMs): void {
    this.#sql.exec("UPDATE incidents SET due_at = ?1 WHERE due_at IS NULL AND told = 0", now);
  }

  #begin(databaseId: string, kind: Kind, since: UnixMs, dueAt: number): void {
    // A backup that fails again before its end was told never ended. Another verification that failed is told of by itself.
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

/** The next whole minute: so that what comes within one is told at once. */
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
