/** The routes of /api about webhooks. */
import { route, type ApiRoute } from "./route.ts";
import * as schemas from "./schemas.ts";
import * as webhooks from "./webhook-schemas.ts";

const WEBHOOKS = "/api/organizations/:organizationId/webhooks";
const WEBHOOK = `${WEBHOOKS}/:webhookId`;

const webhookRoute = {
  params: webhooks.webhookParams,
  success: { status: 200, description: "The webhook", schema: webhooks.webhook },
  show: webhooks.webhookJson,
} as const;

export const WEBHOOK_ROUTES: readonly ApiRoute[] = [
  route({
    method: "post",
    path: WEBHOOKS,
    summary: "Make a webhook, which is told of backups that fail",
    params: schemas.organizationParams,
    body: webhooks.newWebhook,
    idempotent: true,
    success: { status: 201, description: "The webhook, with its secret", schema: webhooks.webhookWithSecret },
    answer: ({ ask, params, body, idempotency }) =>
      ask("webhooks.create", { ...body, idempotency }, params.organizationId),
    show: webhooks.webhookWithSecretJson,
    location: ({ webhook }, { organizationId }) => `/api/organizations/${organizationId}/webhooks/${webhook.id}`,
  }),
  route({
    method: "get",
    path: WEBHOOKS,
    summary: "List webhooks",
    params: schemas.organizationParams,
    success: { status: 200, description: "All of them, oldest first", schema: schemas.pageOf(webhooks.webhook) },
    answer: ({ ask, params }) => ask("webhooks.list", null, params.organizationId),
    show: schemas.pageJson(webhooks.webhookJson),
  }),
  route({
    ...webhookRoute,
    method: "get",
    path: WEBHOOK,
    summary: "Get a webhook, and how its last delivery went",
    answer: ({ ask, params: { organizationId, webhookId } }) => ask("webhooks.get", { webhookId }, organizationId),
  }),
  route({
    ...webhookRoute,
    method: "patch",
    path: WEBHOOK,
    summary: "Change a webhook; what is left out stays as it is",
    body: webhooks.webhookChange,
    answer({ ask, params: { organizationId, webhookId }, body }) {
      const { url = null, description = null, events = null, enabled = null } = body;
      return ask("webhooks.update", { webhookId, url, description, events, enabled }, organizationId);
    },
  }),
  route({
    method: "delete",
    path: WEBHOOK,
    summary: "Delete a webhook, and what waits for it",
    params: webhooks.webhookParams,
    success: { status: 204, description: "It is deleted", schema: null },
    answer: ({ ask, params: { organizationId, webhookId } }) => ask("webhooks.delete", { webhookId }, organizationId),
  }),
  route({
    method: "get",
    path: `${WEBHOOK}/deliveries`,
    summary: "List what was delivered to a webhook, or is to be",
    params: webhooks.webhookParams,
    success: { status: 200, description: "The newest first", schema: schemas.pageOf(webhooks.delivery) },
    answer: ({ ask, params: { organizationId, webhookId } }) =>
      ask("webhooks.deliveries", { webhookId }, organizationId),
    show: schemas.pageJson(webhooks.deliveryJson),
  }),
  route({
    method: "post",
    path: `${WEBHOOK}[:]test`,
    summary: "Send a test event to a webhook; answers when its endpoint has",
    params: webhooks.webhookParams,
    success: { status: 200, description: "What came of it", schema: webhooks.delivery },
    answer: ({ ask, params: { organizationId, webhookId } }) => ask("webhooks.test", { webhookId }, organizationId),
    show: webhooks.deliveryJson,
  }),
  route({
    method: "post",
    path: `${WEBHOOK}[:]rotateSecret`,
    summary: "Give a webhook a new secret; for a day the one before signs too",
    params: webhooks.webhookParams,
    success: { status: 200, description: "The webhook, with its secret", schema: webhooks.webhookWithSecret },
    showsSecret: true,
    answer: ({ ask, params: { organizationId, webhookId } }) =>
      ask("webhooks.rotateSecret", { webhookId }, organizationId),
    show: webhooks.webhookWithSecretJson,
  }),
];
