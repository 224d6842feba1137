/**
 * The tables of what an organization monitors. They are made when something has to be stored in them: an organization without backups and
 * webhooks has none. Times are milliseconds since 1970. Append-only: see `core/migrations.ts`.
 *
 * `backup_health` has a row for each database with a backup, with the database's last report. `backup_totals` has one row with their
 * totals, so that no query counts rows. `incidents` are what webhooks were told of, or are to be told of (`incidents.ts`).
 * `webhook_events` has the events; each keeps its body as long as a delivery waits for it. `webhook_deliveries` has one row for each
 * webhook that gets an event.
 */
import { hasSchema, migrate, schemaOf } from "../core/migrations.ts";
import type { SyncStorage } from "../core/storage.ts";

const MONITORING_SCHEMA = schemaOf("monitoring_schema", [
  [
    `CREATE TABLE backup_health (
       database_id TEXT PRIMARY KEY, health TEXT NOT NULL, failing INTEGER NOT NULL, reported_at INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID`,
    `CREATE INDEX backup_health_shown ON backup_health (failing DESC, reported_at DESC)`,
    `CREATE TABLE backup_totals (
       one INTEGER PRIMARY KEY CHECK (one = 1), backups INTEGER NOT NULL DEFAULT 0, failing INTEGER NOT NULL DEFAULT 0,
       behind INTEGER NOT NULL DEFAULT 0, paused INTEGER NOT NULL DEFAULT 0, unverified INTEGER NOT NULL DEFAULT 0
     ) STRICT`,
    `INSERT INTO backup_totals (one) VALUES (1)`,
  ],
  [
    `CREATE TABLE incidents (
       database_id TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('backup', 'verification')), since INTEGER NOT NULL,
       told INTEGER NOT NULL DEFAULT 0, resolved TEXT, resolved_at INTEGER, due_at INTEGER, PRIMARY KEY (database_id, kind)
     ) STRICT, WITHOUT ROWID`,
    `CREATE INDEX incidents_due_at ON incidents (due_at) WHERE due_at IS NOT NULL`,
    `CREATE TABLE webhooks (
       id TEXT PRIMARY KEY, url TEXT NOT NULL, description TEXT NOT NULL, events TEXT NOT NULL, enabled INTEGER NOT NULL,
       disabled_because TEXT, secret TEXT NOT NULL, previous_secret TEXT, previous_until INTEGER,
       created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
       delivered INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0
     ) STRICT, WITHOUT ROWID`,
    `CREATE TABLE webhook_events (
       id TEXT PRIMARY KEY, type TEXT NOT NULL, body TEXT NOT NULL, created_at INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID`,
    `CREATE TABLE webhook_deliveries (
       id INTEGER PRIMARY KEY, webhook_id TEXT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,
       state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')), attempts INTEGER NOT NULL DEFAULT 0,
       created_at INTEGER NOT NULL, attempted_at INTEGER, due_at INTEGER, status INTEGER, error TEXT
     ) STRICT`,
    `CREATE INDEX webhook_deliveries_due_at ON webhook_deliveries (due_at) WHERE due_at IS NOT NULL`,
    `CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id, state, id)`,
    `CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_id)`,
  ],
]);

/** Says whether the tables exist, and makes them. */
export class MonitoringTables {
  readonly #storage: SyncStorage;
  #exist: boolean;

  constructor(storage: SyncStorage) {
    this.#storage = storage;
    this.#exist = hasSchema(storage, MONITORING_SCHEMA);
    if (this.#exist) migrate(storage, MONITORING_SCHEMA);
  }

  get exist(): boolean {
    return this.#exist;
  }

  /** Not to be called in a transaction, whose rollback would remove the tables. */
  make(): void {
    if (this.#exist) return;
    migrate(this.#storage, MONITORING_SCHEMA);
    this.#exist = true;
  }
}
