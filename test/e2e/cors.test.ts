/** What a browser does for a page of another origin, sent by hand to a server as `npm start` runs it, over both versions of HTTP. */
import { once } from "node:events";
import { request as http1 } from "node:http";
import { connect, type OutgoingHttpHeaders } from "node:http2";
import { afterAll, describe, expect, test } from "vitest";
import { encodeWrite, rawKey, rawSet } from "../support/raw-connect.ts";
import { startTestServer } from "../support/server.ts";

const PAGE = "https://app.example";
const EVIL = "https://evil.example";

const server = await startTestServer();
const session = connect(server.url);
afterAll(async () => {
  session.destroy();
  await server.close();
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

type Send = (
  method: string,
  url: string,
  headers: Record<string, string>,
  body?: string | Uint8Array,
) => Promise<Answer>;

async function overHttp1(...[method, url, headers, body]: Parameters<Send>): Promise<Answer> {
  const sent = http1(url, { method, headers });
  sent.end(body);
  const [answer] = await once(sent, "response");
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += String(chunk);
  return { status: answer.statusCode, headers: answer.headers, text };
}

async function overHttp2(...[method, url, headers, body]: Parameters<Send>): Promise<Answer> {
  const { pathname, search } = new URL(url);
  const all: OutgoingHttpHeaders = { ":method": method, ":path": `${pathname}${search}`, ...headers };
  const stream = session.request(all, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const [answer] = await once(stream, "response");
  let text = "";
  for await (const chunk of stream.setEncoding("utf8")) text += String(chunk);
  return { status: answer[":status"], headers: answer, text };
}

const allowed = ({ headers }: Answer): unknown => headers["access-control-allow-origin"];

describe.each<[string, Send]>([
  ["HTTP/1.1", overHttp1],
  ["HTTP/2", overHttp2],
])("over %s", (_, send) => {
  /** As a browser does: the preflight, and the request if that admits it. */
  async function fromPage(origin: string, ...[method, url, headers, body]: Parameters<Send>): Promise<Answer> {
    const preflight = await send("OPTIONS", url, {
      origin,
      "access-control-request-method": method,
      "access-control-request-headers": Object.keys(headers).join(","),
    });
    expect([preflight.status, allowed(preflight)]).toEqual([204, "*"]);
    expect(String(preflight.headers["access-control-allow-methods"]).split(", ")).toContain(method);
    const names = String(preflight.headers["access-control-allow-headers"]).split(", ");
    expect(names).toEqual(expect.arrayContaining(Object.keys(headers)));
    return send(method, url, { ...headers, origin }, body);
  }

  test("a page opens, writes and reads its part of a database with the token that names it, and no other page does", async () => {
    const { url, organizationId, databaseId, adminToken, connectUrl } = server;
    const scopes = { permissions: ["read", "write"], databases: [databaseId], keyPrefix: ["users", "alice"] };
    const minted = await send(
      "POST",
      `${url}/api/organizations/${organizationId}/tokens`,
      { authorization: `Bearer ${adminToken}` },
      JSON.stringify({ name: "alice", ...scopes, allowedOrigins: [PAGE] }),
    );
    const { token } = JSON.parse(minted.text) as { token: string };
    const access = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const versions = '{"supportedVersions":[3]}';

    const exchanged = await fromPage(PAGE, "POST", connectUrl, access, versions);
    expect([exchanged.status, allowed(exchanged)]).toEqual([200, PAGE]);
    const stolen = await fromPage(EVIL, "POST", connectUrl, access, versions);
    expect([stolen.status, allowed(stolen), stolen.text]).toEqual([403, undefined, expect.stringContaining(EVIL)]);

    const { token: dataToken } = JSON.parse(exchanged.text) as { token: string };
    const data = {
      authorization: `Bearer ${dataToken}`,
      "content-type": "application/x-protobuf",
      "x-denokv-version": "3",
    };
    const write = encodeWrite({ mutations: [rawSet(rawKey("users", "alice", 1), Uint8Array.of(1))] });
    const path = `${url}/databases/${databaseId}/atomic_write`;
    const written = await fromPage(PAGE, "POST", path, data, write);
    expect([written.status, allowed(written)]).toEqual([200, PAGE]);
    const foreign = await fromPage(EVIL, "POST", path, data, write);
    expect([foreign.status, allowed(foreign)]).toEqual([403, undefined]);
    const expired = await fromPage(PAGE, "POST", path, { ...data, authorization: "Bearer over" }, write);
    expect([expired.status, allowed(expired)]).toEqual([401, PAGE]);
  });

  test("a page reads what an answer's headers say, of an API with its token", async () => {
    const { url, organizationId, adminToken } = server;
    const minted = await send(
      "POST",
      `${url}/api/organizations/${organizationId}/tokens`,
      { authorization: `Bearer ${adminToken}` },
      JSON.stringify({ name: "console", permissions: ["admin"], databases: "all", allowedOrigins: ["*"] }),
    );
    const { token } = JSON.parse(minted.text) as { token: string };
    const list = `${url}/v1/organizations/${organizationId}/databases`;
    const answer = await fromPage(EVIL, "GET", list, { authorization: `Bearer ${token}` });
    expect([answer.status, allowed(answer)]).toEqual([200, EVIL]);
    expect(answer.headers["link"]).toContain('rel="first"');
    expect(String(answer.headers["access-control-expose-headers"]).split(", ")).toContain("link");
  });

  test.each(["/healthz", "/api", "/openapi.json"])("HEAD %s is GET without its body", async (path) => {
    const get = await send("GET", `${server.url}${path}`, {});
    const head = await send("HEAD", `${server.url}${path}`, {});
    expect([get.status, head.status, head.text]).toEqual([200, 200, ""]);
    expect(head.headers["content-type"]).toBe(get.headers["content-type"]);
    // Whose client sent a body, which no HEAD needs.
    const withBody = await send("HEAD", `${server.url}${path}`, { "content-length": "2" }, "hi");
    expect([withBody.status, withBody.text]).toEqual([200, ""]);
  });
});
