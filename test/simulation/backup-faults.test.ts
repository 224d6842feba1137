/**
 * A whole server under load, its destination behind a proxy that fails in every way, and workerd killed in the middle: commits are
 * never failed by it, and once the destination is well every acknowledged commit is in the backup and nothing is divided.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { S3Destination } from "../../src/backup/destinations/s3.ts";
import { parseS3Settings } from "../../src/backup/destinations/s3-settings.ts";
import { toHex } from "../../src/core/bytes.ts";
import type { AtomicWrite } from "../../src/core/operations.ts";
import { BackupServer, type ServedDatabase } from "../support/backup-server.ts";
import { set, v8 } from "../support/backup-workload.ts";
import { type FaultKind, type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { listGenerations, readGeneration } from "../support/reference-reader.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { realTiming } from "../support/timing.ts";

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

/** Writes one key after another until it is stopped; knows which commits were acknowledged. */
class Load {
  readonly acknowledged: number[] = [];
  refused = 0;
  readonly #database: ServedDatabase;
  readonly #done: Promise<void>[];
  #next = 0;
  #stopped = false;

  constructor(database: ServedDatabase, writers = 2) {
    this.#database = database;
    this.#done = Array.from({ length: writers }, () => this.#write());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#done);
  }

  async #write(): Promise<void> {
    while (!this.#stopped) {
      const number = this.#next++;
      try {
        await this.#database.commit(writeOf(number));
        this.acknowledged.push(number);
      } catch {
        this.refused += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Two entries, so that a commit that is divided would show. */
function writeOf(number: number): AtomicWrite {
  const mutations = [set(["load", number], v8(number)), set(["twin", number], v8(number))];
  return { checks: [], mutations, enqueues: [] };
}

async function expectEverythingIn(database: ServedDatabase, load: Load): Promise<void> {
  const parsed = parseS3Settings({ ...s3, sessionToken: null, prefix: "" }, { strict: false });
  if (!parsed.ok) throw new Error(parsed.message);
  const destination = new S3Destination(parsed.settings, (url, init) => fetch(url, init), realTiming);
  const [folder = "", ...others] = await listGenerations(destination, database.id);
  expect(others).toEqual([]);
  const generation = await readGeneration(destination, database.id, folder);
  const last = [...generation.states()].at(-1);
  const missing = load.acknowledged.filter((number) =>
    writeOf(number).mutations.some(({ key }) => last?.entries.has(toHex(key)) !== true),
  );
  expect(missing).toEqual([]);
  expect(load.acknowledged.length).toBeGreaterThan(100);
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const outages: readonly (readonly [string, FaultKind, expected: RegExp])[] = [
  ["answers 500", { do: "answer", status: 500, code: "InternalError" }, /HTTP 500/],
  [
    "answers 503 and asks for a pause",
    { do: "answer", status: 503, code: "SlowDown", headers: { "retry-after": "2" } },
    /503/,
  ],
  ["is slow", { do: "delay", ms: 1_500 }, /^$/],
  ["closes every connection", { do: "reset" }, /could not be reached/],
  ["stores objects and loses the answers", { do: "lose-answer" }, /could not be reached/],
  ["answers 403", { do: "answer", status: 403, code: "AccessDenied" }, /AccessDenied/],
  ["says that the credentials have expired", { do: "answer", status: 400, code: "ExpiredToken" }, /have expired/],
  ["has no such bucket any more", { do: "answer", status: 404, code: "NoSuchBucket" }, /no bucket/],
];

describe.concurrent.each(outages)("while the destination %s", (_, fault, expected) => {
  test.each([
    ["during the snapshot", 0, /pending|active/],
    ["later", 1_000, /^active$/],
  ])("%s, commits go on and none is missing afterwards", { timeout: 180_000 }, async (_when, afterMs, status) => {
    const database = server.database();
    const load = new Load(database);
    await sleep(500);
    await database.enable({ ...s3, endpoint: proxy.endpoint });
    if (afterMs > 0) await database.until("active", (info) => info.status.code === "active");
    await sleep(afterMs);
    const heal = proxy.add({ fault, path: new RegExp(database.id) });
    await sleep(6_000);
    const during = await database.info();
    expect(during.lastError?.message ?? "").toMatch(expected);
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
    await expectEverythingIn(database, load);
  });
});

test.concurrent(
  "a destination that takes requests and never answers holds up nothing but itself",
  { timeout: 180_000 },
  async () => {
    const database = server.database();
    await database.enable({ ...s3, endpoint: proxy.endpoint });
    await database.until("active", (info) => info.status.code === "active");
    const load = new Load(database);
    const heal = proxy.add({ fault: { do: "hang" }, path: new RegExp(database.id) });
    await sleep(20_000);
    expect((await database.info()).lagMs).toBeGreaterThan(15_000);
    heal();
    await load.stop();
    await database.until("settled", ({ backlogBytes }) => backlogBytes === 0, 120_000);
    expect(load.refused).toBe(0);
    await expectEverythingIn(database, load);
  },
);

test(
  "workerd killed again and again under load: every acknowledged commit is in the backup",
  { timeout: 180_000 },
  async () => {
    const database = server.database();
    const load = new Load(database);
    await sleep(300);
    await database.enable({ ...s3, endpoint: proxy.endpoint });
    // Slow enough that most kills find a request under way.
    const heal = proxy.add({ fault: { do: "delay", ms: 150 }, path: new RegExp(database.id), method: "PUT" });
    // One server may die four times in a minute before it gives up.
    for (const pauseMs of [200, 900, 2_300, 3_100]) {
      await sleep(pauseMs);
      server.kill();
      await database.until("up again", () => true);
    }
    await sleep(3_000);
    await load.stop();
    heal();
    await database.until("settled", ({ status, backlogBytes }) => status.code === "active" && backlogBytes === 0);
    expect(load.refused).toBeGreaterThan(0);
    await expectEverythingIn(database, load);
  },
);

describe("enabling a backup that cannot work is refused with the reason", () => {
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
