/** The change feed and watches over HTTP, through the front of `npm start`: other people's client, `curl`, and workerd killed in between. */
import { spawn } from "node:child_process";
import { stream } from "@durable-streams/client";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";
import { startTestServer } from "../support/server.ts";

const server = await startTestServer();

const database = `${server.url}/api/databases/${server.databaseId}`;
const headers = { authorization: `Bearer ${server.accessToken}` };

beforeAll(async () => {
  const answer = await fetch(database, {
    method: "PATCH",
    headers: { authorization: `Bearer ${server.adminToken}` },
    body: JSON.stringify({ feed: { retentionHours: 24 } }),
  });
  expect(await answer.json()).toMatchObject({ feed: { retentionHours: 24 } });
});
afterAll(() => server.close());

async function put(key: string, value: unknown): Promise<string> {
  const body = JSON.stringify(value);
  const answer = await fetch(`${database}/entries/${key}?values=plain`, { method: "PUT", headers, body });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  // As the door answers.
  return ((await answer.json()) as { versionstamp: string }).versionstamp;
}

/** Another workerd answers when it has. */
async function kill(): Promise<void> {
  const pid = server.workerdPid();
  process.kill(pid, "SIGKILL");
  await expect.poll(() => server.workerdPid()).not.toBe(pid);
  const status = () => fetch(`${database}/entries/none`, { headers }).then((answer) => answer.status);
  await expect.poll(() => status().catch(() => 0)).toBe(404);
}

interface FeedEvent {
  readonly key: string;
  readonly headers: { readonly txid: string; readonly control?: string; readonly offset: string };
}

/** Follows the feed until it is told to stop, and goes on from where it was whatever happens to the server. */
class Follower {
  readonly commits: string[] = [];
  readonly resets: string[] = [];
  readonly #live: "sse" | "long-poll";
  readonly #abort = new AbortController();
  #offset: string;

  constructor(live: "sse" | "long-poll", offset = "-1") {
    this.#live = live;
    this.#offset = offset;
  }

  async run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        const response = await stream<FeedEvent>({
          url: `${database}/feed?values=plain`,
          headers,
          offset: this.#offset,
          live: this.#live,
          signal: this.#abort.signal,
          sseResilience: { logWarnings: false },
        });
        response.subscribeJson(async ({ items, offset }) => {
          for (const { key, headers: of } of items) {
            if (of.control === "reset") this.resets.push(of.offset);
            else this.commits.push(`${of.txid} ${key}`);
          }
          this.#offset = offset;
        });
        await response.closed;
      } catch {
        // The server is being started again: from where it is.
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  stop(): void {
    this.#abort.abort();
  }
}

test("a feed that is followed while workerd is killed gives every commit once and in order (F3)", async () => {
  const followers = [new Follower("sse"), new Follower("long-poll")];
  const running = followers.map((follower) => follower.run());
  const acknowledged: string[] = [];
  for (let round = 0; round < 3; round++) {
    let killing: Promise<void> | null = null;
    for (let i = 0; i < 40; i++) {
      try {
        acknowledged.push(await put(`log/${round}/${i}`, i));
      } catch {
        // Its outcome is unknown: what the feed says of it counts. Others come when the server is there again.
        await killing;
      }
      // While others are under way.
      if (i === 10 && round > 0) killing = kill();
    }
    await killing;
  }
  const last = await put("log/last", 0);
  for (const follower of followers) {
    await expect.poll(() => follower.commits.at(-1)).toBe(`${last} log/last`);
    follower.stop();
  }
  await Promise.all(running);
  const all = await (
    await stream<FeedEvent>({ url: `${database}/feed`, headers, offset: "-1", live: "long-poll" })
  ).json();
  const truth = all.map(({ key, headers: of }) => `${of.txid} ${key}`);
  expect(truth).toEqual(truth.toSorted());
  expect(new Set(truth).size).toBe(truth.length);
  const stamps = new Set(truth.map((line) => line.slice(0, 20)));
  expect(acknowledged.filter((stamp) => !stamps.has(stamp))).toEqual([]);
  for (const follower of followers) expect(follower.commits).toEqual(truth);
});

test("a restore in place is told to those who follow, who go on behind it; and to those who come back later (F8)", async () => {
  const s3 = await startS3Server();
  onTestFinished(() => s3.close());
  const admin = (path: string, body: unknown) =>
    fetch(`${database}/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${server.adminToken}` },
      body: JSON.stringify(body),
    });
  const enabled = await admin("backup", { destination: destinationAt(s3), intervalMs: 500 });
  expect(enabled.status).toBe(201);
  const status = async () => {
    const answer = await fetch(`${database}/backup`, { headers: { authorization: `Bearer ${server.adminToken}` } });
    // As the API answers.
    return ((await answer.json()) as { status: { code: string } }).status.code;
  };
  await expect.poll(status).toBe("active");
  const before = await put("restored/1", 1);
  const undone = await put("restored/2", 2);
  const follower = new Follower("sse", before);
  const running = follower.run();
  await expect.poll(() => follower.commits).toEqual([`${undone} restored/2`]);
  const restore = () => admin("restores", { at: before, confirm: true }).then((answer) => answer.status);
  // Until the backup holds the moment.
  await expect.poll(restore, { timeout: 60_000, interval: 300 }).toBe(202);
  await expect.poll(() => follower.resets.length).toBe(1);
  const after = await put("restored/3", 3);
  await expect.poll(() => follower.commits.at(-1)).toBe(`${after} restored/3`);
  follower.stop();
  await running;
  const late = new Follower("long-poll", before);
  const catchingUp = late.run();
  await expect.poll(() => late.commits.at(-1)).toBe(`${after} restored/3`);
  late.stop();
  await catchingUp;
  expect([late.commits, late.resets]).toEqual([follower.commits, follower.resets]);
  const [reset = ""] = follower.resets;
  expect(reset > undone && reset < after).toBe(true);
  const gone = await fetch(`${database}/entries/restored/2`, { headers });
  expect(gone.status).toBe(404);
}, 90_000);

test("curl -N shows a watch and a feed as they happen (H32, H35)", async () => {
  const prefix = encodeURIComponent('["shown"]');
  const auth = ["-H", `authorization: ${headers.authorization}`];
  const texts = ["", ""];
  const urls = [
    `${database}/watch?prefix=${prefix}&values=plain`,
    `${database}/feed?offset=now&live=sse&prefix=${prefix}&values=plain`,
  ];
  for (const [i, url] of urls.entries()) {
    const curl = spawn("curl", ["-sN", ...auth, url]);
    onTestFinished(() => void curl.kill());
    curl.stdout.setEncoding("utf8").on("data", (text: string) => (texts[i] += text));
  }
  await expect.poll(() => texts.every((text) => text !== "")).toBe(true);
  const versionstamp = await put("shown/1", { n: 1 });
  const key = '[{"type":"string","value":"shown"},{"type":"string","value":"1"}]';
  await expect
    .poll(() => texts[0])
    .toMatch(
      /^event: entries\nid: [0-9a-f]{20}\ndata: \{"reset":true,"entries":\[\]\}\n\nevent: entries\nid: [0-9a-f]{20}\ndata: /,
    );
  expect(texts[0]).toContain(
    `event: entries\nid: ${versionstamp}\ndata: {"entries":[{"key":${key},"value":{"n":1},"versionstamp":"${versionstamp}"}]}\n\n`,
  );
  await expect.poll(() => texts[1]).toContain("event: data\n");
  expect(texts[1]).toContain(
    `data: [{"type":"shown","key":"shown/1","value":{"n":1},"headers":{"operation":"insert","txid":"${versionstamp}",`,
  );
  expect(texts[1]).toContain(`event: control\ndata: {"streamNextOffset":"${versionstamp}","streamCursor":"`);
});
