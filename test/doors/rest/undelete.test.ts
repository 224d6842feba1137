/** Undelete of many entries: what one atomic write brings back, what a job brings back, and how a dry run lists both. */
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { beforeAll, expect, test } from "vitest";
import { MAX_IMPORT_BATCH_ENTRIES, MAX_UNDELETE_BATCH_BYTES } from "../../../src/core/limits.ts";
import { configured, keyJson, RestDatabase, send } from "./rest-client.ts";

const MANY = 2_500;
/** Values that together are too large for one atomic write, although they are few. */
const LARGE = 110;
const LARGE_BYTES = 60_000;

let database: RestDatabase;
/** When everything was there. */
let full = "";

async function fill(prefix: string, entries: number, value: unknown): Promise<string> {
  let stamp = "";
  for (let from = 0; from < entries; from += 1000) {
    const mutations = Array.from({ length: Math.min(1000, entries - from) }, (_, i) => ({
      type: "set",
      key: [prefix, from + i],
      value,
    }));
    const { status, text, json } = await database.ask("POST", "atomic?values=plain", {
      body: JSON.stringify({ mutations }),
    });
    if (status !== 200) throw new Error(text);
    stamp = json.versionstamp;
  }
  return stamp;
}

async function ask(body: object, token = database.token) {
  for (let tries = 0; ; tries++) {
    const answer = await database.ask("POST", "undelete", { body: JSON.stringify(body), token });
    if (answer.status !== 503 || tries > 100) return answer;
    await scheduler.wait(50);
  }
}

async function count(prefix: string): Promise<number> {
  return (await database.ask("GET", `count?prefix=${encodeURIComponent(JSON.stringify([prefix]))}`)).json.count;
}

beforeAll(async () => {
  database = await RestDatabase.make();
  await database.put("first", 1);
  await database.keepBackup();
  await fill("many", MANY, "then");
  for (let from = 0; from < LARGE; from += 11) await fillLarge(from);
  full = (await database.put("one/only", "then")).json.versionstamp;
  for (const prefix of ["many", "large", "one"]) {
    await database.ask("POST", "entries:delete", { body: JSON.stringify({ selector: { prefix: [prefix] } }) });
  }
}, 60_000);

async function fillLarge(from: number): Promise<void> {
  const mutations = Array.from({ length: 11 }, (_, i) => ({
    type: "set",
    key: ["large", from + i],
    value: "x".repeat(LARGE_BYTES),
  }));
  await database.ask("POST", "atomic?values=plain", { body: JSON.stringify({ mutations }) });
}

/** Follows the job to its end, and forgets everything in memory between any two alarms. */
async function follow(id: string) {
  const stub = configured.DATABASES.getByName(database.id);
  for (let rings = 0; rings < 300; rings++) {
    await evictDurableObject(stub);
    await runDurableObjectAlarm(stub);
    const { json } = await database.ask("GET", `jobs/${id}`);
    if (json.status !== "running") return json;
    await scheduler.wait(20);
  }
  throw new Error("the job does not end");
}

test("a dry run lists in pages what would come back, and writes nothing (H27)", async () => {
  const asked = { at: full, prefix: ["many"], dryRun: true };
  const listed: unknown[] = [];
  const counts: number[] = [];
  let cursor: string | undefined;
  do {
    const { status, json } = await ask(cursor === undefined ? asked : { ...asked, cursor });
    expect(status).toBe(200);
    expect(json.count).toBe(json.entries.length);
    counts.push(json.count);
    listed.push(...json.entries.map(({ key }: { key: unknown }) => key));
    cursor = json.cursor;
  } while (cursor !== undefined);
  expect(counts).toEqual([1000, 1000, MANY - 2000]);
  expect(listed).toEqual(Array.from({ length: MANY }, (_, n) => keyJson("many", n)));
  expect(await count("many")).toBe(0);
});

test.each([
  [{ cursor: "AA", dryRun: true }, /cursor does not come from a page of this server/],
  [{ cursor: 7, dryRun: true }, /^cursor is 7; it must be that of the page before/],
  [{ cursor: "AnhyeAA" }, /^cursor goes with dryRun only/],
])("a cursor that is none is said to be: %j (H11)", async (more, why) => {
  expect(await ask({ at: full, prefix: ["many"], ...more })).toMatchObject({
    status: 400,
    json: { detail: expect.stringMatching(why) },
  });
});

test.each([
  [{ prefix: ["many"], dryrun: true }, /^The body has "dryrun", which is not known here/],
  [{ selector: { perfix: ["many"] } }, /^selector has "perfix", which is not known here: it takes prefix, start, end/],
])("a member that is not known brings nothing back: %j (H11)", async (more, why) => {
  expect(await ask({ at: full, ...more })).toMatchObject({ status: 400, json: { detail: expect.stringMatching(why) } });
});

test("more than one atomic write holds is a job, that outlives its object, and overwrites nothing written since (H27, H29)", async () => {
  for (const n of [3, MANY - 1]) await database.put(`many/~n${n}`, "now");
  const begun = await ask({ at: full, prefix: ["many"] });
  expect(begun).toMatchObject({
    status: 202,
    json: { kind: "entries.undelete", status: "running", total: MANY, result: { versionstamp: full } },
  });
  expect(begun.headers.get("location")).toBe(`/api/databases/${database.id}/jobs/${begun.json.id}`);
  const job = await follow(begun.json.id);
  const undeleted = { count: MANY - 2, skipped: 2, unchanged: 0, expired: 0 };
  expect(job).toMatchObject({ status: "completed", done: MANY, total: MANY, error: null, result: { undeleted } });
  expect(await count("many")).toBe(MANY);
  const valueOf = async (n: number) => (await database.ask("GET", `entries/many/~n${n}?values=plain`)).json.value;
  expect(await Promise.all([2, 3, MANY - 2, MANY - 1].map(valueOf))).toEqual(["then", "now", "then", "now"]);
  const told = await send("GET", `/api/jobs/${begun.json.id}`, { token: database.token });
  expect(told.json).toMatchObject({ kind: "entries.undelete", status: "completed", result: { undeleted } });
  // Nothing is left.
  const again = { at: full, prefix: ["many"] };
  expect((await ask(again)).json).toMatchObject({ count: 0, skipped: MANY });
});

test("few entries whose values are too large for one atomic write are a job, too (H29)", async () => {
  expect(LARGE * LARGE_BYTES).toBeGreaterThan(MAX_UNDELETE_BATCH_BYTES);
  expect(LARGE).toBeLessThan(MAX_IMPORT_BATCH_ENTRIES);
  const begun = await ask({ at: full, prefix: ["large"] });
  expect(begun).toMatchObject({ status: 202, json: { total: LARGE } });
  expect(await follow(begun.json.id)).toMatchObject({ status: "completed", result: { undeleted: { count: LARGE } } });
  expect(await count("large")).toBe(LARGE);
});

test("few entries among many are brought back by the request itself (H27)", async () => {
  await database.ask("DELETE", "entries/many/~n7");
  const { status, json } = await ask({ at: full, prefix: ["many"] });
  expect([status, json.count, json.entries.length]).toEqual([200, 1, 1]);
  expect((await database.ask("GET", "entries/many/~n7?values=plain")).json.value).toBe("then");
});

test("a job is refused to who may not read and write all of it (H10, H29)", async () => {
  for (const scopes of [{ keyPrefix: ["other"] }, { permissions: ["write"] }, { permissions: ["read"] }]) {
    const { token } = await database.newToken(scopes);
    expect((await ask({ at: full, prefix: ["many"], force: true }, token)).status).toBe(403);
  }
});
