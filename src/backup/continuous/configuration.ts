/** The one row that says whether a database has a backup, where it goes and how it is doing. */
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import type { BackupDestination } from "../../contracts/backup-destinations.ts";
import type { SqlValue, SyncStorage } from "../../core/storage.ts";
import type { Failing } from "./backoff.ts";
import { hasBackupTables, migrateBackupTables } from "../backup-schema.ts";

export interface Configuration {
  readonly id: string;
  readonly databaseId: string;
  readonly destination: BackupDestination;
  /** Sealed (`secrets.ts`). null for a destination that needs no secret. */
  readonly secret: string | null;
  readonly intervalMs: number;
  readonly retentionDays: number;
  readonly createdAt: UnixMs;
  readonly paused: boolean;
  /** A generation has been complete since the backup was enabled. */
  readonly active: boolean;
  /** Why the backup was never set up and never will be. */
  readonly failed: string | null;
  readonly error: { readonly message: string; readonly since: UnixMs; readonly at: UnixMs } | null;
  /** What was found wrong in the bucket. `over`: it has been repaired. */
  readonly notice: { readonly message: string; readonly since: UnixMs; readonly over: boolean } | null;
  /** When the bucket was last checked for what should be there. */
  readonly inspectedAt: UnixMs;
  /** The digest of our part of the manifest when it was last written: see `manifestDigest`. null: it was never written. */
  readonly manifestSha256: string | null;
  /**
   * The name of this history among those in the bucket: a copy of this database may write another history there. null: it has no name
   * yet.
   */
  readonly line: string | null;
  /** A generation was replaced because it was gone. Before this time, no other one begins for that reason. */
  readonly renewAt: UnixMs;
  /** The tasks whose last attempt failed, by name. */
  readonly failing: Readonly<Record<string, Failing>>;
  /** 0: never. */
  readonly manifestAt: UnixMs;
  /** How often generations have changed since then. */
  readonly manifestChanges: number;
}

export type NewConfiguration = Pick<
  Configuration,
  "id" | "databaseId" | "destination" | "secret" | "intervalMs" | "retentionDays" | "createdAt"
>;

interface Row extends Record<string, SqlValue> {
  id: string;
  database_id: string;
  destination: string;
  secret: string | null;
  interval_ms: number;
  retention_days: number;
  created_at: number;
  paused: number;
  active: number;
  failed: string | null;
  error: string | null;
  error_since: number | null;
  error_at: number | null;
  failing: string | null;
  notice: string | null;
  notice_since: number | null;
  notice_over: number;
  inspected_at: number;
  manifest_sha256: string | null;
  line: string | null;
  renew_at: number;
  manifest_at: number;
  manifest_stale: number;
}

export class ConfigurationTable {
  readonly #storage: SyncStorage;
  #exists: boolean;

  constructor(storage: SyncStorage) {
    this.#storage = storage;
    this.#exists = hasBackupTables(storage);
    if (this.#exists) migrateBackupTables(storage);
  }

  get(): Configuration | null {
    if (!this.#exists) return null;
    const [row] = this.#storage.sql.exec<Row>("SELECT * FROM backup").toArray();
    return row === undefined ? null : configurationOf(row);
  }

  /** Makes the tables if they are missing. To be called before the transaction that inserts. */
  prepare(): void {
    migrateBackupTables(this.#storage);
    this.#exists = true;
  }

  /** The contents of the object are gone: there is no row, and none is written any more. */
  close(): void {
    this.#exists = false;
  }

  /** There must be no row. */
  insert(configuration: NewConfiguration): void {
    const { id, databaseId, destination, secret, intervalMs, retentionDays, createdAt } = configuration;
    this.#storage.sql.exec(
      `INSERT INTO backup (only, id, database_id, destination, secret, interval_ms, retention_days, created_at, inspected_at)
       VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)`,
      id,
      databaseId,
      JSON.stringify(destination),
      secret,
      intervalMs,
      retentionDays,
      createdAt,
    );
  }

  delete(): void {
    this.#change("DELETE FROM backup");
  }

  setSecret(destination: BackupDestination, secret: string): void {
    this.#change("UPDATE backup SET destination = ?1, secret = ?2", JSON.stringify(destination), secret);
  }

  setPaused(paused: boolean): void {
    this.#change("UPDATE backup SET paused = ?1", Number(paused));
  }

  setActive(): void {
    this.#change("UPDATE backup SET active = 1");
  }

  setFailed(message: string): void {
    this.#change("UPDATE backup SET failed = ?1", message);
  }

  /** `since` stays the same while attempts continue to fail. */
  noteError(message: string, at: UnixMs, failing: Configuration["failing"]): void {
    this.#change(
      "UPDATE backup SET error = ?1, error_since = coalesce(error_since, ?2), error_at = ?2, failing = ?3",
      message,
      at,
      JSON.stringify(failing),
    );
  }

  noteFailing(failing: Configuration["failing"]): void {
    this.#change("UPDATE backup SET failing = ?1", JSON.stringify(failing));
  }

  clearError(): void {
    this.#change("UPDATE backup SET error = NULL, error_since = NULL, error_at = NULL, failing = NULL");
  }

  /** `over`: it has been repaired already. */
  setNotice(message: string, since: UnixMs, over: boolean): void {
    this.#change("UPDATE backup SET notice = ?1, notice_since = ?2, notice_over = ?3", message, since, Number(over));
  }

  endNotice(): void {
    this.#change("UPDATE backup SET notice_over = 1 WHERE notice_over = 0 AND notice IS NOT NULL");
  }

  setInspected(at: UnixMs): void {
    this.#change("UPDATE backup SET inspected_at = ?1", at);
  }

  setLine(line: string): void {
    this.#change("UPDATE backup SET line = ?1", line);
  }

  setRenewAt(at: UnixMs): void {
    this.#change("UPDATE backup SET renew_at = ?1", at);
  }

  /** `changes`: how many changes the written manifest includes. */
  manifestWritten(at: UnixMs, changes: number, sha256: string): void {
    this.#change(
      "UPDATE backup SET manifest_at = ?1, manifest_stale = manifest_stale - ?2, manifest_sha256 = ?3",
      at,
      changes,
      sha256,
    );
  }

  markManifestStale(): void {
    this.#change("UPDATE backup SET manifest_stale = manifest_stale + 1");
  }

  #change(statement: string, ...values: (string | number)[]): void {
    if (this.#exists) this.#storage.sql.exec(statement, ...values);
  }
}

function configurationOf(row: Row): Configuration {
  const { error, error_since: since, error_at: at, notice, notice_since: noticed, notice_over: over } = row;
  return {
    id: row.id,
    databaseId: row.database_id,
    // This class wrote it, from a value of this type.
    destination: JSON.parse(row.destination) as BackupDestination,
    secret: row.secret,
    intervalMs: row.interval_ms,
    retentionDays: row.retention_days,
    createdAt: asUnixMs(row.created_at),
    paused: row.paused === 1,
    active: row.active === 1,
    failed: row.failed,
    error:
      error === null || since === null || at === null
        ? null
        : { message: error, since: asUnixMs(since), at: asUnixMs(at) },
    // This class wrote it, from a value of this type.
    failing: row.failing === null ? {} : (JSON.parse(row.failing) as Configuration["failing"]),
    notice:
      notice === null || noticed === null ? null : { message: notice, since: asUnixMs(noticed), over: over === 1 },
    inspectedAt: asUnixMs(row.inspected_at),
    manifestSha256: row.manifest_sha256,
    line: row.line,
    renewAt: asUnixMs(row.renew_at),
    manifestAt: asUnixMs(row.manifest_at),
    manifestChanges: row.manifest_stale,
  };
}
