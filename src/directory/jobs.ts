/** Long tasks of one organization, which are followed by their id and kept for a week after they end. Callers hold the transaction. */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import type { BackupJobResult, Job, JobStatus } from "../contracts/resources.ts";
import type { Sql, SqlValue } from "../core/storage.ts";

const KEPT_MS = 7 * 24 * 60 * 60 * 1000;

/** A job in a database ends long before this time, although perhaps nobody asked. */
const LONGEST_MS = 30 * 24 * 60 * 60 * 1000;

interface Row extends Record<string, SqlValue> {
  id: string;
  kind: Job["kind"];
  database_id: string;
  status: JobStatus;
  done: number;
  total: number;
  error: string | null;
  result: string | null;
  created_at: number;
  finished_at: number | null;
}

export class Jobs {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add(id: string, kind: Job["kind"], databaseId: string, now: UnixMs): void {
    this.#sql.exec(
      "INSERT INTO jobs (id, kind, database_id, status, done, total, created_at) VALUES (?1, ?2, ?3, 'running', 0, 1, ?4)",
      id,
      kind,
      databaseId,
      now,
    );
  }

  get(id: string): Job | undefined {
    const [row] = this.#sql.exec<Row>("SELECT * FROM jobs WHERE id = ?1", id).toArray();
    if (row === undefined) return undefined;
    return {
      id: row.id,
      kind: row.kind,
      databaseId: row.database_id,
      status: row.status,
      done: row.done,
      total: row.total,
      rate: null,
      error: row.error,
      result: resultOf(row),
      createdAt: asUnixMs(row.created_at),
      finishedAt: row.finished_at === null ? null : asUnixMs(row.finished_at),
    };
  }

  /** The job is tried again. The sentence says why it is not done yet. */
  attemptFailed(id: string, error: string): void {
    this.#sql.exec("UPDATE jobs SET error = ?2 WHERE id = ?1 AND status = 'running'", id, error.slice(0, 500));
  }

  complete(id: string, now: UnixMs): void {
    this.#sql.exec(
      "UPDATE jobs SET status = 'completed', done = total, error = NULL, finished_at = ?2 WHERE id = ?1 AND status = 'running'",
      id,
      now,
    );
  }

  fail(id: string, error: string, now: UnixMs): void {
    this.#sql.exec(
      "UPDATE jobs SET status = 'failed', error = ?2, finished_at = ?3 WHERE id = ?1 AND status = 'running'",
      id,
      error,
      now,
    );
  }

  /** Stores the end of a job, as the object that did the work reports it. */
  finish({ id, status, done, total, error, result, finishedAt }: Job): void {
    this.#sql.exec(
      `UPDATE jobs SET status = ?2, done = ?3, total = ?4, error = ?5, result = ?6, finished_at = ?7
       WHERE id = ?1 AND status = 'running'`,
      id,
      status,
      done,
      total,
      error,
      result === null ? null : JSON.stringify(result),
      finishedAt,
    );
  }

  remove(id: string): void {
    this.#sql.exec("DELETE FROM jobs WHERE id = ?1", id);
  }

  /** Of old jobs that have not ended, only deletions are kept: those that could not be delivered to their database. */
  purge(now: UnixMs): void {
    this.#sql.exec(
      `DELETE FROM jobs WHERE finished_at < ?1 OR (finished_at IS NULL AND created_at < ?2 AND NOT EXISTS (
         SELECT 1 FROM outbox WHERE outbox.subject = jobs.database_id AND outbox.kind = 'wipe' AND jobs.kind = 'database.delete'))`,
      now - KEPT_MS,
      now - LONGEST_MS,
    );
  }
}

function resultOf({ result }: Row): BackupJobResult | null {
  if (result === null) return null;
  // `finish` wrote it, from a value of this type. Earlier versions had no outcome, and no undeletes.
  const parsed = JSON.parse(result) as Omit<BackupJobResult, "outcome" | "undeleted"> & Partial<BackupJobResult>;
  return { ...parsed, outcome: parsed.outcome ?? null, undeleted: parsed.undeleted ?? null };
}
