/** Watches as Server-Sent Events, over the Worker and real objects. */
import { beforeEach, describe, expect, test } from "vitest";
import worker from "../../../src/worker.ts";
import { Events } from "../../support/server-events.ts";
import { configured, keyJson, RestDatabase, SERVER } from "./rest-client.ts";

let database: RestDatabase;

beforeEach(async () => void (database = await RestDatabase.make()));

const stamp = expect.stringMatching(/^[0-9a-f]{16}0000$/);
const json = (...parts: unknown[]) => encodeURIComponent(JSON.stringify(parts));
const entry = (key: unknown, value: unknown) => ({ key, value, versionstamp: stamp });

async function watch(query: string, headers: Readonly<Record<string, string>> = {}): Promise<Events> {
  const response = await database.raw(`watch?values=plain&${query}`, headers);
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  return new Events(response);
}

describe("a watch", () => {
  test("of keys gives the state of all of them, again and again (H35)", async () => {
    await database.put("a", 1);
    const events = await watch(`key=${json("a")}&key=${json("b", 1)}`);
    const [first] = await events.next(1);
    expect(first).toEqual({ event: "entries", id: stamp, json: { entries: [entry(keyJson("a"), 1), null] } });
    await database.put("b/~n1", { n: 2 });
    const [second] = await events.next(1);
    expect(second?.json).toEqual({ entries: [entry(keyJson("a"), 1), entry(keyJson("b", 1), { n: 2 })] });
    await database.put("other", 1);
    await database.ask("DELETE", "entries/a");
    expect((await events.next(1))[0]?.json).toMatchObject({ entries: [null, { value: { n: 2 } }] });
    await events.cancel();
  });

  test("of a prefix gives the state, then what has changed; its events carry the place (H35)", async () => {
    await database.put("users/1", 1);
    const events = await watch(`prefix=${json("users")}`);
    const [first] = await events.next(1);
    expect(first).toEqual({
      event: "entries",
      id: stamp,
      json: { reset: true, entries: [entry(keyJson("users", "1"), 1)] },
    });
    await database.put("users/2", 2);
    expect(await events.next(1)).toEqual([
      { event: "entries", id: stamp, json: { entries: [entry(keyJson("users", "2"), 2)] } },
    ]);
    await database.ask("DELETE", "entries/users/1");
    expect(await events.next(1)).toEqual([
      {
        event: "entries",
        id: stamp,
        json: { entries: [{ key: keyJson("users", "1"), versionstamp: null }] },
      },
    ]);
    await events.cancel();
  });

  test("has the options of a socket's (H35)", async () => {
    await database.put("users/1", 1);
    const events = await watch(`prefix=${json("users")}&updatesOnly=true&ignoreDeletes=true&keysOnly=true`);
    expect((await events.next(1))[0]?.json).toEqual({ entries: [] });
    await database.ask("DELETE", "entries/users/1");
    await database.put("users/2", 2);
    expect((await events.next(1))[0]?.json).toEqual({
      entries: [{ key: keyJson("users", "2"), versionstamp: stamp }],
    });
    await events.cancel();
  });

  test("goes on from the last event's id, in the header or the query (H36)", async () => {
    await database.put("users/1", 1);
    const first = await watch(`prefix=${json("users")}`);
    const [{ id = "" } = {}] = await first.next(1);
    await first.cancel();
    await database.put("users/2", 2);
    await database.ask("DELETE", "entries/users/1");
    const changes = {
      entries: [entry(keyJson("users", "2"), 2), { key: keyJson("users", "1"), versionstamp: null }],
    };
    const byQuery = await watch(`prefix=${json("users")}&after=${id}`);
    expect((await byQuery.next(1))[0]?.json).toEqual(changes);
    // What the page's URL says is older than what its browser has seen.
    const byHeader = await watch(`prefix=${json("users")}&after=00000000000000000000`, { "last-event-id": id });
    const [told] = await byHeader.next(1);
    expect(told?.json).toEqual(changes);
    await database.put("users/3", 3);
    expect((await byHeader.next(1))[0]?.json).toEqual({ entries: [entry(keyJson("users", "3"), 3)] });
    const old = await watch(`prefix=${json("users")}&after=001f0000000000000000`);
    expect((await old.next(1))[0]?.json).toMatchObject({ reset: true });
    for (const events of [byQuery, byHeader, old]) await events.cancel();
  });

  test("of a browser's EventSource takes a data token in its URL, and ends when that is revoked (H37)", async () => {
    const minted = await database.newToken({ allowedOrigins: ["https://app.test"] });
    const origin = { origin: "https://app.test" };
    const token = await database.dataToken(minted.token, origin);
    const url = `${SERVER}/api/databases/${database.id}/watch?key=${json("a")}&access_token=${token}`;
    const response = await worker.fetch(new Request(url, { headers: origin }), configured);
    expect(response.headers.get("access-control-allow-origin")).toBe("https://app.test");
    const events = new Events(response);
    await events.next(1);
    await database.revoke(minted);
    expect(await events.next(1)).toEqual([
      { event: "error", json: { code: "unauthenticated", message: expect.stringContaining("revoked") } },
    ]);
    expect(await events.ended()).toBe(true);
    const long = await worker.fetch(new Request(url.replace(token, database.token)), configured);
    expect(long.status).toBe(401);
  });

  test("that is gone leaves nothing behind (H37)", async () => {
    const events = await Promise.all(Array.from({ length: 5 }, () => watch(`key=${json("a")}`)));
    for (const one of events) await one.next(1);
    const watchers = async () => (await database.stats()).watchers;
    expect(await watchers()).toBe(5);
    for (const one of events) await one.cancel();
    await expect.poll(watchers).toBe(0);
  });

  test("that asks for something wrong is told so (H38)", async () => {
    const bad = async (query: string, headers: Record<string, string> = {}) => {
      const { status, json: body } = await database.ask("GET", `watch?${query}`, { headers });
      return [status, body?.detail];
    };
    expect(await bad("")).toEqual([400, expect.stringContaining("names nothing to watch")]);
    expect(await bad(`key=${json("a")}&prefix=${json("a")}`)).toEqual([400, expect.stringContaining("key and prefix")]);
    expect(await bad(`key=${json("a")}&updatesOnly=true`)).toEqual([
      400,
      expect.stringContaining("updatesOnly is for"),
    ]);
    expect(await bad("key=a")).toEqual([400, expect.stringContaining("key")]);
    expect(await bad(Array.from({ length: 11 }, (_, i) => `key=${json(i)}`).join("&"))).toEqual([
      400,
      "The watch has 11 keys; the limit is 10.",
    ]);
    expect(await bad(`prefix=${json("a")}&after=x`)).toEqual([400, expect.stringContaining('after is "x"')]);
    expect(await bad(`prefix=${json("a")}`, { "last-event-id": "7" })).toEqual([
      400,
      expect.stringContaining('Last-Event-ID is "7"'),
    ]);
    const { token } = await database.newToken({ keyPrefix: ["users"] });
    for (const query of [`key=${json("a")}`, `prefix=${json("a")}`, `prefix=${encodeURIComponent("[]")}`]) {
      expect(await database.ask("GET", `watch?${query}`, { token })).toMatchObject({ status: 403 });
    }
    expect((await database.ask("HEAD", `watch?key=${json("a")}`)).status).toBe(200);
    expect((await database.ask("POST", "watch", { body: "" })).status).toBe(405);
  });
});
