/** Watchers that do not take what they are told, while others wait for the memory that it has. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, test } from "vitest";
import { encodeWatch } from "../../src/codec/datapath-requests.ts";
import { MAX_WATCH_BYTES_UNDER_WAY, MIN_READER_BYTES_PER_SECOND, READER_GRACE_MS } from "../../src/core/limits.ts";
import { Encoding } from "../../src/core/operations.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import { WatchHub } from "../../src/engine/watch-hub.ts";
import { LateWatchers } from "../../src/objects/late-watchers.ts";
import { WatchSockets } from "../../src/objects/watch-sockets.ts";
import { FakeTimers, turns } from "../support/fake-timers.ts";
import { watchedKeys } from "../support/watched-state.ts";
import { everything, newDatabase, TestWatch } from "../support/workerd/database-object.ts";
import { key } from "../support/workerd/engine.ts";

const VALUE_BYTES = 1024 * 1024;
const ROOM = MAX_WATCH_BYTES_UNDER_WAY / VALUE_BYTES;
/** How long a message of that size may take. */
const PATIENCE_MS = READER_GRACE_MS + (VALUE_BYTES / MIN_READER_BYTES_PER_SECOND) * 1000;

let time: FakeTimers;
beforeEach(() => void (time = new FakeTimers()));

interface Parts {
  readonly hub: WatchHub;
  readonly sockets: WatchSockets;
  readonly servers: readonly WebSocket[];
  /** How often entries were read. */
  readonly reads: () => number;
}

/** Sockets of one object, each of which watches one large entry; each test acknowledges for itself. */
async function withWatches(count: number, work: (watches: TestWatch[], parts: Parts) => Promise<void>): Promise<void> {
  await runInDurableObject(await newDatabase(), async (_instance, state) => {
    const entry = {
      key: key("a"),
      value: new Uint8Array(VALUE_BYTES),
      encoding: Encoding.bytes,
      version: asVersion(1),
    };
    let reads = 0;
    const hub = new WatchHub(
      watchedKeys((keys) => {
        reads += 1;
        return keys.map(() => entry);
      }),
    );
    const late = new LateWatchers(hub, time, time);
    const sockets = new WatchSockets(hub, [], late);
    const servers: WebSocket[] = [];
    const watches = Array.from({ length: count }, () => {
      const { 0: client, 1: server } = new WebSocketPair();
      servers.push(server);
      state.acceptWebSocket(server);
      sockets.opened(server, everything);
      sockets.message(server, encodeWatch([entry.key]).buffer);
      const watch = new TestWatch(client);
      watch.acknowledge = () => sockets.message(server, "ack");
      return watch;
    });
    await turns();
    await work(watches, { hub, sockets, servers, reads: () => reads });
  });
}

const messages = (watches: readonly TestWatch[]): number[] => watches.map((watch) => watch.messages.length);

test("who takes a message too slowly is cut off while others wait, and those are told (O17)", async () => {
  await withWatches(ROOM + 2, async (watches, { hub }) => {
    const [prompt, ...others] = watches;
    expect(messages(watches)).toEqual([1, 1, 1, 1, 0, 0]);
    prompt?.acknowledge();
    await turns();
    expect(messages(watches)).toEqual([1, 1, 1, 1, 1, 0]);

    await time.pass(PATIENCE_MS - 10);
    expect(messages(watches)).toEqual([1, 1, 1, 1, 1, 0]);
    await time.pass(100);
    expect(messages(watches)).toEqual([1, 2, 2, 2, 2, 1]);
    for (const watch of others.slice(0, -1)) {
      expect(watch.messages.at(-1)).toContain(
        '"unavailable","message":"The messages of this watch were taken too slowly',
      );
    }
    expect([hub.size, hub.isCrowded]).toEqual([2, false]);
  });
});

test("nobody is cut off while there is room for all", async () => {
  await withWatches(ROOM, async (watches, { hub }) => {
    await time.pass(100 * PATIENCE_MS);
    expect(messages(watches)).toEqual(watches.map(() => 1));
    expect(hub.size).toBe(ROOM);
  });
});

test("sockets that turn out to be gone while others are told keep nobody waiting", async () => {
  await withWatches(3 * ROOM, async (watches, { hub, servers }) => {
    const [first] = watches;
    for (const server of servers.slice(ROOM, -1)) server.close();
    first?.acknowledge();
    await turns();
    expect(watches.at(-1)?.messages).toHaveLength(1);
    expect(hub.isCrowded).toBe(false);
  });
});

test("when the database goes, nobody is read for or told any more, whoever was late, waited or answers still", async () => {
  await withWatches(ROOM + 2, async (watches, { hub, sockets, reads }) => {
    sockets.close();
    expect(time.size).toBe(0);
    const before = reads();
    const [first] = watches;
    first?.acknowledge();
    sockets.forget([]);
    hub.noteAll(null);
    hub.flush();
    await time.pass(10 * PATIENCE_MS);
    expect([reads() - before, hub.size, hub.isCrowded]).toEqual([0, 0, false]);
    expect(messages(watches)).toEqual([1, 1, 1, 1, 0, 0]);
  });
});
