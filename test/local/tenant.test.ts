/** What the first start makes, through the real API: made once whatever dies, kept, and made anew only when it is gone. */
import { isFailure } from "../../src/core/errors.ts";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { openKv } from "@deno/kv";
import { expect, onTestFinished, test } from "vitest";
import type { ProcessAddress } from "../../src/local/process-address.ts";
import { onWorkerd, startServer } from "../../src/local/server.ts";
import { TenantKeeper } from "../../src/local/tenant.ts";
import { cairnDeployment } from "../../src/local/workerd-config.ts";
import type { Announcement } from "../../src/local/announcement.ts";
import { builtWorker } from "../support/built-workers.ts";
import { announced, repository, runScript, type Program } from "./program.ts";
import { temporaryFolder } from "./stand-in-server.ts";

function startOn(folder: string, environment: Readonly<Record<string, string>> = {}): Program {
  return runScript("start", ["--port=0", "--json", `--persist-to=${folder}`], environment);
}

async function end(program: Program): Promise<void> {
  program.process.kill("SIGTERM");
  expect(await program.exited).toBe(0);
}

function deploymentToken(folder: string): string {
  return (JSON.parse(readFileSync(join(folder, "secrets.json"), "utf8")) as Record<string, string>)[
    "CAIRN_DEPLOYMENT_TOKEN"
  ] as string;
}

interface Answer {
  readonly status: number;
  readonly body: { readonly items: readonly Readonly<Record<string, unknown>>[] } & Readonly<Record<string, unknown>>;
}

async function api(server: Announcement, method: string, path: string, token = server.adminToken): Promise<Answer> {
  const answer = await fetch(`${server.url}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  // What the API's own tests hold.
  return { status: answer.status, body: (await answer.json()) as Answer["body"] };
}

/** Everything that was ever made, by name. */
async function inventory(server: Announcement, folder: string): Promise<Readonly<Record<string, unknown[]>>> {
  const organization = `/api/organizations/${server.organizationId}`;
  const [organizations, databases, tokens] = await Promise.all([
    api(server, "GET", "/api/organizations", deploymentToken(folder)),
    api(server, "GET", `${organization}/databases`),
    api(server, "GET", `${organization}/tokens`),
  ]);
  return {
    organizations: organizations.body.items.map(({ id }) => id),
    databases: databases.body.items.map(({ id }) => id),
    tokens: tokens.body.items.map(({ name }) => name),
  };
}

async function opens(server: Announcement, token: string): Promise<boolean> {
  const headers = { authorization: `Bearer ${token}` };
  return (
    (await fetch(server.connectUrl, { method: "POST", headers, body: '{"supportedVersions":[3]}' })).status === 200
  );
}

test("an organization, a database and two tokens are made once, and the next start finds them", async () => {
  const folder = temporaryFolder();
  const first = startOn(folder);
  const before = await announced(first);
  expect(await inventory(before, folder)).toEqual({
    organizations: [before.organizationId],
    databases: [before.databaseId],
    tokens: ["first token", "default database"],
  });
  const { body: tokens } = await api(before, "GET", `/api/organizations/${before.organizationId}/tokens`);
  expect(tokens.items).toMatchObject([
    {
      permissions: ["read", "write", "admin", "backup", "metrics"],
      databases: "all",
      keyPrefix: null,
      expiresAt: null,
    },
    { permissions: ["read", "write"], databases: [before.databaseId] },
  ]);
  expect([await opens(before, before.accessToken), await opens(before, before.adminToken)]).toEqual([true, true]);
  await end(first);

  const second = startOn(folder);
  const after = await announced(second);
  expect(after).toEqual({ ...before, url: after.url, connectUrl: after.connectUrl });
  expect((await inventory(after, folder))["tokens"]).toHaveLength(2);
  expect(second.stderr()).toBe("");
});

test("a first start that was killed is carried on by the next", async () => {
  for (const moment of [0, 60, 120]) {
    const folder = temporaryFolder();
    const killed = startOn(folder);
    await expect.poll(() => existsSync(join(folder, "workerd.pid")), { interval: 1, timeout: 60_000 }).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, moment));
    killed.process.kill("SIGKILL");
    await killed.exited;
    const again = startOn(folder);
    const server = await announced(again);
    expect(await inventory(server, folder)).toEqual({
      organizations: [server.organizationId],
      databases: [server.databaseId],
      tokens: ["first token", "default database"],
    });
    await end(again);
  }
});

/** Passes requests on; the one of this number it lets die, before or after the server has done it: no answer ever comes. */
async function dyingProxy(
  target: string,
  dies: number,
  when: "before" | "after",
): Promise<{ readonly url: string; readonly dead: Promise<void> }> {
  let requests = 0;
  const dead = Promise.withResolvers<void>();
  const pass = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const last = requests++ === dies;
    if (last && when === "before") return dead.resolve();
    const { authorization = "", "idempotency-key": key = "" } = request.headers;
    const headers = { authorization, "idempotency-key": String(key) };
    const body = await text(request);
    const { method = "GET" } = request;
    const answer = await fetch(`${target}${request.url}`, { method, headers, ...(body === "" ? {} : { body }) });
    const answered = await answer.text();
    if (last) dead.resolve();
    else response.writeHead(answer.status).end(answered);
  };
  const proxy = createServer((request, response) => void pass(request, response));
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  // A TCP server that listens has such an address.
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, dead: dead.promise };
}

/** Of a first start: the organization, its token is tried, the database, the database's token. */
const REQUESTS = 4;

/** A server until the test is over. `settle`: what a start does there, through this URL, with what it keeps in this file. */
async function serverToStartOn() {
  const startUpstream = await onWorkerd(join(repository, "src/worker.ts"), cairnDeployment, {
    build: builtWorker,
  });
  if (isFailure(startUpstream)) throw new Error(startUpstream.message);
  const folder = temporaryFolder();
  const server = await startServer({ host: "127.0.0.1", port: 0, persistTo: folder, secrets: {}, startUpstream });
  if (isFailure(server)) throw new Error(server.message);
  onTestFinished(() => server.close(0));
  const settle = (file: string, url: string) => {
    const keeper = new TenantKeeper(file, undefined, (sentence) => expect.unreachable(sentence));
    const address: ProcessAddress = { host: "127.0.0.1", port: Number(new URL(url).port) };
    return keeper.settle(() => address, folder, server.secrets).then((flaw) => flaw ?? keeper.tenant);
  };
  return { server, folder, settle };
}

test("killed before or after any of its requests was done, it makes nothing twice", async () => {
  const { server, folder, settle } = await serverToStartOn();
  const seen = new Set<string>();
  for (const when of ["before", "after"] as const) {
    for (let dies = 0; dies < REQUESTS; dies++) {
      const file = `killed-${when}-${dies}.json`;
      const proxy = await dyingProxy(server.url, dies, when);
      const killed = settle(file, proxy.url);
      await Promise.race([proxy.dead, killed]);
      const tenant = await settle(file, server.url);
      if (isFailure(tenant)) throw new Error(tenant.message);
      seen.add(tenant.organizationId);
      const announcedThere = { ...tenant, url: server.url, connectUrl: "" };
      const { databases, tokens, organizations } = await inventory(announcedThere, folder);
      expect([databases, tokens]).toEqual([[tenant.databaseId], ["first token", "default database"]]);
      expect(organizations).toEqual([...seen]);
    }
  }
  expect(seen.size).toBe(2 * REQUESTS);
});

/** As if the file had been written 25 hours earlier: the server knows the idempotency keys in it no more. */
function age(file: string): void {
  const kept = JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
  const dayAndHour = 25 * 3_600_000;
  const older = (key: string) => key.replace(/^[^/]+/, (at) => new Date(Date.parse(at) - dayAndHour).toISOString());
  const aged = Object.entries(kept).map(([name, value]) => [name, name.endsWith("Key") ? older(value) : value]);
  writeFileSync(file, JSON.stringify(Object.fromEntries(aged)));
}

const USUAL = ["first token", "default database"];

test.each([
  ["before", 0, USUAL],
  ["before", 2, USUAL],
  ["before", 3, USUAL],
  // Secrets that were in no answer are nobody's.
  ["after", 0, ["first token", "admin token", "default database"]],
  ["after", 2, USUAL],
  ["after", 3, ["first token", "default database, revoked", "default database"]],
] as const)(
  "killed %s request %i was done and carried on when its key is forgotten, it finds what it made",
  async (when, dies, made) => {
    const { server, folder, settle } = await serverToStartOn();
    const file = "tenant.json";
    const proxy = await dyingProxy(server.url, dies, when);
    await Promise.race([proxy.dead, settle(file, proxy.url)]);
    age(join(folder, file));
    const tenant = await settle(file, server.url);
    if (isFailure(tenant)) throw new Error(tenant.message);
    const there = { ...tenant, url: server.url, connectUrl: `${server.url}/databases/${tenant.databaseId}/connect` };
    expect([await opens(there, there.accessToken), await opens(there, there.adminToken)]).toEqual([true, true]);
    const { databases, organizations } = await inventory(there, folder);
    expect([databases, organizations]).toEqual([[tenant.databaseId], [tenant.organizationId]]);
    const { body } = await api(there, "GET", `/api/organizations/${tenant.organizationId}/tokens`);
    expect(body.items.map(({ name, revokedAt }) => (revokedAt === null ? name : `${String(name)}, revoked`))).toEqual(
      made,
    );
  },
);

test("a chosen access token stands for the database's own, for its run alone, from the first start on", async () => {
  const folder = temporaryFolder();
  const first = startOn(folder, { CAIRN_ACCESS_TOKEN: "my-own-token" });
  const chosen = await announced(first);
  expect(chosen.accessToken).toBe("my-own-token");
  const kv = await openKv(chosen.connectUrl, { accessToken: "my-own-token" });
  onTestFinished(() => kv.close());
  await kv.set(["a"], 1);
  expect((await kv.get(["a"])).value).toBe(1);
  expect((await inventory(chosen, folder))["tokens"]).toHaveLength(2);
  // It can do what the token can that it stands for, and no more.
  expect((await api(chosen, "GET", `/api/databases/${chosen.databaseId}`, "my-own-token")).status).toBe(200);
  expect((await api(chosen, "DELETE", `/api/databases/${chosen.databaseId}`, "my-own-token")).status).toBe(403);
  await end(first);

  const second = startOn(folder);
  const server = await announced(second);
  expect(server.accessToken).toMatch(/^cairn_/);
  expect([await opens(server, server.accessToken), await opens(server, "my-own-token")]).toEqual([true, false]);
  await end(second);

  const third = await announced(startOn(folder, { CAIRN_ACCESS_TOKEN: server.adminToken }));
  expect((await api(third, "GET", `/api/organizations/${third.organizationId}/tokens`)).status).toBe(200);
});

test("a database or token that was deleted, revoked or has ended meanwhile is made anew, and a message says so", async () => {
  const folder = temporaryFolder();
  const first = startOn(folder);
  const before = await announced(first);
  const { body: tokens } = await api(before, "GET", `/api/organizations/${before.organizationId}/tokens`);
  expect((await api(before, "DELETE", `/api/databases/${before.databaseId}`)).status).toBe(202);
  for (const { id } of tokens.items.toReversed()) {
    const path = `/api/organizations/${before.organizationId}/tokens/${String(id)}`;
    expect((await api(before, "DELETE", path)).status).toBe(200);
  }
  await end(first);

  const second = startOn(folder, { CAIRN_ACCESS_TOKEN: "my-own-token" });
  const after = await announced(second);
  expect(second.stderr()).toBe(
    "The admin token is no longer accepted. Making another.\nThe database was deleted. Making another.\n",
  );
  expect(after.organizationId).toBe(before.organizationId);
  expect(after.adminToken).not.toBe(before.adminToken);
  expect(after.databaseId).not.toBe(before.databaseId);
  expect([await opens(after, "my-own-token"), await opens(after, after.adminToken)]).toEqual([true, true]);
  await end(second);

  // Keys dropped: nothing that they made is accepted, and what the deployment's token makes is.
  const CAIRN_SIGNING_KEYS = `other:${Buffer.alloc(32, 7).toString("base64")}`;
  const third = startOn(folder, { CAIRN_SIGNING_KEYS });
  const rotated = await announced(third);
  expect(third.stderr()).toBe(
    "The admin token is no longer accepted. Making another.\nThe database's access token is no longer accepted. Making another.\n",
  );
  expect(rotated.databaseId).toBe(after.databaseId);
  expect(await opens(rotated, rotated.accessToken)).toBe(true);
});
