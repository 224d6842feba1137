/**
 * What an organization monitors: how backups are doing, the incidents, and the webhooks that are told of them. All of it in one storage.
 */
import type { BackupHealth } from "../contracts/backup-health.ts";
import type { UnixMs } from "../core/clock.ts";
import type { WebhookTotals } from "../contracts/resources.ts";
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

  /** Does all of the work, or none of it when the work throws. */
  together<T>(work: () => Synchronous<T>): T {
    return this.#storage.transactionSync(work);
  }

  /** Stores how a database's backup is doing. null: there is no backup any more. Not to be called in a transaction. */
  report(databaseId: string, health: BackupHealth | null, now: UnixMs): void {
    if (health !== null) this.tables.make();
    this.together(() => this.#note(databaseId, health, "ended", now));
  }

  /** In the caller's transaction. */
  databaseDeleted(databaseId: string, now: UnixMs): void {
    this.#note(databaseId, null, "deleted", now);
  }

  /** In the caller's transaction. The organization is deleted, and no webhook is told anything any more. */
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
