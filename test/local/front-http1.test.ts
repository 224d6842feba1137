/** HTTP/1.1 at the front: what is passed on as it came, what is not, and what the front answers itself. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { MAX_STREAMED_REQUEST_BYTES } from "../../src/core/limits.ts";
import { capacityOf } from "../../src/local/front/capacity.ts";
import {
  echo,
  frontBefore,
  type Handler,
  type RawConnection,
  rawConnection,
  room,
  serverWith,
  upgrade,
  upgrading,
} from "./fronts.ts";
import { http2Request, http2Session } from "./stand-in-server.ts";

/** What the echo has seen. */
function seenBy(text: string): unknown {
  return JSON.parse(/^x-seen: (.*)$/im.exec(text)?.[1] ?? "null");
}

async function asked(bytes: string, handler: Handler = echo): Promise<RawConnection> {
  const connection = await rawConnection((await frontBefore((await serverWith(handler)).port)).port);
  connection.socket.write(bytes, "latin1");
  return connection;
}

test("method, path and headers pass as they came; headers of the connection, and those that it names, do not", async () => {
  const { text } = await asked(
    "PROPFIND /p?q=%20 HTTP/1.1\r\nHost: kv.test\r\nX-A: 1\r\nx-a: 2\r\nX-Latin: \xe4\r\nX-Mine: 3\r\nExpect: 100-continue\r\n" +
      "Connection: keep-alive, X-Mine, Upgrade\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
  );
  await expect.poll(text).toMatch(/HTTP\/1\.1 200 OK/);
  expect(seenBy(text())).toEqual([
    "PROPFIND",
    "/p?q=%20",
    { host: "kv.test", "x-a": "1, 2", "x-latin": "ä", "content-length": "0" },
  ]);
});

test("a chunked body passes as it comes, and its trailers do not", async () => {
  const { socket, text } = await asked(
    "POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
  );
  await expect.poll(text).toContain("abc");
  socket.write("2\r\nde\r\n0\r\nX-T: 1\r\n\r\n");
  await expect.poll(text).toMatch(/\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n$/);
  expect(text()).not.toMatch(/x-t/i);
});

test("a client that waits for 100 Continue is told to go on, on both protocols; one that is refused is not", async () => {
  const { port } = await serverWith(echo);
  const front = await frontBefore(port);
  const { socket, text } = await rawConnection(front.port);
  const head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  socket.write(head);
  await expect.poll(text).toBe("HTTP/1.1 100 Continue\r\n\r\n");
  socket.write("hi");
  await expect.poll(text).toMatch(/HTTP\/1\.1 200 OK[^]*hi/);

  const stream = http2Session(front.url).request({ ":method": "POST", expect: "100-continue" });
  await new Promise((resolve) => stream.once("continue", resolve));
  stream.end("hi");
  const answer = await new Promise<string>((resolve) =>
    stream.on("data", (piece: Buffer) => resolve(piece.toString())),
  );
  expect(answer).toBe("hi");

  const refused = await rawConnection((await frontBefore(undefined)).port);
  refused.socket.write(head);
  await new Promise((resolve) => refused.socket.once("end", resolve));
  expect(refused.text()).toMatch(/^HTTP\/1\.1 503 [^]*\r\nConnection: close\r\n/);
});

test("an HTTP/1.0 client is answered, and its connection then closed", async () => {
  const { socket, text } = await asked("GET / HTTP/1.0\r\n\r\n");
  await new Promise((resolve) => socket.once("end", resolve));
  expect(seenBy(text())).toMatchObject(["GET", "/", { host: "localhost" }]);
});

test("what is pipelined is passed on one after the other, and answered in order", async () => {
  let atOnce = 0;
  const { text } = await asked(
    ["/1", "/2", "/3"].map((path) => `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi`).join(""),
    (request, response) => {
      atOnce += 1;
      const answer = `${request.url} ${atOnce};`;
      setTimeout(() => {
        atOnce -= 1;
        response.end(answer);
      }, 20);
    },
  );
  await expect.poll(() => text().match(/\/\d \d;/g)).toEqual(["/1 1;", "/2 1;", "/3 1;"]);
});

test("a client that pipelines more than 32 requests before their answers is broken off", async () => {
  const { socket } = await asked("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(40), () => undefined);
  await expect(
    new Promise((resolve, reject) => socket.once("close", resolve).once("error", reject)),
  ).rejects.toMatchObject({
    code: "ECONNRESET",
  });
});

test.each([
  ["a first line that is none", "GET\r\n\r\n", 400, "malformed"],
  ["a header without a colon", "GET / HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", 400, "malformed"],
  ["a control character in a header", "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01b\r\n\r\n", 400, "malformed"],
  ["a path that is not ASCII", "GET /\xe4 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "malformed"],
  ["two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 400, "malformed"],
  [
    "a length and chunks",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    400,
    "malformed",
  ],
  [
    "another coding",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    501,
    "transfer coding",
  ],
  ["no host", "GET / HTTP/1.1\r\n\r\n", 400, ""],
  ["a large header", `GET / HTTP/1.1\r\nHost: h\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, 431, "at most 16 KiB"],
  ["CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405, "CONNECT is not allowed"],
])("%s is refused, also behind another request, which is answered", async (_, bytes, status, sentence) => {
  const good = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\ngood";
  const [alone, behind] = [await asked(bytes), await asked(good + bytes)];
  await expect.poll(alone.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*${sentence}`));
  await expect
    .poll(behind.text)
    .toMatch(new RegExp(`^HTTP/1\\.1 200 [^]*good[^]*HTTP/1\\.1 ${status} [^]*${sentence}`));
});

test("what no head can hold is refused over HTTP/2 too, and reaches no server", async () => {
  const seen: string[] = [];
  const { port } = await serverWith((request, response) => {
    seen.push(String(request.url));
    response.end();
  });
  const session = http2Session((await frontBefore(port)).url);
  const statuses: number[] = [];
  for (const path of ["/a b", "/a\tb", "/ä\u0001"]) {
    // A stream may be reset before the front sees it.
    const answer = http2Request(session, { ":path": path }).catch(() => ({ status: 400 }));
    statuses.push((await answer).status);
  }
  expect(statuses).toEqual([400, 400, 400]);
  expect((await http2Request(session, { ":path": "/good" })).status).toBe(200);
  expect(seen).toEqual(["/good"]);
});

test("a HEAD is refused without a body, on both protocols", async () => {
  const front = await frontBefore(undefined);
  const first = await fetch(front.url, { method: "HEAD" });
  const second = await http2Request(http2Session(front.url), { ":method": "HEAD" });
  expect([first.status, await first.text(), second.status, second.body]).toEqual([503, "", 503, ""]);
  expect(Number(first.headers.get("content-length"))).toBeGreaterThan(20);
  const { socket, text } = await rawConnection(front.port);
  socket.end("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
  await new Promise((resolve) => socket.once("end", resolve));
  expect(text()).toMatch(/^(HTTP\/1\.1 503 Service Unavailable\r\n([^\r]+\r\n)+\r\n){2}$/);
});

test("an idle connection outlives the server's, and serves on", async () => {
  const { server, port } = await serverWith(echo);
  server.keepAliveTimeout = 50;
  const { socket, text } = await rawConnection((await frontBefore(port)).port);
  const ask = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
  socket.write(ask);
  await expect.poll(text).toContain("hi");
  const connections = (): Promise<number> => new Promise((resolve) => server.getConnections((_, n) => resolve(n)));
  await expect.poll(connections).toBe(0);
  // The front hears of it a moment later.
  await sleep(100);
  socket.write(ask);
  await expect.poll(() => text().match(/200 OK/g)?.length).toBe(2);
});

test("a TLS handshake is closed at once, and one line says so", async () => {
  const front = await frontBefore((await serverWith(echo)).port);
  for (let i = 0; i < 3; i++) {
    const { socket, text } = await rawConnection(front.port);
    socket.write(Buffer.of(0x16));
    socket.write(Buffer.of(0x03, 0x01, 0x00, 0xf4, 0x01));
    await new Promise((resolve) => socket.once("end", resolve));
    expect(text()).toBe("");
  }
  expect(front.lines).toEqual([
    "TLS handshakes on this port, which speaks plain HTTP: 1. The latest came from 127.0.0.1. " +
      "Use http:// in its URL, or put a proxy that speaks TLS before this server.\n",
  ]);
});

test("a WebSocket passes both ways, with what comes in the request's own segment, and ends with its client", async () => {
  const { port, sockets } = await upgrading();
  const { socket, text } = await rawConnection((await frontBefore(port)).port);
  socket.write(`${upgrade("/agree")}early `);
  await expect
    .poll(text)
    .toMatch(/^HTTP\/1\.1 101 [^]*Sec-WebSocket-Accept: x\r\n[^]*Upgrade: websocket\r\n\r\nearly $/);
  socket.write("late");
  await expect.poll(text).toMatch(/early late$/);
  socket.resetAndDestroy();
  await expect.poll(() => sockets.every((each) => each.destroyed)).toBe(true);
});

test("a WebSocket ends with its server, and one that is refused is answered as any request", async () => {
  const { port, sockets } = await upgrading();
  const front = await frontBefore(port);
  const agreed = await rawConnection(front.port);
  agreed.socket.write(upgrade("/agree"));
  await expect.poll(agreed.text).toContain("101");
  sockets[0]?.destroy();
  await new Promise((resolve) => agreed.socket.once("end", resolve));

  const refused = await rawConnection(front.port);
  refused.socket.write(upgrade("/refuse"));
  await new Promise((resolve) => refused.socket.once("end", resolve));
  expect(refused.text()).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\nConnection: close\r\n\r\nbad$/);
});

test.each([
  { more: "cairn-object: untouched\r\n", agreed: 12 },
  { more: "", agreed: 4 },
])(
  "a WebSocket that is accepted without asking an object takes no database's place: '$more'",
  async ({ more, agreed }) => {
    const { port } = await upgrading(more);
    const capacity = capacityOf({
      descriptors: Number.POSITIVE_INFINITY,
      connections: 1000,
      requests: 1000,
      sessions: 10,
      databases: 4,
    });
    const front = await frontBefore(port, { capacity });
    const statuses: string[] = [];
    for (let i = 0; i < 12; i++) {
      const { socket, text } = await rawConnection(front.port);
      socket.write(upgrade(`/api/databases/${i}/agree`));
      await expect.poll(text).toContain("\r\n\r\n");
      statuses.push(text().slice(9, 12));
    }
    expect(statuses.filter((status) => status === "101")).toHaveLength(agreed);
    expect(new Set(statuses)).toEqual(new Set(agreed === 12 ? ["101"] : ["101", "503"]));
  },
);

test("watches and WebSockets take at most three quarters of the places", async () => {
  const { port } = await serverWith((request, response) => {
    if (request.url === "/watch") response.write("w");
    else response.end("answer");
  });
  const front = await frontBefore(port, { capacity: room(1000, 8) });
  const session = http2Session(front.url);
  const statuses: unknown[] = [];
  for (let i = 0; i < 9; i++) {
    const stream = session.request({ ":path": "/watch" });
    const [headers] = await new Promise<[Record<string, unknown>]>((resolve) =>
      stream.once("response", (received) => resolve([received])),
    );
    statuses.push(headers[":status"]);
    stream.on("error", () => undefined).resume();
  }
  // Five of six: of the sixth the same address had its share.
  expect(statuses).toEqual([200, 200, 200, 200, 200, 503, 503, 503, 503]);
  expect((await fetch(front.url)).status).toBe(200);
});

test("requests whose bodies are more than the server may hold get 503, others go on, and there is room again after them", async () => {
  const held = Promise.withResolvers<void>();
  const bodies: number[] = [];
  const { port } = await serverWith((incoming, response) => {
    const at = bodies.push(0) - 1;
    incoming.on("data", (piece: Buffer) => (bodies[at] = (bodies[at] ?? 0) + piece.length));
    incoming.on("error", () => undefined);
    incoming.on("end", () => void held.promise.then(() => response.end("answer")));
  });
  const front = await frontBefore(port, { capacity: { ...room(1000, 100), requestBytes: 4_000_000 } });
  const session = http2Session(front.url);
  const post = (bytes: number) =>
    http2Request(session, { ":method": "POST" }, Buffer.alloc(bytes)).then(({ status }) => status);
  // Of 4 MB one address has four fifths.
  const [first, second] = [post(1_500_000), post(1_500_000)];
  await expect.poll(() => bodies).toEqual([1_500_000, 1_500_000]);
  expect(await post(1_500_000)).toBe(503);
  const small = post(1000);
  await expect.poll(() => bodies).toContain(1000);
  held.resolve();
  expect(await Promise.all([first, second, small])).toEqual([200, 200, 200]);
  expect(await post(3_000_000)).toBe(200);
});

test.each([
  "/api/databases/1/import?overwrite=true",
  "/api/databases/1/backups:upload",
  "/api/databases/1/backups%3Aupload",
])("a body that is read as it comes may be longer than all that the server may hold: %s", async (path) => {
  const { port } = await serverWith(
    (incoming, response) => void incoming.resume().on("end", () => response.end("answer")),
  );
  const requestBytes = 2 * MAX_STREAMED_REQUEST_BYTES;
  const front = await frontBefore(port, { capacity: { ...room(1000, 100), requestBytes } });
  const body = Buffer.alloc(2 * requestBytes);
  const headers = { authorization: "Bearer x" };
  expect((await fetch(front.url + path, { method: "POST", body, headers })).status).toBe(200);
  expect((await fetch(`${front.url}/api/other`, { method: "POST", body, headers })).status).toBe(503);
});

test("one address never has all places: another finds one", async () => {
  const { port } = await serverWith(
    (request, response) => void (request.url === "/wait" ? response.write("w") : response.end()),
  );
  const front = await frontBefore(port, { capacity: room(1000, 20) });
  const waiting = await Promise.all(Array.from({ length: 25 }, () => rawConnection(front.port)));
  for (const { socket } of waiting) socket.write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  await expect.poll(() => waiting.every(({ text }) => text().length > 0)).toBe(true);
  expect(waiting.filter(({ text }) => text().startsWith("HTTP/1.1 200")).length).toBe(16);
  expect((await fetch(front.url)).status).toBe(503);
  const another = await rawConnection(front.port, "127.0.0.2");
  another.socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  await expect.poll(another.text).toMatch(/^HTTP\/1\.1 200/);
});

test.each([
  ["ends its side in it", ""],
  ["goes on with nonsense", "nonsense"],
])(
  "a client that announces more of a body, and %s, is answered with 400, and the server's request breaks off",
  async (_, more) => {
    let brokenOff = 0;
    const { port } = await serverWith((incoming) => void incoming.on("error", () => brokenOff++));
    const front = await frontBefore(port);
    const chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
    const [alone, behind] = [await rawConnection(front.port), await rawConnection(front.port)];
    alone.socket.write(chunked);
    behind.socket.write(`GET / HTTP/1.1\r\nHost: h\r\n\r\n${chunked}`);
    await sleep(50);
    for (const { socket } of [alone, behind]) socket.end(more);
    await new Promise((resolve) => alone.socket.once("end", resolve));
    expect(alone.text()).toMatch(/^HTTP\/1\.1 400 [^]*malformed[^]*\n$/);
    await expect.poll(() => brokenOff).toBe(1);
    // The one before it is still under way.
    expect(behind.text()).toBe("");
  },
);

test("places come back, however requests and connections end", async () => {
  const { port } = await serverWith((incoming, response) => {
    incoming.on("error", () => undefined);
    if (incoming.url === "/breaks") incoming.once("data", () => incoming.socket.destroy());
    else if (incoming.url === "/early") response.end("answer");
    else if (incoming.url === "/large") response.end(Buffer.alloc(5_000_000));
    else if (incoming.url === "/wait") response.write("w");
    else incoming.resume().on("end", () => response.end("answer"));
  });
  const front = await frontBefore(port, { capacity: room(50, 5) });
  const post = (path: string): string => `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello`;
  for (let round = 0; round < 10; round++) {
    for (const path of ["/", "/breaks", "/early", "/large", "/wait", "/ä"]) {
      const { socket } = await rawConnection(front.port);
      socket.write(post(path));
      await sleep(1);
      // Who ends its side may wait for the answer, so that it is gone shows when there is one.
      if (round % 3 === 0 || path === "/wait") socket.resetAndDestroy();
      else if (round % 3 === 1) socket.end("world");
      else socket.write("world and nonsense");
      const session = http2Session(front.url);
      const stream = session.request({ ":method": "POST", ":path": path.replace("ä", "a") });
      stream.on("error", () => undefined).write("hello");
      await sleep(1);
      if (round % 3 === 0) stream.close(8);
      else if (round % 3 === 1) session.destroy();
      else stream.end();
      await sleep(1);
      socket.resetAndDestroy();
      session.destroy();
    }
  }
  const statuses = async (): Promise<number[]> => {
    const session = http2Session(front.url);
    const streams = Array.from({ length: 4 }, () => session.request({ ":path": "/wait" }));
    const answers = await Promise.all(
      streams.map(
        (stream) =>
          new Promise<number>((resolve) => stream.once("response", (head) => resolve(Number(head[":status"])))),
      ),
    );
    session.destroy();
    return answers;
  };
  await expect.poll(statuses).toEqual([200, 200, 200, 200]);
  expect(front.lines).toEqual([]);
});
