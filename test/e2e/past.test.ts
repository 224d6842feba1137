/** Last Tuesday, as an unmodified Deno and `@deno/kv` read it, from a whole server and a bucket on this machine. */
import { afterAll, expect, onTestFinished, test } from "vitest";
import { openKv } from "@deno/kv";
import { startManagedServer, Tenant, tryExchange } from "../support/management.ts";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";
import { startDeno } from "./clients/deno-client.ts";
import type { Client } from "./clients/client.ts";
import type { Operation, Outcome, Watched } from "./clients/operations.ts";

const [server, s3] = await Promise.all([startManagedServer(), startS3Server()]);
const tenant = await Tenant.make(server);
const destination = destinationAt(s3);

afterAll(async () => {
  await Promise.all([server.close(), s3.close()]);
});

/** What a client of the past is given. */
function openingAt(databaseId: string, moment: string, accessToken = tenant.token) {
  return { connectUrl: `${server.url}/databases/${databaseId}/at/${moment}/connect`, accessToken };
}

async function attempt(client: Client, operation: Operation): Promise<Outcome> {
  return (await client.order({ do: "attempt", operation })) as Outcome;
}

interface Shop {
  readonly id: string;
  readonly tuesday: string;
  /** The commit that was the last one then. */
  readonly versionstamp: string;
}

const COUNT = 300;

/** Enough for a state that takes a while to be built; half of it is deleted on Wednesday. */
async function shopWithBackup(): Promise<Shop> {
  const id = await tenant.newDatabase("shop");
  const { connectUrl, accessToken } = tenant.opening(id);
  const kv = await openKv(connectUrl, { accessToken });
  const large = "x".repeat(20_000);
  for (let n = 0; n < COUNT; n += 30) {
    let write = kv.atomic();
    for (let i = n; i < n + 30; i++) write = write.set(["n", i], { n: i, large });
    await write.commit();
  }
  const made = await server.send("POST", `/api/databases/${id}/backup`, tenant.token, { destination, intervalMs: 500 });
  expect(made.status).toBe(201);
  const status = async () => (await server.send("GET", `/api/databases/${id}/backup`, tenant.token)).body;
  await expect.poll(status).toMatchObject({ status: { code: "active" } });
  const { versionstamp } = await kv.set(["day"], "Tuesday");
  await new Promise((resolve) => setTimeout(resolve, 20));
  const tuesday = new Date().toISOString();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await kv.set(["day"], "Wednesday");
  for (let n = 0; n < COUNT / 2; n++) await kv.delete(["n", n]);
  kv.close();
  await expect.poll(status).toMatchObject({ backlogBytes: 0 });
  return { id, tuesday, versionstamp };
}

test("Deno reads it by its time, waits while it is built, watches it, and cannot write it (G27)", async () => {
  const { id, tuesday, versionstamp } = await shopWithBackup();
  const deno = startDeno(openingAt(id, tuesday));
  onTestFinished(() => deno.close());
  expect(await attempt(deno, { type: "get", key: ["day"] })).toEqual({ value: "Tuesday" });
  const listed = await attempt(deno, { type: "list", selector: { prefix: ["n"] } });
  expect("value" in listed ? listed.value : listed).toHaveLength(COUNT);
  expect(await attempt(deno, { type: "set", key: ["day"], value: "changed" })).toEqual({
    error: expect.stringMatching(/can be read and not written/),
  });
  expect(await attempt(deno, { type: "watch", name: "w", keys: [["day"]] })).toEqual({});

  const live = startDeno(tenant.opening(id));
  onTestFinished(() => live.close());
  expect(await attempt(live, { type: "set", key: ["day"], value: "Thursday" })).toEqual({ value: true });
  expect(await attempt(deno, { type: "get", key: ["day"] })).toEqual({ value: "Tuesday" });
  const watched = await attempt(deno, { type: "watched", name: "w" });
  // What a watch has seen.
  expect("value" in watched ? (watched.value as Watched) : watched).toEqual({ states: [["Tuesday"]], ended: null });
  const exchanged = await tryExchange(openingAt(id, versionstamp));
  expect(exchanged).toMatchObject({ endpoints: [{ url: `/databases/${id}/at/${versionstamp}` }] });
});

test("@deno/kv reads it by its versionstamp; a revoked token reads it no more, in Deno neither", async () => {
  const { id, versionstamp } = await shopWithBackup();
  const { id: tokenId, token } = await tenant.newToken({ permissions: ["read"] });
  const { connectUrl, accessToken } = openingAt(id, versionstamp, token);
  const kv = await openKv(connectUrl, { accessToken });
  onTestFinished(() => kv.close());
  expect((await kv.get(["day"])).value).toBe("Tuesday");
  expect((await kv.get(["n", 0])).value).toMatchObject({ n: 0 });
  await expect(kv.set(["day"], "changed")).rejects.toThrow(/can be read and not written/);
  const deno = startDeno({ connectUrl, accessToken });
  onTestFinished(() => deno.close());
  expect(await attempt(deno, { type: "get", key: ["day"] })).toEqual({ value: "Tuesday" });
  await tenant.revoke({ id: tokenId, token });
  expect(await attempt(deno, { type: "get", key: ["day"] })).toEqual({ error: expect.stringMatching(/revoked/) });
  await expect(kv.get(["day"])).rejects.toThrow(/revoked|401/);
});

test("an undelete of many entries goes on after the server process was killed, and keeps what was written since (H29)", async () => {
  const id = await tenant.newDatabase("orders");
  const ask = (method: string, path: string, body?: unknown) =>
    server.send(method, `/api/databases/${id}/${path}`, tenant.token, body);
  const made = await ask("POST", "backup", { destination, intervalMs: 500 });
  expect(made.status).toBe(201);
  const status = async () => (await ask("GET", "backup")).body;
  await expect.poll(status).toMatchObject({ status: { code: "active" } });
  const entries = 8_000;
  const lines = Array.from({ length: entries }, (_, n) => JSON.stringify({ key: ["orders", n], value: n }));
  expect((await ask("POST", "import?values=plain", lines.join("\n"))).body).toMatchObject({ count: entries });
  const { versionstamp: at } = (await ask("POST", "atomic", {})).body;
  expect((await ask("POST", "entries:delete", { selector: { prefix: ["orders"] } })).body).toMatchObject({
    count: entries,
  });
  expect((await ask("PUT", `entries/orders/~n${entries - 1}?values=plain`, '"new"')).status).toBe(200);

  let begun = await ask("POST", "undelete", { at, prefix: ["orders"] });
  // A state that has to be built first may take longer than a request waits.
  while (begun.status === 503) begun = await ask("POST", "undelete", { at, prefix: ["orders"] });
  expect(begun).toMatchObject({ status: 202, body: { total: entries } });
  process.kill(server.workerdPid(), "SIGKILL");
  const job = async (): Promise<unknown> => (await ask("GET", `jobs/${begun.body.id}`)).body;
  const undeleted = { count: entries - 1, skipped: 1, unchanged: 0, expired: 0 };
  await expect
    .poll(() => job().catch(String))
    .toMatchObject({ status: "completed", done: entries, result: { undeleted } });
  expect((await ask("GET", 'count?prefix=["orders"]')).body).toMatchObject({ count: entries });
  expect((await ask("GET", `entries/orders/~n${entries - 1}?values=plain`)).body).toMatchObject({ value: "new" });
});
