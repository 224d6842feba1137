/** What the sockets of one database may keep in memory: requests that are not answered, and bytes that do not leave. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { asVersion } from "../../src/core/versionstamp.ts";
import {
  MAX_PROCESS_SOCKET_BYTES_UNDER_WAY,
  MAX_REQUEST_PAUSE_MS,
  MAX_SOCKET_ANSWER_BYTES,
  MAX_SOCKET_BYTES_UNDER_WAY,
  MAX_SOCKET_REQUESTS_IN_FLIGHT,
  MAX_SOCKETS,
  MAX_SOCKETS_BYTES_UNDER_WAY,
  MIN_READER_BYTES_PER_SECOND,
  READER_GRACE_MS,
  SMALL_SOCKET_ANSWER_BYTES,
} from "../../src/core/limits.ts";
import { failure } from "../../src/core/errors.ts";
import { Encoding, type Entry } from "../../src/core/operations.ts";
import type { CommitOutcome } from "../../src/engine/commit-path.ts";
import { WatchHub } from "../../src/engine/watch-hub.ts";
import { BytesUnderWay, type Sender } from "../../src/objects/bytes-under-way.ts";
import { type Account, ProcessMemory } from "../../src/core/process-memory.ts";
import { LateWatchers } from "../../src/objects/late-watchers.ts";
import { SocketSessions } from "../../src/objects/socket-sessions.ts";
import { FakeTimers, turns } from "../support/fake-timers.ts";
import { ack, readRequest, type SocketClient, watchRequest, writeRequest } from "../support/socket-client.ts";
import { watchedKeys } from "../support/watched-state.ts";
import { everything, newDatabase } from "../support/workerd/database-object.ts";
import { key, point, set, write } from "../support/workerd/engine.ts";
import { clientOf } from "../support/workerd/sessions.ts";
import { freeTurns } from "../support/free-turns.ts";

const MIB = 1024 * 1024;

const a = key("a");
/** Of 7 MiB and a little. */
const large = write(Array.from({ length: 7 }, (_, i) => set(key(i), new Uint8Array(1024 * 1024))));

let time: FakeTimers;
beforeEach(() => void (time = new FakeTimers()));

/** Of memory that nobody else uses. */
const account = () => new ProcessMemory(1024 * 1024 * 1024, time).account("owner");
const underWayAlone = () => new BytesUnderWay({ clock: time, timers: time, account: account() });

const peer = { grant: everything, page: null, isRelayed: false };

interface Sockets {
  readonly sessions: SocketSessions;
  /** `unsent`: what the runtime says of bytes that have not left. */
  readonly open: (unsent?: () => number, isRelayed?: boolean) => SocketClient;
  /** Answers the writes that were submitted. */
  readonly apply: () => Promise<void>;
}

function unexpected(): never {
  throw new Error("no feed is read here");
}

interface World {
  /** What every watched key has. */
  readonly watched?: Entry;
  /** What every range has. */
  readonly read?: Entry;
  /** Of the process's memory for frames that are not answered. */
  readonly pending?: Account;
}

/** Sockets of an object whose writes wait until the test applies them. */
async function withSockets(work: (sockets: Sockets) => Promise<void>, world: World = {}): Promise<void> {
  const { watched = null, read, pending = account() } = world;
  await runInDurableObject(await newDatabase(), async (_instance, state) => {
    const submitted: (() => void)[] = [];
    const hub = new WatchHub(watchedKeys((keys) => keys.map(() => watched)));
    const sessions = new SocketSessions([], {
      database: {
        read: (ranges, maxBytes) => {
          if (read !== undefined && read.value.length > maxBytes) return null;
          return ranges.map(() => (read === undefined ? [] : [{ ...read, expiresAt: null }]));
        },
        watches: hub,
      },
      longWork: freeTurns(),
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
      memory: { underWay: account(), pending },
      dueBy: () => undefined,
    });
    await work({
      sessions,
      open: (unsent, isRelayed = false) => {
        const { 0: client, 1: server } = new WebSocketPair();
        state.acceptWebSocket(server);
        if (unsent !== undefined) Object.defineProperty(server, "bufferedAmount", { get: unsent });
        sessions.opened(server, { ...peer, isRelayed });
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
    for (let i = 0; i < MAX_SOCKETS - 1; i++) sessions.opened(socket(), peer);
    expect(sessions.refusal()).toBeNull();
    const last = socket();
    sessions.opened(last, peer);
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
  await withSockets(work, { watched });
});

function sender(bytes: number): Sender & { bytesUnderWay: number; giveUp: ReturnType<typeof vi.fn<() => void>> } {
  return { bytesUnderWay: bytes, giveUp: vi.fn<() => void>() };
}

test("a socket with much under way waits until it has less (N25)", async () => {
  const underWay = underWayAlone();
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
  const underWay = underWayAlone();
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
  const underWay = underWayAlone();
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

/** Sends whatever it may, and its peer takes nothing. */
function greedy(underWay: BytesUnderWay): ReturnType<typeof sender> {
  const one = sender(0);
  while (underWay.hasRoom(one)) {
    one.bytesUnderWay += Math.min(underWay.allowance(one), 256 * 1024);
    underWay.sent(one);
  }
  return one;
}

test("sockets whose peers take nothing leave room for those that have little under way (N25)", () => {
  const underWay = underWayAlone();
  const all = Array.from({ length: 30 }, () => greedy(underWay));
  const total = all.reduce((sum, { bytesUnderWay }) => sum + bytesUnderWay, 0);
  expect(total).toBeLessThan(MAX_SOCKETS_BYTES_UNDER_WAY);
  expect(all[0]?.bytesUnderWay).toBeGreaterThanOrEqual(MAX_SOCKET_BYTES_UNDER_WAY / 2);
  expect(underWay.hasRoom(sender(0))).toBe(true);
  expect(all.filter((one) => underWay.hasRoom(one))).toEqual([]);
});

test("answers larger than a socket's share go one at a time, beside the smaller ones of others (N25)", async () => {
  const underWay = underWayAlone();
  const other = sender(1000);
  underWay.sent(other);
  const [first, second, third] = [sender(0), sender(0), sender(0)];
  expect(underWay.allowance(first)).toBeLessThan(3 * MIB);
  await underWay.turn(first, MAX_SOCKET_ANSWER_BYTES);
  first.bytesUnderWay = 10 * MIB;
  underWay.largeSent(first);
  expect(underWay.hasRoom(other)).toBe(true);
  expect(underWay.allowance(other)).toBeGreaterThan(MIB);

  const hadTurn = [vi.fn<() => void>(), vi.fn<() => void>()] as const;
  void underWay.turn(second, MAX_SOCKET_ANSWER_BYTES).then(hadTurn[0]);
  void underWay.turn(third, MAX_SOCKET_ANSWER_BYTES).then(hadTurn[1]);
  await time.pass(100);
  first.bytesUnderWay = 1;
  await time.pass(100);
  expect(hadTurn[0]).not.toHaveBeenCalled();
  first.bytesUnderWay = 0;
  await time.pass(100);
  expect(hadTurn[0]).toHaveBeenCalled();
  // It finds that there is less to send, and goes.
  underWay.largeSent(second);
  await time.pass(100);
  expect(hadTurn[1]).toHaveBeenCalled();
  underWay.gone(third);
  await underWay.turn(second, MAX_SOCKET_ANSWER_BYTES);
});

test("a large answer waits on a socket until it has its turn, and comes whole (N25)", async () => {
  const entry = { key: a, value: new Uint8Array(3 * MIB), encoding: Encoding.bytes, version: asVersion(1) };
  const work = async ({ open }: Sockets): Promise<void> => {
    let unsent = 0;
    const [busy, first, second] = [open(() => 1000), open(() => unsent), open()];
    busy.send(readRequest(1, point(a)));
    await turns();
    unsent = 3 * MIB;
    first.send(readRequest(1, point(a)));
    second.send(readRequest(1, point(a)), writeRequest(2, write([])));
    await time.pass(100);
    const answers = (client: SocketClient) => client.frames.flat().map(([id, what]) => [id, what]);
    expect([busy, first, second].map(answers)).toEqual([[[1, "read"]], [[1, "read"]], []]);
    unsent = 0;
    await time.pass(100);
    expect(answers(second)).toEqual([[1, "read"]]);
  };
  await withSockets(work, { read: entry });
});

test("what a client behind the Worker has not taken is under way until the Worker says that it is taken (N25)", async () => {
  const entry = { key: a, value: new Uint8Array(3 * MIB), encoding: Encoding.bytes, version: asVersion(1) };
  const work = async ({ open }: Sockets): Promise<void> => {
    const client = open(undefined, true);
    client.send(readRequest(1, point(a)), readRequest(2, point(a)));
    await time.pass(100);
    const answered = () => client.frames.flat().map(([id]) => id);
    expect(answered()).toEqual([1]);
    client.socket.send(`taken ${MIB}`);
    await time.pass(100);
    expect(answered()).toEqual([1]);
    client.socket.send(`taken ${4 * MIB}`);
    await time.pass(100);
    expect(answered()).toEqual([1, 2]);
    await time.pass(MAX_REQUEST_PAUSE_MS + 60_000);
    expect((await client.closed()).code).toBe(4408);
  };
  await withSockets(work, { read: entry });
});

test("those that wait go on one after the other, the ones with the least under way first (N25)", async () => {
  const underWay = underWayAlone();
  const dead = sender(MAX_SOCKETS_BYTES_UNDER_WAY + 1);
  underWay.sent(dead);
  const waiting = Array.from({ length: 300 }, (_, index) => sender(300 - index));
  const order: number[] = [];
  for (const one of waiting) underWay.sent(one);
  for (const one of waiting) void underWay.room(one).then(() => order.push(one.bytesUnderWay));
  await time.pass(100);
  expect(order).toEqual([]);
  dead.bytesUnderWay -= MIB;
  await time.pass(100);
  expect(order).toEqual(Array.from({ length: order.length }, (_, index) => index + 1));
  // What each of them sends is not seen yet.
  expect(order.length).toBeLessThanOrEqual(MIB / SMALL_SOCKET_ANSWER_BYTES);
  expect(order.length).toBeGreaterThan(10);
});

describe("all databases of a process", () => {
  test("have so much under way together, and one organization half of it (N25)", async () => {
    const memory = new ProcessMemory(MAX_PROCESS_SOCKET_BYTES_UNDER_WAY, time);
    const databaseOf = (owner: string) =>
      new BytesUnderWay({ clock: time, timers: time, account: memory.account(owner) });
    const attacked = Array.from({ length: 20 }, () => databaseOf("attacker"));
    let total = 0;
    for (const database of attacked) for (let i = 0; i < 10; i++) total += greedy(database).bytesUnderWay;
    expect(total).toBeLessThanOrEqual(MAX_PROCESS_SOCKET_BYTES_UNDER_WAY / 2);
    expect(total).toBeGreaterThan(MAX_PROCESS_SOCKET_BYTES_UNDER_WAY / 3);
    expect(databaseOf("attacker").hasRoom(sender(0))).toBe(false);
    const other = databaseOf("other");
    expect(other.hasRoom(sender(0))).toBe(true);
    expect(other.allowance(sender(0))).toBe(MAX_SOCKET_ANSWER_BYTES);
    attacked[0]?.close();
    expect(databaseOf("attacker").hasRoom(sender(0))).toBe(true);
  });

  test("have so many bytes of frames that are not answered, and one organization half of them (N26)", async () => {
    const memory = new ProcessMemory(30 * MIB, time);
    const opened = async ({ open }: Sockets): Promise<void> => {
      const [one, other] = [open(), open()];
      one.send(writeRequest(1, large));
      other.send(writeRequest(1, large));
      await turns();
      const ends = expect.stringContaining("or of the server, have sent more than can be answered at a time");
      // Another database of the organization has 10 MiB of its 15.
      expect(one.frames.flat()).toEqual([[1, "error", "unavailable", ends]]);
      expect(other.frames.flat()).toEqual([[1, "error", "unavailable", ends]]);
      memory.account("owner").hold(0);
    };
    const kept = memory.account("owner");
    kept.hold(10 * MIB);
    await withSockets(opened, { pending: memory.account("owner") });
    await withSockets(
      async ({ open, apply }) => {
        const client = open();
        client.send(writeRequest(1, large));
        await turns();
        await apply();
        expect(await client.next(1)).toMatchObject([[1, "written", expect.any(String)]]);
      },
      { pending: memory.account("other") },
    );
    kept.hold(0);
  });

  test("count no more what an object held that has ended without a word", async () => {
    const memory = new ProcessMemory(10 * MIB, time);
    const ended = memory.account("owner");
    ended.hold(8 * MIB);
    const another = memory.account("owner");
    expect(another.hasRoom(MIB)).toBe(false);
    await time.pass(60_000);
    ended.hold(8 * MIB);
    await time.pass(119_000);
    expect(another.hasRoom(MIB)).toBe(false);
    await time.pass(2000);
    expect(another.hasRoom(MIB)).toBe(true);
    ended.hold(4 * MIB);
    another.hold(0);
    expect(memory.account("other").hasRoom(4 * MIB)).toBe(false);
    ended.hold(0);
    expect(memory.account("other").hasRoom(100 * MIB)).toBe(true);
  });
});
