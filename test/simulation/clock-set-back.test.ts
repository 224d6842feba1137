/** A server's clock that is ahead for a while and is set back, under a database in use. */
import { afterAll, describe, expect, test } from "vitest";
import { startManagedServer, Tenant } from "../support/management.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { encodeRead, encodeWrite, rawKey, rawPoint, rawSet } from "../support/raw-connect.ts";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";

const clock = MovedClock.make();
const s3 = await startS3Server();
afterAll(async () => {
  clock?.remove();
  await s3.close();
});

const HOUR_S = 3_600;

describe.skipIf(clock === null)("a clock that was ahead by three hours and is set back", () => {
  test("keeps no fresh token from a database in use, no entry with an expiry from being stored, no backup waiting, and says which times are uncertain", async ({
    onTestFinished,
  }) => {
    const server = await startManagedServer(clock?.environment);
    onTestFinished(() => server.close());
    const tenant = await Tenant.make(server);
    // The second is not written to any more when the clock has been set back.
    const [id, quiet] = [await tenant.newDatabase(), await tenant.newDatabase()];
    const backup = async (of = id) => (await server.send("GET", `/api/databases/${of}/backup`, tenant.token)).body;
    for (const of of [id, quiet]) {
      const wanted = { destination: destinationAt(s3), intervalMs: 500 };
      await server.send("POST", `/api/databases/${of}/backup`, tenant.token, wanted);
      await expect.poll(async () => (await backup(of)).status.code).toBe("active");
    }
    /** The status with a fresh token: of the exchange, of a write, or of a read. */
    const use = async (name: string, expireAtMs = 0n, of = id): Promise<string> => {
      const exchanged = await tenant.connect(of).catch((error: unknown) => String(error).slice(7, 10));
      if (typeof exchanged === "string") return `exchange ${exchanged}`;
      const mutation = { ...rawSet(rawKey(name), new Uint8Array(8)), expireAtMs };
      const wrote = await exchanged.post("atomic_write", encodeWrite({ mutations: [mutation] }));
      const read = await exchanged.post("snapshot_read", encodeRead({ ranges: [rawPoint(rawKey(name))] }));
      exchanged.close();
      return wrote.status === 200 && read.status === 200 ? `read ${read.body.length > 20}` : `${wrote.status}`;
    };
    expect([await use("before"), await use("before", 0n, quiet)]).toEqual(["read true", "read true"]);
    await expect.poll(async () => (await backup(quiet)).backlogBytes).toBe(0);
    clock?.setAhead(3 * HOUR_S);
    for (const of of [id, quiet]) await expect.poll(() => use("ahead", 0n, of)).toBe("read true");
    const meanwhile = new Date().toISOString();
    clock?.setAhead(0);

    const answers = new Set<string>();
    const inTenMinutes = BigInt(Date.now() + 600_000);
    await expect
      .poll(
        async () => {
          const answer = await use("after", inTenMinutes);
          answers.add(answer);
          return answer;
        },
        { timeout: 60_000, interval: 100 },
      )
      .toBe("read true");
    expect([...answers].filter((one) => one.includes("401"))).toEqual([]);
    await expect.poll(async () => (await backup()).backlogBytes).toBe(0);

    // What was written while the clock was ahead is not taken for what was there at the real time.
    const forks = `/api/databases/${id}/forks`;
    const refused = await server.send("POST", forks, tenant.token, { at: meanwhile });
    expect(refused).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(refused.body.detail).toMatch(/ is ambiguous: the server's clock was ahead and was set back/);
    const [first = "", last = ""] = refused.body.detail.match(/\b[0-9a-f]{16}0000\b/g);
    expect(first < last).toBe(true);
    const forked = await server.send("POST", forks, tenant.token, { at: last });
    expect(forked.status).toBe(202);
    const { body: listed } = await server.send(
      "GET",
      `/api/databases/${id}/backup/points?direction=before&limit=5`,
      tenant.token,
    );
    expect(Date.parse(listed.items[0].clock) - Date.now()).toBeLessThan(HOUR_S * 1000);

    // Neither where nothing was written since, which would show that the clock was set back.
    const early = new Set<number>();
    const forkOfQuiet = async (): Promise<string> => {
      const { status, body } = await server.send("POST", `/api/databases/${quiet}/forks`, tenant.token, {
        at: meanwhile,
      });
      early.add(status);
      return String(body.detail);
    };
    await expect
      .poll(forkOfQuiet, { timeout: 60_000, interval: 100 })
      .toMatch(/ is ambiguous: the server's clock was ahead and was set back/);
    expect([...early].filter((status) => status < 300)).toEqual([]);
  });
});
