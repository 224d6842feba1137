/**
 * A whole server under load, its destination behind a proxy that fails in every way, and workerd killed in the middle: commits are
 * never failed by it, and once the destination is well every acknowledged commit is in the backup and nothing is divided.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BackupServer } from "../support/backup-server.ts";
import { type FaultKind, type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { expectEverythingIn, ServedLoad } from "../support/served-load.ts";

let s3: S3Server;
let proxy: FaultProxy;
let server: BackupServer;

beforeAll(async () => {
  s3 = await startS3Server();
  proxy = await startFaultProxy(s3.endpoint);
  server = await BackupServer.start();
});

afterAll(async () => {
  await server.close();
  await proxy.close();
  await s3.close();
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Less than the destination takes for anything while it is slow, and more than a commit takes on a busy machine. */
const SLOW_MS = 2_000;

const outages: readonly (readonly [string, FaultKind, expected: RegExp])[] = [
  ["answers 500", { do: "answer", status: 500, code: "InternalError" }, /HTTP 500/],
  [
    "answers 503 and asks for a pause",
    { do: "answer", status: 503, code: "SlowDown", headers: { "retry-after": "2" } },
    /503/,
  ],
  ["is slow", { do: "delay", ms: 2_500 }, /^$/],
  ["closes every connection", { do: "reset" }, /could not be reached/],
  ["stores objects and loses the answers", { do: "lose-answer" }, /could not be reached/],
  ["answers 403", { do: "answer", status: 403, code: "AccessDenied" }, /AccessDenied/],
  ["says that the credentials have expired", { do: "answer", status: 400, code: "ExpiredToken" }, /have expired/],
  ["has no such bucket any more", { do: "answer", status: 404, code: "NoSuchBucket" }, /no bucket/],
];

// The first three take longest: what comes after them runs meanwhile.

test.concurrent(
  "a destination that takes requests and never answers holds up nothing but itself (B8)",
  { timeout: 180_000 },
  async () => {
    const database = server.database();
    await database.enable({ ...s3, endpoint: proxy.endpoint });
    await database.until("active", (info) => info.status.code === "active");
    const load = new ServedLoad(database);
    const heal = proxy.add({ fault: { do: "hang" }, path: new RegExp(database.id) });
    await sleep(20_000);
    expect((await database.info()).lagMs).toBeGreaterThan(15_000);
    const hung = proxy.seen.filter(({ fault, path }) => fault === "hang" && path.includes(database.id));
    expect(hung.length, "the first was given up, and sent again").toBeGreaterThan(1);
    heal();
    await load.stop();
    await database.until("settled", ({ backlogBytes }) => backlogBytes === 0, 120_000);
    expect(load.refused).toBe(0);
    expect(load.slowMs(), "commits do not wait for the destination").toBeLessThan(SLOW_MS);
    await expectEverythingIn(s3, database, load);
  },
);

test.concurrent(
  "credentials that expire are shown, and those that replace them ship what waited (B27)",
  { timeout: 120_000 },
  async () => {
    const database = server.database();
    const load = new ServedLoad(database);
    await database.enable({ ...s3, endpoint: proxy.endpoint });
    await database.until("active", (info) => info.status.code === "active");
    // What tries new ones out lies beside the generations.
    const fault = { do: "answer", status: 400, code: "ExpiredToken" } as const;
    const heal = proxy.add({ fault, path: new RegExp(`${database.id}/[0-9a-f]{16}/`) });
    const failing = await database.until("failing", ({ lastError }) => lastError !== null);
    expect(failing.lastError?.message).toMatch(/have expired/);
    expect(failing.status).toEqual({ code: "active" });
    // By now it waits for half a minute between two tries.
    await sleep(18_000);
    const { accessKeyId, secretAccessKey } = s3;
    const rotate = { command: "rotate", accessKeyId, secretAccessKey, sessionToken: null } as const;
    expect(await database.run({ ...rotate, secretAccessKey: "wrong" })).toMatchObject({ ok: false, code: "invalid" });
    heal();
    await database.ask(rotate);
    await load.stop();
    await database.until("settled", (info) => info.backlogBytes === 0 && info.lastError === null, 10_000);
    expect(load.refused).toBe(0);
    await expectEverythingIn(s3, database, load);
  },
);

test.concurrent(
  "workerd killed again and again under load: every acknowledged commit is in the backup (B7)",
  { timeout: 180_000 },
  async ({ onTestFinished }) => {
    const mortal = await BackupServer.start();
    onTestFinished(() => mortal.close());
    const database = mortal.database();
    const load = new ServedLoad(database);
    await sleep(300);
    // Slow enough that most kills find a request under way.
    const heal = proxy.add({ fault: { do: "delay", ms: 150 }, path: new RegExp(database.id), method: "PUT" });
    await database.enable({ ...s3, endpoint: proxy.endpoint });
    // One server may die four times in a minute before it gives up.
    for (const pauseMs of [200, 900, 2_300, 3_100]) {
      await sleep(pauseMs);
      mortal.kill();
      const { lastObject: before } = await database.until("up again", () => true);
      // What is under way at two deaths in a row is held back. So it comes to its end once, however busy the machine is.
      await database.until(
        "further",
        ({ status, lastObject }) => status.code === "active" && lastObject?.name !== before?.name,
      );
    }
    await sleep(3_000);
    await load.stop();
    heal();
    await database.until("settled", ({ status, backlogBytes }) => status.code === "active" && backlogBytes === 0);
    expect(load.refused).toBeGreaterThan(0);
    await expectEverythingIn(s3, database, load);
  },
);

describe.concurrent.each(outages)("while the destination %s", (_, fault, expected) => {
  test.each([
    ["during the snapshot", 0, /pending|active/],
    ["later", 1_000, /^active$/],
  ])("%s, commits go on and none is missing afterwards (B8)", { timeout: 180_000 }, async (_when, afterMs, status) => {
    const database = server.database();
    const load = new ServedLoad(database);
    await sleep(500);
    // What tries the destination out before a backup begins lies beside the generations.
    const generations = new RegExp(`${database.id}/[0-9a-f]{16}/`);
    let heal = afterMs > 0 ? () => undefined : proxy.add({ fault, path: generations });
    await database.enable({ ...s3, endpoint: proxy.endpoint });
    if (afterMs > 0) {
      await database.until("active", (info) => info.status.code === "active");
      await sleep(afterMs);
      heal = proxy.add({ fault, path: new RegExp(database.id) });
    }
    await sleep(4_000);
    // On a busy machine the first failure takes longer.
    const during = await database.until("shown", ({ lastError }) => expected.test(lastError?.message ?? ""));
    expect(during.status.code).toMatch(status);
    heal();
    await sleep(1_000);
    await load.stop();
    const after = await database.until(
      "settled",
      (info) => info.status.code === "active" && info.backlogBytes === 0 && info.lastError === null,
    );
    expect(after.generations.map(({ state }) => state)).toEqual(["complete"]);
    expect(load.refused, "commits that failed").toBe(0);
    expect(load.slowMs(), "commits do not wait for the destination").toBeLessThan(SLOW_MS);
    await expectEverythingIn(s3, database, load);
  });
});

test("a bucket that is missing refuses a backup; once it is made the same request is taken", async () => {
  const database = server.database();
  const enabling = database.enabling({ ...s3, endpoint: proxy.endpoint });
  const fault = { do: "answer", status: 404, code: "NoSuchBucket" } as const;
  const heal = proxy.add({ fault, path: new RegExp(database.id) });
  expect(await database.run(enabling)).toMatchObject({ ok: false, code: "invalid" });
  heal();
  await database.ask(enabling);
  await database.until("active", (info) => info.status.code === "active");
});

describe("enabling a backup that cannot work is refused with the reason (B1)", () => {
  test.each([
    ["a wrong secret", { secretAccessKey: "wrong" }, /credentials for bucket "backups" were refused/],
    ["a wrong key", { accessKeyId: "nobody" }, /credentials/],
    ["a bucket that is not there", { bucket: "nowhere" }, /bucket "nowhere"/],
    ["an endpoint where nobody listens", { endpoint: "http://127.0.0.1:9" }, /could not be reached/],
    ["an endpoint that is no URL", { endpoint: "not a url" }, /endpoint/i],
    ["an address for machines' own metadata", { endpoint: "http://169.254.169.254" }, /link-local|metadata/],
  ])("%s", async (_, wrong, sentence) => {
    const database = server.database();
    const answer = await database.run(database.enabling({ ...s3, ...wrong }));
    expect(answer).toMatchObject({ ok: false, code: "invalid", message: expect.stringMatching(sentence) });
    expect(await database.run({ command: "status" })).toEqual({ ok: true, backup: null });
  });
});
