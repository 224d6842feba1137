/** Deletes by selector: small ones at once, large ones as a job that outlives its object. */
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { MAX_DELETED_AT_ONCE } from "../../../src/core/limits.ts";
import { configured, RestDatabase, send } from "./rest-client.ts";

let database: RestDatabase;

beforeAll(async () => void (database = await RestDatabase.make()));

const stamp = expect.stringMatching(/^[0-9a-f]{20}$/);
const remove = (body: unknown, token = database.token, of = database) =>
  of.ask("POST", "entries:delete", { body: JSON.stringify(body), token });
const count = async (of = database, query = "") => (await of.ask("GET", `count?${query}`)).json.count;

async function fill(of: RestDatabase, entries: number): Promise<void> {
  const value = { type: "null" };
  for (let from = 0; from < entries; from += 1000) {
    const mutations = Array.from({ length: Math.min(1000, entries - from) }, (_, i) => ({
      type: "set",
      key: ["n", from + i],
      value,
    }));
    const { status, text } = await of.ask("POST", "atomic", { body: JSON.stringify({ mutations }) });
    if (status !== 200) throw new Error(text);
  }
}

describe("a delete by selector", () => {
  test("says how many there are before, and deletes those (H18)", async () => {
    await fill(database, 2500);
    await database.put("n", "the prefix itself");
    await database.put("other", 1);
    const selector = { prefix: ["n"] };
    expect((await remove({ selector, dryRun: true })).json).toEqual({ count: 2500, versionstamp: stamp });
    expect(await count()).toBe(2502);
    expect((await remove({ selector: { ...selector, start: ["n", 2000] } })).json).toEqual({
      count: 500,
      versionstamp: stamp,
    });
    expect((await remove({ selector: { ...selector, end: ["n", 1] } })).json).toMatchObject({ count: 1 });
    expect((await remove({ selector })).json).toMatchObject({ count: 1999 });
    expect((await remove({ selector })).json).toMatchObject({ count: 0 });
    expect(await count()).toBe(2);
    expect((await remove({ selector: { prefix: [] } })).json).toMatchObject({ count: 2 });
  });

  test.each([
    [{}, /^selector is missing/],
    [{ selector: {} }, /^selector must name prefix, start or end/],
    [{ selector: { prfix: ["n"] } }, /^selector must name prefix, start or end/],
    [{ selector: { prefix: ["n"] }, dryrun: true }, /^The body has "dryrun", which is not known here/],
    [{ selector: { prefix: "n" } }, /^selector.prefix is "n"; a key is an array/],
    [{ selector: { prefix: ["n"], start: ["m"] } }, /^selector.start does not begin with the parts of the prefix/],
    [{ selector: { prefix: ["n"] }, dryRun: "yes" }, /dryRun is "yes"; it must be true or false/],
  ])("that is malformed deletes nothing: %j (H11)", async (body, why) => {
    const { status, json } = await remove(body);
    expect([status, json.detail]).toEqual([400, expect.stringMatching(why)]);
  });

  test("is refused whole where it reaches out of the token's prefix, also as a dry run (H10)", async () => {
    await database.put("mine/1", 1);
    await database.put("theirs/1", 1);
    const { token } = await database.newToken({ keyPrefix: ["mine"] });
    for (const selector of [{ prefix: [] }, { prefix: ["theirs"] }, { start: ["mine"] }, { prefix: ["min"] }]) {
      for (const dryRun of [true, false])
        expect(await remove({ selector, dryRun }, token)).toMatchObject({ status: 403, json: { code: "forbidden" } });
    }
    const { token: reader } = await database.newToken({ permissions: ["read"] });
    expect((await remove({ selector: { prefix: ["mine"] } }, reader)).status).toBe(403);
    expect(await count()).toBe(2);
    expect((await remove({ selector: { prefix: ["mine"] } }, token)).json).toMatchObject({ count: 1 });
  });
});

describe("a large delete", () => {
  test("is a job that can be followed, outlives its object, and is counted exactly (H19)", async () => {
    const large = await database.another();
    const entries = MAX_DELETED_AT_ONCE + 2500;
    await fill(large, entries);
    await large.put("other", 1);
    const stub = configured.DATABASES.getByName(large.id);
    const begun = await remove({ selector: { prefix: ["n"] } }, large.token, large);
    expect(begun).toMatchObject({ status: 202, json: { kind: "entries.delete", status: "running", result: null } });
    const location = begun.headers.get("location") ?? "";
    expect(location).toBe(`/api/databases/${large.id}/jobs/${begun.json.id}`);
    // Another one waits for its end.
    expect((await remove({ selector: { prefix: ["n"] } }, large.token, large)).status).toBe(409);
    const followed = async (path: string, token: string) => (await send("GET", path, { token })).json;
    let job = begun.json;
    for (let rings = 0; job.status === "running" && rings < 50; rings++) {
      await evictDurableObject(stub);
      await runDurableObjectAlarm(stub);
      const before = await count(large, 'prefix=["n"]');
      job = await followed(location, large.token);
      // It goes on in between.
      expect(entries - job.done).toBeLessThanOrEqual(before);
      expect(entries - job.done).toBeGreaterThanOrEqual(await count(large, 'prefix=["n"]'));
    }
    expect(job).toMatchObject({ status: "completed", done: entries, total: entries, error: null });
    expect(job.finishedAt).toMatch(/^\d{4}-.*Z$/);
    expect(await count(large)).toBe(1);
    expect(await followed(location, await large.dataToken())).toEqual(job);
    expect(await followed(`/api/jobs/${job.id}`, large.token)).toMatchObject({
      kind: "entries.delete",
      databaseId: large.id,
      status: "completed",
      done: entries,
    });
  });

  test("can be cancelled, and what is deleted by then stays so (H19)", async () => {
    const large = await database.another();
    await fill(large, MAX_DELETED_AT_ONCE + 1);
    const begun = await remove({ selector: { prefix: [] } }, large.token, large);
    const cancelled = await send("POST", `/api/jobs/${begun.json.id}:cancel`, { token: large.token });
    expect(cancelled).toMatchObject({ status: 200, json: { status: "cancelled" } });
    const left = await count(large);
    await runDurableObjectAlarm(configured.DATABASES.getByName(large.id));
    expect(await count(large)).toBe(left);
    const { json } = await large.ask("GET", `jobs/${begun.json.id}`);
    expect(json).toMatchObject({ status: "cancelled", done: MAX_DELETED_AT_ONCE + 1 - left });
    expect((await remove({ selector: { prefix: [] } }, large.token, large)).status).toBe(left > 10_000 ? 202 : 200);
  });

  test("is nobody's business who may not write, and no other job is shown (H10, H19)", async () => {
    const { token } = await database.newToken({ permissions: ["read"] });
    expect((await database.ask("GET", `jobs/${crypto.randomUUID()}`, { token })).status).toBe(403);
    for (const id of [crypto.randomUUID(), "x", "a/b"])
      expect(await database.ask("GET", `jobs/${id}`)).toMatchObject({ status: 404, json: { code: "not-found" } });
  });
});
