/**
 * Archives through `@nocobase/sdk`, as a program uses it whose backup pages were written for that framework; and with plain HTTP what the SDK
 * does not do. The server is `npm start`: its own place for archives is a folder.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { APIClient } from "@nocobase/sdk";
import { afterAll, describe, expect, test, vi } from "vitest";
import { startEventReceiver } from "../support/event-receiver.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { MovedClock } from "../support/moved-clock.ts";
import { startS3Server } from "../support/s3-server.ts";
import { startTestServer } from "../support/server.ts";
import { signatureHeaders } from "../../src/directory/webhook-signature.ts";

const clock = MovedClock.make();
const server = await startTestServer(clock?.environment);
const s3 = await startS3Server();
const proxy = await startFaultProxy(s3.endpoint);
const receiver = await startEventReceiver();
const { databaseId } = server;
const api = new APIClient({ baseURL: `${server.url}/api/` });
api.auth.setToken(server.adminToken);
/** One action of a resource as the SDK calls it. */
function resource(name: string) {
  return (action: string, params: object = {}, options: object = {}) => {
    const run = api.resource(`databases.${name}`, databaseId)[action];
    if (run === undefined) throw new Error(`the SDK has no action ${action}`);
    return run(params, options);
  };
}
const backups = resource("backups");
const schedule = resource("backupSchedule");
const destinations = resource("backupDestinations");

/** What the SDK throws for an answer that is no success. */
async function refusalOf(attempt: Promise<unknown>): Promise<{ readonly status: number; readonly message: string }> {
  const error = await attempt.then(null, (thrown: unknown) => thrown);
  // What its HTTP client throws has the answer; the message is where the SDK looks for it.
  const { response } = error as { response: { status: number; data: { errors: [{ message: string }] } } };
  return { status: response.status, message: response.data.errors[0].message };
}

afterAll(async () => {
  await server.close();
  clock?.remove();
  await proxy.close();
  await s3.close();
  await receiver.close();
});

const base = `${server.url}/api/databases/${databaseId}`;
const authorization = `Bearer ${server.adminToken}`;

type Body = string | Uint8Array<ArrayBuffer> | FormData;

async function send(method: string, path: string, body?: Body) {
  const answer = await fetch(`${base}/${path}`, {
    method,
    headers: { authorization },
    ...(body === undefined ? {} : { body }),
  });
  const text = await answer.text();
  const json = text === "" ? null : JSON.parse(text);
  return { status: answer.status, headers: answer.headers, json };
}

async function setEntry(key: string, value: string): Promise<void> {
  const answer = await send("PUT", `entries/${key}`, JSON.stringify({ type: "string", value }));
  expect(answer.status).toBe(200);
}

async function entry(key: string): Promise<string | null> {
  const { status, json } = await send("GET", `entries/${key}?values=plain`);
  return status === 404 ? null : json.value;
}

// oxlint-disable-next-line typescript/no-explicit-any
async function ended(id: string): Promise<any> {
  return vi.waitFor(
    async () => {
      const { data } = await backups("get", { filterByTk: id });
      if (data.data.status === "running" || data.data.status === "pending") throw new Error("it is being made");
      return data.data;
    },
    { timeout: 60_000, interval: 50 },
  );
}

// oxlint-disable-next-line typescript/no-explicit-any
async function jobEnded(id: string): Promise<any> {
  return vi.waitFor(
    async () => {
      const answer = await fetch(`${server.url}/api/jobs/${id}`, { headers: { authorization } });
      // oxlint-disable-next-line typescript/no-explicit-any
      const job = (await answer.json()) as any;
      if (job.status === "running") throw new Error("it is under way");
      return job;
    },
    { timeout: 60_000, interval: 50 },
  );
}

async function made(description = ""): Promise<string> {
  const { data } = await backups("create", { values: { type: "full", description } });
  const archive = await ended(data.data.id);
  expect(archive).toMatchObject({ status: "completed", error: null });
  return archive.id;
}

test("an archive is made, shown, listed, restored and destroyed (Z18, Z26)", async () => {
  await setEntry("color", "green");
  const created = await backups("create", { values: { type: "full", description: "before the launch" } });
  expect(created.status).toBe(202);
  expect(created.data.data).toMatchObject({
    id: expect.stringMatching(/^\d+$/),
    type: "full",
    description: "before the launch",
  });
  const { id } = created.data.data;
  const archive = await ended(id);
  expect(archive).toMatchObject({
    id,
    status: "completed",
    progress: 100,
    size: expect.any(Number),
    checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
    encrypted: true,
    versionstamp: expect.stringMatching(/^[0-9a-f]{20}$/),
    destinations: [{ id: "local", name: "local", type: "local", status: "stored", error: null }],
  });

  await setEntry("color", "red");
  expect(await refusalOf(backups("restore", { filterByTk: id }))).toEqual({
    status: 400,
    message: expect.stringContaining('send {"confirm":true}'),
  });
  expect(await entry("color")).toBe("red");

  const restored = await backups("restore", { filterByTk: id, values: { confirm: true } });
  expect(restored.status).toBe(202);
  expect(await jobEnded(restored.data.data.id)).toMatchObject({ status: "completed", error: null });
  expect(await entry("color")).toBe("green");

  // The state before the restore is in an archive, too.
  const { data: listed } = await backups("list", { sort: "-createdAt" });
  const safety = listed.data.find((one: { origin: string }) => one.origin === "safety");
  const undone = await backups("restore", { filterByTk: safety.id, values: { confirm: true, safetyArchive: false } });
  expect(await jobEnded(undone.data.data.id)).toMatchObject({ status: "completed" });
  expect(await entry("color")).toBe("red");

  expect((await backups("destroy", { filterByTk: id })).data).toEqual({ data: { id, destroyed: true } });
  expect(await refusalOf(backups("get", { filterByTk: id }))).toMatchObject({ status: 404 });
});

test("a fork makes a new database with the state of an archive, and changes nothing here (Z34)", async () => {
  await setEntry("tree", "oak");
  const id = await made();
  await setEntry("tree", "elm");
  const { data } = await backups("fork", { filterByTk: id, values: { name: "as it was" } });
  expect(data.data.database).toMatchObject({ name: "as it was", id: expect.not.stringContaining(databaseId) });
  expect(await jobEnded(data.data.job.id)).toMatchObject({ kind: "database.fork", status: "completed", error: null });
  const forked = await fetch(`${server.url}/api/databases/${data.data.database.id}/entries/tree?values=plain`, {
    headers: { authorization },
  });
  expect(await forked.json()).toMatchObject({ value: "oak" });
  expect(await entry("tree")).toBe("elm");
  await send("DELETE", `backups/${id}`);
  expect(await refusalOf(backups("fork", { filterByTk: id, values: { name: "again" } }))).toMatchObject({
    status: 404,
  });
});

test("a list has pages, an order and conditions (Z17)", async () => {
  const ids = [await made("b"), await made("a"), await made("c")];
  const first = (await backups("list", { sort: ["description"], page: 1, pageSize: 2, filter: { origin: "request" } }))
    .data;
  expect(first.data.map((one: { description: string }) => one.description)).toEqual(["a", "b"]);
  expect(first.meta).toEqual({ count: 3, page: 1, pageSize: 2, totalPage: 2 });
  const second = (await backups("list", { sort: "description", page: 2, pageSize: 2, filter: { origin: "request" } }))
    .data;
  expect(second.data.map((one: { description: string }) => one.description)).toEqual(["c"]);
  const { json } = await send("GET", "backups?filter=%7B%22origin%22%3A%22request%22%7D");
  expect(json.items.map((one: { id: string }) => one.id)).toEqual(ids.toReversed());
  expect(json).toMatchObject({ count: 3, page: 1, pageSize: 20, totalPage: 1 });
  for (const id of ids) expect((await send("DELETE", `backups/${id}`)).status).toBe(204);
  expect((await backups("list", { filter: { origin: "request" } })).data).toEqual({
    data: [],
    meta: { count: 0, page: 1, pageSize: 20, totalPage: 0 },
  });
});

test("archives of a deleted database are listed, downloaded, restored and destroyed by their organization (Z38, Z39)", async () => {
  const organization = `${server.url}/api/organizations/${server.organizationId}`;
  const call = async (method: string, url: string, body?: object) => {
    const answer = await fetch(url, {
      method,
      headers: { authorization },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, json: text === "" ? null : JSON.parse(text) };
  };
  const { json: database } = await call("POST", `${organization}/databases`, { name: "short-lived" });
  const gone = `${server.url}/api/databases/${database.id}`;
  const directory = "Every night";
  await call("POST", `${gone}/backupDestinations`, { type: "local", name: "here", config: { directory } });
  await call("PUT", `${gone}/entries/river`, { type: "string", value: "Rhine" });
  const begun = await call("POST", `${gone}/backups`, { type: "database" });
  const archive = await vi.waitFor(
    async () => {
      const { json } = await call("GET", `${gone}/backups/${begun.json.id}`);
      if (json.status !== "completed") throw new Error("it is being made");
      return json;
    },
    { timeout: 60_000, interval: 50 },
  );
  const orphans = `${organization}/orphanedArchives`;
  expect((await call("GET", orphans)).json).toEqual({ items: [] });
  await call("DELETE", gone);
  expect((await call("GET", `${gone}/backups`)).status).toBe(404);
  const { json: listed } = await call("GET", orphans);
  expect(listed).toEqual({
    items: [
      {
        id: expect.stringMatching(/^[0-9a-f]+$/),
        databaseId: database.id,
        databaseName: "short-lived",
        number: archive.id,
        directory,
        size: archive.size,
        storedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      },
    ],
  });
  const [{ id }] = listed.items;
  const whole = await fetch(`${orphans}/${id}:download`, { headers: { authorization } });
  const file = new Uint8Array(await whole.arrayBuffer());
  expect([whole.status, whole.headers.get("content-length")]).toEqual([200, String(archive.size)]);
  expect(createHash("sha256").update(file).digest("hex")).toBe(archive.checksum);
  const rest = await fetch(`${orphans}/${id}:download`, { headers: { authorization, range: "bytes=100-" } });
  expect(Buffer.from(await rest.arrayBuffer()).equals(Buffer.from(file.subarray(100)))).toBe(true);

  // More than is on its way: clients that break off leave room for others at once.
  const name = `${directory}/${database.id}/archives/00000099-0123456789abcdef.cairn`;
  const large = join(server.folder, "data/archives", server.organizationId, name);
  writeFileSync(large, "");
  truncateSync(large, 64 * 1024 * 1024);
  const largeId = Buffer.from(name).toString("hex");
  const download = (signal?: AbortSignal): Promise<Response> =>
    fetch(`${orphans}/${largeId}:download`, { headers: { authorization }, ...(signal && { signal }) });
  const leaving = new AbortController();
  const many = await Promise.all(Array.from({ length: 20 }, () => download(leaving.signal)));
  expect(many.filter(({ status }) => status === 503).length).toBeGreaterThan(0);
  leaving.abort();
  await vi.waitFor(
    async () => {
      const next = await download();
      await next.body?.cancel();
      expect(next.status).toBe(200);
    },
    { timeout: 60_000, interval: 50 },
  );
  rmSync(large);

  // The file restores the database that is no more.
  await setEntry("river", "Elbe");
  const uploaded = await send("POST", "backups:upload", file);
  expect(await ended(uploaded.json.data.id)).toMatchObject({ status: "completed", databaseId: database.id });
  const restored = await send("POST", `backups:restore/${uploaded.json.data.id}`, '{"confirm":true}');
  expect(await jobEnded(restored.json.data.id)).toMatchObject({ status: "completed" });
  expect(await entry("river")).toBe("Rhine");

  const { json: again } = await call("POST", `${orphans}/${id}:fork`, { name: "back again" });
  expect(again).toMatchObject({ database: { name: "back again" }, job: { kind: "database.fork" } });
  expect(await jobEnded(again.job.id)).toMatchObject({ status: "completed", error: null });
  const river = await call("GET", `${server.url}/api/databases/${again.database.id}/entries/river?values=plain`);
  expect(river.json).toMatchObject({ value: "Rhine" });
  await call("DELETE", `${server.url}/api/databases/${again.database.id}`);

  expect((await call("DELETE", `${orphans}/${id}`)).status).toBe(204);
  expect((await call("DELETE", `${orphans}/${id}`)).status).toBe(404);
  expect((await call("GET", orphans)).json).toEqual({ items: [] });
  expect(existsSync(join(server.folder, "data/archives", server.organizationId, directory))).toBe(false);
  for (const { id: own } of (await backups("list", {})).data.data) await send("DELETE", `backups/${own}`);
});

describe("the file", () => {
  test("is downloaded whole and in ranges, by GET and by POST, and comes back by upload in both forms (Z16, Z24)", async () => {
    await setEntry("planet", "Mars");
    const id = await made();
    const { checksum, size } = await ended(id);
    const url = `${base}/backups:download?filterByTk=${id}`;
    const whole = await fetch(url, { headers: { authorization } });
    const file = new Uint8Array(await whole.arrayBuffer());
    expect(Object.fromEntries(whole.headers)).toMatchObject({
      "content-length": String(size),
      "content-disposition": `attachment; filename="cairn-${databaseId}-${id}.cairn"`,
      "accept-ranges": "bytes",
      etag: `"${checksum}"`,
    });
    expect([file.length, createHash("sha256").update(file).digest("hex")]).toEqual([size, checksum]);

    const rest = await fetch(url, { method: "POST", headers: { authorization, range: "bytes=100-" } });
    expect([rest.status, rest.headers.get("content-range")]).toEqual([206, `bytes 100-${size - 1}/${size}`]);
    expect(Buffer.compare(Buffer.from(await rest.arrayBuffer()), Buffer.from(file.subarray(100)))).toBe(0);
    const last = await fetch(`${base}/backups/${id}:download`, { headers: { authorization, range: "bytes=-7" } });
    expect(Buffer.from(await last.arrayBuffer()).equals(Buffer.from(file.subarray(-7)))).toBe(true);
    const beyond = await fetch(url, { headers: { authorization, range: `bytes=${size}-` } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, `bytes */${size}`]);
    const other = await fetch(url, { headers: { authorization, range: "bytes=0-9", "if-range": '"other"' } });
    expect([other.status, (await other.arrayBuffer()).byteLength]).toEqual([200, size]);
    const head = await fetch(url, { method: "HEAD", headers: { authorization } });
    expect([head.status, head.headers.get("content-length")]).toEqual([200, String(size)]);
    // The SDK sends every action that is not get or list as POST.
    const bySdk = await backups("download", { filterByTk: id }, { responseType: "arraybuffer" });
    expect(Buffer.from(bySdk.data).equals(Buffer.from(file))).toBe(true);

    await send("DELETE", `backups/${id}`);
    await setEntry("planet", "Venus");
    const form = new FormData();
    form.append("file", new Blob([file]), "a.cairn");
    for (const body of [file, form]) {
      const uploaded = await send("POST", "backups:upload?description=from%20a%20file", body);
      expect([uploaded.status, uploaded.json.data]).toMatchObject([
        202,
        { origin: "upload", description: "from a file" },
      ]);
      expect(await ended(uploaded.json.data.id)).toMatchObject({ status: "completed", checksum, databaseId });
      const verified = await send("POST", `backups/${uploaded.json.data.id}:verify`);
      expect(await jobEnded(verified.json.id)).toMatchObject({ kind: "archive.verify", status: "completed" });
    }
    const { json } = await send("GET", "backups:list?filter=%7B%22origin%22%3A%22upload%22%7D");
    const restored = await send("POST", `backups:restore/${json.data[0].id}`, '{"values":{"confirm":true}}');
    expect(await jobEnded(restored.json.data.id)).toMatchObject({ status: "completed" });
    expect(await entry("planet")).toBe("Mars");
  });

  test("that is cut, altered, or no archive is refused with what is wrong, and is no archive (Z25)", async () => {
    const id = await made();
    const file = new Uint8Array(
      await (await fetch(`${base}/backups/${id}:download`, { headers: { authorization } })).arrayBuffer(),
    );
    const altered = file.slice();
    altered[file.length - 30] = (altered[file.length - 30] ?? 0) ^ 1;
    for (const bytes of [file.slice(0, file.length - 1), altered, new TextEncoder().encode("no archive")]) {
      const { status, json } = await send("POST", "backups:upload", bytes);
      expect(status).toBe(202);
      const archive = await ended(json.data.id);
      expect([archive.status, archive.error]).toEqual(["failed", expect.stringMatching(/\S+ .*\.$/)]);
    }
  });
});

describe("destinations and the schedule", () => {
  const config = {
    endpoint: proxy.endpoint,
    bucket: s3.bucket,
    region: s3.region,
    accessKeyId: s3.accessKeyId,
    secretAccessKey: s3.secretAccessKey,
    prefix: "nightly",
  };

  test("a place that does not take archives is refused, and its secret is shown nowhere (Z29)", async () => {
    const values = { type: "s3", name: "wrong", config: { ...config, bucket: "no-such-bucket" } };
    expect(await refusalOf(destinations("create", { values }))).toEqual({
      status: 400,
      message: expect.stringContaining("no-such-bucket"),
    });
    const { data } = await destinations("create", { values: { type: "s3", name: "Frankfurt", config } });
    expect(data.data).toMatchObject({ name: "Frankfurt", type: "s3", enabled: true, lastResult: { error: null } });
    const tested = await destinations("test", { filterByTk: data.data.id });
    const shown = JSON.stringify([data, (await destinations("list", {})).data, tested.data]);
    expect(shown).toContain(config.accessKeyId);
    expect(shown).not.toContain(config.secretAccessKey);
  });

  test("each archive goes to all, one that is broken is named, the webhook comes, and the other restores (Z13, Z33)", async () => {
    await destinations("create", { values: { type: "local", name: "here", config: { directory: "nightly" } } });
    await setEntry("city", "Rome");
    const url = receiver.url;
    const set = await schedule("update", {
      values: {
        enabled: true,
        cron: "0 3 * * *",
        timezone: "Europe/Berlin",
        retention: 7,
        maxBackups: 3,
        notifyOnFailure: url,
      },
    });
    expect(set.data.data).toMatchObject({
      cron: "0 3 * * *",
      timezone: "Europe/Berlin",
      retention: 7,
      notifyOnFailure: url,
    });
    expect(set.data.data.nextRuns).toHaveLength(3);
    const secret: string = set.data.data.notifySecret;
    expect((await schedule("get", {})).data.data.notifySecret).toBeUndefined();

    const both = await ended((await backups("create", { values: {} })).data.data.id);
    const there = (archive: { destinations: { name: string; status: string }[] }) =>
      Object.fromEntries(archive.destinations.map(({ name, status }) => [name, status]));
    expect(there(both)).toEqual({ Frankfurt: "stored", here: "stored" });

    proxy.add({ fault: { do: "answer", status: 403, code: "AccessDenied" }, path: /archives/ });
    // A second before a full minute, at which the run is.
    clock?.setAhead(59 - (new Date().getSeconds() % 60));
    await schedule("update", { values: { cron: "* * * * *" } });
    await vi.waitFor(() => expect(receiver.received).toHaveLength(1), { timeout: 100_000, interval: 100 });
    await schedule("update", { values: { enabled: false } });
    const [event] = receiver.received;
    const body = JSON.parse(event?.body ?? "");
    expect(body).toMatchObject({
      type: "archive.failed",
      data: { databaseId, error: expect.stringContaining("Frankfurt") },
    });
    const id = String(event?.headers["webhook-id"]);
    const timestamp = Number(event?.headers["webhook-timestamp"]);
    expect(event?.headers["webhook-signature"]).toBe(
      (await signatureHeaders({ id, timestamp, body: event?.body ?? "" }, [secret]))["webhook-signature"],
    );
    const nightly = await ended(body.data.archive.id);
    expect([nightly.status, there(nightly)]).toEqual(["completed", { Frankfurt: "failed", here: "stored" }]);
    expect((await schedule("get", {})).data.data.lastRun).toMatchObject({
      archiveId: nightly.id,
      error: expect.stringContaining("Frankfurt"),
    });

    await send("DELETE", "entries/city");
    expect(await entry("city")).toBeNull();
    const restored = await backups("restore", { filterByTk: nightly.id, values: { confirm: true } });
    expect(await jobEnded(restored.data.data.id)).toMatchObject({ status: "completed" });
    expect(await entry("city")).toBe("Rome");
    const folder = join(server.folder, "data/archives", server.organizationId, "nightly", databaseId, "archives");
    expect(existsSync(folder) && readdirSync(folder).length).toBeGreaterThan(0);
  }, 180_000);
});
