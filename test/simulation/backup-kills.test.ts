/**
 * workerd killed with SIGKILL while a backup is set up through the API, and while one is deleted with its database: at each request
 * to the bucket, before the bucket has seen it and after it has answered. There is never half a backup: the first request was all
 * or nothing, the same one can be sent again, and everything is in the bucket, or nothing, in the end.
 */
import { openKv } from "@deno/kv";
import { afterAll, describe, expect, test, vi } from "vitest";
import type { Destination } from "../../src/backup/destinations/destination.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type Answer, type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";
import { openS3At } from "../support/open-s3.ts";
import { listGenerations, readGeneration } from "../support/reference-reader.ts";
import { destinationAt } from "../support/s3-place.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";

/** One server may die four times in a minute before it gives up. */
const KILLS_OF_ONE_SERVER = 3;

const ENTRIES = 40;

/** So many servers are killed at the same time. */
const LANES = 3;

const s3: S3Server = await startS3Server();
const bucket: Destination = openS3At(s3);
const lanes: Lane[] = [];
const free: Lane[] = [];
const waiting: ((lane: Lane) => void)[] = [];

afterAll(async () => {
  await Promise.all(lanes.map((lane) => lane.close()));
  await s3.close();
});

/** Waits until one of the lanes has nothing else to do. */
async function inLane(work: (lane: Lane) => Promise<void>): Promise<void> {
  const lane = free.pop() ?? (lanes.length < LANES ? await newLane() : await turn());
  try {
    await work(lane);
  } finally {
    const next = waiting.shift();
    if (next === undefined) free.push(lane);
    else next(lane);
  }
}

function turn(): Promise<Lane> {
  return new Promise((resolve) => waiting.push(resolve));
}

function newLane(): Promise<Lane> {
  const lane = new Lane();
  lanes.push(lane);
  return lane.open();
}

type Moment = "before" | "after";

/** A server that is killed, with a way of its own to the bucket. */
class Lane {
  #proxy: FaultProxy | null = null;
  #server: ManagedServer | null = null;
  #tenant: Tenant | null = null;
  #kills = 0;

  async open(): Promise<this> {
    this.#proxy = await startFaultProxy(s3.endpoint);
    return this;
  }

  async close(): Promise<void> {
    await this.#server?.close();
    await this.#proxy?.close();
  }

  /** A request of the API, sent once. undefined: the server did not answer. */
  once(method: string, path: string, body?: unknown): Promise<Answer | undefined> {
    return this.#running.server.send(method, path, this.#running.tenant.token, body).catch(() => undefined);
  }

  /** A request of the API, sent again until the server is there. */
  async send(method: string, path: string, body?: unknown): Promise<Answer> {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const answer = await this.once(method, path, body);
      if (answer !== undefined && answer.status !== 503) return answer;
      if (Date.now() > deadline) throw new Error(`no answer: ${JSON.stringify(answer?.body)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** On another server when this one would soon give up. */
  async newDatabase(): Promise<{ readonly id: string; readonly path: string }> {
    if (this.#server === null || this.#kills >= KILLS_OF_ONE_SERVER) {
      await this.#server?.close();
      this.#server = await startManagedServer();
      this.#tenant = await Tenant.make(this.#server);
      this.#kills = 0;
    }
    const id = await this.#running.tenant.newDatabase();
    await this.write(id, 0);
    return { id, path: `/api/databases/${id}` };
  }

  async write(id: string, from: number): Promise<void> {
    const { connectUrl, accessToken } = this.#running.tenant.opening(id);
    const kv = await openKv(connectUrl, { accessToken });
    for (let n = from; n < from + ENTRIES; n++) await kv.set(["n", n], n);
    kv.close();
  }

  /** What enables a backup on this lane's way. */
  get order() {
    return { destination: destinationAt({ ...s3, endpoint: this.#running.proxy.endpoint }), intervalMs: 500 };
  }

  kill(): void {
    process.kill(this.#running.server.workerdPid(), "SIGKILL");
    this.#kills += 1;
  }

  /** A kill when this request of the database's backup is sent. `after`: the bucket has carried it out. */
  async killAt(id: string, method: string, pattern: RegExp, moment: Moment): Promise<void> {
    const { proxy } = this.#running;
    const path = new RegExp(`${id}.*${pattern.source}`);
    proxy.add({ method, path, times: 1, fault: moment === "before" ? { do: "hang" } : { do: "lose-answer" } });
    const isSeen = () =>
      proxy.seen.some((seen) => seen.fault !== "pass" && seen.method === method && path.test(seen.path));
    await vi.waitFor(() => expect(isSeen(), `${method} ${pattern.source} is seen`).toBe(true), {
      timeout: 60_000,
      interval: 2,
    });
    this.kill();
    proxy.heal();
  }

  async settled(path: string): Promise<void> {
    await this.#shows(`${path}/backup`, { status: { code: "active" }, backlogBytes: 0, lastError: null });
  }

  async completed(jobId: string): Promise<void> {
    await this.#shows(`/api/jobs/${jobId}`, { status: "completed", error: null });
  }

  async #shows(path: string, expected: Readonly<Record<string, unknown>>): Promise<void> {
    await vi.waitFor(async () => expect((await this.send("GET", path)).body).toMatchObject(expected), {
      timeout: 60_000,
      interval: 50,
    });
  }

  get #running() {
    if (this.#server === null || this.#tenant === null || this.#proxy === null) throw new Error("no server runs");
    return { server: this.#server, tenant: this.#tenant, proxy: this.#proxy };
  }
}

async function namesIn(id: string): Promise<string[]> {
  const listed = await bucket.list(`${id}/`);
  if (!listed.ok) throw new Error(listed.message);
  return listed.objects.map(({ name }) => name);
}

/** What is done to the bucket, by which request it is known. */
type Step = readonly [what: string, method: string, pattern: RegExp];

function beforeAndAfter(steps: readonly Step[]) {
  const moments: readonly Moment[] = ["before", "after"];
  return steps.flatMap(([what, method, pattern]) => moments.map((moment) => [moment, what, method, pattern] as const));
}

// The wait for a lane counts, too.
describe.concurrent("workerd is killed", { timeout: 240_000 }, () => {
  describe("while a backup is enabled", () => {
    const steps: readonly Step[] = [
      ["the probe is stored", "PUT", /probe/],
      ["the probe is read", "GET", /probe$/],
      ["the probe is removed", "DELETE", /probe/],
      ["an earlier manifest is looked for", "GET", /manifest/],
      ["the manifest is stored", "PUT", /manifest/],
      ["the snapshot is stored", "PUT", /snapshots/],
      ["the log is stored", "PUT", /logs/],
      ["the snapshot is declared whole", "PUT", /differential/],
    ];
    test.each(beforeAndAfter(steps))("%s %s", async (moment, _, method, pattern) => {
      await inLane(async (lane) => {
        const { id, path } = await lane.newDatabase();
        const killed = lane.killAt(id, method, pattern, moment);
        await Promise.all([lane.once("POST", `${path}/backup`, lane.order), killed]);
        const found = await lane.send("GET", `${path}/backup`);
        const again = await lane.send("POST", `${path}/backup`, lane.order);
        expect(again.status, "nothing was made and it can be, or it was made and is there").toBe(
          found.status === 404 ? 201 : 409,
        );
        const { body: backup } = await lane.send("GET", `${path}/backup`);
        expect(backup).toMatchObject({ paused: false, intervalMs: 500 });
        const byItsId = await lane.send("GET", `/v1/database_backups/${backup.id}`);
        expect(byItsId).toMatchObject({ status: 200, body: { id: backup.id } });
        await lane.write(id, ENTRIES);
        await lane.settled(path);
        const [folder = "", ...others] = await listGenerations(bucket, id);
        expect(others).toEqual([]);
        const last = [...(await readGeneration(bucket, id, folder)).states()].at(-1);
        expect(last?.entries.size).toBe(2 * ENTRIES);
        expect(await namesIn(id)).not.toContain(`${id}/probe`);
      });
    });
  });

  describe("while a database is deleted with its backup", () => {
    const steps: readonly Step[] = [
      ["the manifest is removed", "DELETE", /manifest/],
      ["a generation is made unusable", "DELETE", /differential/],
      ["the rest is removed", "DELETE", /logs/],
    ];
    test.each(beforeAndAfter(steps))("%s %s", async (moment, _, method, pattern) => {
      await inLane(async (lane) => {
        const { id, path } = await lane.newDatabase();
        expect((await lane.send("POST", `${path}/backup`, lane.order)).status).toBe(201);
        await lane.settled(path);
        const killed = lane.killAt(id, method, pattern, moment);
        const [deleted] = await Promise.all([lane.send("DELETE", `${path}?backups=delete`), killed]);
        expect(deleted).toMatchObject({ status: 202, body: { kind: "database.delete" } });
        expect((await lane.send("GET", path)).status).toBe(404);
        await lane.completed(deleted.body.id);
        expect(await namesIn(id)).toEqual([]);
      });
    });

    test.each([0, 3, 6, 10, 20, 40])("%i ms after it was asked for", async (afterMs) => {
      await inLane(async (lane) => {
        const { id, path } = await lane.newDatabase();
        expect((await lane.send("POST", `${path}/backup`, lane.order)).status).toBe(201);
        await lane.settled(path);
        const answer = lane.once("DELETE", `${path}?backups=delete`);
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        lane.kill();
        await answer;
        const { body } = await lane.send("DELETE", `${path}?backups=delete`);
        await lane.completed(body.id);
        expect(await namesIn(id)).toEqual([]);
      });
    });
  });
});
