/** The front and its bridge before a plain HTTP/1.1 server: what passes, what is refused, and what ends with what. */
import { isFailure } from "../../src/core/errors.ts";
import { get, type ServerResponse } from "node:http";
import { constants } from "node:http2";
import { expect, test } from "vitest";
import { PIECES_PER_REQUEST, SOCKET_PIECES_UNDER_WAY } from "../../src/core/limits.ts";
import { Front } from "../../src/local/front/front.ts";
import { echo, frontBefore, type Handler, processAt, rawConnection, room, serverWith } from "./fronts.ts";
import { http2Answer, http2Request, http2Session } from "./stand-in-server.ts";

/** A port on which nothing listens. */
async function deadPort(): Promise<number> {
  const { server, port } = await serverWith(() => undefined);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("HTTP/1.1 passes, also when its first bytes come one at a time and begin like the preface of HTTP/2", async () => {
  const { port } = await frontBefore((await serverWith(echo)).port);
  const { socket, text } = await rawConnection(port);
  // The first alone could be the preface's, and the front must have seen it alone.
  socket.write("P");
  await pause(100);
  for (const byte of "OST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi") {
    socket.write(byte);
    await pause(1);
  }
  await expect.poll(text).toMatch(/^HTTP\/1\.1 200 OK[^]*h[^]*i[^]*\r\n0\r\n\r\n$/);
});

test("HTTP/2 passes, also when the preface comes one byte at a time", async () => {
  const { port } = await frontBefore((await serverWith(echo)).port);
  const { socket, text } = await rawConnection(port);
  socket.write("P");
  await pause(100);
  for (const byte of "RI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
    socket.write(byte);
    await pause(1);
  }
  // An empty SETTINGS frame; the server's own answer to a good preface is a SETTINGS frame too (type 4 at offset 3).
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  await expect.poll(() => text().charCodeAt(3)).toBe(4);
});

test("a client that ends its side after the request still gets the answer", async () => {
  const { port } = await frontBefore((await serverWith(echo)).port);
  const { socket, text } = await rawConnection(port);
  socket.end("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast");
  await new Promise((resolve) => socket.once("end", resolve));
  expect(text()).toContain("last");
});

test("the bridge keeps method, path, query, host, headers and body, and drops headers of the connection", async () => {
  const session = http2Session((await frontBefore((await serverWith(echo)).port)).url);
  const answer = await http2Request(
    session,
    { ":method": "POST", ":path": "/p?q=%20", ":authority": "kv.test", "x-a": "1", te: "trailers" },
    "the body",
  );
  expect(answer).toMatchObject({ status: 200, body: "the body" });
  // Ours, from the echo above.
  const [method, path, headers] = JSON.parse(String(answer.headers["x-seen"])) as [string, string, object];
  expect([method, path]).toEqual(["POST", "/p?q=%20"]);
  expect(headers).toMatchObject({ host: "kv.test", "x-a": "1" });
  expect(headers).not.toHaveProperty("te");
  expect(answer.headers).not.toHaveProperty("transfer-encoding");
});

test.each([
  ["no body", {}, undefined],
  ["a body of a given length", { "content-length": "2" }, "hi"],
  ["a body of no given length", {}, "hi"],
])("a request that announces trailers passes with %s, and its trailers do not", async (_, length, body) => {
  const session = http2Session((await frontBefore((await serverWith(echo)).port)).url);
  const headers = { ":method": "POST", trailer: "x-checksum", ...length };
  const answer = await http2Request(session, headers, body);
  expect(answer).toMatchObject({ status: 200, body: body ?? "" });
  expect(answer.headers["x-seen"]).not.toContain("trailer");
});

test("HEAD and 204 have no body over HTTP/2", async () => {
  const { port } = await serverWith((request, response) => {
    if (request.method === "HEAD") response.setHeader("content-length", "5");
    else response.statusCode = 204;
    response.end();
  });
  const session = http2Session((await frontBefore(port)).url);
  expect(await http2Request(session, { ":method": "HEAD" })).toMatchObject({ status: 200, body: "" });
  expect(await http2Request(session, { ":method": "DELETE" })).toMatchObject({ status: 204, body: "" });
});

test.each(["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PROPFIND"])(
  "the body of a %s without a length is that request's and no request of its own",
  async (method) => {
    const seen: string[] = [];
    const bodies: string[] = [];
    const { port } = await serverWith((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        bodies.push(body);
        response.end();
      });
    });
    const session = http2Session((await frontBefore(port)).url);
    const hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";
    expect((await http2Request(session, { ":method": method }, hidden)).status).toBe(200);
    expect((await http2Request(session, { ":method": "GET", ":path": "/next" })).status).toBe(200);
    expect(seen).toEqual([`${method} /`, "GET /next"]);
    expect(bodies).toEqual([hidden, ""]);
  },
);

test.each([
  ["less than the body", "GET", "2", "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"],
  ["less than the body", "POST", "2", "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"],
  ["more than the body", "POST", "200", "hi"],
  ["more than no body at all", "POST", "200", undefined],
  ["more than no body at all", "GET", "200", undefined],
])("a content-length that says %s, of a %s, breaks the stream and never becomes another request", async (...row) => {
  const [, method, length, body] = row;
  const seen: string[] = [];
  const { port } = await serverWith((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    request.resume().on("end", () => response.end());
  });
  const { url } = await frontBefore(port);
  const headers = { ":method": method, "content-length": length };
  const stream = http2Session(url).request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  await expect(http2Answer(stream)).rejects.toMatchObject({
    code: expect.stringMatching(/^ERR_HTTP2_(STREAM|SESSION)_ERROR$/),
  });
  expect((await http2Request(http2Session(url), { ":path": "/next" })).status).toBe(200);
  expect(seen.filter((line) => line !== `${method} /`)).toEqual(["GET /next"]);
});

test.each([
  ["after it has read a part", 1],
  ["before it reads", 0],
])("an answer that a server gives and then hangs up, %s, reaches the client", async (_, parts) => {
  const { port } = await serverWith((request, response) => {
    const answer = (): void => {
      response.writeHead(401, { connection: "close", "content-length": "7" });
      response.end("refused", () => request.socket.destroySoon());
    };
    if (parts === 0) answer();
    else request.once("data", answer);
  });
  const session = http2Session((await frontBefore(port)).url);
  const stream = session.request({ ":method": "POST" });
  const answer = http2Answer(stream);
  stream.write(Buffer.alloc(100_000));
  await new Promise((resolve) => stream.once("response", resolve));
  // Both more than the stream's window, which opens on only if somebody reads.
  stream.end(Buffer.alloc(3_000_000));
  expect(await answer).toMatchObject({ status: 401, body: "refused" });
});

test("a client that holds back its body gets the answer that needs none of it", async () => {
  const { port } = await serverWith((_, response) => response.end("answer"));
  const stream = http2Session((await frontBefore(port)).url).request({ ":method": "POST" });
  const answer = http2Answer(stream);
  await new Promise((resolve) => stream.once("response", resolve));
  stream.end("the body");
  expect((await answer).body).toBe("answer");
});

test("a client that is still sending long after its answer has ended is let go, without an error", async () => {
  const { port } = await serverWith((_, response) => response.end("answer"));
  const session = http2Session((await frontBefore(port)).url);
  const stream = session.request({ ":method": "POST" });
  const answer = http2Answer(stream);
  stream.write("a part");
  expect(await answer).toMatchObject({ status: 200, body: "answer" });
  expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
});

test("CONNECT is refused with 405 on both protocols", async () => {
  const { url, port } = await frontBefore((await serverWith(echo)).port);
  const stream = http2Session(url).request({ ":method": "CONNECT", ":authority": "a:1" }, { endStream: false });
  expect(await http2Answer(stream)).toMatchObject({ status: 405, body: "CONNECT is not allowed here.\n" });
  const { socket, text } = await rawConnection(port);
  for (const part of ["CONN", "ECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"]) {
    socket.write(part);
    await pause(50);
  }
  await expect.poll(text).toMatch(/^HTTP\/1\.1 405 [^]*\r\n\r\nCONNECT is not allowed here\.\n$/);
});

test("300 streams of one session each get their own answer, of 100 kB", async () => {
  const session = http2Session((await frontBefore((await serverWith(echo)).port)).url);
  const bodies = Array.from({ length: 300 }, (_, index) => `${index}:`.repeat(25_000).slice(0, 100_000));
  const answers = await Promise.all(bodies.map((body) => http2Request(session, { ":method": "POST" }, body)));
  expect(answers.every((answer, index) => answer.body === bodies[index])).toBe(true);
});

test("an answer streams: each part arrives before the next is sent", async () => {
  let current: ServerResponse | undefined;
  const { port } = await serverWith((_, response) => {
    current = response;
    response.write("one");
  });
  const stream = http2Session((await frontBefore(port)).url).request({ ":path": "/" });
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await expect.poll(() => text).toBe("one");
  current?.end(" two");
  await expect.poll(() => text).toBe("one two");
});

test("an answer may pause for longer than an idle connection is kept, on both protocols", async () => {
  const { port } = await serverWith((_, response) => {
    response.write("before");
    setTimeout(() => response.end(" after"), 6000);
  });
  const { url } = await frontBefore(port);
  const answers = await Promise.all([
    fetch(url).then((answer) => answer.text()),
    http2Request(http2Session(url), { ":path": "/" }).then((answer) => answer.body),
  ]);
  expect(answers).toEqual(["before after", "before after"]);
});

test("a slow reader holds back the server: what lies between them is bounded", async () => {
  let written = 0;
  const { port } = await serverWith((_, response) => {
    const chunk = Buffer.alloc(64 * 1024);
    const more = (): void => {
      do written += chunk.length;
      while (response.write(chunk) && written < 64 * 1024 * 1024);
    };
    response.on("drain", more);
    more();
  });
  const stream = http2Session((await frontBefore(port)).url).request({ ":path": "/" });
  stream.once("data", () => stream.pause());
  // It stands still, some way below what the server would like to send.
  await expect
    .poll(async () => {
      const before = written;
      await pause(200);
      return written - before;
    })
    .toBe(0);
  expect(written).toBeGreaterThan(0);
  expect(written).toBeLessThan(32 * 1024 * 1024);
});

test("a client that gives up its stream ends the request at the server", async () => {
  let closed = 0;
  const { port } = await serverWith((_, response) => {
    response.write("start");
    response.once("close", () => closed++);
  });
  const session = http2Session((await frontBefore(port)).url);
  const stream = session.request({ ":path": "/" });
  await new Promise((resolve) => stream.once("data", resolve));
  stream.close(constants.NGHTTP2_CANCEL);
  await expect.poll(() => closed).toBe(1);
});

test("an HTTP/1.1 client whose connection breaks ends its request at the server", async () => {
  let closed = 0;
  const { port: upstream } = await serverWith((_, response) => {
    response.write("start");
    response.once("close", () => closed++);
  });
  const { socket, text } = await rawConnection((await frontBefore(upstream)).port);
  socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  await expect.poll(text).toContain("start");
  socket.resetAndDestroy();
  await expect.poll(() => closed).toBe(1);
});

test("an HTTP/2 client that goes away ends its requests at the server", async () => {
  let closed = 0;
  const { port } = await serverWith((_, response) => {
    response.write("start");
    response.once("close", () => closed++);
  });
  const session = http2Session((await frontBefore(port)).url);
  const streams = [1, 2, 3].map(() => session.request({ ":path": "/" }));
  await Promise.all(streams.map((stream) => new Promise((resolve) => stream.once("data", resolve))));
  session.destroy();
  await expect.poll(() => closed).toBe(3);
});

test("a server that breaks off an answer resets its stream and no other", async () => {
  let other: ServerResponse | undefined;
  const { port } = await serverWith((request, response) => {
    response.write("start");
    if (request.url === "/breaks") setTimeout(() => request.socket.destroy(), 20);
    else other = response;
  });
  const session = http2Session((await frontBefore(port)).url);
  const breaks = http2Request(session, { ":path": "/breaks" });
  const stays = http2Request(session, { ":path": "/stays" });
  await expect(breaks).rejects.toMatchObject({ code: "ERR_HTTP2_STREAM_ERROR" });
  other?.end(" end");
  expect(await stays).toMatchObject({ status: 200, body: "start end" });
});

test("a server that breaks off before it answers resets the stream: the request may have been done, so no 503", async () => {
  const { port } = await serverWith((request) => request.socket.destroy());
  const session = http2Session((await frontBefore(port)).url);
  await expect(http2Request(session, { ":method": "POST" }, "a write")).rejects.toMatchObject({
    code: "ERR_HTTP2_STREAM_ERROR",
  });
});

test("a server that breaks off ends the HTTP/1.1 connection", async () => {
  const { port: upstream } = await serverWith((request) => request.socket.destroy());
  const { url } = await frontBefore(upstream);
  await expect(fetch(url)).rejects.toThrow("fetch failed");
});

test.each(["none runs", "its port is dead"])(
  "503 with a sentence on both protocols while the server is down: %s",
  async (how) => {
    const { url } = await frontBefore(how === "none runs" ? undefined : await deadPort());
    const first = await fetch(url, { method: "POST", body: "x".repeat(1_000_000) });
    expect([first.status, first.headers.get("retry-after"), await first.text()]).toEqual([
      503,
      "1",
      "The database server is starting. Send the request again in a moment.\n",
    ]);
    const second = await http2Request(http2Session(url), { ":method": "POST" }, "x".repeat(1_000_000));
    expect(second).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
    expect(second.body).toBe("The database server is starting. Send the request again in a moment.\n");
  },
);

test("more requests and connections at once than the server takes are refused with 503 until others end", async () => {
  const handler: Handler = (request, response) => void (request.url === "/wait" ? response.write("w") : response.end());
  const { url, port } = await frontBefore((await serverWith(handler)).port, { capacity: room(1000, 2) });
  const session = http2Session(url);
  const connection = await rawConnection(port);
  connection.socket.write("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  await expect.poll(connection.text).toMatch(/^HTTP\/1.1 200/);
  const stream = session.request({ ":path": "/wait" });
  await new Promise((resolve) => stream.once("response", resolve));

  const crowded = expect.stringContaining("too many connections") as string;
  expect(await http2Request(session, {})).toMatchObject({ status: 503, body: crowded });
  const another = await rawConnection(port);
  another.socket.end("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  await expect.poll(another.text).toMatch(/^HTTP\/1.1 503 .*too many connections/s);

  connection.socket.resetAndDestroy();
  await expect.poll(async () => (await http2Request(session, {})).status).toBe(200);
  stream.close();
  const [third, fourth] = [await rawConnection(port), await rawConnection(port)];
  for (const { socket } of [third, fourth]) socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  for (const { text } of [third, fourth]) await expect.poll(text).toMatch(/^HTTP\/1.1 200/);
});

test("a refused client is gone as soon as it has sent everything, and a closed front keeps no connection", async () => {
  const front = await Front.listen("127.0.0.1", 0, () => undefined, room(1000, 1000));
  if (isFailure(front)) throw new Error(front.message);
  const { socket, text } = await rawConnection(front.port);
  socket.end(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n${"x".repeat(3_000_000)}`);
  await expect.poll(text).toMatch(/^HTTP\/1.1 503/);
  const started = Date.now();
  await front.close(4000);
  expect(Date.now() - started).toBeLessThan(3500);
});

test("closing the front ends its connections to the server", async () => {
  const { server, port: upstream } = await serverWith((_, response) => response.write("start"));
  const front = await Front.listen("127.0.0.1", 0, () => processAt(upstream), room(1000, 1000));
  if (isFailure(front)) throw new Error(front.message);
  const connections = (): Promise<number> => new Promise((resolve) => server.getConnections((_, n) => resolve(n)));
  const { socket, text } = await rawConnection(front.port);
  socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  await expect.poll(text).toContain("start");
  const stream = http2Session(`http://127.0.0.1:${front.port}`).request({ ":path": "/" });
  stream.on("error", () => undefined);
  await new Promise((resolve) => stream.once("data", resolve));
  expect(await connections()).toBe(2);
  await front.close(0);
  await expect.poll(connections).toBe(0);
});

test("bytes that are neither protocol get the server's own answer, and the front stays up", async () => {
  const { url, port } = await frontBefore((await serverWith(echo)).port);
  const garbage = await rawConnection(port);
  garbage.socket.write("PRI nonsense\r\n\r\n");
  await expect.poll(garbage.text).toMatch(/^HTTP\/1.1 400/);
  const broken = await rawConnection(port);
  broken.socket.write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"x".repeat(100)}`);
  await new Promise((resolve) => broken.socket.once("end", resolve));
  expect((await fetch(url)).status).toBe(200);
});

test("closing lets an answer under way finish, on both protocols, and takes no new connection", async () => {
  const held = Promise.withResolvers<void>();
  let arrived = 0;
  const { port } = await serverWith((_, response) => {
    arrived += 1;
    void held.promise.then(() => response.end("done"));
  });
  const front = await Front.listen("127.0.0.1", 0, () => processAt(port), room(1000, 1000));
  if (isFailure(front)) throw new Error(front.message);
  const url = `http://127.0.0.1:${front.port}`;
  const one = new Promise<string>((resolve, reject) => {
    get(url, (response) => response.on("data", (chunk: Buffer) => resolve(chunk.toString()))).on("error", reject);
  });
  const stream = http2Session(url).request({ ":path": "/" });
  const two = http2Answer(stream);
  await expect.poll(() => arrived).toBe(2);
  const closed = front.close(10_000);
  await expect(fetch(url)).rejects.toThrow("fetch failed");
  held.resolve();
  expect([await one, (await two).body]).toEqual(["done", "done"]);
  await closed;
});

test("few new requests are on their way to a server that has read none yet, and those whose clients have gone by then never are", async () => {
  const paths: string[] = [];
  const questions: ServerResponse[] = [];
  const { port } = await serverWith((request, response) => {
    if (request.url === "/healthz") questions.push(response);
    else paths.push(request.url ?? "");
  });
  const front = await frontBefore(port);
  const most = SOCKET_PIECES_UNDER_WAY / PIECES_PER_REQUEST;
  const clients = await Promise.all(Array.from({ length: 100 }, () => rawConnection(front.port)));
  for (const { socket } of clients)
    socket.write("POST /gone HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
  await expect.poll(() => [paths.length, questions.length]).toEqual([most, 1]);
  for (const { socket } of clients) socket.destroy();
  const stays = await rawConnection(front.port);
  stays.socket.write("GET /stays HTTP/1.1\r\nhost: x\r\n\r\n");
  // The front answers this itself. By then it has seen all that came before.
  const answered = await rawConnection(front.port);
  answered.socket.write("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n");
  await expect.poll(answered.text).toContain("405");
  expect(paths).not.toContain("/stays");
  questions[0]?.end();
  await expect.poll(() => paths.at(-1)).toBe("/stays");
  expect(paths).toHaveLength(most + 1);
});

test.each(["HTTP/1.1", "HTTP/2"])(
  "a body that waits with its request for their turn arrives whole, over %s",
  async (protocol) => {
    const questions: ServerResponse[] = [];
    const { port } = await serverWith((request, response) => {
      if (request.url === "/healthz") questions.push(response);
      else if (request.url === "/echo") request.pipe(response);
    });
    const front = await frontBefore(port);
    const most = SOCKET_PIECES_UNDER_WAY / PIECES_PER_REQUEST;
    const others = await Promise.all(Array.from({ length: most }, () => rawConnection(front.port)));
    for (const { socket } of others) socket.write("GET /held HTTP/1.1\r\nhost: x\r\n\r\n");
    await expect.poll(() => questions.length).toBe(1);
    const body = "0123456789".repeat(30_000);
    const sent =
      protocol === "HTTP/2"
        ? http2Request(http2Session(front.url), { ":method": "POST", ":path": "/echo" }, body).then(
            (answer) => answer.body,
          )
        : fetch(`${front.url}/echo`, { method: "POST", body }).then((answer) => answer.text());
    await new Promise((resolve) => setImmediate(resolve));
    questions[0]?.end();
    expect(await sent).toBe(body);
  },
);
