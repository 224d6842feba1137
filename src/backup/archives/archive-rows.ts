/** The archives of a database as they are stored, and as they are shown. */
import {
  type ArchiveInfo,
  type ArchiveListQuery,
  type ArchiveOrigin,
  type ArchivePlace,
  type ArchiveSort,
  type ArchiveStatus,
  type ArchiveType,
} from "../../contracts/archive-commands.ts";
import type { BackupJob } from "../../contracts/restore-commands.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import type { SqlValue, SyncStorage } from "../../core/storage.ts";
import { asVersion, type Version, versionstampHex } from "../../core/versionstamp.ts";
import type { BackupJobs } from "../jobs.ts";
import { hasArchiveTables, migrateArchiveTables } from "./archive-schema.ts";

interface Row extends Record<string, SqlValue> {
  id: number;
  job_id: string;
  type: ArchiveType;
  origin: ArchiveOrigin;
  status: ArchiveStatus;
  description: string;
  object: string;
  encrypted: number;
  database_id: string;
  version: number | null;
  entries: number | null;
  bytes: number | null;
  size: number | null;
  checksum: string | null;
  places: string;
  created_at: number;
  completed_at: number | null;
  error: string | null;
}

export interface StoredArchive {
  readonly id: number;
  readonly jobId: string;
  readonly type: ArchiveType;
  readonly status: ArchiveStatus;
  /** The name of its object below the prefix of each destination. */
  readonly object: string;
  readonly places: readonly ArchivePlace[];
  readonly size: number | null;
  readonly checksum: string | null;
  readonly version: Version | null;
  readonly bytes: number | null;
}

/** How an archive has been made. */
export interface MadeArchive {
  readonly type: ArchiveType;
  readonly databaseId: string;
  readonly encrypted: boolean;
  readonly version: Version;
  readonly entries: number;
  readonly bytes: number;
  readonly size: number;
  readonly checksum: string;
}

const COLUMN: Readonly<Record<ArchiveSort, string>> = {
  id: "id",
  createdAt: "created_at",
  completedAt: "completed_at",
  size: "size",
  type: "type",
  status: "status",
  description: "description",
  origin: "origin",
  // Only one is under way at a time, so that its exact progress does not matter.
  progress: "CASE status WHEN 'completed' THEN 2 WHEN 'failed' THEN 0 ELSE 1 END",
  checksum: "checksum",
  encrypted: "encrypted",
  destinations: "(SELECT count(*) FROM json_each(places) WHERE json_extract(value, '$.status') = 'stored')",
  databaseId: "database_id",
  versionstamp: "version",
  error: "error",
};

/** The status of a row while the archive is being removed from its destinations. Nobody sees such a row. */
const DESTROYING = "destroying";

/** The part of the progress that is reached when the file has been made, and is to be sent. */
const MADE_PERCENT = 50;

export class ArchiveRows {
  readonly #storage: SyncStorage;
  readonly #jobs: BackupJobs;

  constructor(storage: SyncStorage, jobs: BackupJobs) {
    this.#storage = storage;
    this.#jobs = jobs;
    if (hasArchiveTables(storage)) migrateArchiveTables(storage);
  }

  /** In the caller's transaction. */
  insert(row: {
    readonly jobId: string;
    readonly type: ArchiveType;
    readonly origin: ArchiveOrigin;
    readonly description: string;
    readonly encrypted: boolean;
    readonly databaseId: string;
    readonly version: Version | null;
    readonly createdAt: UnixMs;
    readonly object: (id: number) => string;
    readonly places: (object: string) => readonly ArchivePlace[];
  }): number {
    migrateArchiveTables(this.#storage);
    const { sql } = this.#storage;
    const { id } = sql
      .exec<{ id: number }>(
        `INSERT INTO archives
           (job_id, type, origin, status, description, object, encrypted, database_id, version, places, created_at)
         VALUES (?1, ?2, ?3, 'running', ?4, '', ?5, ?6, ?7, '[]', ?8) RETURNING id`,
        row.jobId,
        row.type,
        row.origin,
        row.description,
        Number(row.encrypted),
        row.databaseId,
        row.version,
        row.createdAt,
      )
      .one();
    const object = row.object(id);
    sql.exec(
      "UPDATE archives SET object = ?2, places = ?3 WHERE id = ?1",
      id,
      object,
      JSON.stringify(row.places(object)),
    );
    return id;
  }

  setVersion(id: number, version: Version): void {
    this.#storage.sql.exec("UPDATE archives SET version = ?2 WHERE id = ?1", id, version);
  }

  setPlaces(id: number, places: readonly ArchivePlace[]): void {
    this.#storage.sql.exec("UPDATE archives SET places = ?2 WHERE id = ?1", id, JSON.stringify(places));
  }

  setMade(id: number, made: MadeArchive): void {
    this.#storage.sql.exec(
      `UPDATE archives SET type = ?2, database_id = ?3, encrypted = ?4, version = ?5, entries = ?6, bytes = ?7, size = ?8, checksum = ?9
       WHERE id = ?1`,
      id,
      made.type,
      made.databaseId,
      Number(made.encrypted),
      made.version,
      made.entries,
      made.bytes,
      made.size,
      made.checksum,
    );
  }

  end(id: number, status: "completed" | "failed", error: string | null, at: UnixMs): void {
    this.#storage.sql.exec(
      "UPDATE archives SET status = ?2, error = ?3, completed_at = ?4 WHERE id = ?1",
      id,
      status,
      error,
      at,
    );
  }

  /** It is not shown any more. */
  setDestroying(id: number): void {
    this.#storage.sql.exec("UPDATE archives SET status = ?2 WHERE id = ?1", id, DESTROYING);
  }

  /** One whose destruction was begun. null: it is gone, or stays. */
  destroying(id: number): StoredArchive | null {
    const [row] = this.#storage.sql
      .exec<Row>("SELECT * FROM archives WHERE id = ?1 AND status = ?2", id, DESTROYING)
      .toArray();
    return row === undefined ? null : storedOf(row);
  }

  /** An archive that could not be destroyed everywhere is shown again. */
  setRemaining(id: number, places: readonly ArchivePlace[]): void {
    this.#storage.sql.exec("UPDATE archives SET status = 'completed' WHERE id = ?1", id);
    this.setPlaces(id, places);
  }

  remove(id: number): void {
    this.#storage.sql.exec("DELETE FROM archives WHERE id = ?1", id);
  }

  /** "not-found" also for a text that is no id. */
  stored(id: string): StoredArchive | Failure {
    const row = this.#row(id);
    return row === null
      ? failure("not-found", `There is no archive ${JSON.stringify(id)} of this database`)
      : storedOf(row);
  }

  /** One that has a file. */
  completed(id: string): StoredArchive | Failure {
    const archive = this.stored(id);
    if (isFailure(archive) || archive.status === "completed") return archive;
    return failure("conflict", `The archive ${id} is ${archive.status}: only a completed one has a file`);
  }

  /** The archive that this job makes. null: it makes none. */
  ofJob(jobId: string): StoredArchive | null {
    if (!hasArchiveTables(this.#storage)) return null;
    const [row] = this.#storage.sql.exec<Row>("SELECT * FROM archives WHERE job_id = ?1", jobId).toArray();
    return row === undefined ? null : storedOf(row);
  }

  info(id: string): ArchiveInfo | Failure {
    const row = this.#row(id);
    return row === null
      ? failure("not-found", `There is no archive ${JSON.stringify(id)} of this database`)
      : this.#info(row);
  }

  list({ sort, page, pageSize, filter }: ArchiveListQuery): {
    readonly archives: readonly ArchiveInfo[];
    readonly count: number;
  } {
    if (!hasArchiveTables(this.#storage)) return { archives: [], count: 0 };
    const { sql } = this.#storage;
    const { type = null, status = null, origin = null } = filter;
    const where = `status <> '${DESTROYING}' AND (?1 IS NULL OR type = ?1) AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR origin = ?3)`;
    // The expressions are ours. The id makes the order complete.
    const order = [...sort, { by: "id" as const, descending: true }]
      .map(({ by, descending }) => `${COLUMN[by]} ${descending ? "DESC" : "ASC"}`)
      .join(", ");
    const { count } = sql
      .exec<{ count: number }>(`SELECT count(*) AS count FROM archives WHERE ${where}`, type, status, origin)
      .one();
    const rows = sql
      .exec<Row>(
        `SELECT * FROM archives WHERE ${where} ORDER BY ${order} LIMIT ?4 OFFSET ?5`,
        type,
        status,
        origin,
        pageSize,
        (page - 1) * pageSize,
      )
      .toArray();
    return { archives: rows.map((row) => this.#info(row)), count };
  }

  get count(): number {
    if (!hasArchiveTables(this.#storage)) return 0;
    return this.#storage.sql.exec<{ count: number }>("SELECT count(*) AS count FROM archives").one().count;
  }

  #row(id: string): Row | null {
    if (!/^[1-9]\d{0,15}$/.test(id) || !hasArchiveTables(this.#storage)) return null;
    return (
      this.#storage.sql
        .exec<Row>("SELECT * FROM archives WHERE id = ?1 AND status <> ?2", Number(id), DESTROYING)
        .toArray()[0] ?? null
    );
  }

  #info(row: Row): ArchiveInfo {
    const found = this.#jobs.get(row.job_id);
    const job = isFailure(found) ? null : found;
    const isRunning = row.status === "running" || row.status === "pending";
    return {
      id: String(row.id),
      type: row.type,
      status: row.status,
      origin: row.origin,
      description: row.description,
      progress: row.status === "completed" ? 100 : isRunning && job !== null ? percentOf(job, row.size !== null) : 0,
      done: isRunning ? (job?.done ?? 0) : (row.bytes ?? 0),
      total: isRunning ? (job?.total ?? 0) : (row.bytes ?? 0),
      rate: isRunning ? (job?.rate ?? null) : null,
      size: row.size,
      checksum: row.checksum,
      encrypted: row.encrypted !== 0,
      destinations: placesOf(row),
      databaseId: row.database_id,
      versionstamp: row.version === null ? null : versionstampHex(asVersion(row.version)),
      jobId: job === null ? null : row.job_id,
      createdAt: asUnixMs(row.created_at),
      completedAt: row.completed_at === null ? null : asUnixMs(row.completed_at),
      // While a job makes no progress it says why.
      error: row.error ?? (isRunning ? (job?.error ?? null) : null),
    };
  }
}

function percentOf({ done, total }: BackupJob, isMade: boolean): number {
  const part = total === 0 ? 0 : Math.min(1, done / total);
  return Math.floor(isMade ? MADE_PERCENT + (99 - MADE_PERCENT) * part : MADE_PERCENT * part);
}

function storedOf(row: Row): StoredArchive {
  return {
    id: row.id,
    jobId: row.job_id,
    type: row.type,
    status: row.status,
    object: row.object,
    places: placesOf(row),
    size: row.size,
    checksum: row.checksum,
    version: row.version === null ? null : asVersion(row.version),
    bytes: row.bytes,
  };
}

function placesOf({ places }: Row): readonly ArchivePlace[] {
  // This class wrote it, from values of this type.
  return JSON.parse(places) as readonly ArchivePlace[];
}
