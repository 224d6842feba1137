/** The change feed on sockets, at a database's real object. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { decodeFeedPage, encodeFeedRequest } from "../../src/codec/feed.ts";
import type { Grant } from "../../src/contracts/grant.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { toHex } from "../../src/core/bytes.ts";
import { MAX_SOCKET_ANSWER_CHARACTERS } from "../../src/core/limits.ts";
import { Encoding } from "../../src/core/operations.ts";
import { LAST_VERSION, NO_VERSION, type Version, versionOfHex, versionstampHex } from "../../src/core/versionstamp.ts";
import type { DatabaseObject } from "../../src/objects/database-object.ts";
import { FeedLog } from "../../src/engine/feed-log.ts";
import { MutationLog } from "../../src/engine/mutation-log.ts";
import { passTime } from "../support/moved-date.ts";
import { turns } from "../support/fake-timers.ts";
import { ack, feedRequest, type Said, type SocketClient, unwatch } from "../support/socket-client.ts";
import { commit, everything, newDatabase, type Stub } from "../support/workerd/database-object.ts";
import { key, remove, set, text, write } from "../support/workerd/engine.ts";
import { openSession } from "../support/workerd/sessions.ts";

const a = key("a");
const users = key("users");
const user = (id: number) => key("users", id);
const put = (value: string, target = a) => write([set(target, text(value))]);
const stamp = expect.stringMatching(/^[0-9a-f]{20}$/);

async function fedDatabase(prefix: Uint8Array | null = null): Promise<Stub> {
  const stub = await newDatabase();
  const kept = await stub.keepFeed({ retentionHours: 1, prefix: prefix === null ? null : toHex(prefix) });
  expect(kept).toEqual({ ok: true });
  return stub;
}

const placeOf = (said: Said | undefined): Version => versionOfHex(String(said?.[3])) ?? NO_VERSION;

/** Acknowledges until it has so many commits. */
async function commitsOf(client: SocketClient, id: number, count: number): Promise<unknown[]> {
  const commits: unknown[] = [];
  while (commits.length < count) {
    const [said] = await client.next(1);
    commits.push(...(said?.[2] as unknown[]));
    client.send(ack(id));
  }
  return commits;
}

describe("a feed", () => {
  test("tells its place, then every commit with what became of each key (N29, N30)", async () => {
    const stub = await fedDatabase();
    await commit(stub, put("before"));
    const client = await openSession(stub);
    client.send(feedRequest(1));
    expect(await client.next(1)).toEqual([[1, "feed", [], stamp]]);
    client.send(ack(1));
    await commit(stub, write([set(a, text("1")), set(user(1), text("one"))]));
    expect(await client.next(1)).toEqual([[1, "feed", [[stamp, 'update ["a"] 1', 'insert ["users",1] one']], stamp]]);
    // Not acknowledged yet: the commits wait, each by itself.
    await commit(stub, put("2"));
    await commit(stub, write([remove(user(1)), remove(key("nothing"))]));
    await commit(stub, put("3"));
    client.send(ack(1));
    expect(await client.next(1)).toEqual([
      [
        1,
        "feed",
        [
          [stamp, 'update ["a"] 2'],
          [stamp, 'delete ["users",1] '],
          [stamp, 'update ["a"] 3'],
        ],
        stamp,
      ],
    ]);
    client.send(ack(1), unwatch(2, 1));
    expect(await client.next(1)).toEqual([[2, "done"]]);
    await commit(stub, put("4"));
    await turns();
    expect(client.frames.flat()).toHaveLength(4);
  });

  test("goes on from a place without a gap or a repeat, and from the oldest that is kept (N31)", async () => {
    const stub = await fedDatabase();
    for (let i = 0; i < 5; i++) await commit(stub, put(String(i)));
    const first = await openSession(stub);
    first.send(feedRequest(1, "oldest"));
    const [all] = await first.next(1);
    expect(all?.[2]).toHaveLength(5);
    first.socket.close(1000);
    await commit(stub, put("5"));
    const again = await openSession(stub);
    again.send(feedRequest(9, placeOf(all)));
    expect(await again.next(1)).toEqual([[9, "feed", [[stamp, 'update ["a"] 5']], stamp]]);
  });

  test("of a prefix tells what changed under it (N29)", async () => {
    const stub = await fedDatabase();
    const client = await openSession(stub);
    client.send(feedRequest(1, "now", users));
    await client.next(1);
    client.send(ack(1));
    await commit(stub, write([set(user(1), text("1")), set(key("userspace"), text("x"))]));
    await commit(stub, put("other"));
    await commit(stub, write([set(users, text("all"))]));
    expect(await commitsOf(client, 1, 2)).toEqual([
      [stamp, 'insert ["users",1] 1'],
      [stamp, 'insert ["users"] all'],
    ]);
  });

  test("goes on when the object has slept, and misses nothing (N23)", async () => {
    const stub = await fedDatabase();
    const client = await openSession(stub);
    client.send(feedRequest(1));
    await client.next(1);
    client.send(ack(1));
    for (let i = 0; i < 4; i++) {
      await commit(stub, put(String(i)));
      expect(await client.next(1)).toEqual([[1, "feed", [[stamp, expect.stringContaining(`["a"] ${i}`)]], stamp]]);
      if (i % 2 === 0) client.send(ack(1));
      await expect.poll(() => attached(stub)).toMatchObject([{ id: 1, isUnderWay: i % 2 === 1 }]);
      await evictDurableObject(stub);
      if (i % 2 === 1) client.send(ack(1));
    }
  });

  test("that takes nothing holds one message, and then gets each commit all the same (N30)", async () => {
    const stub = await fedDatabase();
    const client = await openSession(stub);
    client.send(feedRequest(1));
    await client.next(1);
    for (let i = 0; i < 30; i++) await commit(stub, write([set(a, new Uint8Array(100_000).fill(i))]));
    await turns();
    expect(client.frames.flat()).toHaveLength(1);
    client.send(ack(1));
    expect(await commitsOf(client, 1, 30)).toHaveLength(30);
  });

  test("in text, with a commit in pieces where it is too long for one (N30)", async () => {
    const stub = await fedDatabase();
    const client = await openSession(stub);
    client.socket.send(JSON.stringify({ id: 4, feed: [] }));
    expect(await client.nextText()).toEqual({ responses: [{ id: 4, feed: { commits: [], upTo: stamp } }] });
    client.socket.send(JSON.stringify({ ack: 4 }));
    const expiresAt = Date.UTC(2200, 0, 1);
    await commit(
      stub,
      write([set(a, Uint8Array.of(0xff, 0x0f, 0x54), { encoding: Encoding.v8, expiresAt }), remove(users)]),
    );
    const change = { key: [{ type: "string", value: "a" }], operation: "insert" };
    expect(await client.nextText()).toMatchObject({
      responses: [
        {
          feed: {
            commits: [
              {
                versionstamp: stamp,
                changes: [
                  { ...change, value: { type: "boolean", value: true }, expiresAt: "2200-01-01T00:00:00.000Z" },
                ],
              },
            ],
            upTo: stamp,
          },
        },
      ],
    });
    client.socket.send(JSON.stringify({ ack: 4 }));
    // Arrays of holes: their text is thirty times as long.
    const holes = Uint8Array.of(
      0xff,
      0x0f,
      0x41,
      0xa0,
      0x8d,
      0x06,
      ...new Uint8Array(100_000).fill(0x2d),
      0x24,
      0,
      0xa0,
      0x8d,
      0x06,
    );
    await commit(stub, write(Array.from({ length: 12 }, (_, i) => set(user(i), holes, { encoding: Encoding.v8 }))));
    const changes: unknown[] = [];
    const pieces: { versionstamp: string; more?: true }[] = [];
    for (let upTo: unknown; upTo === undefined;) {
      const said = await client.nextText();
      // As textsOfFeed writes it.
      const { feed } = (said as { responses: [{ feed: { commits: Piece[]; upTo?: string } }] }).responses[0];
      ({ upTo } = feed);
      for (const piece of feed.commits) {
        pieces.push(piece);
        changes.push(...piece.changes);
      }
      expect(JSON.stringify(said).length).toBeLessThan(MAX_SOCKET_ANSWER_CHARACTERS + 5_000_000);
    }
    expect(changes).toHaveLength(12);
    expect(pieces.length).toBeGreaterThan(1);
    expect(new Set(pieces.map(({ versionstamp }) => versionstamp)).size).toBe(1);
    expect(pieces.map(({ more }) => more)).toEqual([...Array<true>(pieces.length - 1).fill(true), undefined]);
  });

  test("of a database that keeps none is refused, and says how to switch it on (N32)", async () => {
    const stub = await newDatabase();
    const client = await openSession(stub);
    client.send(feedRequest(1));
    expect(await client.next(1)).toEqual([
      [
        1,
        "error",
        "conflict",
        expect.stringContaining('PATCH /api/databases/{id} with {"feed":{"retentionHours":24}}'),
      ],
    ]);
    await stub.keepFeed({ retentionHours: 1, prefix: toHex(users) });
    client.send(feedRequest(2), feedRequest(3, "now", user(1)));
    expect(await client.next(2)).toEqual([
      [2, "error", "conflict", expect.stringContaining('under ["users"] only')],
      [3, "feed", [], stamp],
    ]);
    client.send(ack(3));
    await stub.keepFeed(null);
    expect(await client.next(1)).toEqual([[3, "error", "conflict", expect.stringContaining("keeps no log")]]);
  });

  test("from a place that is not kept is refused, and says from where on it is (N32)", async () => {
    const stub = await fedDatabase();
    await commit(stub, put("1"));
    const client = await openSession(stub);
    client.send(feedRequest(1, "oldest"));
    const [first] = await client.next(1);
    client.send(ack(1), unwatch(2, 1));
    await client.next(1);
    await commit(stub, put("2"));
    const kept = await trimmed(stub);
    client.send(feedRequest(1, placeOf(first)));
    const [refused] = await client.next(1);
    expect(refused).toEqual([
      1,
      "error",
      "too-old",
      expect.stringContaining(versionstampHex(kept)),
      versionstampHex(kept),
    ]);
    client.socket.send(JSON.stringify({ id: 5, feed: [], after: String(first?.[3]) }));
    expect(await client.nextText()).toMatchObject({
      responses: [{ id: 5, error: { code: "too-old", oldest: versionstampHex(kept) } }],
    });
    // One of another database, which this one has not reached.
    client.send(feedRequest(6, versionOfHex("001f0000000000000000") ?? NO_VERSION));
    expect(await client.next(1)).toEqual([[6, "error", "too-old", expect.any(String), versionstampHex(kept)]]);
    client.send(feedRequest(7, kept));
    expect(await client.next(1)).toEqual([[7, "feed", [], stamp]]);
  });

  test("lets go of what is too old by itself, with the object's alarm (F6)", async () => {
    const stub = await fedDatabase();
    const early = await stub.feedPage(everything, encodeFeedRequest({ prefix: new Uint8Array(), from: "now" }));
    const place = early instanceof Uint8Array ? decodeFeedPage(early) : null;
    if (place?.ok !== true) throw new Error("no page");
    const from = encodeFeedRequest({ prefix: new Uint8Array(), from: place.upTo });
    await commit(stub, put("1"));
    await runDurableObjectAlarm(stub);
    expect(await stub.feedPage(everything, from)).toBeInstanceOf(Uint8Array);
    passTime(3 * 3_600_000);
    await runDurableObjectAlarm(stub);
    expect(await stub.feedPage(everything, from)).toMatchObject({ ok: false, code: "too-old", oldest: stamp });
    await commit(stub, put("2"));
    const client = await openSession(stub);
    client.send(feedRequest(1, "oldest"));
    expect(await client.next(1)).toEqual([[1, "feed", [[stamp, 'update ["a"] 2']], stamp]]);
  });

  test("shows a token with a prefix what lies under that, and nothing else (N17)", async () => {
    const stub = await fedDatabase();
    const narrow: Grant = { ...everything, keyPrefix: toHex(users) };
    const client = await openSession(stub, narrow);
    client.send(feedRequest(1), feedRequest(2, "now", user(1)), feedRequest(3, "now", a), feedRequest(4, "oldest"));
    expect(await client.next(4)).toEqual([
      [1, "feed", [], stamp],
      [2, "feed", [], stamp],
      [3, "error", "forbidden", expect.stringContaining("key prefix")],
      [4, "feed", [], stamp],
    ]);
    client.send(ack(1), ack(2), ack(4));
    await commit(stub, write([set(a, text("secret")), set(user(2), text("2"))]));
    expect(await client.next(2)).toEqual([
      [1, "feed", [[stamp, 'insert ["users",2] 2']], stamp],
      [4, "feed", [[stamp, 'insert ["users",2] 2']], stamp],
    ]);
    const writer = await openSession(stub, { ...everything, read: false });
    writer.send(feedRequest(1));
    expect(await writer.next(1)).toEqual([[1, "error", "forbidden", expect.any(String)]]);
  });

  test("ends when its token is revoked, and opens no more when it is over (N21, N22)", async () => {
    const stub = await fedDatabase();
    const [revoked, expiring] = [
      await openSession(stub, { ...everything, tokenId: "gone" }),
      await openSession(stub, { ...everything, expiresAt: asUnixMs(Date.now() + 60_000) }),
    ];
    for (const client of [revoked, expiring]) {
      client.send(feedRequest(1));
      await client.next(1);
      client.send(ack(1));
    }
    await stub.revoke("gone", asUnixMs(8e15));
    expect(await revoked.closed()).toMatchObject({ code: 4401 });
    passTime(61_000);
    expiring.send(feedRequest(3));
    expect(await expiring.next(1)).toEqual([[3, "error", "unauthenticated", expect.any(String)]]);
  });

  test("of thousands of readers costs a commit no row more, and all get it (N30)", async () => {
    const stub = await fedDatabase();
    const clients = await Promise.all(Array.from({ length: 20 }, () => openSession(stub)));
    const feeds = 100;
    for (const client of clients) {
      client.send(...Array.from({ length: feeds }, (_, i) => feedRequest(i + 1, "now", user(i % 10))));
      await client.next(feeds);
      client.send(...Array.from({ length: feeds }, (_, i) => ack(i + 1)));
    }
    await commit(stub, put("x", user(3)));
    for (const client of clients) {
      const said = await client.next(feeds / 10);
      expect(new Set(said.map(([, what]) => what))).toEqual(new Set(["feed"]));
    }
  });
});

interface Piece {
  readonly versionstamp: string;
  readonly more?: true;
  readonly changes: readonly unknown[];
}

function attached(stub: Stub): Promise<unknown> {
  return runInDurableObject(stub, (_instance, state): unknown => {
    const attachment: { watches?: unknown } = state.getWebSockets()[0]?.deserializeAttachment();
    return attachment.watches;
  });
}

/** Everything that the log holds is let go of, as by age. Returns the oldest place. */
async function trimmed(stub: Stub): Promise<Version> {
  let kept = NO_VERSION;
  await runInDurableObject(stub, (_instance: DatabaseObject, { storage }) => {
    const log = new MutationLog(storage);
    const feed = new FeedLog({
      storage,
      log,
      lastVersion: () => log.lastUpTo(LAST_VERSION) ?? NO_VERSION,
      replacedAt: () => NO_VERSION,
    });
    feed.trim(asUnixMs(Date.now() + 10 * 3_600_000));
    kept = feed.keptAfter ?? NO_VERSION;
  });
  await evictDurableObject(stub);
  return kept;
}
