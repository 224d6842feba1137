/** Archives of real objects: what a schedule does that is overdue, who is told, and what comes back with a full archive. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, test, vi } from "vitest";
import type { DatabaseObject } from "../../src/objects/database-object.ts";
import type { Env } from "../../src/objects/env.ts";
import { type Answered, RestDatabase, send } from "../doors/rest/rest-client.ts";

/** `test/support/noted-events.ts` */
const NOTED_EVENTS_URL = "https://noted-events.test/?";

// The plugin's environment is the deployment's.
const { DATABASES, ORGANIZATIONS, WEBHOOKS } = env as unknown as Env;

/** The log says what failed. */
beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => undefined));

async function ok(answer: Promise<Answered>): Promise<Answered["json"]> {
  const { status, text, json } = await answer;
  if (status >= 300) throw new Error(text);
  return json;
}

/** The schedule was due a day ago, when the object slept. */
async function overdue({ id }: RestDatabase): Promise<void> {
  const stub = DATABASES.getByName(id);
  await runInDurableObject(stub, (_: DatabaseObject, { storage }) => {
    storage.sql.exec("UPDATE archive_schedule SET anchor_at = anchor_at - 2 * 24 * 60 * 60 * 1000");
  });
  await evictDurableObject(stub);
}

/** Rings the database's alarm until its archives have ended. */
async function ended(database: RestDatabase): Promise<Answered["json"][]> {
  for (let i = 0; i < 200; i++) {
    await database.stats();
    await runDurableObjectAlarm(DATABASES.getByName(database.id));
    const { items } = await ok(database.ask("GET", "backups"));
    const isOver =
      items.length > 0 &&
      items.every(({ status }: { status: string }) => status === "completed" || status === "failed");
    if (isOver) return items;
    await scheduler.wait(20);
  }
  throw new Error("the archive does not end");
}

async function told(url: string, organizationId: string): Promise<Answered["json"][]> {
  await runDurableObjectAlarm(ORGANIZATIONS.getByName(organizationId));
  const answer = await WEBHOOKS?.fetch(NOTED_EVENTS_URL + encodeURIComponent(url));
  const events: { body: string }[] = (await answer?.json()) ?? [];
  return events.map(({ body }) => JSON.parse(body));
}

test("a run that was missed while the object slept is made, late, and one that no destination takes is told to the organization's webhooks (Z31, Z33)", async () => {
  const database = await RestDatabase.make();
  const { organizationId, token } = database;
  const url = `https://hooks.example/${database.id}`;
  await ok(send("POST", `/api/organizations/${organizationId}/webhooks`, { token, body: JSON.stringify({ url }) }));
  await ok(database.ask("PATCH", "backupSchedule", { body: '{"enabled":true,"notifyOnFailure":true}' }));
  await overdue(database);
  const [good] = await ended(database);
  expect(good).toMatchObject({ status: "completed", origin: "schedule", destinations: [{ name: "local" }] });
  expect(await told(url, organizationId)).toEqual([]);

  await ok(database.ask("POST", "backupDestinations", { body: '{"type":"r2","name":"lost"}' }));
  await runInDurableObject(DATABASES.getByName(database.id), (_: DatabaseObject, { storage }) => {
    // A place that cannot be opened.
    storage.sql.exec(`UPDATE archive_destinations SET config = '{"type":"r2","directory":"a//b"}'`);
  });
  await overdue(database);
  const all = await ended(database);
  expect(all.map(({ status }) => status)).toEqual(["failed", "completed"]);
  await vi.waitFor(
    async () => {
      await runDurableObjectAlarm(DATABASES.getByName(database.id));
      expect(await told(url, organizationId)).toMatchObject([
        {
          type: "archive.failed",
          data: { organizationId, databaseId: database.id, archive: { id: all[0]?.id, status: "failed" } },
        },
      ]);
    },
    { timeout: 60_000, interval: 50 },
  );
  const { lastRun } = await ok(database.ask("GET", "backupSchedule"));
  expect(lastRun).toMatchObject({
    archiveId: all[0]?.id,
    status: "failed",
    error: expect.stringContaining("empty part"),
  });
});

test("a full archive brings back the schedule, and a destination that is gone, disabled (Z18)", async () => {
  const database = await RestDatabase.make();
  const body = '{"enabled":true,"cron":"15 4 * * 1","timezone":"Asia/Tokyo","retention":9,"notifyOnFailure":true}';
  await ok(database.ask("PATCH", "backupSchedule", { body }));
  const place = await ok(
    database.ask("POST", "backupDestinations", { body: '{"type":"r2","name":"weekly","maxBackups":4}' }),
  );
  await database.put("a", 1);
  await ok(database.ask("POST", "backups", { body: "{}" }));
  const [archive] = await ended(database);
  // An archive whose only destination was removed cannot be read, so it lies at another one, too.
  const other = await ok(
    database.ask("POST", "backupDestinations", { body: '{"type":"r2","name":"other","config":{"directory":"x"}}' }),
  );
  await ok(
    database.ask("PATCH", "backupSchedule", {
      body: '{"enabled":false,"cron":"0 0 * * *","retention":1,"notifyOnFailure":false}',
    }),
  );
  const file = await database.raw(`backups/${archive.id}:download`);
  await ok(database.ask("POST", "backups:upload", { body: await file.arrayBuffer() }));
  await ended(database);
  await ok(database.ask("POST", `backupDestinations:destroy?filterByTk=${place.id}`));
  const uploaded = (await ok(database.ask("GET", "backups"))).items[0];
  const restored = `backups/${uploaded.id}:restore`;
  await ok(database.ask("POST", restored, { body: '{"confirm":true,"safetyArchive":false}' }));
  await vi.waitFor(
    async () => {
      await runDurableObjectAlarm(DATABASES.getByName(database.id));
      const schedule = await ok(database.ask("GET", "backupSchedule"));
      expect(schedule).toMatchObject({
        enabled: true,
        cron: "15 4 * * 1",
        timezone: "Asia/Tokyo",
        retention: 9,
        notifyOnFailure: true,
      });
    },
    { timeout: 60_000, interval: 50 },
  );
  const { items } = await ok(database.ask("GET", "backupDestinations"));
  expect(items).toMatchObject([
    { id: other.id, name: "other", enabled: true },
    { name: "weekly", enabled: false, maxBackups: 4, type: "r2" },
  ]);
});
