/** The requests and answers of /api about webhooks, as schemas. */
import { z } from "zod";
import { MAX_WEBHOOK_URL_CHARACTERS } from "../../../core/limits.ts";
import {
  type DeliveryInfo,
  TEST_EVENT,
  WEBHOOK_EVENTS,
  type WebhookInfo,
  type WebhookWithSecret,
} from "../../../contracts/webhooks.ts";
import { saying } from "./checked.ts";
import { timeText, timeTextOrNull } from "../../http/job-json.ts";
import { description, time } from "./schemas.ts";

export const webhookParams = z.strictObject({ organizationId: z.string(), webhookId: z.string() });

const url = saying(
  z.string().min(1).max(MAX_WEBHOOK_URL_CHARACTERS).meta({
    description:
      "Where events are sent. It must be https and a public host, unless the deployment accepts other addresses too.",
  }),
  { what: "a URL", example: "https://example.com/cairn-events" },
);
const events = saying(
  z.array(z.enum(WEBHOOK_EVENTS)).min(1).meta({ description: "The events that the webhook is told." }),
  {
    what: "an array of events",
    example: ["backup.failed", "backup.recovered"],
  },
);
const enabled = z
  .boolean()
  .meta({ description: "A disabled webhook is sent nothing, and deliveries that wait for it are given up." });

export const newWebhook = z.strictObject({
  url,
  description: description.default(""),
  events: events.default([...WEBHOOK_EVENTS]),
  enabled: enabled.default(true),
});

export const webhookChange = z.strictObject({
  url: url.optional(),
  description: description.optional(),
  events: events.optional(),
  enabled: enabled.optional(),
});

export const delivery = z
  .object({
    id: z.string().meta({ description: "The `webhook-id` of the request, the same at each attempt." }),
    event: z.enum([...WEBHOOK_EVENTS, TEST_EVENT]),
    state: z
      .enum(["pending", "delivered", "failed"])
      .meta({ description: "pending: the delivery will be tried, or tried again. failed: it was given up." }),
    attempts: z.number(),
    createdAt: time,
    attemptedAt: time.nullable(),
    nextAttemptAt: time.nullable(),
    status: z
      .number()
      .nullable()
      .meta({ description: "The status of the endpoint's last answer; null: it did not answer." }),
    error: z
      .string()
      .nullable()
      .meta({ description: "Why the last attempt failed, or why the delivery was given up." }),
  })
  .meta({ id: "Delivery" });

export const webhook = z
  .object({
    id: z.uuid(),
    url: z.string(),
    description: z.string(),
    events,
    enabled,
    disabledBecause: z
      .string()
      .nullable()
      .meta({ description: "Why the webhook was disabled, when nobody asked for that." }),
    createdAt: time,
    updatedAt: time,
    deliveries: z.object({ pending: z.number(), delivered: z.number(), failed: z.number() }).meta({
      description: "How many deliveries wait, and how many were accepted or given up since the webhook was made.",
    }),
    lastDelivery: delivery.nullable().meta({ description: "The last delivery with an attempt." }),
  })
  .meta({ id: "Webhook" });

export const webhookWithSecret = webhook
  .extend({
    secret: z.string().meta({ description: "`whsec_…`: the secret that signs the webhook's requests. Shown once." }),
  })
  .meta({ id: "WebhookWithSecret" });

export function webhookJson({ lastDelivery, createdAt, updatedAt, ...info }: WebhookInfo) {
  return {
    ...info,
    createdAt: timeText(createdAt),
    updatedAt: timeText(updatedAt),
    lastDelivery: lastDelivery === null ? null : deliveryJson(lastDelivery),
  };
}

export function webhookWithSecretJson({ webhook: info, secret }: WebhookWithSecret) {
  return { ...webhookJson(info), secret };
}

export function deliveryJson({ createdAt, attemptedAt, nextAttemptAt, ...info }: DeliveryInfo) {
  return {
    ...info,
    createdAt: timeText(createdAt),
    attemptedAt: timeTextOrNull(attemptedAt),
    nextAttemptAt: timeTextOrNull(nextAttemptAt),
  };
}
