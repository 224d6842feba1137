/** Webhooks of an organization: which events they are told, and how they are shown. */
import type { UnixMs } from "../core/clock.ts";

/** The events about continuous backups. Each names one or more databases that it concerns. */
const BACKUP_EVENTS = [
  /** The attempts of a backup have been failing for ten minutes. */
  "backup.failed",
  /** A backup that was reported as failing does not fail any more. */
  "backup.recovered",
  /** A verification found a backup bad, or could not be carried out. */
  "backup.verification_failed",
  /** A backup whose failed verification was reported was verified again and is good. */
  "backup.verification_recovered",
] as const;
export type BackupEvent = (typeof BACKUP_EVENTS)[number];

/** An archive of a schedule failed, or did not reach one of its destinations. */
export const ARCHIVE_EVENT = "archive.failed";

/** The events that a webhook may be told. */
export const WEBHOOK_EVENTS = [...BACKUP_EVENTS, ARCHIVE_EVENT] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** Sent by `webhooks.test`, whichever events a webhook is told. */
export const TEST_EVENT = "webhook.test";

export interface WebhookInfo {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  readonly events: readonly WebhookEvent[];
  readonly enabled: boolean;
  /** Why the webhook was disabled, when nobody asked for that. */
  readonly disabledBecause: string | null;
  readonly createdAt: UnixMs;
  readonly updatedAt: UnixMs;
  /** How many deliveries wait, and how many succeeded or were given up since the webhook was made. */
  readonly deliveries: { readonly pending: number; readonly delivered: number; readonly failed: number };
  /** The last delivery with an attempt. */
  readonly lastDelivery: DeliveryInfo | null;
}

export interface DeliveryInfo {
  /** The `webhook-id` of the request: the same at each attempt. */
  readonly id: string;
  readonly event: WebhookEvent | typeof TEST_EVENT;
  /** `failed`: the delivery was given up. */
  readonly state: "pending" | "delivered" | "failed";
  readonly attempts: number;
  readonly createdAt: UnixMs;
  readonly attemptedAt: UnixMs | null;
  readonly nextAttemptAt: UnixMs | null;
  /** The status of the endpoint's last answer. null: it did not answer. */
  readonly status: number | null;
  /** Why the last attempt failed, or why the delivery was given up. */
  readonly error: string | null;
}

export interface NewWebhook {
  readonly url: string;
  readonly description: string;
  readonly events: readonly WebhookEvent[];
  readonly enabled: boolean;
}

/** A webhook with its secret, `whsec_…`, which is shown only once. */
export interface WebhookWithSecret {
  readonly webhook: WebhookInfo;
  readonly secret: string;
}
