/** What the sockets of one database may keep in memory: requests that are not answered, and bytes that do not leave. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, test, vi } from "vitest";
import { asVersion } from "../../src/core/versionstamp.ts";
import {
  MAX_REQUEST_PAUSE_MS,
  MAX_SOCKET_BYTES_UNDER_WAY,
  MAX_SOCKET_REQUESTS_IN_FLIGHT,
  MAX_SOCKETS,
  MAX_SOCKETS_BYTES_UNDER_WAY,
  MIN_READER_BYTES_PER_SECOND,
  READER_GRACE_MS,
} from "../../src/core/limits.ts";
import { failure } from "../../src/core/errors.ts";
import { Encoding, type Entry } from "../../src/core/operations.ts";
import type { CommitOutcome } from "../../src/engine/database.ts";
import { WatchHub } from "../../src/engine/watch-hub.ts";
import { BytesUnderWay, type Sender } from "../../src/objects/bytes-under-way.ts";
import { LateWatchers } from "../../src/objects/late-watchers.ts";
import { SocketSessions } from "../../src/objects/socket-sessions.ts";
import { FakeTimers, turns } from "../support/fake-timers.ts";
import { ack, readRequest, type SocketClient, watchRequest, writeRequest } from "../support/socket-client.ts";
import { watchedKeys } from "../support/watched-state.ts";
import { everything, newDatabase } from "../support/workerd/database-object.ts";
import { key, point, set, write } from "../support/workerd/engine.ts";
import { clientOf } from "../support/workerd/sessions.ts";

const a = key("a");
/** Of 7 MiB and a little. */
const large = write(Array.from({ length: 7 }, (_, i) => set(key(i), new Uint8Array(1024 * 1024))));

let time: FakeTimers;
beforeEach(() => void (time = new FakeTimers()));

interface Sockets {
  readonly sessions: SocketSessions;
  readonly open: () => SocketClient;
  /** Answers the writes that were submitted. */
  readonly apply: () => Promise<void>;
}

function unexpected(): never {
  throw new Error("no feed is read here");
}

/** Sockets of an object whose writes wait until the test applies them. `watched`: what every watched key has. */
async function withSockets(work: (sockets: Sockets) => Promise<void>, watched: Entry | null = null): Promise<void> {
  await runInDurableObject(await newDatabase(), async (_instance, state) => {
    const submitted: (() => void)[] = [];
    const hub = new WatchHub(watchedKeys((keys) => keys.map(() => watched)));
    const sessions = new SocketSessions([], {
      database: { read: (ranges) => ranges.map(() => []), watches: hub },
      commits: {
        submitAll: (writes) =>
          new Promise((resolve) => {
            submitted.push(() => resolve(writes.map((): CommitOutcome => ({ ok: true, version: asVersion(1) }))));
          }),
      },
      room: { refusal: () => null },
      refusedByMode: () => null,
      late: new LateWatchers(hub, time, time),
      feeds: { refusal: unexpected, oldest: unexpected, before: unexpected },
      clock: time,
      timers: time,
      grantOf: () => failure("unauthenticated", "No."),
      dueBy: () => undefined,
    });
    await work({
      sessions,
      open: () => {
        const { 0: client, 1: server } = new WebSocketPair();
        state.acceptWebSocket(server);
        sessions.opened(server, everything, null);
        const opened = clientOf(client);
        const { socket } = opened;
        // What the runtime would hand to the object.
        socket.send = (message) =>
          void sessions.message(server, typeof message === "string" ? message : message.slice().buffer);
        return opened;
      },
      apply: async () => {
        for (const resolve of submitted.splice(0)) resolve();
        await turns();
      },
    });
  });
}

test("a socket has 1,024 requests that are not answered, and is closed for one more (N9, N26)", async () => {
  await withSockets(async ({ open, apply }) => {
    const client = open();
    for (let i = 0; i < MAX_SOCKET_REQUESTS_IN_FLIGHT; i += 256) {
      client.send(...Array.from({ length: 256 }, (_, n) => writeRequest(i + n + 1, write([]))));
    }
    await turns();
    await apply();
    await client.next(MAX_SOCKET_REQUESTS_IN_FLIGHT);
    for (let i = 0; i < MAX_SOCKET_REQUESTS_IN_FLIGHT; i += 256) {
      client.send(...Array.from({ length: 256 }, (_, n) => writeRequest(i + n + 1, write([]))));
    }
    client.send(readRequest(5000, point(a)));
    expect(await client.closed()).toEqual({
      code: 4429,
      why: "1025 requests are not answered yet; the limit is 1024.",
    });
  });
});

test("a socket's frames that are not answered have 16 MiB together (N26)", async () => {
  await withSockets(async ({ open }) => {
    const client = open();
    client.send(writeRequest(1, large));
    client.send(writeRequest(2, large));
    client.send(writeRequest(3, large));
    expect(await client.closed()).toEqual({
      code: 4429,
      why: expect.stringMatching(/^Frames of \d+ bytes are not answered yet; the limit is 16777216\.$/),
    });
  });
});

test("what all sockets of a database keep is bounded, and the next frame is answered that there is no room (N26)", async () => {
  await withSockets(async ({ open, apply }) => {
    const clients = [open(), open(), open(), open(), open()];
    for (const client of clients) client.send(writeRequest(1, large));
    const [last] = clients.slice(-1);
    expect(await last?.next(1)).toMatchObject([[1, "error", "unavailable", expect.stringContaining("try again")]]);
    await apply();
    for (const client of clients.slice(0, -1))
      expect(await client.next(1)).toMatchObject([[1, "written", expect.any(String)]]);
    last?.send(writeRequest(2, large));
    await turns();
    await apply();
    expect(await last?.next(1)).toMatchObject([[2, "written", expect.any(String)]]);
  });
});

test("what a socket that has closed kept is free for others (N26)", async () => {
  await withSockets(async ({ open }) => {
    for (let i = 0; i < 8; i++) {
      const client = open();
      client.send(writeRequest(1, large));
      client.socket.send("not JSON");
      expect((await client.closed()).code).toBe(4400);
      expect(client.frames.flat()).toEqual([]);
    }
  });
});

test("a database has 10,000 sockets (N26)", async () => {
  await withSockets(async ({ sessions }) => {
    const socket = () => ({ serializeAttachment: () => undefined }) as unknown as WebSocket;
    for (let i = 0; i < MAX_SOCKETS - 1; i++) sessions.opened(socket(), everything, null);
    expect(sessions.refusal()).toBeNull();
    const last = socket();
    sessions.opened(last, everything, null);
    expect(sessions.refusal()).toMatchObject({
      code: "limit",
      message: "This database has 10000 sockets, the most it takes at a time.",
    });
    sessions.closed(last);
    expect(sessions.refusal()).toBeNull();
  });
});

test("a watch whose update is not acknowledged ends while others wait for the memory, and its socket goes on (N25)", async () => {
  const bytes = 1024 * 1024;
  const watched = { key: a, value: new Uint8Array(bytes), encoding: Encoding.bytes, version: asVersion(1) };
  const work = async ({ open }: Sockets): Promise<void> => {
    const clients = Array.from({ length: 6 }, () => open());
    for (const client of clients) client.send(watchRequest(1, a));
    await turns();
    const told = () => clients.map(({ frames }) => frames.flat().map(([, what]) => what));
    const update = ["watch"];
    expect(told()).toEqual([update, update, update, update, [], []]);
    clients[0]?.send(ack(1));
    await turns();
    expect(told()).toEqual([update, update, update, update, update, []]);
    await time.pass(READER_GRACE_MS + (bytes / MIN_READER_BYTES_PER_SECOND) * 1000 + 100);
    const ended = ["watch", "error"];
    expect(told()).toEqual([update, ended, ended, ended, ended, update]);
    clients[1]?.send(readRequest(2, point(a)));
    await turns();
    expect(clients[1]?.frames.flat().at(-1)).toEqual([2, "read", []]);
  };
  await withSockets(work, watched);
});

function sender(bytes: number): Sender & { bytesUnderWay: number; giveUp: ReturnType<typeof vi.fn<() => void>> } {
  return { bytesUnderWay: bytes, giveUp: vi.fn<() => void>() };
}

test("a socket with much under way waits until it has less (N25)", async () => {
  const underWay = new BytesUnderWay(time, time);
  const slow = sender(MAX_SOCKET_BYTES_UNDER_WAY + 1);
  underWay.sent(slow);
  expect(underWay.hasRoom(slow)).toBe(false);
  expect(underWay.hasRoom(sender(0))).toBe(true);
  const room = vi.fn<() => void>();
  void underWay.room(slow).then(room);
  await time.pass(100);
  expect(room).not.toHaveBeenCalled();
  slow.bytesUnderWay = 10;
  await time.pass(100);
  expect(room).toHaveBeenCalled();
  slow.bytesUnderWay = 0;
  await time.pass(2000);
  await time.pass(2000);
  expect(time.size).toBe(0);
});

test("a peer that takes nothing for half a minute is given up, one that takes a little is not (N25)", async () => {
  const underWay = new BytesUnderWay(time, time);
  const [dead, slow] = [sender(100_000), sender(100_000)];
  underWay.sent(dead);
  underWay.sent(slow);
  for (let passed = 0; passed <= MAX_REQUEST_PAUSE_MS; passed += 1000) {
    expect(dead.giveUp).not.toHaveBeenCalled();
    slow.bytesUnderWay -= 100;
    // What is sent meanwhile is no reason to wait longer.
    underWay.sent(dead);
    await time.pass(1000);
  }
  expect(dead.giveUp).toHaveBeenCalledTimes(1);
  expect(slow.giveUp).not.toHaveBeenCalled();
});

test("while all wait for the memory, those that take nothing are given up sooner (N25)", async () => {
  const underWay = new BytesUnderWay(time, time);
  const each = MAX_SOCKETS_BYTES_UNDER_WAY / 8;
  const dead = Array.from({ length: 8 }, () => sender(each));
  for (const one of dead) underWay.sent(one);
  const other = sender(0);
  expect(underWay.hasRoom(other)).toBe(false);
  const room = vi.fn<() => void>();
  void underWay.room(other).then(room);
  const patienceMs = READER_GRACE_MS + (each / MIN_READER_BYTES_PER_SECOND) * 1000;
  await time.pass(patienceMs - 1000);
  expect(room).not.toHaveBeenCalled();
  await time.pass(1000);
  for (const one of dead) expect(one.giveUp).toHaveBeenCalledTimes(1);
  expect(room).toHaveBeenCalled();
});
