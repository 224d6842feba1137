/** Sockets through the Worker as it is deployed, to real objects: who gets one, and what a refused client is told. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { DataTokens } from "../../../src/contracts/data-token.ts";
import type { Grant } from "../../../src/contracts/grant.ts";
import { signingKeys } from "../../../src/contracts/signing-keys.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { toHex } from "../../../src/core/bytes.ts";
import { isFailure } from "../../../src/core/errors.ts";
import type { Env } from "../../../src/objects/env.ts";
import worker from "../../../src/worker.ts";
import { CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS } from "../../support/deployment-secrets.ts";
import { readRequest, SocketClient, subprotocols, tokenRequest, writeRequest } from "../../support/socket-client.ts";
import { key, point, set, text, write } from "../../support/workerd/engine.ts";

// The plugin's environment is the deployment's, without its secrets.
const configured: Env = { ...(env as unknown as Env), CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS };
const PAGE = "https://app.example";

let databases = 0;

async function newDatabase(): Promise<string> {
  databases += 1;
  const databaseId = `socket-door-${databases}`;
  await configured.DATABASES.getByName(databaseId).initialize({
    organizationId: "nobody",
    databaseId,
    jurisdiction: null,
  });
  return databaseId;
}

async function tokenFor(databaseId: string, part: Partial<Grant> = {}): Promise<string> {
  const keys = signingKeys(CAIRN_SIGNING_KEYS);
  if (isFailure(keys)) throw new Error(keys.message);
  const now = asUnixMs(Date.now());
  const grant: Grant = {
    tokenId: "00000000000000aa",
    read: true,
    write: true,
    expiresAt: asUnixMs(now + 600_000),
    ...part,
  };
  return (await new DataTokens(keys).mint(grant, databaseId, now)).token;
}

function ask(databaseId: string, headers: Record<string, string>, method = "GET", query = ""): Promise<Response> {
  const url = `https://cairn.test/api/databases/${databaseId}/socket${query}`;
  return worker.fetch(new Request(url, { method, headers: { upgrade: "websocket", ...headers } }), configured);
}

async function open(
  databaseId: string,
  headers: Record<string, string>,
  query?: string,
): Promise<{ client: SocketClient; answer: Response }> {
  const answer = await ask(databaseId, headers, "GET", query);
  const { webSocket } = answer;
  if (!webSocket) throw new Error(`${answer.status} ${await answer.text()}`);
  const client = new SocketClient(webSocket);
  webSocket.accept();
  return { client, answer };
}

const named = (token: string) => ({ "sec-websocket-protocol": subprotocols(token).join(", ") });
const bare = { "sec-websocket-protocol": "cairn.v1" };

describe("a client with a token", () => {
  test("shows it in a subprotocol and is answered with the other one (N1, N2)", async () => {
    const id = await newDatabase();
    const { client, answer } = await open(id, named(await tokenFor(id)));
    expect([answer.status, answer.headers.get("sec-websocket-protocol")]).toEqual([101, "cairn.v1"]);
    expect(answer.headers.get("cairn-object")).toBeNull();
    client.send(writeRequest(1, write([set(key("a"), text("1"))])), readRequest(2, point(key("a"))));
    expect(await client.next(2)).toEqual([
      [1, "written", expect.stringMatching(/^[0-9a-f]{20}$/)],
      [2, "read", ["1"]],
    ]);
  });

  test("that can set headers shows it as everywhere (N2)", async () => {
    const id = await newDatabase();
    const { client } = await open(id, { ...bare, authorization: `Bearer ${await tokenFor(id)}` });
    client.send(readRequest(1, point(key("a"))));
    expect(await client.next(1)).toEqual([[1, "read", []]]);
  });

  test("shows a data token in the URL, and no access token, which would live long there (N2)", async () => {
    const id = await newDatabase();
    const token = await tokenFor(id);
    const { client } = await open(id, bare, `?access_token=${token}`);
    client.send(readRequest(1, point(key("a"))));
    expect(await client.next(1)).toEqual([[1, "read", []]]);
    const refused = async (headers: Record<string, string>, shown: string) => {
      const { client: other } = await open(id, headers, `?access_token=${shown}`);
      await expect.poll(() => other.closedWith?.code).toBeDefined();
      return other.closedWith;
    };
    expect(await refused(bare, "cairn_0123456789")).toMatchObject({
      code: 4401,
      reason: expect.stringContaining("takes data tokens only"),
    });
    expect(await refused(bare, "made-up")).toMatchObject({ code: 4401 });
    expect(await refused(named(token), token)).toMatchObject({
      code: 4400,
      reason: expect.stringContaining("has two tokens"),
    });
  });

  test("that is for writes alone may write, and reads nothing (N16)", async () => {
    const id = await newDatabase();
    const { client } = await open(id, named(await tokenFor(id, { read: false })));
    client.send(writeRequest(1, write([set(key("a"), text("1"))])), readRequest(2, point(key("a"))));
    expect(await client.next(2)).toMatchObject([
      [1, "written", expect.any(String)],
      [2, "error", "forbidden", "The token does not allow reading."],
    ]);
  });
});

describe("a client without one", () => {
  test.each(["binary", "text"])("sends it in its first message, which is %s (N3)", async (form) => {
    const id = await newDatabase();
    const { client, answer } = await open(id, bare);
    expect(answer.headers.get("sec-websocket-protocol")).toBe("cairn.v1");
    expect(answer.headers.get("cairn-object")).toBe("untouched");
    const token = await tokenFor(id);
    if (form === "binary") client.send(tokenRequest(1, token));
    else client.socket.send(JSON.stringify({ id: 1, token }));
    // Already while the object is being connected to.
    client.send(writeRequest(2, write([set(key("a"), text("1"))])));
    client.send(readRequest(3, point(key("a"))));
    client.socket.send("ping");
    const answers = await client.next(form === "binary" ? 3 : 2);
    expect(answers.slice(-2)).toMatchObject([
      [2, "written", expect.any(String)],
      [3, "read", ["1"]],
    ]);
    expect(form === "binary" ? answers[0] : await client.nextText()).toEqual(form === "binary" ? [1, "done"] : "pong");
    client.socket.close(1000);
    await expect.poll(() => client.closedWith?.code).toBe(1000);
  });

  test.each([
    ["a token that is none", 4401, () => tokenRequest(1, "x".repeat(40)), /^The token is not a data token/],
    ["a request", 4401, () => readRequest(1), /^The first message must carry the token and nothing else/],
  ])("that sends %s first is told so and closed with %i (N3, N24)", async (_, code, request, why) => {
    const id = await newDatabase();
    const { client } = await open(id, bare);
    client.send(request());
    expect(await client.closed()).toEqual({ code, why: expect.stringMatching(why) });
  });
});

describe("a handshake that is refused is accepted, and closed with the reason (N4)", () => {
  const cases: [string, number, RegExp, (id: string) => Promise<Record<string, string>>][] = [
    ["no subprotocol", 4400, /^Name the subprotocol cairn\.v1/, async () => ({})],
    [
      "another version",
      4400,
      /^Name the subprotocol cairn\.v1/,
      async () => ({ "sec-websocket-protocol": "cairn.v9" }),
    ],
    [
      "a token that is no base64url",
      4401,
      /^One subprotocol must be/,
      async () => ({ "sec-websocket-protocol": "cairn.v1, base64url.bearer.authorization.cairn.a" }),
    ],
    ["an access token", 4401, /^The token is not a data token/, async () => named("cairn_a_b_c_d")],
    [
      "a token of another database",
      4401,
      /^The token is not a data token/,
      async () => named(await tokenFor("another")),
    ],
    [
      "a token of the past",
      4401,
      /another moment/,
      async (id) => named(await tokenFor(id, { at: "000638a1b2c3d4e50000" })),
    ],
    [
      "a token that allows nothing",
      4403,
      /^The token does not allow reading\.$/,
      async (id) => named(await tokenFor(id, { read: false, write: false })),
    ],
    [
      "a page that may not use the token",
      4403,
      /^A page of https:\/\/app\.example may not use this data token/,
      async (id) => ({ ...named(await tokenFor(id)), origin: PAGE }),
    ],
  ];
  test.each(cases)("%s: %i (N4, N24)", async (_, code, why, headers) => {
    const id = await newDatabase();
    const { client, answer } = await open(id, await headers(id));
    expect(answer.headers.get("cairn-object")).toBe("untouched");
    expect(await client.closed()).toEqual({ code, why: expect.stringMatching(why) });
    expect(client.closedWith?.reason.length).toBeGreaterThan(10);
  });

  test("no such database: 4404 (N4, N24)", async () => {
    const { client } = await open("none", named(await tokenFor("none")));
    expect(await client.closed()).toEqual({ code: 4404, why: "There is no such database." });
  });
});

test("a page of the origin that exchanged the token has a socket (N5)", async () => {
  const id = await newDatabase();
  const { client } = await open(id, { ...named(await tokenFor(id, { origin: PAGE })), origin: PAGE });
  client.send(readRequest(1, point(key("a"))));
  expect(await client.next(1)).toEqual([[1, "read", []]]);
});

describe("what is no WebSocket is answered as HTTP (N6)", () => {
  test.each([
    ["GET", { upgrade: "" }, 426],
    ["POST", {}, 405],
    ["OPTIONS", {}, 204],
  ])("%s %j: %i", async (method, headers, status) => {
    const id = await newDatabase();
    expect((await ask(id, { ...bare, ...headers }, method)).status).toBe(status);
  });

  test.each(["/api/databases//socket", "/api/databases/a/b/socket", "/api/databases/a/sockets"])(
    "%s is no socket's address",
    async (path) => {
      const answer = await worker.fetch(
        new Request(`https://cairn.test${path}`, { headers: { upgrade: "websocket", ...bare } }),
        configured,
      );
      expect(answer.webSocket ?? null).toBeNull();
      expect(answer.status).toBeGreaterThanOrEqual(400);
    },
  );
});

test("a token's prefix holds for what is read, written and watched (N17)", async () => {
  const id = await newDatabase();
  const { client } = await open(id, named(await tokenFor(id, { keyPrefix: toHex(key("mine")) })));
  client.socket.send(
    JSON.stringify({
      requests: [
        { id: 1, write: { mutations: [{ type: "set", key: ["mine", 1], value: "x" }] }, values: "plain" },
        { id: 2, write: { mutations: [{ type: "set", key: ["theirs"], value: "x" }] }, values: "plain" },
        { id: 3, watch: [["theirs"]] },
        { id: 4, read: [{ prefix: [] }, { key: ["theirs"] }], values: "plain" },
      ],
    }),
  );
  expect(await client.nextText()).toMatchObject({
    responses: [
      { id: 2, error: { code: "forbidden" } },
      { id: 1, write: { ok: true } },
      { id: 3, error: { code: "forbidden" } },
      { id: 4, read: [[{ value: "x" }], []] },
    ],
  });
});
