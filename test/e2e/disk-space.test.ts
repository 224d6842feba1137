/**
 * What clients see of a disk that runs short, on any system: the test says how much is free, or files may not become larger. What
 * a disk that is really full does is held by test/simulation/full-disk.test.ts.
 */
import { isFailure } from "../../src/core/errors.ts";
import { join } from "node:path";
import { openKv } from "@deno/kv";
import { expect, onTestFinished, test } from "vitest";
import type { DiskSize } from "../../src/local/disk-space.ts";
import { onWorkerd, repository, startServer } from "../../src/local/server.ts";
import { TenantKeeper } from "../../src/local/tenant.ts";
import { cairnDeployment } from "../../src/local/workerd-config.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { startManagedServer, Tenant } from "../support/management.ts";
import { builtWorker } from "../support/built-workers.ts";
import { RawConnect, encodeWrite, rawKey, rawSet } from "../support/raw-connect.ts";
import { startDeno } from "./clients/deno-client.ts";
import type { Operation, Outcome } from "./clients/operations.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** A server in this process, on a disk that is as full as the test says. */
async function startOnDisk(disk: DiskSize) {
  const said: string[] = [];
  const startUpstream = await onWorkerd(join(repository, "src/worker.ts"), cairnDeployment, {
    disk: { measure: async () => disk, say: (sentence) => said.push(sentence) },
    build: builtWorker,
  });
  if (isFailure(startUpstream)) throw new Error(startUpstream.message);
  const preparation = new TenantKeeper("tenant.json", undefined, () => undefined);
  const options = { host: "127.0.0.1", port: 0, persistTo: temporaryFolder(), secrets: {}, startUpstream, preparation };
  const server = await startServer(options);
  if (isFailure(server)) throw new Error(server.message);
  onTestFinished(() => server.close(0));
  const { organizationId, databaseId, adminToken, accessToken } = preparation.tenant;
  const send = async (method: string, path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${adminToken}` };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(`${server.url}${path}`, { method, headers, ...sent });
    // What an answer holds is what the test is about.
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  const connectUrl = `${server.url}/databases/${databaseId}/connect`;
  return { opening: { url: server.url, connectUrl, accessToken }, organizationId, databaseId, send, said };
}

test(
  "a disk that runs short, is full, and has room again: what clients of each kind are answered, and what the log says (W32)",
  { timeout: 120_000 },
  async () => {
    const disk = { free: 10 * GIB, size: 100 * GIB };
    const { opening, organizationId, databaseId, send, said } = await startOnDisk(disk);
    const deno = startDeno(opening);
    onTestFinished(() => deno.close());
    const kv = await openKv(opening.connectUrl, { accessToken: opening.accessToken });
    onTestFinished(() => kv.close());
    // What an attempt answers.
    const attempt = async (operation: Operation) => (await deno.order({ do: "attempt", operation })) as Outcome;
    const key = (n: number) => ["k", n];
    for (let n = 0; n < 10; n++) expect(await attempt({ type: "set", key: key(n), value: n })).toEqual({ value: true });
    await attempt({ type: "watch", name: "w", keys: [key(9)] });

    disk.free = 20 * MIB;
    // Figures of a second ago may decide while there is plenty.
    await expect.poll(() => attempt({ type: "set", key: key(0), value: "new" })).toHaveProperty("error");
    const refusals = [
      await attempt({ type: "set", key: key(0), value: "new" }),
      await attempt({ type: "sum", key: key(0) }),
      await attempt({ type: "check", key: key(20), check: key(21) }),
      { error: await kv.set(key(0), "new").then(String, String) },
    ];
    for (const refused of refusals) {
      expect(refused).toEqual({
        error: expect.stringMatching(
          /413.* The disk of the server is nearly full: 20 MiB are free, and writes leave 64 MiB so that reads and deletes go on\. Make room on the disk, or delete entries of this database: what they took can be written again\.$/,
        ),
      });
    }
    expect(await attempt({ type: "get", key: key(1) })).toEqual({ value: 1 });
    expect(await attempt({ type: "list", selector: { prefix: ["k"] } })).toMatchObject({ value: { length: 10 } });
    expect(await attempt({ type: "delete", key: key(9) })).toEqual({ value: null });
    await expect
      .poll(() => attempt({ type: "watched", name: "w" }))
      .toMatchObject({ value: { states: [[9], [null]], ended: null } });
    const newcomer = await openKv(opening.connectUrl, { accessToken: opening.accessToken });
    expect((await newcomer.get(key(2))).value).toBe(2);
    newcomer.close();

    const databases = `/api/organizations/${organizationId}/databases`;
    expect((await send("GET", databases)).status).toBe(200);
    const detail = /no room for another database: 20 MiB are free, and 64 MiB are left/;
    const noRoom = { status: 507, body: { code: "insufficient-storage", detail: expect.stringMatching(detail) } };
    expect(await send("POST", databases, {})).toMatchObject(noRoom);
    const legacy = await send("POST", `/v1/organizations/${organizationId}/databases`, {});
    expect(legacy).toMatchObject({ status: 507, body: { code: "insufficientStorage" } });
    const permissions = { name: "t", permissions: ["read"], databases: "all" };
    expect((await send("POST", `/api/organizations/${organizationId}/tokens`, permissions)).status).toBe(201);

    disk.free = MIB;
    // What the ballast gives back does not show here, and counts as taken.
    const full = { error: expect.stringMatching(/413.* The disk of the server is full: [01]\.0 MiB are free/) };
    await expect.poll(() => attempt({ type: "delete", key: key(30) })).toEqual(full);
    expect(await attempt({ type: "delete", key: key(8) })).toEqual(full);
    expect(await attempt({ type: "set", key: key(8), value: 1 })).toEqual(full);
    expect(await attempt({ type: "get", key: key(8) })).toEqual({ value: 8 });

    disk.free = 10 * GIB;
    await expect.poll(() => attempt({ type: "set", key: key(9), value: "again" })).toEqual({ value: true });
    expect((await send("POST", databases, {})).status).toBe(201);
    expect(await attempt({ type: "watched", name: "w" })).toMatchObject({
      value: { states: [[9], [null], ["again"]] },
    });
    expect((await send("GET", `/api/databases/${databaseId}/stats`)).body).toMatchObject({ entries: 10 });
    expect(said.map((line) => /nearly full|is full|room again/.exec(line)?.[0])).toEqual([
      "nearly full",
      "is full",
      "room again",
    ]);
  },
);

test(
  "files that may not become larger: the write is refused with what the disk said, and reads go on",
  { timeout: 120_000 },
  async () => {
    // Units of 512 bytes, or of 1,024: either is more than the server's own files.
    const server = await startManagedServer({}, { shell: "ulimit -f 20000" });
    onTestFinished(() => server.close());
    const tenant = await Tenant.make(server);
    const opening = tenant.opening(await tenant.newDatabase());
    const raw = await RawConnect.open(opening);
    onTestFinished(() => raw.close());
    const value = new Uint8Array(1_000_000);
    const put = (n: number) => raw.post("atomic_write", encodeWrite({ mutations: [rawSet(rawKey("n", n), value)] }));
    let written = 0;
    let refused = await put(written);
    for (; refused.status === 200 && written < 60; refused = await put(written)) written += 1;
    expect(refused.status).toBe(413);
    expect(refused.body.toString()).toMatch(
      /^The disk refused the write \(SQLITE_IOERR_WRITE\), as it does when a quota/,
    );
    expect(written).toBeGreaterThan(5);
    const kv = await openKv(opening.connectUrl, { accessToken: opening.accessToken });
    for (let n = 0; n < written; n++) expect((await kv.get<Uint8Array>(["n", n])).value).toHaveLength(1_000_000);
    expect((await kv.get(["n", written])).value).toBeNull();
    kv.close();
  },
);
