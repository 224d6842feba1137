/**
 * The webhooks of one organization and their deliveries: rows. An event is written once with its body, and a delivery for each webhook
 * that asked for it, in the transaction that decided it. So it is delivered at least once, whatever dies in between. The number of
 * waiting and of visible deliveries is bounded. Callers hold the transaction, and the tables exist.
 */
import { asUnixMs, type UnixMs } from "../core/clock.ts";
import { MAX_ENDED_DELIVERIES, MAX_PENDING_DELIVERIES, WEBHOOK_ANSWER_MS } from "../core/limits.ts";
import type { WebhookTotals } from "../contracts/resources.ts";
import type { Sql, SqlValue } from "../core/storage.ts";
import {
  type DeliveryInfo,
  type NewWebhook,
  TEST_EVENT,
  type WebhookEvent,
  type WebhookInfo,
} from "../contracts/webhooks.ts";

const MINUTE_MS = 60 * 1000;
const HOUR_MS = 60 * MINUTE_MS;

/** The waiting time after each failed attempt, 24 hours together. After the last attempt the delivery is given up. */
const RETRY_AFTER_MS: readonly number[] = [
  5_000,
  MINUTE_MS,
  5 * MINUTE_MS,
  15 * MINUTE_MS,
  39 * MINUTE_MS,
  HOUR_MS,
  2 * HOUR_MS,
  4 * HOUR_MS,
  6 * HOUR_MS,
  10 * HOUR_MS,
];

/** How long a replaced secret still signs. */
const PREVIOUS_SECRET_MS = 24 * HOUR_MS;

/** Encrypted secrets. */
export interface SealedSecrets {
  readonly current: string;
  /** The previous secret, as long as it still signs. */
  readonly previous: string | null;
}

/** A delivery whose next attempt is due. */
export interface DueDelivery {
  readonly id: number;
  readonly webhookId: string;
  readonly eventId: string;
  readonly url: string;
  readonly body: string;
  readonly secrets: SealedSecrets;
}

export interface Attempt {
  /** null: there was no answer. */
  readonly status: number | null;
  /** null: the endpoint accepted the event. */
  readonly error: string | null;
}

interface Row extends Record<string, SqlValue> {
  id: string;
  url: string;
  description: string;
  events: string;
  enabled: number;
  disabled_because: string | null;
  secret: string;
  previous_secret: string | null;
  previous_until: number | null;
  created_at: number;
  updated_at: number;
  delivered: number;
  failed: number;
}

interface DeliveryRow extends Record<string, SqlValue> {
  id: number;
  webhook_id: string;
  event_id: string;
  type: DeliveryInfo["event"];
  state: DeliveryInfo["state"];
  attempts: number;
  created_at: number;
  attempted_at: number | null;
  due_at: number | null;
  status: number | null;
  error: string | null;
}

export class Webhooks {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  count(): number {
    return this.#sql.exec<{ n: number }>("SELECT count(*) AS n FROM webhooks").one().n;
  }

  add(id: string, webhook: NewWebhook, secret: string, now: UnixMs): void {
    this.#sql.exec(
      `INSERT INTO webhooks (id, url, description, events, enabled, secret, created_at, updated_at)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)`,
      id,
      webhook.url,
      webhook.description,
      JSON.stringify(webhook.events),
      Number(webhook.enabled),
      secret,
      now,
    );
  }

  /** The oldest first. */
  list(): WebhookInfo[] {
    const rows = this.#sql.exec<Row>("SELECT * FROM webhooks ORDER BY created_at, id").toArray();
    return rows.map((row) => this.#info(row));
  }

  get(id: string): WebhookInfo | null {
    const row = this.#row(id);
    return row === undefined ? null : this.#info(row);
  }

  secretsOf(id: string, now: UnixMs): SealedSecrets | null {
    const row = this.#row(id);
    return row === undefined ? null : secretsOf(row, now);
  }

  /** A disabled webhook gets nothing any more, not even deliveries that already wait. */
  change(id: string, { url, description, events, enabled }: NewWebhook, now: UnixMs): void {
    this.#sql.exec(
      `UPDATE webhooks SET url = ?2, description = ?3, events = ?4, enabled = ?5,
         disabled_because = CASE WHEN ?5 = 1 THEN NULL ELSE disabled_because END, updated_at = ?6 WHERE id = ?1`,
      id,
      url,
      description,
      JSON.stringify(events),
      Number(enabled),
      now,
    );
    if (!enabled) this.#giveUpAll(id, "The webhook was disabled.", now);
  }

  /** From now on the new secret signs, and the previous one for a day more. */
  replaceSecret(id: string, secret: string, now: UnixMs): void {
    this.#sql.exec(
      "UPDATE webhooks SET previous_secret = secret, previous_until = ?3, secret = ?2, updated_at = ?4 WHERE id = ?1",
      id,
      secret,
      now + PREVIOUS_SECRET_MS,
      now,
    );
  }

  /** Replaces the encrypted form of a secret, unless the secret was replaced meanwhile. */
  resealed(id: string, before: string, secret: string): void {
    this.#sql.exec("UPDATE webhooks SET secret = ?3 WHERE id = ?1 AND secret = ?2", id, before, secret);
  }

  remove(id: string): void {
    const gone = this.#sql
      .exec<{ event_id: string }>("DELETE FROM webhook_deliveries WHERE webhook_id = ?1 RETURNING event_id", id)
      .toArray();
    this.#sql.exec("DELETE FROM webhooks WHERE id = ?1", id);
    this.#dropBodies(gone.map(({ event_id }) => event_id));
  }

  removeAll(): void {
    for (const table of ["webhook_deliveries", "webhook_events", "webhooks"]) this.#sql.exec(`DELETE FROM ${table}`);
  }

  /** Whether there is any enabled webhook. */
  anyEnabled(): boolean {
    return this.#sql.exec("SELECT 1 FROM webhooks WHERE enabled = 1 LIMIT 1").toArray().length > 0;
  }

  /** Adds an event, and a delivery for each webhook that asked for it. */
  addEvent(id: string, type: WebhookEvent, body: string, now: UnixMs): void {
    const webhooks = this.#listening(type);
    if (webhooks.length > 0) this.#addEvent(id, type, body, now);
    for (const webhookId of webhooks) {
      this.#makeRoom(webhookId, now);
      this.#addDelivery(webhookId, id, type, now, now);
    }
  }

  knowsEvent(id: string): boolean {
    return this.#sql.exec("SELECT 1 FROM webhook_events WHERE id = ?1", id).toArray().length > 0;
  }

  /** Adds a test delivery, which the caller attempts at once. If that has not ended by then, the alarm takes over. */
  addTest(webhookId: string, id: string, body: string, now: UnixMs): number {
    this.#addEvent(id, TEST_EVENT, body, now);
    return this.#addDelivery(webhookId, id, TEST_EVENT, now, now + 2 * WEBHOOK_ANSWER_MS);
  }

  /** When the next attempt is due. */
  dueAt(): UnixMs | null {
    const { due } = this.#sql.exec<{ due: number | null }>("SELECT min(due_at) AS due FROM webhook_deliveries").one();
    return due === null ? null : asUnixMs(due);
  }

  due(now: UnixMs, atMost: number): DueDelivery[] {
    return this.#sql
      .exec<DeliveryRow & Row & { delivery_id: number; body: string }>(
        `SELECT webhooks.*, d.id AS delivery_id, d.webhook_id, d.event_id, webhook_events.body
         FROM webhook_deliveries AS d JOIN webhooks ON webhooks.id = d.webhook_id
           JOIN webhook_events ON webhook_events.id = d.event_id
         WHERE d.due_at <= ?1 ORDER BY d.due_at, d.id LIMIT ?2`,
        now,
        atMost,
      )
      .toArray()
      .map((row) => ({
        id: row.delivery_id,
        webhookId: row.webhook_id,
        eventId: row.event_id,
        url: row.url,
        body: row.body,
        secrets: secretsOf(row, now),
      }));
  }

  /** Stores the result of an attempt. `null` when the delivery does not exist any more, or has ended meanwhile. */
  attempted(id: number, { status, error }: Attempt, now: UnixMs): DeliveryInfo | null {
    const [row] = this.#sql
      .exec<DeliveryRow>("SELECT * FROM webhook_deliveries WHERE id = ?1 AND state = 'pending'", id)
      .toArray();
    if (row === undefined) return null;
    const wait = RETRY_AFTER_MS[row.attempts];
    const mayRetry = row.type !== TEST_EVENT && wait !== undefined && status !== GONE;
    const state = error === null ? "delivered" : mayRetry ? "pending" : "failed";
    this.#sql.exec(
      `UPDATE webhook_deliveries SET state = ?2, attempts = attempts + 1, attempted_at = ?3, due_at = ?4, status = ?5, error = ?6
       WHERE id = ?1`,
      id,
      state,
      now,
      state === "pending" ? now + (wait ?? 0) : null,
      status,
      error,
    );
    if (state !== "pending") this.#ended(row.webhook_id, state, [row.event_id]);
    if (status === GONE) this.#disable(row.webhook_id, "Its endpoint answered 410 Gone.", now);
    return this.#delivery(id);
  }

  /** The newest first. */
  deliveries(webhookId: string, limit: number): DeliveryInfo[] {
    return this.#sql
      .exec<DeliveryRow>(
        "SELECT * FROM webhook_deliveries WHERE webhook_id = ?1 ORDER BY id DESC LIMIT ?2",
        webhookId,
        limit,
      )
      .toArray()
      .map(deliveryInfo);
  }

  /** Of all existing webhooks. */
  totals(): WebhookTotals {
    return this.#sql
      .exec<Record<keyof WebhookTotals, number>>(
        `SELECT count(*) AS webhooks, coalesce(sum(delivered), 0) AS delivered, coalesce(sum(failed), 0) AS failed,
           (SELECT count(*) FROM webhook_deliveries WHERE due_at IS NOT NULL) AS pending FROM webhooks`,
      )
      .one();
  }

  #addEvent(id: string, type: DeliveryInfo["event"], body: string, now: UnixMs): void {
    const insert = "INSERT INTO webhook_events (id, type, body, created_at) VALUES (?1, ?2, ?3, ?4)";
    this.#sql.exec(insert, id, type, body, now);
  }

  #addDelivery(webhookId: string, eventId: string, type: DeliveryInfo["event"], now: UnixMs, dueAt: number): number {
    const insert = `INSERT INTO webhook_deliveries (webhook_id, event_id, type, state, created_at, due_at)
      VALUES (?1, ?2, ?3, 'pending', ?4, ?5) RETURNING id`;
    return this.#sql.exec<{ id: number }>(insert, webhookId, eventId, type, now, dueAt).one().id;
  }

  #listening(type: WebhookEvent): string[] {
    return this.#sql
      .exec<{ id: string; events: string }>("SELECT id, events FROM webhooks WHERE enabled = 1 ORDER BY created_at, id")
      .toArray()
      .filter(({ events }) => eventsOf(events).some((event) => event === type))
      .map(({ id }) => id);
  }

  /** When too many deliveries wait, the oldest is given up: old news help nobody. */
  #makeRoom(webhookId: string, now: UnixMs): void {
    if (this.#pending(webhookId) < MAX_PENDING_DELIVERIES) return;
    const oldest = `SELECT min(id) FROM webhook_deliveries WHERE webhook_id = ?1 AND state = 'pending'`;
    this.#giveUp(webhookId, `id = (${oldest})`, `More than ${MAX_PENDING_DELIVERIES} deliveries were waiting.`, now);
  }

  #giveUpAll(webhookId: string, why: string, now: UnixMs): void {
    this.#giveUp(webhookId, "webhook_id = ?1 AND state = 'pending'", why, now);
  }

  #giveUp(webhookId: string, which: string, why: string, now: UnixMs): void {
    const given = this.#sql
      .exec<{ event_id: string }>(
        `UPDATE webhook_deliveries SET state = 'failed', due_at = NULL, error = ?2, attempted_at = coalesce(attempted_at, ?3)
         WHERE ${which} RETURNING event_id`,
        webhookId,
        why,
        now,
      )
      .toArray();
    if (given.length > 0)
      this.#ended(
        webhookId,
        "failed",
        given.map(({ event_id }) => event_id),
      );
  }

  #disable(webhookId: string, why: string, now: UnixMs): void {
    this.#sql.exec(
      "UPDATE webhooks SET enabled = 0, disabled_because = ?2, updated_at = ?3 WHERE id = ?1",
      webhookId,
      why,
      now,
    );
    this.#giveUpAll(webhookId, why, now);
  }

  /** Deliveries of these events to a webhook have ended. They are counted, and the oldest are no longer shown. */
  #ended(webhookId: string, state: "delivered" | "failed", eventIds: readonly string[]): void {
    this.#sql.exec(`UPDATE webhooks SET ${state} = ${state} + ?2 WHERE id = ?1`, webhookId, eventIds.length);
    this.#sql.exec(
      `DELETE FROM webhook_deliveries WHERE webhook_id = ?1 AND state <> 'pending' AND id NOT IN (
         SELECT id FROM webhook_deliveries WHERE webhook_id = ?1 AND state <> 'pending' ORDER BY id DESC LIMIT ?2)`,
      webhookId,
      MAX_ENDED_DELIVERIES,
    );
    this.#dropBodies(eventIds);
  }

  /** Drops the bodies of those events that no delivery waits for. */
  #dropBodies(eventIds: readonly string[]): void {
    for (const id of eventIds) {
      this.#sql.exec(
        `DELETE FROM webhook_events WHERE id = ?1 AND NOT EXISTS (
           SELECT 1 FROM webhook_deliveries WHERE event_id = ?1 AND state = 'pending')`,
        id,
      );
    }
  }

  #pending(webhookId: string): number {
    return this.#sql
      .exec<{ n: number }>(
        "SELECT count(*) AS n FROM webhook_deliveries WHERE webhook_id = ?1 AND state = 'pending'",
        webhookId,
      )
      .one().n;
  }

  #row(id: string): Row | undefined {
    return this.#sql.exec<Row>("SELECT * FROM webhooks WHERE id = ?1", id).toArray()[0];
  }

  #delivery(id: number): DeliveryInfo | null {
    const [row] = this.#sql.exec<DeliveryRow>("SELECT * FROM webhook_deliveries WHERE id = ?1", id).toArray();
    return row === undefined ? null : deliveryInfo(row);
  }

  #info(row: Row): WebhookInfo {
    const [last] = this.#sql
      .exec<DeliveryRow>(
        `SELECT * FROM webhook_deliveries WHERE webhook_id = ?1 AND attempted_at IS NOT NULL
         ORDER BY attempted_at DESC, id DESC LIMIT 1`,
        row.id,
      )
      .toArray();
    return {
      id: row.id,
      url: row.url,
      description: row.description,
      events: eventsOf(row.events),
      enabled: row.enabled === 1,
      disabledBecause: row.disabled_because,
      createdAt: asUnixMs(row.created_at),
      updatedAt: asUnixMs(row.updated_at),
      deliveries: { pending: this.#pending(row.id), delivered: row.delivered, failed: row.failed },
      lastDelivery: last === undefined ? null : deliveryInfo(last),
    };
  }
}

/** The endpoint is gone for good, by Standard Webhooks. */
const GONE = 410;

function secretsOf({ secret, previous_secret, previous_until }: Row, now: UnixMs): SealedSecrets {
  const both = previous_until !== null && previous_until > now;
  return { current: secret, previous: both ? previous_secret : null };
}

function eventsOf(events: string): WebhookEvent[] {
  // This class wrote it, from a value of this type.
  return JSON.parse(events) as WebhookEvent[];
}

function deliveryInfo(row: DeliveryRow): DeliveryInfo {
  return {
    id: row.event_id,
    event: row.type,
    state: row.state,
    attempts: row.attempts,
    createdAt: asUnixMs(row.created_at),
    attemptedAt: row.attempted_at === null ? null : asUnixMs(row.attempted_at),
    nextAttemptAt: row.due_at === null ? null : asUnixMs(row.due_at),
    status: row.status,
    error: row.error,
  };
}
