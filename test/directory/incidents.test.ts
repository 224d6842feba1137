/** What webhooks are told of backups that fail, and what not. */
import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { MAX_DATABASES_IN_EVENT, MAX_DELIVERIES_AT_ONCE } from "../../src/core/limits.ts";
import { ORGANIZATION_ID } from "../support/workerd/organization.ts";
import { hour, minute, withWatched } from "../support/workerd/webhooks.ts";

describe("a backup that fails", () => {
  test("is told of after ten minutes, once, and that it has recovered (B41)", async () => {
    await withWatched(async (w) => {
      await w.newWebhook();
      const id = await w.o.newDatabase();
      w.report(id);
      const began = w.o.clock.now() - minute;
      w.reportFailing(id);
      expect(await w.pass(9 * minute - 1)).toEqual([]);
      const [failed, ...more] = await w.pass(minute);
      expect(more).toEqual([]);
      const time = (ms: number) => new Date(ms).toISOString();
      expect(JSON.parse(failed?.text ?? "")).toEqual({
        type: "backup.failed",
        timestamp: time(began + 10 * minute),
        data: {
          organizationId: ORGANIZATION_ID,
          databases: [
            {
              id,
              name: "n",
              failingSince: time(began),
              error: "The bucket is down.",
              behindSince: time(began),
              backlogBytes: 4096,
              lastSuccessAt: time(1_799_999_000_000),
            },
          ],
        },
      });
      // More reports of the same, also after a restart, are no news.
      w.report(id, { failing: { since: asUnixMs(began), error: "The bucket is still down." } });
      w.o.restart();
      expect(await w.pass(3 * hour)).toEqual([]);
      w.report(id);
      const recoveredAt = w.o.clock.now();
      const [recovered, ...others] = await w.pass(5 * minute);
      expect(others).toEqual([]);
      expect([recovered?.type, recovered?.data.databases]).toEqual([
        "backup.recovered",
        [{ id, name: "n", failingSince: time(began), recoveredAt: time(recoveredAt), reason: "working" }],
      ]);
      expect(w.count("incidents")).toBe(0);
      expect(await w.pass(hour)).toEqual([]);
    });
  });

  test("for less than ten minutes is not told of", async () => {
    await withWatched(async (w) => {
      await w.newWebhook();
      const id = await w.o.newDatabase();
      for (let i = 0; i < 3; i++) {
        w.reportFailing(id);
        expect(await w.pass(8 * minute)).toEqual([]);
        w.report(id);
        expect(await w.pass(20 * minute)).toEqual([]);
      }
    });
  });

  test("again before anyone was told that it had recovered counts as never recovered", async () => {
    await withWatched(async (w) => {
      await w.newWebhook();
      const id = await w.o.newDatabase();
      w.reportFailing(id);
      expect(await w.pass(10 * minute)).toHaveLength(1);
      w.o.clock.pass(1_000);
      w.report(id);
      expect(await w.pass(30_000)).toEqual([]);
      w.reportFailing(id);
      expect(await w.pass(hour)).toEqual([]);
      w.report(id);
      expect(await w.pass(minute)).toMatchObject([{ type: "backup.recovered" }]);
    });
  });

  test("is over, too, when it is paused, ended, or goes with its database, and the reason says which", async () => {
    await withWatched(async (w) => {
      await w.newWebhook();
      const [paused, ended, deleted] = [await w.o.newDatabase(), await w.o.newDatabase(), await w.o.newDatabase()];
      for (const id of [paused, ended, deleted]) w.reportFailing(id);
      const [failed] = await w.pass(10 * minute);
      expect(failed?.data.databases).toHaveLength(3);
      w.report(paused, { paused: true });
      w.o.service.reportBackup(ended, null);
      await w.o.run("databases.delete", { databaseId: deleted, deleteBackups: false });
      const [over, ...more] = await w.pass(minute);
      expect(more).toEqual([]);
      const reasons = over?.data.databases.map(({ id, reason }: { id: string; reason: string }) => [id, reason]);
      expect(new Map(reasons)).toEqual(
        new Map([
          [paused, "paused"],
          [ended, "ended"],
          [deleted, "deleted"],
        ]),
      );
    });
  });

  test("while there is no webhook is told to the first that is made", async () => {
    await withWatched(async (w) => {
      const [failing, healed] = [await w.o.newDatabase(), await w.o.newDatabase()];
      for (const id of [failing, healed]) w.reportFailing(id);
      await w.pass(2 * hour);
      w.report(healed);
      await w.pass(hour);
      expect(w.o.service.webhooks.dueAt()).toBeNull();
      await w.newWebhook({ enabled: false });
      expect(await w.pass(hour)).toEqual([]);
      await w.newWebhook();
      expect((await w.pass(minute)).map(({ type, data }) => [type, data.databases.length])).toEqual([
        ["backup.failed", 1],
      ]);
    });
  });
});

describe("a verification that fails", () => {
  const bad = (finishedAt: number) => ({
    verification: { finishedAt: asUnixMs(finishedAt), good: false, error: "An object is missing.", damagedObject: "a" },
  });

  test("is told of within a minute, each of them, and that a later one is good (B41)", async () => {
    await withWatched(async (w) => {
      await w.newWebhook();
      const id = await w.o.newDatabase();
      const first = w.o.clock.now();
      w.report(id, bad(first));
      const [failed, ...more] = await w.pass(minute);
      expect(more).toEqual([]);
      expect([failed?.type, failed?.data.databases]).toEqual([
        "backup.verification_failed",
        [
          {
            id,
            name: "n",
            verifiedAt: new Date(first).toISOString(),
            error: "An object is missing.",
            damagedObject: "a",
          },
        ],
      ]);
      // Other news of the same backup.
      w.report(id, { ...bad(first), backlogBytes: 1 });
      expect(await w.pass(hour)).toEqual([]);
      w.report(id, bad(w.o.clock.now()));
      expect(await w.pass(minute)).toMatchObject([{ type: "backup.verification_failed" }]);
      const good = { finishedAt: w.o.clock.now(), good: true, error: null, damagedObject: null };
      w.report(id, { verification: good });
      expect(await w.pass(minute)).toMatchObject([
        { type: "backup.verification_recovered", data: { databases: [{ id, reason: "working" }] } },
      ]);
      w.report(id, { verification: { ...good, finishedAt: asUnixMs(w.o.clock.now() + 1) } });
      expect(await w.pass(hour)).toEqual([]);
    });
  });

  test("is reported to the one who asked for it", async () => {
    await withWatched(async (w) => {
      await w.newWebhook({ url: "https://a.example/", events: ["backup.verification_failed"] });
      await w.newWebhook({ url: "https://b.example/", events: ["backup.failed", "backup.recovered"] });
      const id = await w.o.newDatabase();
      const failing = { since: w.o.clock.now(), error: "down" };
      w.report(id, { ...bad(w.o.clock.now()), failing });
      const told = (await w.pass(11 * minute)).map(({ url, type }) => `${url} ${type}`);
      expect(told).toEqual(["https://a.example/ backup.verification_failed", "https://b.example/ backup.failed"]);
    });
  });
});

test("two thousand databases whose bucket is down are told of in a bounded number of requests, few at a time, each once", async () => {
  await withWatched(async (w) => {
    const many = 2_000;
    await w.newWebhook();
    const ids = w.databases(many);
    for (const [i, id] of ids.entries()) {
      // Within a minute and a half, as databases do.
      if (i % 200 === 0) w.o.clock.pass(9_000);
      w.reportFailing(id, "The bucket is down. ".repeat(14));
    }
    w.answer = async () => {
      await new Promise((resolve) => setTimeout(resolve, 0));
      return new Response(null, { status: 200 });
    };
    const sent = await w.pass(20 * minute);
    expect(sent).toHaveLength(many / MAX_DATABASES_IN_EVENT);
    expect(w.mostUnderWay).toBe(MAX_DELIVERIES_AT_ONCE);
    expect(Math.max(...sent.map(({ text }) => new TextEncoder().encode(text).length))).toBeLessThan(64_000);
    const named = sent.flatMap(({ data }) => data.databases.map(({ id }: { id: string }) => id));
    expect(named).toHaveLength(many);
    expect(new Set(named)).toEqual(new Set(ids));
    expect([w.count("webhook_events"), w.count("webhook_deliveries")]).toEqual([0, many / MAX_DATABASES_IN_EVENT]);
    for (const id of ids) w.report(id);
    expect(await w.pass(20 * minute)).toHaveLength(many / MAX_DATABASES_IN_EVENT);
    expect(w.count("incidents")).toBe(0);
  });
});
