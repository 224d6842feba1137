/** Large answers of many databases at once: all of them are in one process, whose memory they share. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { encodeRead, RawConnect, rawKey, rawPrefix, rawSet } from "../support/raw-connect.ts";
import { startTestServer } from "../support/server.ts";

const MIB = 1024 * 1024;
const DEPLOYMENT_TOKEN = "deployment-token-of-this-test";
const everything = encodeRead({ ranges: [{ ...rawPrefix("large"), limit: 1000 }] });

test("answers that nobody takes are bounded together, and keep no other organization from its own (R20)", async () => {
  const server = await startTestServer({ CAIRN_DEPLOYMENT_TOKEN: DEPLOYMENT_TOKEN });
  onTestFinished(() => server.close());
  const ask = async (path: string, token: string, body: object): Promise<Record<string, string>> => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${server.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    expect(answer.status).toBeLessThan(300);
    return (await answer.json()) as Record<string, string>; // The API's answers, of which strings are used.
  };
  /** A database of 60 MiB. */
  const filled = async (organizationId: string, adminToken: string): Promise<RawConnect> => {
    const { id = "" } = await ask(`/api/organizations/${organizationId}/databases`, adminToken, { name: "large" });
    const connectUrl = `${server.url}/databases/${id}/connect`;
    const database = await RawConnect.open({ url: server.url, connectUrl, accessToken: adminToken });
    onTestFinished(() => database.close());
    for (let i = 0; i < 60; i += 6) {
      const values = Array.from({ length: 6 }, (_, j) => rawSet(rawKey("large", i + j), new Uint8Array(MIB - 100)));
      await database.write({ mutations: values });
    }
    return database;
  };
  const attackers = [];
  for (let i = 0; i < 4; i++) attackers.push(await filled(server.organizationId, server.adminToken));
  const made = await ask("/api/organizations", DEPLOYMENT_TOKEN, { name: "other" });
  // The organization is an object of its own in the answer.
  const { organization, token = "" } = made as unknown as { organization: { id: string }; token?: string };
  const other = await filled(organization.id, token);

  const begun: number[] = [];
  for (const [index, database] of attackers.entries()) {
    const { hostname, port, pathname } = new URL(database.url("snapshot_read"));
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => undefined);
    // Of the answer only its beginning is taken.
    socket.once("readable", () => begun.push(index));
    await once(socket, "connect");
    const headers = Object.entries(database.headers({ host: hostname, "content-length": String(everything.length) }));
    socket.write(
      `POST ${pathname} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
    );
    socket.write(everything);
  }
  // Two of 60 MiB are less than half of what there is, and three are more.
  await expect.poll(() => begun.length).toBe(2);
  const answer = await other.post("snapshot_read", everything);
  expect([answer.status, Math.round(answer.body.length / MIB)]).toEqual([200, 60]);
  expect(server.log()).toBe("");
});

test("many clients that ask for much JSON at once are answered one after the other or sent away, and small requests are answered meanwhile (H39)", async () => {
  const server = await startTestServer();
  onTestFinished(() => server.close());
  const { hostname, port } = new URL(server.url);
  const database = `/api/databases/${server.databaseId}`;
  const headers = { authorization: `Bearer ${server.accessToken}` };
  // Stored, a number has two bytes; in the notation it has 29.
  const body = JSON.stringify(Array.from({ length: 15_000 }, () => 1));
  for (let i = 0; i < 10; i++) {
    const written = await fetch(`${server.url}${database}/entries/dense/~n${i}?values=plain`, {
      method: "PUT",
      headers,
      body,
    });
    expect(written.status).toBe(200);
  }
  // Clients that take the beginning of an answer alone.
  const statuses = new Map<string, number>();
  const answered = (status: string) => statuses.get(status) ?? 0;
  const pid = server.workerdPid();
  for (let i = 0; i < 160; i++) {
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => undefined);
    socket.once("data", (data) => {
      socket.pause();
      const status = data.toString("latin1").slice(9, 12);
      statuses.set(status, answered(status) + 1);
    });
    const authorization = `authorization: ${headers.authorization}`;
    socket.write(`GET ${database}/entries?limit=1000 HTTP/1.1\r\nhost: x\r\n${authorization}\r\n\r\n`);
  }
  // An organization has a few under way, and 64 that wait.
  await expect.poll(() => answered("503")).toBeGreaterThan(20);
  const small = await fetch(`${server.url}${database}/entries/none`, { headers });
  expect([small.status, answered("200") < 100]).toEqual([404, true]);
  await expect.poll(() => answered("200")).toBeGreaterThan(3);
  expect(server.workerdPid()).toBe(pid);
  expect(server.log()).toBe("");
});
