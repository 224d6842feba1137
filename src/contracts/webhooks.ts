/** Webhooks of an organization: what they tell of, and how they are shown. */
import type { UnixMs } from "../core/clock.ts";

/** What a webhook may be told of. Each names the databases that it is about, one or more. */
export const WEBHOOK_EVENTS = [
  /** A backup's attempts have been failing for ten minutes. */
  "backup.failed",
  /** A backup of which that was told does not fail any more. */
  "backup.recovered",
  /** A verification found a backup bad, or could not be carried out. */
  "backup.verification_failed",
  /** A backup of which that was told was verified and is good. */
  "backup.verification_recovered",
] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** Sent by `webhooks.test`, whatever a webhook is told of. */
export const TEST_EVENT = "webhook.test";

export interface WebhookInfo {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  readonly events: readonly WebhookEvent[];
  readonly enabled: boolean;
  /** Why it was disabled, when nobody asked for that. */
  readonly disabledBecause: string | null;
  readonly createdAt: UnixMs;
  readonly updatedAt: UnixMs;
  /** How many wait, and how many were taken or given up since it was made. */
  readonly deliveries: { readonly pending: number; readonly delivered: number; readonly failed: number };
  /** The last one of which an attempt was made. */
  readonly lastDelivery: DeliveryInfo | null;
}

export interface DeliveryInfo {
  /** What the request names as `webhook-id`: the same at each attempt. */
  readonly id: string;
  readonly event: WebhookEvent | typeof TEST_EVENT;
  /** `failed`: it was given up. */
  readonly state: "pending" | "delivered" | "failed";
  readonly attempts: number;
  readonly createdAt: UnixMs;
  readonly attemptedAt: UnixMs | null;
  readonly nextAttemptAt: UnixMs | null;
  /** What the endpoint answered last; null: it did not answer. */
  readonly status: number | null;
  /** Why the last attempt failed, or why it was given up. */
  readonly error: string | null;
}

export interface NewWebhook {
  readonly url: string;
  readonly description: string;
  readonly events: readonly WebhookEvent[];
  readonly enabled: boolean;
}

/** With its secret, `whsec_…`, which is shown once. */
export interface WebhookWithSecret {
  readonly webhook: WebhookInfo;
  readonly secret: string;
}
