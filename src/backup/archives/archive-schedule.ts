/**
 * The schedule of a database's archives: its setting, the task that begins an archive when it is due, and what follows when that archive has
 * ended: retention after a good one, a notice after a bad one. Each step is stored before the next, so a kill between two steps repeats none.
 */
import {
  type ArchiveInfo,
  type ArchiveScheduleInfo,
  type ArchiveScheduleSetting,
  type ArchiveType,
  DEFAULT_ARCHIVE_SCHEDULE,
  type FailureNotice,
} from "../../contracts/archive-commands.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import type { SqlValue, SyncStorage } from "../../core/storage.ts";
import type { SecretBox } from "../secrets.ts";
import type { BackupTask } from "../sources.ts";
import type { FailureNotices } from "./failure-notices.ts";
import { hasPlanTables, makePlanTables } from "./plan-schema.ts";
import { excessOf, type RetainedArchive } from "./retention.ts";
import { type CronTimes, cronTimes, isWrong, nextRuns } from "./schedule-times.ts";

/** The archives themselves, as far as the schedule needs them. */
export interface ScheduledArchives {
  /** Whether a job runs, so that no archive can be begun. */
  readonly isBusy: () => boolean;
  /** The same job's id again is the same archive. */
  readonly begin: (type: ArchiveType, jobId: string) => Promise<ArchiveInfo | Failure>;
  readonly get: (id: string) => ArchiveInfo | Failure;
  readonly all: () => readonly RetainedArchive[];
  readonly destroy: (id: string) => Promise<{ readonly ok: true } | Failure>;
  /** Removes the archive from one of its destinations. */
  readonly removeCopy: (id: string, destinationId: string) => Promise<{ readonly ok: true } | Failure>;
}

export interface ArchiveScheduleParts {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  readonly databaseId: string;
  readonly archives: ScheduledArchives;
  readonly notices: FailureNotices;
  /** How many archives each destination keeps. null: it has no number of its own. */
  readonly kept: () => ReadonlyMap<string, number | null>;
  readonly secrets: SecretBox | Failure;
  /** The URL in its canonical form, or why nobody can be told there. */
  readonly checkUrl: (url: string) => { readonly ok: true; readonly url: string } | Failure;
  readonly newSecret: () => string;
  readonly newJobId: () => string;
  readonly dueBy: (at: UnixMs) => void;
}

/** What the last run still has to do. */
const MAKING = 0;
const OVER = 1;
const RETENTION = 2;

/** While another job runs, or a destination does not delete. */
const WAIT_MS = 30_000;

/** Archives that are removed before other tasks get their turn. */
const REMOVED_PER_SLICE = 5;

/** Names the schedule's secret among those of its database. */
const SECRET_NAME = "archive schedule";

interface Row extends Record<string, SqlValue> {
  enabled: number;
  cron: string;
  timezone: string;
  type: ArchiveType;
  retention_days: number | null;
  max_backups: number | null;
  notify: string | null;
  secret: string | null;
  updated_at: number;
  anchor_at: number;
  run_at: number | null;
  run_archive: string | null;
  run_job: string | null;
  run_ended: number;
  run_error: string | null;
  retry_at: number;
}

export class ArchiveSchedule {
  readonly #parts: ArchiveScheduleParts;
  /** The row, kept because every alarm reads it. undefined: not read yet. */
  #row: Row | null | undefined;
  /** The times of the row, computed once for each text. */
  #times: { readonly of: string; readonly times: CronTimes | Failure } | null = null;
  /** The first run after the anchor. */
  #next: { readonly times: CronTimes; readonly anchor: UnixMs; readonly at: UnixMs | null } | null = null;
  readonly task: BackupTask = {
    name: "archive schedule",
    dueAt: () => this.#dueAt(),
    run: () => this.#run(),
  };

  constructor(parts: ArchiveScheduleParts) {
    this.#parts = parts;
  }

  get(): ArchiveScheduleInfo {
    const row = this.#stored();
    const setting = row === null ? DEFAULT_ARCHIVE_SCHEDULE : settingOf(row);
    const times = this.#timesOf(setting);
    const runs = isFailure(times) ? [] : nextRuns(times, this.#now(), 3);
    if (row === null) return { ...setting, nextRuns: runs, lastRun: null, updatedAt: null };
    return { ...setting, nextRuns: runs, lastRun: this.#lastRun(row), updatedAt: asUnixMs(row.updated_at) };
  }

  /** `secret`: what signs for a URL that is new. null: there is no new URL. */
  async set(
    changes: Partial<ArchiveScheduleSetting>,
  ): Promise<{ readonly ok: true; readonly schedule: ArchiveScheduleInfo; readonly secret: string | null } | Failure> {
    const before = this.#stored();
    const now = this.#now();
    const wanted = { ...(before === null ? DEFAULT_ARCHIVE_SCHEDULE : settingOf(before)), ...changes };
    const times = cronTimes(wanted.cron, wanted.timezone, now);
    if (isFailure(times)) return times;
    const notice = await this.#noticeOf(wanted.notifyOnFailure, before);
    if (isFailure(notice)) return notice;
    makePlanTables(this.#parts.storage);
    this.#write(wanted, notice, now);
    const due = this.#dueAt();
    if (due !== null) this.#parts.dueBy(due);
    return { ok: true, schedule: this.get(), secret: notice.secret };
  }

  /** The setting. null: nobody has set one. */
  setting(): ArchiveScheduleSetting | null {
    const row = this.#stored();
    return row === null ? null : settingOf(row);
  }

  /**
   * Takes over the setting of a restored archive, in the caller's transaction. The tables exist. One that is no schedule changes nothing. A
   * URL keeps its secret when it is the present one; nobody is told at another one until it is set again.
   */
  restore(setting: ArchiveScheduleSetting): void {
    const now = this.#now();
    if (isFailure(cronTimes(setting.cron, setting.timezone, now))) return;
    const before = this.#stored();
    const url = setting.notifyOnFailure === "webhooks" ? "webhooks" : (setting.notifyOnFailure?.url ?? null);
    const secret = url !== null && before?.notify === url ? before.secret : null;
    this.#write(setting, { notify: url === "webhooks" || secret !== null ? url : null, sealed: secret }, now);
  }

  #dueAt(): UnixMs | null {
    const row = this.#stored();
    if (row === null) return null;
    const now = this.#now();
    // When it is further away than the wait, the clock was set back.
    const retryAt = row.retry_at > now + WAIT_MS ? 0 : row.retry_at;
    if (row.run_ended === MAKING) return this.#isMaking(row) ? null : now;
    const due = this.#nextRun(row);
    // A destination that does not delete keeps no archive from being made.
    const next = row.run_ended === RETENTION ? now : due;
    return next === null ? null : asUnixMs(Math.max(next, retryAt));
  }

  /**
   * In the past where runs were missed; however many, they are one. null: the schedule is not enabled. Every alarm asks, so what was computed
   * is kept.
   */
  #nextRun(row: Row): UnixMs | null {
    const times = this.#timesOf(row);
    if (row.enabled === 0 || isFailure(times)) return null;
    const now = this.#now();
    let anchor = asUnixMs(row.anchor_at);
    if (isWrong(anchor, now)) {
      anchor = now;
      this.#change("anchor_at = ?1", now);
    }
    if (this.#next?.times !== times || this.#next.anchor !== anchor) {
      this.#next = { times, anchor, at: times.after(anchor) };
    }
    return this.#next.at;
  }

  async #run(): Promise<void> {
    const row = this.#stored();
    if (row === null) return;
    if (row.run_ended === MAKING) return this.#isMaking(row) ? undefined : this.#ended(row);
    const due = this.#nextRun(row);
    const isDue = due !== null && due <= this.#now();
    if (!isDue) return row.run_ended === RETENTION ? this.#retain(row) : undefined;
    if (this.#parts.archives.isBusy()) return this.#change("retry_at = ?1", this.#now() + WAIT_MS);
    return this.#begin(row);
  }

  /** The job's id is stored first. So after a kill the same archive is begun again, and the run is not repeated. */
  async #begin(row: Row): Promise<void> {
    const jobId = row.run_job ?? this.#parts.newJobId();
    this.#change("run_job = ?1", jobId);
    const began = await this.#parts.archives.begin(row.type, jobId);
    const now = this.#now();
    const run =
      "anchor_at = ?1, run_at = ?1, run_job = NULL, retry_at = 0, run_archive = ?2, run_ended = ?3, run_error = ?4";
    if (!isFailure(began)) return this.#change(run, now, began.id, MAKING, null);
    // Another job began first.
    if (this.#parts.archives.isBusy()) return this.#change("retry_at = ?1", now + WAIT_MS);
    this.#parts.storage.transactionSync(() => {
      this.#change(run, now, null, OVER, began.message);
      this.#tell(row, null, began.message);
    });
  }

  /** The archive of the last run has ended, or was destroyed. */
  #ended(row: Row): void {
    const { archives, storage } = this.#parts;
    const archive = archives.get(row.run_archive ?? "");
    const error = isFailure(archive) ? archive.message : faultOf(archive);
    const isGood = !isFailure(archive) && archive.status === "completed";
    storage.transactionSync(() => {
      this.#change("run_ended = ?1, run_error = ?2", isGood ? RETENTION : OVER, error);
      if (error !== null) this.#tell(row, isFailure(archive) ? null : archive, error);
    });
  }

  /** A few at a time. What cannot be removed now is tried again. */
  async #retain(row: Row): Promise<void> {
    const { archives, kept } = this.#parts;
    const retention = { days: row.retention_days, most: row.max_backups, mostAt: kept() };
    const excess = excessOf(archives.all(), retention, this.#now());
    const removals = [
      ...excess.copies.map(
        ({ id, destinationId }) =>
          () =>
            archives.removeCopy(id, destinationId),
      ),
      ...excess.archives.map((id) => () => archives.destroy(id)),
    ];
    for (const remove of removals.slice(0, REMOVED_PER_SLICE)) {
      const removed = await remove();
      if (removed.ok || removed.code === "not-found") continue;
      // The next good archive begins the retention anew, so it is not waited for without end.
      return this.#change("retry_at = ?1", this.#now() + WAIT_MS);
    }
    if (removals.length <= REMOVED_PER_SLICE) this.#change("run_ended = ?1, retry_at = 0", OVER);
  }

  #write(
    wanted: ArchiveScheduleSetting,
    { notify, sealed }: { readonly notify: string | null; readonly sealed: string | null },
    now: UnixMs,
  ): void {
    const before = this.#stored();
    // Nothing is missed under a schedule that did not hold.
    const isSame =
      before !== null &&
      before.enabled === Number(wanted.enabled) &&
      before.cron === wanted.cron &&
      before.timezone === wanted.timezone;
    this.#parts.storage.sql.exec(
      `INSERT INTO archive_schedule (only, enabled, cron, timezone, type, retention_days, max_backups, notify, secret, updated_at, anchor_at)
       VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
       ON CONFLICT (only) DO UPDATE SET enabled = ?1, cron = ?2, timezone = ?3, type = ?4, retention_days = ?5, max_backups = ?6,
         notify = ?7, secret = ?8, updated_at = ?9, anchor_at = ?10`,
      Number(wanted.enabled),
      wanted.cron,
      wanted.timezone,
      wanted.type,
      wanted.retentionDays,
      wanted.maxBackups,
      notify,
      sealed,
      now,
      isSame ? before.anchor_at : now,
    );
    this.#row = undefined;
  }

  #tell({ notify, secret }: Row, archive: ArchiveInfo | null, error: string): void {
    console.error(`database ${this.#parts.databaseId}: an archive of the schedule failed. ${error}`);
    if (notify === null) return;
    const url = notify === "webhooks" ? null : notify;
    this.#parts.notices.add({ url, secret: url === null ? null : secret }, archive, error);
  }

  async #noticeOf(
    wanted: FailureNotice,
    before: Row | null,
  ): Promise<
    { readonly notify: string | null; readonly sealed: string | null; readonly secret: string | null } | Failure
  > {
    if (wanted === null || wanted === "webhooks") return { notify: wanted, sealed: null, secret: null };
    const { checkUrl, secrets, databaseId, newSecret } = this.#parts;
    const checked = checkUrl(wanted.url);
    if (!checked.ok) return { ...checked, message: `notifyOnFailure: ${checked.message}` };
    if (before !== null && before.notify === checked.url && before.secret !== null) {
      return { notify: checked.url, sealed: before.secret, secret: null };
    }
    if (isFailure(secrets)) return secrets;
    const secret = newSecret();
    const sealed = await secrets.seal(secret, { databaseId, backupId: SECRET_NAME });
    return { notify: checked.url, sealed, secret };
  }

  #isMaking({ run_archive: id }: Row): boolean {
    const archive = this.#parts.archives.get(id ?? "");
    return !isFailure(archive) && (archive.status === "pending" || archive.status === "running");
  }

  #lastRun(row: Row): ArchiveScheduleInfo["lastRun"] {
    if (row.run_at === null) return null;
    const archive = row.run_archive === null ? null : this.#parts.archives.get(row.run_archive);
    const status =
      archive === null || isFailure(archive) ? (row.run_error === null ? "completed" : "failed") : archive.status;
    return { at: asUnixMs(row.run_at), archiveId: row.run_archive, status, error: row.run_error };
  }

  #timesOf({ cron, timezone }: Pick<Row, "cron" | "timezone">): CronTimes | Failure {
    const of = `${cron}\n${timezone}`;
    if (this.#times?.of !== of) this.#times = { of, times: cronTimes(cron, timezone, this.#now()) };
    return this.#times.times;
  }

  #stored(): Row | null {
    if (this.#row === undefined) {
      const { storage } = this.#parts;
      const rows = hasPlanTables(storage) ? storage.sql.exec<Row>("SELECT * FROM archive_schedule").toArray() : [];
      this.#row = rows[0] ?? null;
    }
    return this.#row;
  }

  #change(assignments: string, ...values: (string | number | null)[]): void {
    this.#row = undefined;
    this.#parts.storage.sql.exec(`UPDATE archive_schedule SET ${assignments}`, ...values);
  }

  #now(): UnixMs {
    return this.#parts.clock.now();
  }
}

/** Opens the secret that signs for the schedule's own URL. */
export async function openScheduleSecret(
  secrets: SecretBox | Failure,
  databaseId: string,
  sealed: string,
): Promise<string | Failure> {
  if (isFailure(secrets)) return secrets;
  const opened = await secrets.open(sealed, { databaseId, backupId: SECRET_NAME });
  return opened.ok ? opened.text : opened;
}

/** What somebody should be told of an archive that has ended. null: it lies everywhere. */
function faultOf({ status, error, destinations }: ArchiveInfo): string | null {
  if (status !== "completed") return error ?? "The archive failed.";
  const failed = destinations.filter((place) => place.status === "failed");
  if (failed.length === 0) return null;
  const [first] = failed;
  return `The archive did not reach ${failed.map(({ name }) => name).join(", ")}. ${first?.error ?? ""}`.trim();
}

function settingOf(row: Row): ArchiveScheduleSetting {
  return {
    enabled: row.enabled === 1,
    cron: row.cron,
    timezone: row.timezone,
    type: row.type,
    retentionDays: row.retention_days,
    maxBackups: row.max_backups,
    notifyOnFailure: row.notify === null || row.notify === "webhooks" ? row.notify : { url: row.notify },
  };
}
