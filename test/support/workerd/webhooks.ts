/** An organization with databases whose backups do well or not, and an endpoint that notes what it is sent. */
import type { BackupHealth } from "../../../src/contracts/backup-health.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { WEBHOOK_EVENTS, type WebhookInfo } from "../../../src/contracts/webhooks.ts";
import { CountingStorage } from "../counting-storage.ts";
import { withStorage } from "./directory.ts";
import { TestOrganization } from "./organization.ts";

export const minute = 60_000;
export const hour = 60 * minute;

export interface Sent {
  readonly at: number;
  readonly url: string;
  readonly headers: Headers;
  readonly text: string;
  readonly type: string;
  // What an event holds is what the tests are about.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly data: any;
}

export class WatchedOrganization {
  readonly o: TestOrganization;
  readonly storage: CountingStorage;
  readonly sent: Sent[] = [];
  /** What the endpoint answers. */
  answer: (sent: Sent) => Promise<Response> | Response = () => new Response("never read", { status: 200 });
  underWay = 0;
  mostUnderWay = 0;

  private constructor(o: TestOrganization, storage: CountingStorage) {
    this.o = o;
    this.storage = storage;
    o.endpoint = async (request) => {
      this.underWay += 1;
      this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
      const text = await request.text();
      const { type, data } = JSON.parse(text) as Pick<Sent, "type" | "data">;
      const sent = { at: o.clock.now(), url: request.url, headers: request.headers, text, type, data };
      this.sent.push(sent);
      try {
        return await this.answer(sent);
      } finally {
        this.underWay -= 1;
      }
    };
  }

  static async make(inner: SyncStorage): Promise<WatchedOrganization> {
    const storage = new CountingStorage(inner);
    const watched = new WatchedOrganization(await TestOrganization.make(storage), storage);
    watched.o.clock.time = asUnixMs(Math.ceil(watched.o.clock.time / minute) * minute);
    return watched;
  }

  async newWebhook(wishes: Partial<Pick<WebhookInfo, "url" | "events" | "enabled">> = {}) {
    const all = { url: "https://hooks.example/in", description: "", events: WEBHOOK_EVENTS, enabled: true };
    return this.o.run("webhooks.create", { ...all, ...wishes, idempotency: null });
  }

  webhook(webhookId: string): Promise<WebhookInfo> {
    return this.o.run("webhooks.get", { webhookId });
  }

  /** So many databases that are ready, without their objects. */
  databases(count: number): string[] {
    const ids = Array.from({ length: count }, (_, i) => `database-${String(i).padStart(6, "0")}`);
    this.storage.sql.exec(
      `INSERT INTO databases (id, name, description, state, created_at, updated_at)
       SELECT value, 'name of ' || value, '', 'ready', 0, 0 FROM json_each(?1)`,
      JSON.stringify(ids),
    );
    return ids;
  }

  report(databaseId: string, changes: Partial<BackupHealth> = {}): void {
    this.o.service.reportBackup(databaseId, { ...well, ...changes });
  }

  /** As a database reports it a minute after it began. */
  reportFailing(databaseId: string, error = "The bucket is down."): void {
    const now = this.o.clock.now();
    const since = asUnixMs(now - minute);
    this.report(databaseId, { failing: { since, error }, behindSince: since, backlogBytes: 4096 });
  }

  /** Time passes; the events that were sent in it. */
  async pass(ms: number): Promise<Sent[]> {
    const before = this.sent.length;
    await this.o.passForWebhooks(ms);
    return this.sent.slice(before);
  }

  count(table: string): number {
    return this.storage.sql.exec<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).one().n;
  }
}

export const well: BackupHealth = {
  status: "active",
  paused: false,
  failing: null,
  behindSince: null,
  backlogBytes: 0,
  lastSuccessAt: asUnixMs(1_799_999_000_000),
  generations: 1,
  verification: null,
};

export async function withWatched(work: (watched: WatchedOrganization) => Promise<void>): Promise<void> {
  await withStorage(async (storage) => work(await WatchedOrganization.make(storage)));
}
