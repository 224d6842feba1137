/** The change feed over HTTP, as a client of the Durable Streams protocol that is not ours reads it, and by its letter. */
import { stream } from "@durable-streams/client";
import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import worker from "../../../src/worker.ts";
import { turns } from "../../support/fake-timers.ts";
import { Events } from "../../support/server-events.ts";
import { commit } from "../../support/workerd/database-object.ts";
import { key as keyOf, set, write } from "../../support/workerd/engine.ts";
import { configured, RestDatabase, send, SERVER } from "./rest-client.ts";

interface FeedEvent {
  readonly type: string;
  readonly key: string;
  readonly value?: unknown;
  readonly headers: { readonly operation: string; readonly txid: string; readonly timestamp: string };
}

let database: RestDatabase;

beforeEach(async () => {
  database = await RestDatabase.make();
  await keep({ retentionHours: 24 });
});

async function keep(feed: unknown): Promise<void> {
  const { status, text } = await send("PATCH", `/api/databases/${database.id}`, {
    token: database.token,
    body: JSON.stringify({ feed }),
  });
  if (status !== 200) throw new Error(text);
}

const url = (query = "") => `${SERVER}/api/databases/${database.id}/feed${query}`;
const stamp = expect.stringMatching(/^[0-9a-f]{16}0000$/);

/** As their client reads it, without a network between. */
function follow(options: {
  offset?: string;
  live: boolean | "long-poll" | "sse";
  query?: string;
  signal?: AbortSignal;
}) {
  const { offset = "-1", live, query = "", signal } = options;
  return stream<FeedEvent>({
    url: url(query),
    headers: { authorization: `Bearer ${database.token}` },
    offset,
    live,
    ...(signal === undefined ? {} : { signal }),
    fetch: (input, init) => worker.fetch(new Request(input, init), configured),
  });
}

/** What a reader of the state protocol holds. */
function apply(state: Map<string, unknown>, events: readonly FeedEvent[]): void {
  for (const { key, value, headers } of events) {
    if (headers.operation === "delete") state.delete(key);
    else state.set(key, value);
  }
}

describe("a public client of Durable Streams", () => {
  test("catches up, page by page, to the state of the database (H30)", async () => {
    for (let i = 0; i < 30; i++) await database.put(`users/${i % 7}`, { n: i });
    await database.ask("DELETE", "entries/users/3");
    await database.put("big", "x".repeat(700_000));
    await database.put("big", "y".repeat(700_000));
    // With `live: false` their client takes one page, and no more.
    const response = await follow({ live: "long-poll", query: "?values=plain" });
    const events = await response.json();
    expect(events).toHaveLength(33);
    expect(events.slice(0, 2)).toEqual([
      {
        type: "users",
        key: "users/0",
        value: { n: 0 },
        headers: { operation: "insert", txid: stamp, timestamp: expect.stringMatching(/^20.*Z$/) },
      },
      expect.objectContaining({ key: "users/1" }),
    ]);
    expect(events[30]).toEqual({
      type: "users",
      key: "users/3",
      headers: { operation: "delete", txid: stamp, timestamp: expect.any(String) },
    });
    const stamps = events.map(({ headers }) => headers.txid);
    expect(stamps).toEqual(stamps.toSorted());
    const state = new Map<string, unknown>();
    apply(state, events);
    expect(state.size).toBe(7);
    expect(state.get("users/1")).toEqual({ n: 29 });
    expect(response.upToDate).toBe(true);
    await database.put("later", 1);
    const more = await (await follow({ live: false, offset: response.offset })).json();
    expect(more.map(({ key }) => key)).toEqual(["later"]);
  });

  test.each(["long-poll", "sse"] as const)(
    "follows a prefix with %s, without a gap or a repeat (H31, H32)",
    async (live) => {
      await database.put("users/1", 1);
      await database.put("other", 1);
      const abort = new AbortController();
      const prefix = encodeURIComponent(JSON.stringify(["users"]));
      const response = await follow({ live, query: `?values=plain&prefix=${prefix}`, signal: abort.signal });
      const seen: unknown[] = [];
      response.subscribeJson(async ({ items }) => void seen.push(...items.map(({ key, value }) => [key, value])));
      await expect.poll(() => seen).toEqual([["users/1", 1]]);
      for (let i = 2; i < 8; i++) {
        await database.put(`users/${i}`, i);
        await database.put("other", i);
        await expect.poll(() => seen.at(-1)).toEqual([`users/${i}`, i]);
      }
      expect(seen).toEqual(Array.from({ length: 7 }, (_, i) => [`users/${i + 1}`, i + 1]));
      abort.abort();
    },
  );
});

describe("a page of the feed", () => {
  test("says where it ends, whether that is the end, and can be asked again with its ETag (H30)", async () => {
    const empty = await database.ask("GET", "feed");
    expect(empty).toMatchObject({ status: 200, text: "[]" });
    expect(empty.headers.get("stream-next-offset")).toEqual(stamp);
    expect(empty.headers.get("stream-up-to-date")).toBe("true");
    await database.ask("PUT", "entries/a", { body: '{"type":"bigint","value":"5"}' });
    const offset = empty.headers.get("stream-next-offset");
    const page = await database.ask("GET", `feed?offset=${offset}`);
    expect(page.json).toEqual([
      {
        type: "a",
        key: "a",
        value: { type: "bigint", value: "5" },
        headers: { operation: "insert", txid: stamp, timestamp: expect.any(String) },
      },
    ]);
    expect(page.headers.get("content-type")).toBe("application/json");
    const etag = page.headers.get("etag") ?? "";
    const again = await database.ask("GET", `feed?offset=${offset}`, {
      headers: { "if-none-match": `"x", W/${etag}` },
    });
    expect(again).toMatchObject({ status: 304, text: "" });
    expect(again.headers.get("stream-next-offset")).toBe(page.headers.get("stream-next-offset"));
    await database.put("b", 1);
    const grown = await database.ask("GET", `feed?offset=${offset}`, { headers: { "if-none-match": etag } });
    expect(grown.status).toBe(200);
    expect(grown.json).toHaveLength(2);
    expect(grown.headers.get("cache-control")).toBe("private, no-cache");
  });

  test("that is not the last does not say so, and has whole commits (H30)", async () => {
    for (let i = 0; i < 3; i++) await database.put(`large/${i}`, "x".repeat(400_000));
    const first = await database.ask("GET", "feed?offset=-1");
    expect(first.json).toHaveLength(2);
    expect(first.headers.has("stream-up-to-date")).toBe(false);
    expect(first.headers.get("cache-control")).toBe("private, max-age=60");
    const rest = await database.ask("GET", `feed?offset=${first.headers.get("stream-next-offset")}`);
    expect(rest.json).toHaveLength(1);
    expect(rest.headers.get("stream-up-to-date")).toBe("true");
  });

  test("with a large commit is whole, and takes the room of watches until it is taken (H30, F13)", async () => {
    const stub = configured.DATABASES.getByName(database.id);
    const sets = Array.from({ length: 7 }, (_, i) => set(keyOf("large", i), new Uint8Array(1_000_000).fill(i)));
    await commit(stub, write(sets));
    const whole = await database.ask("GET", "feed");
    expect(whole.json).toHaveLength(7);
    expect(whole.headers.get("stream-up-to-date")).toBeNull();
    const after = whole.headers.get("stream-next-offset");
    expect(await database.ask("GET", `feed?offset=${after}`)).toMatchObject({ status: 200, text: "[]" });

    const answered: Response[] = [];
    const unread = Array.from({ length: 3 }, async () => void answered.push(await database.raw("feed")));
    await expect.poll(() => answered.length).toBe(1);
    await turns();
    expect(answered, "the others wait until it is read").toHaveLength(1);
    expect(JSON.parse((await answered[0]?.text()) ?? "")).toHaveLength(7);
    await expect.poll(() => answered.length).toBe(2);
    await answered[1]?.body?.cancel();
    await Promise.all(unread);
    expect(JSON.parse((await answered[2]?.text()) ?? "")).toHaveLength(7);
    expect((await database.stats()).watchers).toBe(0);
  });

  test("names what is to be named: type, keys as paths, values in the notation (H30)", async () => {
    const keys = ["entries/~n1.5/x?values=plain", "entries/~n1/~btrue?values=plain", "entries/a%2Fb/c?values=plain"];
    for (const key of keys) await database.ask("PUT", key, { body: "1" });
    const { json } = await database.ask("GET", "feed");
    expect(json.map(({ type, key }: FeedEvent) => [type, key])).toEqual([
      ["x", "~n1.5/x"],
      ["entry", "~n1/~btrue"],
      ["a/b", "a%2Fb/c"],
    ]);
    const typed = await database.ask("GET", "feed?type=row");
    expect(new Set(typed.json.map(({ type }: FeedEvent) => type))).toEqual(new Set(["row"]));
  });

  test("from now on is empty, and neither it nor HEAD is kept by a cache (H30)", async () => {
    await database.put("a", 1);
    const now = await database.ask("GET", "feed?offset=now");
    expect(now).toMatchObject({ status: 200, text: "[]" });
    expect(now.headers.get("cache-control")).toBe("no-store");
    const head = await database.ask("HEAD", "feed");
    expect(head).toMatchObject({ status: 200, text: "" });
    expect(head.headers.get("cache-control")).toBe("no-store");
    for (const one of [now, head]) {
      const at = one.headers.get("stream-next-offset");
      expect((await database.ask("GET", `feed?offset=${at}`)).text).toBe("[]");
    }
  });
});

describe("a live feed", () => {
  test("waits for what comes, and says where it is when nothing came (H31)", async () => {
    const at = (await database.ask("GET", "feed?offset=now")).headers.get("stream-next-offset");
    const waiting = database.ask("GET", `feed?offset=${at}&live=long-poll`);
    await database.put("a", 1);
    const came = await waiting;
    expect(came).toMatchObject({ status: 200, json: [{ key: "a" }] });
    const cursor = Number(came.headers.get("stream-cursor"));
    expect(cursor).toBeGreaterThan(0);
    await database.put("b", 1);
    const query = `offset=${came.headers.get("stream-next-offset")}&live=long-poll&cursor=${cursor + 7}`;
    const next = await database.ask("GET", `feed?${query}`);
    expect(Number(next.headers.get("stream-cursor")), "never backwards").toBe(cursor + 8);
    expect(next.headers.get("cache-control")).toBe("no-store");
  });

  test("of events is what the protocol says (H32)", async () => {
    await database.put("a", 1);
    const response = await database.raw("feed?offset=-1&live=sse&values=plain");
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const events = new Events(response);
    const [data, control] = await events.next(2);
    expect(data).toEqual({ event: "data", json: [expect.objectContaining({ key: "a", value: 1 })] });
    expect(control).toEqual({
      event: "control",
      json: { streamNextOffset: stamp, streamCursor: expect.stringMatching(/^\d+$/), upToDate: true },
    });
    await database.put("b", 2);
    expect(await events.next(2)).toEqual([
      { event: "data", json: [expect.objectContaining({ key: "b" })] },
      { event: "control", json: expect.objectContaining({ upToDate: true }) },
    ]);
    await events.cancel();
  });

  test("ends when its token is revoked, and says why (H32)", async () => {
    const minted = await database.newToken({});
    const token = await database.dataToken(minted.token);
    const response = await worker.fetch(new Request(url(`?offset=now&live=sse&access_token=${token}`)), configured);
    const events = new Events(response);
    await events.next(1);
    await database.revoke(minted);
    expect(await events.next(1)).toEqual([
      { event: "error", json: { code: "unauthenticated", message: expect.stringContaining("revoked") } },
    ]);
    expect(await events.ended()).toBe(true);
  });
});

describe("what cannot be read", () => {
  test("is said with a status and a sentence (H33)", async () => {
    const bad = async (query: string) => {
      const { status, json } = await database.ask("GET", `feed?${query}`);
      return [status, json?.detail];
    };
    expect(await bad("offset=0006")).toEqual([400, expect.stringContaining('offset is "0006"')]);
    expect(await bad("offset=")).toEqual([400, expect.stringContaining("offset is")]);
    expect(await bad("offset=0006444C9BE62A400000")).toEqual([400, expect.stringContaining("offset is")]);
    expect(await bad("live=long-poll")).toEqual([400, expect.stringContaining("offset is missing")]);
    expect(await bad("live=yes&offset=-1")).toEqual([400, expect.stringContaining("live is")]);
    expect(await bad("prefix=users")).toEqual([400, expect.stringContaining("prefix")]);
    expect(await bad(`type=${"x".repeat(101)}`)).toEqual([400, expect.stringContaining("type has 101")]);
    expect(await bad("values=yaml")).toEqual([400, expect.stringContaining("values is")]);
    expect(await bad("color=red")).toEqual([400, expect.stringContaining("color")]);
    expect(await bad("offset=-1&offset=now")).toEqual([400, expect.stringContaining("more than once")]);
  });

  test("of a place that is not kept is 410, with the oldest that is (H33)", async () => {
    await database.put("a", 1);
    // Another prefix begins the feed anew.
    const { headers } = await database.ask("GET", "feed?offset=-1");
    await database.put("a", 2);
    await keep({ retentionHours: 24, prefix: ["users"] });
    const prefix = encodeURIComponent('["users"]');
    const old = headers.get("stream-next-offset");
    const gone = await database.ask("GET", `feed?offset=${old}&prefix=${prefix}`);
    expect(gone).toMatchObject({ status: 410, json: { code: "too-old", oldest: stamp } });
    for (const live of ["sse", "long-poll"]) {
      expect(await database.ask("GET", `feed?offset=${old}&prefix=${prefix}&live=${live}`)).toMatchObject({
        status: 410,
      });
    }
    const again = await database.ask("GET", `feed?offset=${gone.json.oldest}&prefix=${prefix}`);
    expect(again).toMatchObject({ status: 200, text: "[]" });
    // One of another database, which this one has not reached.
    expect(await database.ask("GET", `feed?offset=001f0000000000000000&prefix=${prefix}`)).toMatchObject({
      status: 410,
    });
    expect(await database.ask("GET", "feed?offset=now")).toMatchObject({ status: 409 });
  });

  test("because none is kept is 409, and says how to switch it on (H33)", async () => {
    await keep(null);
    for (const query of ["", "?offset=now&live=sse", "?offset=now&live=long-poll"]) {
      expect(await database.ask("GET", `feed${query}`)).toMatchObject({
        status: 409,
        json: { code: "conflict", detail: expect.stringContaining('{"feed":{"retentionHours":24}}') },
      });
    }
  });

  test.each(["PUT", "POST", "DELETE"])("because a feed is not written: %s is 405 (H33)", async (method) => {
    const refused = await database.ask(method, "feed", { body: "[]" });
    expect(refused.status).toBe(405);
    expect(refused.headers.get("allow")).toContain("GET, HEAD");
  });

  test("whatever the query says, is an answer or says what is wrong with it (H33)", async () => {
    await database.put("a", 1);
    const odd = fc.oneof(
      fc.constantFrom(
        "-1",
        "now",
        "",
        "-2",
        "0",
        "00000000000000000000",
        "ffffffffffffffff0000",
        "0006661c18067f780000",
      ),
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.stringMatching(/^[0-9a-f]{16}0000$/),
    );
    const keys = fc.oneof(odd, fc.json({ maxDepth: 3 }));
    const query = fc.record({ offset: odd, cursor: odd, prefix: keys, type: odd }, { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(query, async (asked) => {
        const { status, json } = await database.ask("GET", `feed?${new URLSearchParams(asked)}`);
        expect([200, 400, 410]).toContain(status);
        const said: unknown = status === 200 ? "events." : json.detail;
        expect(said).toMatch(/\.$/);
        expect(status === 200).toBe(Array.isArray(json));
      }),
      { numRuns: 150 },
    );
  });

  test("because the token does not show it stays hidden (H33)", async () => {
    await database.put("users/1", 1);
    await database.put("secret", 1);
    const { token } = await database.newToken({ keyPrefix: ["users"] });
    const { json } = await database.ask("GET", "feed", { token });
    expect(json.map(({ key }: FeedEvent) => key)).toEqual(["users/1"]);
    expect(await database.ask("GET", `feed?prefix=${encodeURIComponent('["secret"]')}`, { token })).toMatchObject({
      status: 403,
    });
    const { token: writer } = await database.newToken({ permissions: ["write"] });
    expect(await database.ask("GET", "feed", { token: writer })).toMatchObject({ status: 403 });
    expect(await database.ask("GET", "feed", { token: null })).toMatchObject({ status: 401 });
  });
});
