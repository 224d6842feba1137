/**
 * Work that kills the server each time it is done: a destination's proxy ends workerd at a chosen request, always. It is tried so often
 * and no more, says so, and everybody else is served again.
 */
import { afterAll, test, type TestContext } from "vitest";
import { openKv } from "@deno/kv";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type Answer, type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";

const s3 = await startS3Server();
afterAll(() => s3.close());

interface Deadly {
  readonly server: ManagedServer;
  readonly tenant: Tenant;
  readonly destination: ReturnType<typeof destinationAt>;
  /** From now on, such requests end the server. Returns how often they have. */
  readonly killAt: (method: string, path: RegExp) => () => number;
  /** Null: the server did not answer. */
  readonly send: (method: string, path: string, body?: unknown, key?: string) => Promise<Answer | null>;
}

async function deadlyServer({ onTestFinished }: TestContext): Promise<Deadly> {
  const proxy: FaultProxy = await startFaultProxy(s3.endpoint);
  onTestFinished(() => proxy.close());
  const server = await startManagedServer();
  onTestFinished(() => server.close());
  const tenant = await Tenant.make(server);
  return {
    server,
    tenant,
    destination: destinationAt({ ...s3, endpoint: proxy.endpoint }),
    killAt: (method, path) => {
      // Of one that dies, more than one such request may have been on its way.
      const killed = new Set<number>();
      const kill = (): void => {
        const pid = pidOf(server);
        killed.add(pid);
        process.kill(pid, "SIGKILL");
      };
      proxy.add({ fault: { do: "kill", when: "before", kill }, method, path });
      return () => killed.size;
    },
    send: (method, path, body, key) =>
      server
        .send(method, path, tenant.token, body, key === undefined ? {} : { "idempotency-key": key })
        .catch(() => null),
  };
}

/** Of the workerd that runs now: one that has only just started may have no file yet. */
function pidOf(server: ManagedServer): number {
  for (let tries = 0; ; tries++) {
    try {
      return server.workerdPid();
    } catch (error) {
      if (tries === 1_000) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** A database with a backup that has shipped some commits. */
async function backedUp(
  { expect }: TestContext,
  { tenant, destination, send }: Deadly,
): Promise<{ id: string; at: string }> {
  const id = await tenant.newDatabase();
  await send("POST", `/api/databases/${id}/backup`, { destination, intervalMs: 500 });
  await expect.poll(async () => (await send("GET", `/api/databases/${id}/backup`))?.body.status.code).toBe("active");
  const at = await write(tenant, id, 1);
  const shipped = () => send("GET", `/api/databases/${id}/backup`).then((answer) => answer?.body.backlogBytes);
  await expect.poll(shipped).toBe(0);
  return { id, at };
}

async function write(tenant: Tenant, id: string, value: number): Promise<string> {
  const { connectUrl, accessToken } = tenant.opening(id);
  const kv = await openKv(connectUrl, { accessToken });
  try {
    return (await kv.set(["n"], value)).versionstamp;
  } finally {
    kv.close();
  }
}

test.concurrent(
  "a restore from a bucket is given up after two deaths, and its key says why",
  { timeout: 120_000 },
  async (context) => {
    const { expect } = context;
    const deadly = await deadlyServer(context);
    const { tenant, destination, send } = deadly;
    const { id, at } = await backedUp(context, deadly);
    const kills = deadly.killAt("GET", /manifest\.json$/);
    const order = { destination, databaseId: id, at, name: "again" };
    const path = `/api/organizations/${tenant.organizationId}/restores`;
    const restore = () => send("POST", path, order, "key").then((answer) => answer?.body.detail);
    await expect
      .poll(restore, { timeout: 60_000, interval: 500 })
      .toMatch(/^Given up: the server ended 2 times in a row/);
    expect(kills()).toBe(2);
    const listed = await send("GET", `/api/organizations/${tenant.organizationId}/databases?limit=100`);
    expect(listed?.body.items.map((one: { id: string }) => one.id)).toEqual([id]);
    await write(tenant, id, 2);
  },
);

test.concurrent(
  "a restore in place waits after two deaths at the same place, and says so",
  { timeout: 120_000 },
  async (context) => {
    const { expect } = context;
    const deadly = await deadlyServer(context);
    const { tenant, send } = deadly;
    const { id, at } = await backedUp(context, deadly);
    const kills = deadly.killAt("GET", /differential$/);
    // The first death may come before the answer: the same request with the same key is answered with the job.
    const order = () => send("POST", `/api/databases/${id}/restores`, { at, confirm: true }, "key");
    let job = await order();
    for (let i = 0; job?.status !== 202 && i < 50; i++) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      job = await order();
    }
    const error = () => send("GET", `/api/jobs/${job?.body.id}`).then((answer) => answer?.body.error);
    await expect
      .poll(error, { timeout: 60_000, interval: 500 })
      .toBe("The server ended 2 times in a row while this was under way. It goes on after a while.");
    expect(kills()).toBe(2);
    await write(tenant, id, 2);
    expect((await send("POST", `/api/jobs/${job?.body.id}:cancel`))?.status).toBe(200);
  },
);

test.concurrent(
  "an export is held back after some deaths, of which nobody saw the first; the backup says so, and the database is written",
  { timeout: 120_000 },
  async (context) => {
    const { expect } = context;
    const deadly = await deadlyServer(context);
    const { tenant, send } = deadly;
    const { id } = await backedUp(context, deadly);
    const kills = deadly.killAt("PUT", /logs\/\d/);
    await write(tenant, id, 2);
    const lastError = () =>
      send("GET", `/api/databases/${id}/backup`).then((answer) => answer?.body.lastError?.message);
    await expect
      .poll(lastError, { timeout: 60_000, interval: 500 })
      .toMatch(/^backup export: The server ended 2 times in a row while this was under way. It is tried again at 20/);
    // One more when the server was there again before the alarm was late, which shows nobody the death either.
    expect([3, 4]).toContain(kills());
    await write(tenant, id, 3);
    expect((await send("GET", `/api/databases/${id}/backup`))?.body.backlogBytes).toBeGreaterThan(0);
  },
);
