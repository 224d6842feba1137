/**
 * workerd killed at the very moment of a request: before the destination has seen it, when it was carried out and nobody knows, and
 * when its answer has been sent. So the range is stored and the cursor is not, or neither, or both.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { versionstampHex } from "../../src/core/versionstamp.ts";
import { BackupServer } from "../support/backup-server.ts";
import { key, set, v8 } from "../support/backup-workload.ts";
import { type FaultProxy, type KillMoment, startFaultProxy } from "../support/fault-proxy.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { expectEverythingIn, ServedLoad } from "../support/served-load.ts";
import { ServedRestores } from "../support/served-restores.ts";

/** A snapshot of them has two ranges. */
const ENTRIES = 25_000;

let s3: S3Server;
let proxy: FaultProxy;

beforeAll(async () => {
  s3 = await startS3Server();
  proxy = await startFaultProxy(s3.endpoint);
});

afterAll(async () => {
  await proxy.close();
  await s3.close();
});

const block = (from: number, text: string) => ({
  checks: [],
  mutations: Array.from({ length: 1000 }, (_, i) => set(["k", from + i], v8(text))),
  enqueues: [],
});

/** A server of its own: one dies only so often before it gives up. */
async function served(work: (server: BackupServer) => Promise<void>): Promise<void> {
  const server = await BackupServer.start();
  try {
    await work(server);
  } finally {
    await server.close();
  }
}

/** Kills the server at the first such request, once. Returns whether it has. */
function killAt(server: BackupServer, when: KillMoment, method: string, path: RegExp, skip = 0): () => boolean {
  let killed = false;
  const kill = (): void => {
    killed = true;
    server.kill();
  };
  proxy.add({ fault: { do: "kill", when, kill }, method, path, skip, times: 1 });
  return () => killed;
}

const moments: readonly (readonly [string, KillMoment])[] = [
  ["before it has arrived", "before"],
  ["when it is stored and not answered", "after"],
  ["when it is answered", "answered"],
];

describe.concurrent("killed at a PUT", () => {
  test.each(moments)(
    "%s: a snapshot's second range, a log object, differential and the manifest, under load",
    { timeout: 300_000 },
    async (_, when) => {
      await served(async (server) => {
        const database = server.database();
        for (let from = 0; from < ENTRIES; from += 1000) await database.commit(block(from, "early"));
        const at = (name: string, skip = 0): (() => boolean) =>
          killAt(server, when, "PUT", new RegExp(`${database.id}/.*${name}`), skip);
        const kills = [at("snapshots/", 1), at("logs/", 1), at("differential"), at("manifest", 1)];
        const load = new ServedLoad(database);
        await database.enable({ ...s3, endpoint: proxy.endpoint });
        // A second manifest comes at once when the generation has changed since the first, otherwise a minute after it.
        await database.until("killed four times", () => kills.every((killed) => killed()), 200_000);
        await load.stop();
        const settled = await database.until(
          "settled",
          ({ status, backlogBytes }) => status.code === "active" && backlogBytes === 0,
        );
        expect(settled.generations.map(({ state }) => state)).toEqual(["complete"]);
        expect(load.refused).toBeGreaterThan(0);
        await expectEverythingIn(s3, database, load);
      });
    },
  );

  test.each([
    ["all of it", null],
    ["one part of it", key(["k"])],
  ])(
    "or at any step of a restore in place of %s: it comes about, the rest is kept, and the backup goes on in a new generation",
    { timeout: 300_000 },
    async (_, prefix) => {
      await served(async (server) => {
        const database = server.database();
        const restores = new ServedRestores(server, database.id);
        for (let from = 0; from < ENTRIES; from += 1000) await database.commit(block(from, "early"));
        await database.enable({ ...s3, endpoint: proxy.endpoint });
        await database.until("active", ({ status }) => status.code === "active");
        const then = await database.commit(block(0, "then"));
        const wanted = await restores.entries();
        await database.commit(block(0, "later"));
        await database.commit({ checks: [], mutations: [set(["other"], v8("later"))], enqueues: [] });
        const other = (await restores.entries())?.get(toHex(key(["other"]))) ?? "";
        if (prefix !== null) wanted?.set(toHex(key(["other"])), other);
        await database.until("shipped", ({ backlogBytes }) => backlogBytes === 0);

        const at = (when: KillMoment, method: string, name: string): (() => boolean) =>
          killAt(server, when, method, new RegExp(`${database.id}/.*${name}`));
        const kills = [
          at("before", "GET", "differential"),
          at("answered", "GET", "snapshots/"),
          at("after", "GET", "logs/"),
          // The old generation's snapshot is stored, so the next such PUT is the first thing that the generation after the switch stores.
          at("before", "PUT", "snapshots/"),
        ];
        const hex = prefix === null ? null : toHex(prefix);
        await restores.job({ command: "restore", jobId: "a", at: versionstampHex(then), prefix: hex });
        expect(await restores.finished("a")).toMatchObject({ status: "completed", version: then });
        // The new generation may be a while in coming: what was under way at a death waits.
        const settled = await database.until(
          "settled",
          ({ generations, backlogBytes }) =>
            backlogBytes === 0 && generations.length > 1 && generations.at(-1)?.state === "complete",
        );
        expect(kills.map((killed) => killed())).toEqual([true, true, true, true]);
        expect(settled.generations.map(({ state }) => state)).toEqual(["ended", "complete"]);
        expect(await restores.entries()).toEqual(wanted);
        await restores.job({ command: "verify", jobId: "v" });
        expect(await restores.finished("v")).toMatchObject({ status: "completed", verification: { good: true } });
      });
    },
  );
});
