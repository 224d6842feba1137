/**
 * Long tasks of one database, one at a time: restores, verifications, deletions of many entries. Each has a row with everything that it
 * needs to continue after a restart. The row is changed together with the work that it describes, in the caller's transaction.
 *
 * A job that kills the object must not be tried without end. So the beginning and the end of each slice are stored (`begun`, two rows). A
 * slice that is stored as begun when the object starts was under way when the object died. Progress starts the count again: only deaths
 * at the same place count, not those of a server that is often ended.
 */
import { NO_DATABASE } from "../contracts/database.ts";
import { backoffMs } from "../core/backoff.ts";
import type { BackupVerificationInfo } from "../contracts/backup-commands.ts";
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import { type Failure, failure, isFailure } from "../core/errors.ts";
import { MAX_DEATHS_OF_WORK } from "../core/limits.ts";
import type {
  BackupJob,
  BackupJobKind,
  RestoreJobStatus,
  RestoreOutcome,
  VerificationReport,
} from "../contracts/restore-commands.ts";
import type { SqlValue, SyncStorage } from "../core/storage.ts";
import { NOTHING_UNDELETED, type UndeleteCounts } from "../core/undelete.ts";
import { asVersion, type Version } from "../core/versionstamp.ts";
import { hasBackupTables, migrateBackupTables } from "./backup-schema.ts";

const KEPT_MS = 7 * 24 * 60 * 60 * 1000;
const MOST_LISTED = 100;

const LONGEST_WAIT_MS = 30_000;

/** A caller that asks for a longer wait is asked again before its end. */
const LONGEST_ASKED_WAIT_MS = 15 * 60 * 1000;

/**
 * After a death the job waits for up to this long, and each job for a different time. So the other jobs are not under way together with
 * the one that killed.
 */
const WAIT_AFTER_DEATH_MS = 5_000;

/** After many deaths the job waits this long. If the object dies once more, the job is given up. */
const HOLD_MS = 5 * 60 * 1000;

/** The phase of a job that was given up because the object died during it. */
export const GIVEN_UP_PHASE = "given up";

/** What a job reports at each step. */
export interface Progress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}

export interface RunningJob {
  readonly id: string;
  readonly kind: BackupJobKind;
  /** The job's input and its progress, both as JSON of its own. `state` null: it has not begun. */
  readonly input: string;
  readonly state: string | null;
  readonly createdAt: UnixMs;
}

/** Does the jobs of one kind. */
export interface JobWorker {
  /** Runs one slice. */
  slice(job: RunningJob): Promise<void>;
  /** Drops what the job has made, which does not complete. In the caller's transaction, before the job is ended. */
  abandon(job: RunningJob, why: string): void;
}

interface Row extends Record<string, SqlValue> {
  id: string;
  kind: BackupJobKind;
  status: RestoreJobStatus;
  input: string;
  state: string | null;
  phase: string;
  done: number;
  total: number;
  version: number | null;
  error: string | null;
  damaged_object: string | null;
  report: string | null;
  outcome: string | null;
  attempts: number;
  retry_at: number;
  /** How many slices in a row have begun, and neither made progress nor ended. */
  begun: number;
  /** The value of `begun` when a death was last noticed. */
  noticed: number;
  created_at: number;
  finished_at: number | null;
}

/** The last verification is kept until there is another one, so that its result stays visible. */
const LAST_VERIFICATION = `SELECT id FROM backup_jobs WHERE kind = 'verify' AND status IN ('completed', 'failed')
  ORDER BY finished_at DESC LIMIT 1`;

/** The result of the last verification that ended, among those that began at that time or later. */
export function lastVerification(storage: SyncStorage, since: UnixMs): BackupVerificationInfo["last"] {
  const [row] = hasBackupTables(storage)
    ? storage.sql
        .exec<Row>(`SELECT * FROM backup_jobs WHERE id IN (${LAST_VERIFICATION}) AND created_at >= ?1`, since)
        .toArray()
    : [];
  if (row === undefined || row.finished_at === null) return null;
  return {
    good: row.status === "completed",
    finishedAt: asUnixMs(row.finished_at),
    error: row.error,
    damagedObject: row.damaged_object,
    report: reportOf(row),
  };
}

/** How a job has ended. A member that is left out counts as null. */
interface Ending {
  readonly error?: string | null;
  readonly damagedObject?: string | null;
  readonly report?: VerificationReport | null;
  readonly outcome?: KeptOutcome | null;
}

/** Whether the moment is stored is found out when somebody asks. */
export interface KeptOutcome extends Omit<RestoreOutcome, "before"> {
  readonly before: Version | null;
}

export class BackupJobs {
  readonly #storage: SyncStorage;
  readonly #clock: Clock;
  readonly #holds: (version: Version) => boolean;
  #closed = false;
  /** The running job's row, kept because every alarm reads it. undefined: not read yet. */
  #running: Row | null | undefined;

  /** `holds`: whether the backup can restore this moment. */
  constructor(storage: SyncStorage, clock: Clock, holds: (version: Version) => boolean) {
    this.#storage = storage;
    this.#clock = clock;
    this.#holds = holds;
    if (hasBackupTables(storage)) migrateBackupTables(storage);
    this.#noticeDeaths();
  }

  /** Fails with "conflict" while another job runs. The id must be new. `total`: 0 while it is not known. */
  start(id: string, kind: BackupJobKind, input: unknown, version: Version | null, total = 0): BackupJob | Failure {
    if (this.#closed) return NO_DATABASE;
    migrateBackupTables(this.#storage);
    const running = this.#runningRow();
    if (running !== null) {
      return failure(
        "conflict",
        `The job ${running.id} (${running.kind}) is running: one at a time per database. Wait for it or cancel it`,
      );
    }
    const now = this.#clock.now();
    const { sql } = this.#storage;
    this.#running = undefined;
    sql.exec(`DELETE FROM backup_jobs WHERE finished_at < ?1 AND id NOT IN (${LAST_VERIFICATION})`, now - KEPT_MS);
    sql.exec(
      `INSERT INTO backup_jobs (id, kind, status, input, phase, version, created_at, total)
       VALUES (?1, ?2, 'running', ?3, 'starting', ?4, ?5, ?6)`,
      id,
      kind,
      JSON.stringify(input),
      version,
      now,
      total,
    );
    return this.get(id);
  }

  /** The contents of the object are gone: no job runs here any more, even if some work is still under way. */
  close(): void {
    this.#closed = true;
  }

  /** A caller that begins a job may have waited for something meanwhile, so it asks. */
  get isClosed(): boolean {
    return this.#closed;
  }

  get running(): RunningJob | null {
    const row = this.#runningRow();
    return row === null ? null : { ...row, createdAt: asUnixMs(row.created_at) };
  }

  /** Runs one slice of the running job, if there is one; or gives the job up, when the object died too often during it. */
  async slice(
    work: (job: RunningJob) => Promise<void>,
    giveUp: (job: RunningJob, why: string) => void | Promise<void>,
  ): Promise<void> {
    const row = this.#runningRow();
    if (row === null) return;
    const job = { ...row, createdAt: asUnixMs(row.created_at) };
    const deaths = row.begun;
    if (deaths > MAX_DEATHS_OF_WORK) {
      this.#change(row.id, "phase = ?2", [GIVEN_UP_PHASE]);
      return giveUp(job, `Given up: the server ended ${deaths} times in a row while this was under way.`);
    }
    this.#change(row.id, "begun = ?2", [deaths + 1]);
    try {
      await work(job);
    } finally {
      if (this.isRunning(row.id)) this.#change(row.id, "begun = 0, noticed = 0", []);
    }
  }

  /** When the running job wants its next slice. null: no job runs. */
  dueAt(): UnixMs | null {
    const row = this.#runningRow();
    if (row === null) return null;
    // When that is further away than any wait, the clock was set back.
    return asUnixMs(row.retry_at > this.#clock.now() + LONGEST_ASKED_WAIT_MS ? this.#clock.now() : row.retry_at);
  }

  isRunning(id: string): boolean {
    return this.#runningRow()?.id === id;
  }

  knows(id: string): boolean {
    return this.#row(id) !== null;
  }

  get(id: string): BackupJob | Failure {
    const row = this.#row(id);
    return row === null ? failure("not-found", `There is no job ${id}, or it was over a week ago`) : this.#info(row);
  }

  list(): BackupJob[] {
    if (!hasBackupTables(this.#storage)) return [];
    return this.#storage.sql
      .exec<Row>("SELECT * FROM backup_jobs ORDER BY created_at DESC, id LIMIT ?1", MOST_LISTED)
      .toArray()
      .map((row) => this.#info(row));
  }

  /**
   * Writes one row. What delayed the job has passed. Progress outside of a slice, as that of a file that is being received, begins no slice.
   * `undeleted`: what an undelete has come to so far, which stays whatever its end. */
  progress(id: string, state: unknown, { phase, done, total }: Progress, undeleted?: UndeleteCounts): void {
    this.#change(
      id,
      `state = ?2, phase = ?3, done = ?4, total = ?5, report = coalesce(?6, report),
       error = NULL, attempts = 0, retry_at = 0, begun = min(begun, 1), noticed = 0`,
      [JSON.stringify(state), phase, done, total, jsonOf(undeleted)],
    );
  }

  /** Progress of work that starts again after a restart, so no state is stored. */
  scanned(id: string, phase: string, done: number): void {
    this.#change(
      id,
      "phase = ?2, done = ?3, error = NULL, attempts = 0, retry_at = 0, begun = min(begun, 1), noticed = 0",
      [phase, done],
    );
  }

  /** What the job needs to know from its beginning on. In the transaction that started it. */
  setInput(id: string, input: unknown): void {
    this.#change(id, "input = ?2", [JSON.stringify(input)]);
  }

  setVersion(id: string, version: Version): void {
    this.#change(id, "version = ?2", [version]);
  }

  /** The job cannot continue now. It is tried again after an increasing wait of up to half a minute, or after `afterMs`. */
  wait(id: string, why: string | null, afterMs?: number): void {
    const backoff = backoffMs(this.#runningRow()?.attempts ?? 0, LONGEST_WAIT_MS);
    const retryAt = this.#clock.now() + Math.min(afterMs ?? backoff, LONGEST_ASKED_WAIT_MS);
    this.#change(id, "error = ?2, attempts = attempts + 1, retry_at = ?3", [why, retryAt]);
  }

  complete(id: string, ending: Pick<Ending, "report" | "outcome"> = {}): void {
    this.#end(id, "completed", ending);
  }

  fail(id: string, error: string, damagedObject: string | null = null, report: VerificationReport | null = null): void {
    this.#end(id, "failed", { error, damagedObject, report });
  }

  /** The job cannot be done, and its result stays unknown. */
  giveUp(id: string, why: string): void {
    this.#end(id, "cancelled", { error: why });
  }

  cancel(id: string): BackupJob | Failure {
    const job = this.get(id);
    if (isFailure(job)) return job;
    if (job.status !== "running") return failure("conflict", `The job ${id} is ${job.status} already`);
    this.#end(id, "cancelled", {});
    return this.get(id);
  }

  #end(id: string, status: RestoreJobStatus, { error, damagedObject, report, outcome }: Ending): void {
    this.#change(
      id,
      `status = ?2, error = ?3, damaged_object = ?4, report = coalesce(?5, report), outcome = ?6, finished_at = ?7, input = '', state = NULL`,
      [status, error ?? null, damagedObject ?? null, jsonOf(report), jsonOf(outcome), this.#clock.now()],
    );
  }

  #change(id: string, assignments: string, values: readonly (string | number | null)[]): void {
    this.#running = undefined;
    this.#storage.sql.exec(`UPDATE backup_jobs SET ${assignments} WHERE id = ?1 AND status = 'running'`, id, ...values);
  }

  #runningRow(): Row | null {
    if (this.#closed) return null;
    if (this.#running === undefined) {
      const rows = hasBackupTables(this.#storage)
        ? this.#storage.sql.exec<Row>("SELECT * FROM backup_jobs WHERE status = 'running'").toArray()
        : [];
      this.#running = rows[0] ?? null;
    }
    return this.#running;
  }

  /** Called when the object starts: a job that was under way when the object died waits, and says so if that happened often. */
  #noticeDeaths(): void {
    const row = this.#runningRow();
    // The wait after an earlier death continues.
    if (row === null || row.begun === row.noticed) return;
    const isHeld = row.begun >= MAX_DEATHS_OF_WORK;
    const wait = isHeld ? HOLD_MS : row.created_at % WAIT_AFTER_DEATH_MS;
    const error = isHeld
      ? `The server ended ${row.begun} times in a row while this was under way. It goes on after a while.`
      : row.error;
    const retryAt = Math.max(row.retry_at, this.#clock.now() + wait);
    this.#change(row.id, "retry_at = ?2, error = ?3, noticed = begun", [retryAt, error]);
  }

  #outcomeOf({ outcome }: Row): RestoreOutcome | null {
    if (outcome === null) return null;
    // `#end` wrote it, from a value of this type.
    const { before, ...kept } = JSON.parse(outcome) as KeptOutcome;
    return { ...kept, before: before === null ? null : { version: before, stored: this.#holds(before) } };
  }

  #row(id: string): Row | null {
    if (!hasBackupTables(this.#storage)) return null;
    return this.#storage.sql.exec<Row>("SELECT * FROM backup_jobs WHERE id = ?1", id).toArray()[0] ?? null;
  }

  #info(row: Row): BackupJob {
    const elapsed = (row.finished_at ?? this.#clock.now()) - row.created_at;
    return {
      id: row.id,
      kind: row.kind,
      status: row.status,
      phase: row.phase,
      done: row.done,
      total: row.total,
      rate: row.done > 0 && elapsed > 0 ? Math.round((row.done * 1000) / elapsed) : null,
      error: row.error,
      damagedObject: row.damaged_object,
      version: row.version === null ? null : asVersion(row.version),
      verification: row.kind === "undelete" ? null : reportOf(row),
      undeleted: row.kind === "undelete" ? undeletedOf(row) : null,
      outcome: this.#outcomeOf(row),
      createdAt: asUnixMs(row.created_at),
      finishedAt: row.finished_at === null ? null : asUnixMs(row.finished_at),
    };
  }
}

function jsonOf(value: VerificationReport | KeptOutcome | UndeleteCounts | null | undefined): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

function undeletedOf({ report }: Row): UndeleteCounts {
  // `progress` wrote it, from a value of this type.
  return report === null ? NOTHING_UNDELETED : (JSON.parse(report) as UndeleteCounts);
}

function reportOf({ report }: Row): VerificationReport | null {
  // This class wrote it, from a value of this type.
  if (report === null) return null;
  const parsed = JSON.parse(report) as Omit<VerificationReport, "damaged"> & Partial<VerificationReport>;
  // Earlier versions did not store which were damaged.
  return { ...parsed, damaged: parsed.damaged ?? [] };
}
