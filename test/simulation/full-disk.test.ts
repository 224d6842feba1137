/**
 * A server whose disk is filled to its last byte, by its own writers and by somebody else: writes are refused with a sentence, reads
 * go on, nothing acknowledged is lost, and with room everything goes on by itself. The disk is a real one, of a few MiB.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openKv, type Kv } from "@deno/kv";
import { describe, test, type TestContext } from "vitest";
import type { Client } from "../e2e/clients/client.ts";
import { startDeno } from "../e2e/clients/deno-client.ts";
import type { Operation, Outcome } from "../e2e/clients/operations.ts";
import { type Answer, type ManagedServer, startManagedServer, Tenant } from "../support/management.ts";
import { encodeRead, encodeWrite, type RawConnect, rawKey, rawPoint, rawSet } from "../support/raw-connect.ts";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";
import { canMakeDisks, Filler, onSmallDisk } from "../support/small-disk.ts";

const MIB = 1024 * 1024;
const hasDisks = canMakeDisks();
if (!hasDisks) {
  console.log("skipped: this system lets only root mount a file system; test/e2e/disk-space.test.ts holds the rest");
}

const NEARLY_FULL = /disk of the server is nearly full: [\d.]+ MiB are free, and writes leave 6\.4 MiB/;

class SmallServer {
  readonly server: ManagedServer;
  readonly disk: Filler;
  readonly tenant: Tenant;

  private constructor(server: ManagedServer, tenant: Tenant) {
    this.server = server;
    this.disk = new Filler(server.folder);
    this.tenant = tenant;
  }

  static async start(mebibytes: number, onTestFinished: TestContext["onTestFinished"]): Promise<SmallServer> {
    const server = await startManagedServer({}, onSmallDisk(mebibytes));
    onTestFinished(() => server.close());
    return new SmallServer(server, await Tenant.make(server));
  }

  open(id: string): Promise<Kv> {
    const { connectUrl, accessToken } = this.tenant.opening(id);
    return openKv(connectUrl, { accessToken });
  }

  send(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.server.send(method, path, this.tenant.token, body);
  }

  /** How many databases workerd holds open: each has a file for it. */
  openDatabases(): number {
    const files = readdirSync(join(this.server.folder, "data/objects/cairn-DatabaseObject"));
    return files.filter((name) => /^[0-9a-f]{64}.*-shm$/.test(name)).length;
  }

  /** What the server says of its disk, and what it says besides, after it has started. */
  log() {
    const lines = this.server
      .log()
      .split("\n")
      .filter((line) => line !== "");
    const ofTheDisk = lines.filter((line) => line.startsWith("The disk of "));
    return { ofTheDisk, others: lines.filter((line) => !ofTheDisk.includes(line)) };
  }
}

/** Each writes one key after another until it is refused; the keys that were acknowledged, and why it was. */
async function writeUntilRefused(kv: Kv, bytes: number, writers = 4) {
  const value = new Uint8Array(bytes);
  const acknowledged: number[] = [];
  const writer = async (from: number): Promise<string> => {
    for (let n = from; ; n += writers) {
      const error = await kv.set(["n", n], value).then(
        () => null,
        (thrown: unknown) => String(thrown),
      );
      if (error !== null) return error;
      acknowledged.push(n);
    }
  };
  const errors = await Promise.all(Array.from({ length: writers }, (_, from) => writer(from)));
  return { acknowledged, errors };
}

async function keysIn(kv: Kv): Promise<number[]> {
  const keys: number[] = [];
  for await (const { key } of kv.list({ prefix: ["n"] }, { batchSize: 50 })) keys.push(Number(key[1]));
  return keys.toSorted((a, b) => a - b);
}

async function attempt(client: Client, operation: Operation): Promise<Outcome> {
  // What an attempt answers.
  return (await client.order({ do: "attempt", operation })) as Outcome;
}

describe.runIf(hasDisks)("a disk of a few MiB", { concurrent: true }, () => {
  test(
    "filled by its writers: they are refused at once, and what is stored is read, deleted and written again",
    { timeout: 120_000 },
    async ({ expect, onTestFinished }) => {
      const small = await SmallServer.start(64, onTestFinished);
      const { disk, tenant } = small;
      const id = await tenant.newDatabase();
      const kv = await small.open(id);
      const { acknowledged, errors } = await writeUntilRefused(kv, 200_000);
      for (const error of errors) expect(error).toMatch(NEARLY_FULL);
      for (const error of errors) expect(error).toContain("status: 413");
      expect(acknowledged.length).toBeGreaterThan(50);
      // What lies in the write-ahead log is written again into the file, which the reserve is for as well.
      expect(disk.free()).toBeGreaterThan(MIB / 4);
      kv.close();

      const other = await small.open(id);
      expect(await keysIn(other)).toEqual(acknowledged.toSorted((a, b) => a - b));
      other.close();
      // A smaller write may still have found room.
      disk.fill(6 * MIB);
      const deno = startDeno(tenant.opening(id));
      const value = "x".repeat(60_000);
      expect(await attempt(deno, { type: "set", key: ["more"], value })).toMatchObject({
        error: expect.stringMatching(NEARLY_FULL),
      });
      for (let n = 0; n < 20; n++)
        expect(await attempt(deno, { type: "delete", key: ["n", n] })).toEqual({ value: null });
      for (let n = 0; n < 20; n++) {
        expect(await attempt(deno, { type: "set", key: ["again", n], value })).toEqual({ value: true });
      }
      await deno.close();

      const path = `/api/organizations/${tenant.organizationId}/databases`;
      expect((await small.send("GET", path)).body.items).toHaveLength(1);
      const refused = await small.send("POST", path, { name: "another" });
      expect(refused).toMatchObject({
        status: 507,
        body: { title: "Insufficient Storage", code: "insufficient-storage" },
      });
      expect(refused.body.detail).toMatch(/no room for another database: .* delete databases\.$/);
      expect((await small.send("GET", `/api/databases/${id}/stats`)).status).toBe(200);
      // It is deleted, which makes room.
      expect((await small.send("DELETE", `/api/databases/${id}`)).status).toBe(202);
      await expect.poll(async () => (await small.send("POST", path, { name: "another" })).status).toBe(201);
      expect(small.log().others).toEqual([]);
      expect(small.log().ofTheDisk.length).toBeLessThanOrEqual(4);
    },
  );

  test(
    "filled to the last byte by somebody else, under readers and writers: reads go on, nothing is lost, also when workerd is killed then",
    { timeout: 120_000 },
    async ({ expect, onTestFinished }) => {
      const small = await SmallServer.start(32, onTestFinished);
      const { disk, tenant, server } = small;
      const sleeper = await tenant.newDatabase();
      await small.open(sleeper).then(async (kv) => {
        await kv.set(["n", 0], "asleep");
        kv.close();
      });
      await expect.poll(() => small.openDatabases(), { timeout: 60_000, interval: 500 }).toBe(0);
      const id = await tenant.newDatabase();
      const raw = await tenant.connect(id);
      const kv = await small.open(id);
      for (let n = 0; n < 10; n++) await kv.set(["n", n], new Uint8Array(100_000));
      const traffic = new Traffic(raw);
      await expect.poll(() => traffic.written.length).toBeGreaterThan(20);

      disk.fill();
      await expect.poll(() => traffic.refused.length).toBeGreaterThan(20);
      const before = traffic.written.length;
      await traffic.readsOn(100);
      expect(traffic.written.length, "the last byte is the last byte").toBe(before);
      expect(await keysIn(kv)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      // A client that comes now.
      const other = await small.open(id);
      expect((await other.get(["n", 3])).value).toHaveLength(100_000);
      other.close();
      expect((await small.send("GET", `/api/organizations/${tenant.organizationId}/databases`)).status).toBe(200);
      expect((await small.send("GET", `/api/databases/${id}/stats`)).status).toBe(200);
      // One that is opened only now, for which SQLite needs a file beside it.
      const woken = await small.open(sleeper);
      expect((await woken.get(["n", 0])).value).toBe("asleep");
      woken.close();

      const pid = server.workerdPid();
      process.kill(pid, "SIGKILL");
      await expect.poll(() => server.workerdPid()).not.toBe(pid);
      await traffic.readsOn(100);
      await expect.poll(async () => keysIn(kv).catch(String)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);

      disk.remove();
      await expect.poll(() => traffic.written.length).toBeGreaterThan(before + 20);
      await traffic.end();
      const found = await kv.get<bigint[]>(["n", 9]);
      expect(found.value).not.toBeNull();
      for (const key of traffic.written)
        expect((await raw.read({ ranges: [rawPoint(rawKey("t", key))] })).ranges[0]?.values).toHaveLength(1);
      kv.close();
      raw.close();
      for (const status of traffic.readStatuses) expect([200, 503]).toContain(status);
      for (const [status, sentence] of traffic.refused) {
        expect([413, 503]).toContain(status);
        expect(sentence).toMatch(/disk|server is starting|restarted or moved/);
      }
      expect(traffic.refused.filter(([status]) => status === 413).length).toBeGreaterThan(10);
      expect(small.log().ofTheDisk.map((line) => /is full|nearly full|room again/.exec(line)?.[0])).toEqual(
        expect.arrayContaining(["is full", "room again"]),
      );
    },
  );

  test(
    "a restore in place that has no room is refused, or ends with the reason; the database is read and written all the while",
    { timeout: 120_000 },
    async ({ expect, onTestFinished }) => {
      const s3 = await startS3Server();
      try {
        const small = await SmallServer.start(64, onTestFinished);
        const { disk, tenant } = small;
        const id = await tenant.newDatabase();
        const path = `/api/databases/${id}`;
        const kv = await small.open(id);
        for (let n = 0; n < 80; n++) await kv.set(["n", n], new Uint8Array(150_000).fill(n));
        expect(
          (await small.send("POST", `${path}/backup`, { destination: destinationAt(s3), intervalMs: 500 })).status,
        ).toBe(201);
        await expect
          .poll(async () => (await small.send("GET", `${path}/backup`)).body)
          .toMatchObject({ status: { code: "active" }, backlogBytes: 0 });
        const at = (await kv.set(["n", 80], "the moment")).versionstamp;
        await kv.set(["n", 80], "later");
        await expect.poll(async () => (await small.send("GET", `${path}/backup`)).body.backlogBytes).toBe(0);
        const traffic = new Traffic(await tenant.connect(id));

        disk.fill(10 * MIB);
        const refused = await small.send("POST", `${path}/restores`, { at, confirm: true });
        expect(refused).toMatchObject({ status: 507, body: { code: "insufficient-storage" } });
        expect(refused.body.detail).toMatch(/leaves 12\.\d MiB|leaves 13 MiB/);

        // Room to begin, and not for a second state of 12 MiB.
        disk.remove();
        disk.fill(20 * MIB);
        const begun = await small.send("POST", `${path}/restores`, { at, confirm: true });
        expect(begun.status).toBe(202);
        await expect
          .poll(async () => (await small.send("GET", `/api/jobs/${begun.body.id}`)).body)
          .toMatchObject({
            status: "failed",
            error: expect.stringMatching(/too little room: this needs about 1\d MiB/),
          });
        expect((await kv.get(["n", 80])).value).toBe("later");

        disk.remove();
        const again = await small.send("POST", `${path}/restores`, { at, confirm: true });
        await expect
          .poll(async () => (await small.send("GET", `/api/jobs/${again.body.id}`)).body.status)
          .toBe("completed");
        await traffic.end();
        expect((await kv.get(["n", 80])).value).toBe("the moment");
        expect(new Set(traffic.readStatuses)).toEqual(new Set([200]));
        expect(traffic.refused).toEqual([]);
        kv.close();
      } finally {
        await s3.close();
      }
    },
  );
});

/** A client that reads one entry and writes another, again and again, and keeps what it was answered. */
class Traffic {
  readonly readStatuses: number[] = [];
  /** Numbers of the keys whose writes were acknowledged. */
  readonly written: number[] = [];
  readonly refused: (readonly [status: number, sentence: string])[] = [];
  readonly #raw: RawConnect;
  #over = false;
  readonly #ended: Promise<void>;

  constructor(raw: RawConnect) {
    this.#raw = raw;
    this.#ended = this.#run();
  }

  /** Until so many more reads were answered. */
  async readsOn(count: number): Promise<void> {
    const good = () => this.readStatuses.filter((status) => status === 200).length;
    const wanted = good() + count;
    for (const deadline = Date.now() + 20_000; good() < wanted;) {
      if (Date.now() > deadline) throw new Error(`${wanted - good()} reads of ${count} were not answered`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async end(): Promise<void> {
    this.#over = true;
    await this.#ended;
  }

  async #run(): Promise<void> {
    const read = encodeRead({ ranges: [rawPoint(rawKey("n", 3))] });
    for (let n = 0; !this.#over; n++) {
      // While workerd is started again a connection may break; the front answers then.
      const got = await this.#raw.post("snapshot_read", read).catch(() => null);
      if (got !== null) this.readStatuses.push(got.status);
      const mutation = rawSet(rawKey("t", n), new Uint8Array(1000));
      const set = await this.#raw.post("atomic_write", encodeWrite({ mutations: [mutation] })).catch(() => null);
      if (set?.status === 200) this.written.push(n);
      else if (set !== null) this.refused.push([set.status, set.body.toString()]);
    }
  }
}
