/**
 * Programs that follow a database over sockets, while their network is cut or swallows everything, they go away and come back, and workerd is
 * killed. Afterwards each has exactly what the database has: no change was missed, deletes and expiries included.
 */
import { openKv } from "@deno/kv";
import { afterAll, expect, onTestFinished, test } from "vitest";
import type { Key } from "../../src/codec/key-codec.ts";
import { startCutProxy } from "../support/cut-proxy.ts";
import { tryExchange } from "../support/management.ts";
import { startTestServer } from "../support/server.ts";
import { subprotocols } from "../support/socket-client.ts";

const server = await startTestServer();
const network = await startCutProxy(Number(new URL(server.url).port));

afterAll(async () => {
  await network.close();
  await server.close();
});

interface Update {
  readonly reset: boolean;
  readonly keys: readonly {
    readonly key: readonly { readonly value: unknown }[];
    readonly versionstamp: string | null;
  }[];
  readonly upTo: string | null;
}

/** As docs/sockets.md has it: it connects again and again, each time with the last place that it has. */
class Follower {
  /** Versionstamps by key. */
  readonly held = new Map<string, string>();
  readonly prefix: Key;
  resets = 0;
  resumes = 0;
  readonly #ackAfterMs: number;
  #after: string | undefined;
  #socket: WebSocket | undefined;
  #isOver = false;

  constructor(prefix: Key, ackAfterMs: number) {
    this.prefix = prefix;
    this.#ackAfterMs = ackAfterMs;
    void this.#run();
  }

  goAway(): void {
    this.#socket?.close();
  }

  end(): void {
    this.#isOver = true;
    this.goAway();
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const exchanged = await tryExchange(server).catch(() => undefined);
      if (exchanged !== undefined && "token" in exchanged) await this.#follow(exchanged.token);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #follow(token: string): Promise<void> {
    const address = `ws://127.0.0.1:${network.port}/api/databases/${server.databaseId}/socket`;
    const socket = new WebSocket(address, subprotocols(token));
    this.#socket = socket;
    const request = { id: 1, watchPrefix: this.prefix, keysOnly: true, after: this.#after };
    let isFirst = this.#after !== undefined;
    socket.addEventListener("open", () => socket.send(JSON.stringify(request)));
    socket.addEventListener("message", ({ data }) => {
      // As docs/spec/socket.md says.
      for (const { prefix } of (JSON.parse(String(data)) as { responses: { prefix?: Update }[] }).responses) {
        if (prefix === undefined) continue;
        if (isFirst) this[prefix.reset ? "resets" : "resumes"] += 1;
        isFirst = false;
        this.#take(prefix);
        setTimeout(() => {
          if (socket.readyState === WebSocket.OPEN) socket.send('{"ack":1}');
        }, this.#ackAfterMs);
      }
    });
    return new Promise((resolve) => socket.addEventListener("close", () => resolve()));
  }

  #take({ reset, keys, upTo }: Update): void {
    if (reset) {
      this.held.clear();
      this.#after = undefined;
    }
    for (const { key, versionstamp } of keys) {
      const name = JSON.stringify(key.map(({ value }) => value));
      if (versionstamp === null) this.held.delete(name);
      else this.held.set(name, versionstamp);
    }
    if (upTo !== null) this.#after = upTo;
  }
}

test("what follows a prefix misses nothing while networks are cut, clients go away and workerd is killed (N27, N28)", async () => {
  const kv = await openKv(server.connectUrl, { accessToken: server.accessToken });
  onTestFinished(() => kv.close());
  const prefixes: readonly Key[] = [[], ["a"], ["b"], ["a", 1]];
  const followers = prefixes.map((prefix, i) => new Follower(prefix, 5 * i));
  onTestFinished(() => followers.forEach((follower) => follower.end()));

  let written = 0;
  /** Sets, deletes and expiries of sixty keys, a few in each commit. */
  async function write(): Promise<void> {
    const atomic = kv.atomic();
    for (let i = 0; i < 3; i++) {
      const n = (written++ * 7_919) % 60;
      const key = [n % 2 === 0 ? "a" : "b", n % 3, n % 20];
      // Not in step with the keys, so that each is set and deleted in turns.
      const what = written % 7;
      if (what < 3) atomic.delete(key);
      else atomic.set(key, written, what === 3 ? { expireIn: 20 * n + 1 } : {});
    }
    // While workerd is started again there may be no answer, and then it may have been written or not.
    await expect
      .poll(
        () =>
          atomic.commit().then(
            ({ ok }) => ok,
            () => false,
          ),
        { timeout: 60_000 },
      )
      .toBe(true);
  }
  async function writeMany(): Promise<void> {
    for (let i = 0; i < 30; i++) await write();
  }

  const faults: readonly (() => void)[] = [
    () => network.cut(),
    () => followers.forEach((follower) => follower.goAway()),
    () => network.swallow(),
    () => void process.kill(server.workerdPid(), "SIGKILL"),
    () => network.cut(),
    () => void process.kill(server.workerdPid(), "SIGKILL"),
    () => network.swallow(),
  ];
  for (const fault of faults) {
    await writeMany();
    fault();
    await writeMany();
    network.mend();
  }

  const expected = async (prefix: Key): Promise<Map<string, string>> => {
    const entries = new Map<string, string>();
    for await (const { key, versionstamp } of kv.list({ prefix: [...prefix] }))
      entries.set(JSON.stringify(key), versionstamp);
    return entries;
  };
  /** Keys that the follower has as they are not in the database. */
  const wrong = async ({ held, prefix }: Follower): Promise<string[]> => {
    const there = await expected(prefix);
    return [...new Set([...held.keys(), ...there.keys()])].filter((name) => held.get(name) !== there.get(name));
  };
  for (const follower of followers) await expect.poll(() => wrong(follower)).toEqual([]);
  const total = (count: "resets" | "resumes"): number => followers.reduce((sum, follower) => sum + follower[count], 0);
  // Both ways to come back were taken.
  expect(total("resumes")).toBeGreaterThan(0);
  expect(total("resets")).toBeGreaterThan(0);
});
