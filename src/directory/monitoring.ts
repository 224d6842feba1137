/** What an organization watches over: how backups are doing, what of it somebody is to be told, and who is. In one storage. */
import type { BackupHealth } from "../contracts/backup-health.ts";
import type { UnixMs } from "../core/clock.ts";
import type { WebhookTotals } from "../contracts/management.ts";
import type { SyncStorage, Synchronous } from "../core/storage.ts";
import { BackupHealths } from "./backup-healths.ts";
import { Incidents } from "./incidents.ts";
import { MonitoringTables } from "./monitoring-schema.ts";
import { Webhooks } from "./webhooks.ts";

export class Monitoring {
  readonly #storage: SyncStorage;
  readonly tables: MonitoringTables;
  readonly healths: BackupHealths;
  readonly incidents: Incidents;
  readonly webhooks: Webhooks;

  constructor(storage: SyncStorage) {
    const { sql } = storage;
    this.#storage = storage;
    this.tables = new MonitoringTables(storage);
    this.healths = new BackupHealths(sql, this.tables);
    this.incidents = new Incidents(sql);
    this.webhooks = new Webhooks(sql);
  }

  /** All of the work or, when it throws, none. */
  together<T>(work: () => Synchronous<T>): T {
    return this.#storage.transactionSync(work);
  }

  /** How a database's backup is doing; null: it has none any more. Not in a transaction. */
  report(databaseId: string, health: BackupHealth | null, now: UnixMs): void {
    if (health !== null) this.tables.make();
    this.together(() => this.#note(databaseId, health, "ended", now));
  }

  /** In the caller's transaction. */
  databaseDeleted(databaseId: string, now: UnixMs): void {
    this.#note(databaseId, null, "deleted", now);
  }

  /** In the caller's transaction: the organization is deleted, and nobody is told of anything any more. */
  organizationDeleted(): void {
    if (this.tables.exist) this.webhooks.removeAll();
  }

  webhookTotals(): WebhookTotals {
    return this.tables.exist ? this.webhooks.totals() : { webhooks: 0, pending: 0, delivered: 0, failed: 0 };
  }

  #note(databaseId: string, health: BackupHealth | null, gone: "ended" | "deleted", now: UnixMs): void {
    if (!this.tables.exist) return;
    this.healths.set(databaseId, health, now);
    this.incidents.note(databaseId, health, gone, now);
  }
}
