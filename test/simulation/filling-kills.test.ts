/** A whole server whose workerd is killed while a database is made from a backup: it comes about once, whole, or is not there. */
import { afterAll, test } from "vitest";
import { openKv } from "@deno/kv";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { startManagedServer, Tenant, type Answer } from "../support/management.ts";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";

const s3 = await startS3Server();

afterAll(() => s3.close());

const ENTRIES = 50;

test.concurrent.for(["forks", "restores"])(
  "killed between any two requests to the bucket: %s are made once by their key, and without one whole or not at all",
  { timeout: 180_000 },
  async (what, { expect, onTestFinished }) => {
    const [server, proxy] = await Promise.all([startManagedServer(), startFaultProxy(s3.endpoint)]);
    onTestFinished(async () => {
      await server.close();
      await proxy.close();
    });
    const destination = destinationAt({ ...s3, endpoint: proxy.endpoint });
    const tenant = await Tenant.make(server);
    const id = await tenant.newDatabase("source");
    /** Null: the server did not answer. */
    const send = (method: string, path: string, body?: unknown, key?: string): Promise<Answer | null> =>
      server
        .send(method, path, tenant.token, body, key === undefined ? {} : { "idempotency-key": key })
        .catch(() => null);
    const entriesOf = async (databaseId: string): Promise<readonly unknown[]> => {
      const { connectUrl, accessToken } = tenant.opening(databaseId);
      const kv = await openKv(connectUrl, { accessToken });
      const entries: unknown[] = [];
      for await (const entry of kv.list({ prefix: [] })) entries.push(entry);
      kv.close();
      return entries;
    };
    const listed = async (): Promise<string[]> => {
      const list = await send("GET", `/api/organizations/${tenant.organizationId}/databases?limit=100`);
      return list?.status === 200 ? list.body.items.map((item: { id: string }) => item.id) : ["not answered"];
    };

    await send("POST", `/api/databases/${id}/backup`, { destination, intervalMs: 500 });
    await expect.poll(async () => (await send("GET", `/api/databases/${id}/backup`))?.body.status.code).toBe("active");
    const { connectUrl, accessToken } = tenant.opening(id);
    const kv = await openKv(connectUrl, { accessToken });
    let at = "";
    for (let n = 0; n < ENTRIES; n++) at = (await kv.set(["n", n], n)).versionstamp;
    kv.close();
    await expect
      .poll(async () => (await send("GET", `/api/databases/${id}/backup`))?.body)
      .toMatchObject({ backlogBytes: 0 });
    const wanted = await entriesOf(id);
    expect(wanted).toHaveLength(ENTRIES);

    const [path, body] =
      what === "forks"
        ? [`/api/databases/${id}/forks`, { at, name: "filled" }]
        : [`/api/organizations/${tenant.organizationId}/restores`, { destination, databaseId: id, at, name: "filled" }];
    const made: string[] = [];
    let kills = 0;
    // A fork asks the bucket for the moment before anything is made, and again when the job begins.
    for (const skip of what === "forks" ? [2, 8, 14] : [0, 3, 5]) {
      const kill = (): void => {
        kills += 1;
        process.kill(server.workerdPid(), "SIGKILL");
      };
      proxy.add({ fault: { do: "kill", when: "before", kill }, method: "GET", skip, times: 1 });
      const isLast = skip === 14 || skip === 5;
      const [key, retries] = isLast ? [undefined, 0] : [`${what}-${skip}`, 300];
      let answer = await send("POST", path, body, key);
      for (let i = 0; answer?.status !== 202 && i < retries; i++) {
        expect([undefined, 502, 503]).toContain(answer?.status);
        await new Promise((resolve) => setTimeout(resolve, 100));
        answer = await send("POST", path, body, key);
      }
      if (answer?.status === 202) made.push(answer.body.database.id);
      proxy.heal();
    }
    expect(kills).toBeGreaterThanOrEqual(2);
    expect(made.length).toBeGreaterThanOrEqual(2);
    // What no key asks for again the directory's alarm finishes or removes, within some seconds.
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    await expect.poll(listed).not.toContain("not answered");
    const all = (await listed()).filter((one) => one !== id);
    expect(all).toEqual(expect.arrayContaining(made));
    expect(all.length).toBeLessThanOrEqual(3);
    for (const one of all) await expect.poll(() => entriesOf(one).catch(String)).toEqual(wanted);
  },
);
