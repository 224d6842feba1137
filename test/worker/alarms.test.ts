/** From a bucket that is gone to metrics and a webhook's endpoint, through the whole Worker and its real objects. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { Env } from "../../src/objects/env.ts";
import worker from "../../src/worker.ts";
import { CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS } from "../support/deployment-secrets.ts";
import { s3Destination } from "../support/workerd/backup.ts";
import { commit } from "../support/workerd/database-object.ts";
import { key, set, text, write } from "../support/workerd/engine.ts";

/** `test/support/noted-events.ts` */
const NOTED_EVENTS_URL = "https://noted-events.test/?";

const minute = 60_000;

// The plugin's environment is the deployment's, without its secrets.
const configured: Env = { ...(env as unknown as Env), CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS };
const { DATABASES, ORGANIZATIONS, WEBHOOKS } = configured;

afterEach(() => void vi.useRealTimers());

async function send(method: string, path: string, token: string, body?: object) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const headers = { authorization: `Bearer ${token}` };
  const answer = await worker.fetch(new Request(`https://cairn.test${path}`, { method, headers, ...sent }), configured);
  const whole = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${whole}`);
  return whole;
}

// What an answer holds is what the test is about.
// oxlint-disable-next-line typescript/no-explicit-any
async function sendJson(...request: Parameters<typeof send>): Promise<any> {
  return JSON.parse(await send(...request));
}

test("a bucket that is gone shows in the metrics within two minutes, is told to a webhook after ten, and so is that it is back", async () => {
  // A whole minute, because events go out at whole minutes. A bucket believes a clock that is at most 15 minutes before its own.
  vi.useFakeTimers({ toFake: ["Date"], now: Math.ceil(Date.now() / minute) * minute });
  const { organization, token } = await sendJson("POST", "/api/organizations", CAIRN_DEPLOYMENT_TOKEN, { name: "o" });
  const path = `/api/organizations/${organization.id}`;
  const { id } = await sendJson("POST", `${path}/databases`, token, { name: "orders" });
  const url = `https://hooks.example/${organization.id}`;
  const webhook = await sendJson("POST", `${path}/webhooks`, token, { url });
  const { sessionToken: _, ...destination } = s3Destination();
  await sendJson("POST", `/api/databases/${id}/backup`, token, { destination });

  const [database, directory] = [DATABASES.getByName(id), ORGANIZATIONS.getByName(organization.id)];
  /** Time passes, and the alarms ring that are due in it. */
  const pass = async (ms: number): Promise<void> => {
    const until = Date.now() + ms;
    for (;;) {
      const due: { at: number; ring: () => Promise<boolean> }[] = [];
      for (const stub of [database, directory]) {
        const at = await runInDurableObject(stub, (__, { storage }) => storage.getAlarm());
        if (at !== null && at <= until) due.push({ at, ring: () => runDurableObjectAlarm(stub) });
      }
      const [next] = due.toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      vi.setSystemTime(Math.max(Date.now(), next.at));
      await next.ring();
    }
    vi.setSystemTime(until);
  };
  const bucketIs = async (name: string) => {
    await runInDurableObject(database, (__, { storage }) => {
      storage.sql.exec("UPDATE backup SET destination = json_set(destination, '$.bucketName', ?1)", name);
    });
    await evictDurableObject(database);
  };
  const told = async (): Promise<[string, unknown][]> => {
    const answer = await WEBHOOKS?.fetch(NOTED_EVENTS_URL + encodeURIComponent(url));
    const events: { body: string }[] = (await answer?.json()) ?? [];
    return events.map(({ body }) => {
      const { type, data } = JSON.parse(body);
      return [type, data.databases];
    });
  };
  const metrics = () => send("GET", "/metrics", token);

  await pass(minute / 4);
  expect(await metrics()).toContain(`cairn_backup_failing{database="${id}"} 0\n`);
  await bucketIs("no-such-bucket");
  await commit(database, write([set(key("a"), text("1"))]));
  await pass(2 * minute);
  const error = 'There is no bucket \\"no-such-bucket\\" at the destination';
  expect(await metrics()).toContain(`\ncairn_backup_last_error_info{database="${id}",error="${error}`);
  expect(await metrics()).toContain("\ncairn_backups_behind 1\n");
  expect(await told()).toEqual([]);
  await pass(9 * minute);
  const failed = { id, name: "orders", error: expect.stringContaining("no-such-bucket") };
  expect(await told()).toEqual([["backup.failed", [expect.objectContaining(failed)]]]);
  await bucketIs(destination.bucketName);
  await database.stats();
  await pass(2 * minute);
  expect((await told()).slice(1)).toEqual([
    ["backup.recovered", [expect.objectContaining({ id, name: "orders", reason: "working" })]],
  ]);
  expect(await metrics()).toContain("\ncairn_backups_failing 0\n");
  expect(await sendJson("GET", `${path}/webhooks/${webhook.id}`, token)).toMatchObject({
    deliveries: { pending: 0, delivered: 2, failed: 0 },
    lastDelivery: { event: "backup.recovered", state: "delivered", status: 204 },
  });
});
