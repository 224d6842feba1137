/** Webhooks: how they are kept, and how what they are told is delivered, tried again and given up. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { fromBase64, toBase64 } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import {
  MAX_DELIVERIES_AT_ONCE,
  MAX_ENDED_DELIVERIES,
  MAX_PENDING_DELIVERIES,
  MAX_WEBHOOKS,
  WEBHOOK_ANSWER_MS,
} from "../../src/core/limits.ts";
import { type WebhookEvent, WEBHOOK_EVENTS } from "../../src/contracts/webhooks.ts";
import { ok } from "../support/workerd/directory.ts";
import { killed } from "../support/workerd/organization.ts";
import { hour, minute, type Sent, type WatchedOrganization, withWatched } from "../support/workerd/webhooks.ts";

const wishes = { url: "https://hooks.example/in", description: "d", events: WEBHOOK_EVENTS, enabled: true };

/** HMAC-SHA-256 as RFC 2104 defines it, for keys of up to 64 bytes. */
function hmac(key: Uint8Array, text: string): Uint8Array {
  const padded = (byte: number) => Uint8Array.from({ length: 64 }, (_, i) => (key[i] ?? 0) ^ byte);
  const inner = createHash("sha256").update(padded(0x36)).update(new TextEncoder().encode(text)).digest();
  return createHash("sha256").update(padded(0x5c)).update(inner).digest();
}

/** As whoever gets it checks it, by another implementation of HMAC. */
function isSignedWith(secret: string, { headers, text }: Sent): boolean {
  const key = fromBase64(secret.replace("whsec_", ""));
  const signed = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${text}`;
  const expected = `v1,${toBase64(hmac(key, signed))}`;
  return (headers.get("webhook-signature") ?? "").split(" ").includes(expected);
}

async function failing(w: WatchedOrganization): Promise<string> {
  const id = await w.o.newDatabase();
  w.reportFailing(id);
  return id;
}

describe("a webhook", () => {
  test("shows its secret once, and keeps it encrypted", async () => {
    await withWatched(async (w) => {
      const { webhook, secret } = await w.newWebhook();
      expect(webhook).toEqual({
        id: webhook.id,
        url: "https://hooks.example/in",
        description: "",
        events: WEBHOOK_EVENTS,
        enabled: true,
        disabledBecause: null,
        createdAt: w.o.clock.now(),
        updatedAt: w.o.clock.now(),
        deliveries: { pending: 0, delivered: 0, failed: 0 },
        lastDelivery: null,
      });
      expect(await w.o.run("webhooks.list", null)).toEqual({ items: [webhook], next: null });
      const rows = JSON.stringify(w.storage.sql.exec("SELECT * FROM webhooks").toArray());
      expect(rows).not.toContain(secret.slice("whsec_".length));
    });
  });

  test("is made once by an idempotency key, which shows its secret again for a day", async () => {
    await withWatched(async (w) => {
      const make = () => w.o.run("webhooks.create", { ...wishes, idempotency: { key: "k", fingerprint: "f" } });
      const made = await make();
      expect(await make()).toEqual(made);
      w.o.clock.pass(24 * hour);
      expect((await make()).webhook.id).not.toBe(made.webhook.id);
      await w.o.run("webhooks.delete", { webhookId: (await make()).webhook.id });
      expect(
        await w.o.service.run(w.o.root, null, "webhooks.create", {
          ...wishes,
          idempotency: { key: "k", fingerprint: "f" },
        }),
      ).toMatchObject({ code: "conflict" });
    });
  });

  test("is one of a few", async () => {
    await withWatched(async (w) => {
      for (let i = 0; i < MAX_WEBHOOKS; i++) await w.newWebhook();
      const more = await w.o.service.run(w.o.root, null, "webhooks.create", { ...wishes, idempotency: null });
      expect(more).toEqual({ ok: false, code: "limit", message: "An organization has at most 10 webhooks." });
      const [first] = (await w.o.run("webhooks.list", null)).items;
      await w.o.run("webhooks.delete", { webhookId: first?.id ?? "" });
      await w.newWebhook();
    });
  });

  test("changes in what is named, is deleted with what waits for it, and is not found afterwards", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      const nothing = { url: null, description: null, events: null, enabled: null };
      const change = (changes: object) => w.o.run("webhooks.update", { webhookId: webhook.id, ...nothing, ...changes });
      expect(await change({})).toEqual(webhook);
      w.o.clock.pass(1_000);
      const changed = { url: "https://other.example/", events: ["backup.failed"] as WebhookEvent[], description: "x" };
      expect(await change(changed)).toEqual({ ...webhook, ...changed, updatedAt: w.o.clock.now() });
      const bad = { webhookId: webhook.id, ...nothing, url: "http://169.254.169.254/" };
      expect(await w.o.service.run(w.o.root, null, "webhooks.update", bad)).toMatchObject({ code: "invalid" });
      w.answer = () => new Response(null, { status: 500 });
      await failing(w);
      await w.pass(10 * minute);
      expect(w.count("webhook_deliveries")).toBe(1);
      await w.o.run("webhooks.delete", { webhookId: webhook.id });
      expect([w.count("webhook_deliveries"), w.count("webhook_events")]).toEqual([0, 0]);
      for (const name of ["get", "test", "rotateSecret", "deliveries", "delete"] as const) {
        const asked = await w.o.service.run(w.o.root, null, `webhooks.${name}`, { webhookId: webhook.id });
        expect(asked).toMatchObject({ code: "not-found" });
      }
    });
  });

  test("signs with a new secret and for a day with the one before", async () => {
    await withWatched(async (w) => {
      const { webhook, secret: before } = await w.newWebhook();
      const { secret: after } = await w.o.run("webhooks.rotateSecret", { webhookId: webhook.id });
      expect(after).not.toBe(before);
      const signers = async () => {
        await w.o.run("webhooks.test", { webhookId: webhook.id });
        const sent = w.sent.at(-1);
        return sent === undefined ? [] : [before, after].map((secret) => isSignedWith(secret, sent));
      };
      expect(await signers()).toEqual([true, true]);
      w.o.clock.pass(24 * hour);
      expect(await signers()).toEqual([false, true]);
    });
  });
});

describe("the key that secrets are encrypted under", () => {
  test("is replaced when a webhook next signs; one that was dropped too early is said to be missing", async () => {
    await withWatched(async (w) => {
      const { webhook, secret } = await w.newWebhook();
      const keyOf = () =>
        w.storage.sql.exec<{ secret: string }>("SELECT secret FROM webhooks").one().secret.split(".")[1];
      const keyOfDigit = (digit: string) => `k${digit}:${btoa(digit.repeat(32))}`;
      const [k1, k2] = [keyOfDigit("1"), keyOfDigit("2")];
      const tested = async (keys: string) => {
        w.o.encryptionKeys = keys;
        w.o.restart();
        return w.o.run("webhooks.test", { webhookId: webhook.id });
      };
      expect(await tested(`${k2},${k1}`)).toMatchObject({ state: "delivered" });
      expect(keyOf()).toBe("k2");
      expect(await tested(k1)).toMatchObject({
        state: "failed",
        error: "The webhook's secret cannot be decrypted. Replace it with :rotateSecret.",
      });
      expect(await tested(k2)).toMatchObject({ state: "delivered" });
      expect(w.sent.map((sent) => isSignedWith(secret, sent))).toEqual([true, true]);
    });
  });

  test("has to be there", async () => {
    await withWatched(async (w) => {
      w.o.encryptionKeys = null;
      w.o.restart();
      const made = await w.o.service.run(w.o.root, null, "webhooks.create", { ...wishes, idempotency: null });
      expect(made).toMatchObject({ code: "unsupported", message: expect.stringContaining("CAIRN_ENCRYPTION_KEYS") });
    });
  });
});

describe("a delivery", () => {
  test("is a signed POST that names itself the same at each attempt, and the time of each", async () => {
    await withWatched(async (w) => {
      const { webhook, secret } = await w.newWebhook();
      await failing(w);
      let answers = 0;
      w.answer = () => new Response("an answer that nobody reads", { status: ++answers < 3 ? 500 : 202 });
      const attempts = await w.pass(12 * minute);
      expect(attempts).toHaveLength(3);
      const [first] = attempts;
      expect(first?.headers.get("webhook-id")).toMatch(/^msg_[0-9a-f]{32}$/);
      for (const sent of attempts) {
        expect(isSignedWith(secret, sent)).toBe(true);
        expect(sent.headers.get("webhook-id")).toBe(first?.headers.get("webhook-id"));
        expect(sent.headers.get("webhook-timestamp")).toBe(String(Math.floor(sent.at / 1000)));
        expect(sent.headers.get("content-type")).toBe("application/json");
        expect(sent.text).toBe(first?.text);
      }
      expect(await w.webhook(webhook.id)).toMatchObject({
        deliveries: { pending: 0, delivered: 1, failed: 0 },
        lastDelivery: {
          event: "backup.failed",
          state: "delivered",
          attempts: 3,
          status: 202,
          error: null,
          nextAttemptAt: null,
        },
      });
    });
  });

  test("is tried again for a day, ever later, and then given up, which shows", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      await failing(w);
      w.answer = () => new Response("secret of theirs", { status: 503 });
      const attempts = await w.pass(9 * minute);
      expect(await w.webhook(webhook.id)).toMatchObject({
        deliveries: { pending: 1, delivered: 0, failed: 0 },
        lastDelivery: {
          state: "pending",
          attempts: 1,
          status: 503,
          error: "The endpoint answered 503.",
          nextAttemptAt: w.o.clock.now() + 5_000,
        },
      });
      attempts.push(...(await w.pass(30 * hour)));
      const waits = attempts.slice(1).map(({ at }, i) => (at - (attempts[i]?.at ?? 0)) / 1000);
      expect(waits).toEqual([5, 60, 300, 900, 2340, 3600, 7200, 14_400, 21_600, 36_000]);
      expect(await w.webhook(webhook.id)).toMatchObject({
        deliveries: { pending: 0, delivered: 0, failed: 1 },
        lastDelivery: { state: "failed", attempts: 11, status: 503, nextAttemptAt: null },
      });
      const { items } = await w.o.run("webhooks.deliveries", { webhookId: webhook.id });
      expect(items).toHaveLength(1);
      expect(JSON.stringify(items)).not.toContain("theirs");
      expect((await w.o.run("metrics.get", null)).webhooks).toEqual({
        webhooks: 1,
        pending: 0,
        delivered: 0,
        failed: 1,
      });
    });
  });

  test("whose answer is lost, or whose sender is killed, is made again under the same id", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      await failing(w);
      w.o.clock.pass(10 * minute);
      w.answer = () => killed().then(() => new Response());
      void w.o.service.webhooks.work();
      await expect.poll(() => w.sent.length).toBe(1);
      w.o.restart();
      w.answer = () => new Response(null, { status: 200 });
      const [again, ...more] = await w.pass(minute);
      expect(more).toEqual([]);
      expect(again?.headers.get("webhook-id")).toBe(w.sent[0]?.headers.get("webhook-id"));
      expect((await w.webhook(webhook.id)).deliveries).toEqual({ pending: 0, delivered: 1, failed: 0 });
    });
  });

  test("is given up on by an endpoint that does not answer in time, or that cannot be reached, until the next attempt", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      await failing(w);
      w.o.clock.pass(10 * minute);
      w.answer = () => killed().then(() => new Response());
      const working = w.o.service.webhooks.work();
      await expect.poll(() => w.sent.length).toBe(1);
      w.o.timers.run();
      await working;
      const last = async () => (await w.webhook(webhook.id)).lastDelivery;
      expect(await last()).toMatchObject({
        status: null,
        error: `The endpoint did not answer within ${WEBHOOK_ANSWER_MS / 1000} seconds.`,
      });
      w.answer = () => Promise.reject(new Error("connect ECONNREFUSED 10.1.2.3:443"));
      await w.pass(5_000);
      expect(await last()).toMatchObject({ attempts: 2, status: null, error: "The endpoint could not be reached." });
    });
  });

  test("to one endpoint that is slow keeps nothing from another", async () => {
    await withWatched(async (w) => {
      await w.newWebhook({ url: "https://slow.example/" });
      await w.newWebhook({ url: "https://quick.example/" });
      await failing(w);
      w.o.clock.pass(10 * minute);
      w.answer = ({ url }) => (url.includes("slow") ? killed().then(() => new Response()) : new Response());
      const working = w.o.service.webhooks.work();
      await expect
        .poll(() => w.sent.map(({ url }) => url).toSorted())
        .toEqual(["https://quick.example/", "https://slow.example/"]);
      w.o.timers.run();
      await working;
    });
  });

  test("that is answered with a redirect does not follow it", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      w.answer = () => new Response(null, { status: 302, headers: { location: "https://elsewhere.example/" } });
      const outcome = await w.o.run("webhooks.test", { webhookId: webhook.id });
      expect(outcome).toMatchObject({
        state: "failed",
        status: 302,
        error: "The endpoint answered 302, a redirect, which is not followed.",
      });
      expect(w.sent).toHaveLength(1);
    });
  });
});

describe("what waits", () => {
  test("is bounded: the oldest is given up, and what has ended is shown for a while", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      const { webhooks } = w.o.organization.monitoring;
      const add = (i: number) => webhooks.addEvent(`msg_${i}`, "backup.failed", "{}", w.o.clock.now());
      for (let i = 0; i < MAX_PENDING_DELIVERIES + 150; i++) add(i);
      const { deliveries } = await w.webhook(webhook.id);
      expect(deliveries).toEqual({ pending: MAX_PENDING_DELIVERIES, delivered: 0, failed: 150 });
      expect(w.count("webhook_deliveries")).toBe(MAX_PENDING_DELIVERIES + MAX_ENDED_DELIVERIES);
      expect(w.count("webhook_events")).toBe(MAX_PENDING_DELIVERIES);
      const lost = w.storage.sql.exec("SELECT error FROM webhook_deliveries WHERE event_id = 'msg_149'").one();
      expect(lost).toEqual({ error: "More than 1000 deliveries were waiting." });
    });
  });

  test("is given up when the webhook is disabled, and nothing is sent to one that is", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      w.answer = () => new Response(null, { status: 500 });
      await failing(w);
      expect(await w.pass(9 * minute)).toHaveLength(1);
      const change = (enabled: boolean) =>
        w.o.run("webhooks.update", { webhookId: webhook.id, url: null, description: null, events: null, enabled });
      expect(await change(false)).toMatchObject({
        enabled: false,
        disabledBecause: null,
        deliveries: { pending: 0, failed: 1 },
        lastDelivery: { state: "failed", error: "The webhook was disabled." },
      });
      await failing(w);
      expect(await w.pass(hour)).toEqual([]);
      w.answer = () => new Response(null, { status: 200 });
      await change(true);
      // What began meanwhile was told to nobody.
      expect(await w.pass(minute)).toMatchObject([{ type: "backup.failed" }]);
    });
  });

  test("is given up, and the webhook disabled, when its endpoint says that it is gone", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      await failing(w);
      w.answer = () => new Response(null, { status: 410 });
      expect(await w.pass(hour)).toHaveLength(1);
      expect(await w.webhook(webhook.id)).toMatchObject({
        enabled: false,
        disabledBecause: "Its endpoint answered 410 Gone.",
        lastDelivery: { state: "failed", attempts: 1, status: 410 },
      });
    });
  });

  test("goes with the organization", async () => {
    await withWatched(async (w) => {
      await w.newWebhook();
      w.answer = () => new Response(null, { status: 500 });
      const id = await failing(w);
      await w.pass(10 * minute);
      await w.o.run("databases.delete", { databaseId: id, deleteBackups: false });
      await w.o.run("organization.delete", null);
      expect(await w.pass(48 * hour)).toEqual([]);
    });
  });
});

describe("a test", () => {
  test("is sent at once, also to one that is disabled, and says what came of it", async () => {
    await withWatched(async (w) => {
      const { webhook, secret } = await w.newWebhook({ enabled: false });
      const outcome = await w.o.run("webhooks.test", { webhookId: webhook.id });
      expect(outcome).toMatchObject({
        event: "webhook.test",
        state: "delivered",
        attempts: 1,
        status: 200,
        error: null,
      });
      const [sent] = w.sent;
      expect([sent?.type, sent?.data.webhookId]).toEqual(["webhook.test", webhook.id]);
      expect(sent !== undefined && isSignedWith(secret, sent)).toBe(true);
      w.answer = () => new Response(null, { status: 404 });
      expect(await w.o.run("webhooks.test", { webhookId: webhook.id })).toMatchObject({ state: "failed", status: 404 });
      expect(await w.pass(48 * hour)).toEqual([]);
      expect((await w.webhook(webhook.id)).lastDelivery).toMatchObject({ event: "webhook.test", state: "failed" });
    });
  });

  test("that is killed is made again by the alarm, once", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      w.answer = () => killed().then(() => new Response());
      void w.o.run("webhooks.test", { webhookId: webhook.id });
      await expect.poll(() => w.sent.length).toBe(1);
      w.o.restart();
      w.answer = () => new Response();
      expect(await w.pass(hour)).toHaveLength(1);
      expect((await w.webhook(webhook.id)).deliveries).toEqual({ pending: 0, delivered: 1, failed: 0 });
    });
  });

  test("waits for no more than a few others", async () => {
    await withWatched(async (w) => {
      const { webhook } = await w.newWebhook();
      const answered = Promise.withResolvers<Response>();
      w.answer = () => answered.promise.then(() => new Response());
      const ask = () => w.o.service.run(w.o.root, null, "webhooks.test", { webhookId: webhook.id });
      const tests = Array.from({ length: MAX_DELIVERIES_AT_ONCE }, ask);
      await expect.poll(() => w.sent.length).toBe(MAX_DELIVERIES_AT_ONCE);
      expect(await ask()).toMatchObject({ code: "unavailable" });
      answered.resolve(new Response());
      for (const each of tests) expect(ok(await each)).toMatchObject({ state: "delivered" });
      expect(await ask()).toMatchObject({ state: "delivered" });
    });
  });
});

test("an event that nobody waits for writes nothing, and an organization without webhooks and backups has no tables of them", async () => {
  await withWatched(async (w) => {
    const id = await w.o.newDatabase();
    w.o.service.reportBackup(id, null);
    expect((await w.o.run("webhooks.list", null)).items).toEqual([]);
    expect(await w.o.service.run(w.o.root, null, "webhooks.get", { webhookId: "x" })).toMatchObject({
      code: "not-found",
    });
    const { sql } = w.storage;
    expect(sql.exec("SELECT 1 FROM sqlite_schema WHERE name IN ('webhooks', 'incidents')").toArray()).toEqual([]);
    await w.newWebhook({ events: ["backup.recovered"] });
    w.reportFailing(id);
    expect(await w.pass(asUnixMs(20 * minute))).toEqual([]);
    expect([w.count("webhook_events"), w.count("webhook_deliveries")]).toEqual([0, 0]);
  });
});
