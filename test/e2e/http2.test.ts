/** What Deno's HTTP/2 client is given by the front, seen with a client that shows it. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { afterAll, describe, expect, test } from "vitest";
import { encodeWatch, RawConnect, rawKey } from "../support/raw-connect.ts";
import { startTestServer } from "../support/server.ts";

const server = await startTestServer();
const connection = await RawConnect.open(server);

afterAll(async () => {
  connection.close();
  await server.close();
});

test("neither a stream's window nor the connection's makes an upload of 800 KB wait", async () => {
  const session = connect(server.url);
  await once(session, "remoteSettings");
  const stream = session.request({ ":method": "POST", ":path": "/" });
  stream.end();
  await once(stream, "response");
  expect(session.remoteSettings.initialWindowSize).toBeGreaterThanOrEqual(1024 * 1024);
  expect(session.state.remoteWindowSize).toBeGreaterThanOrEqual(8 * 1024 * 1024);
  stream.resume();
  session.close();
  await once(session, "close");
});

test("a write that is refused is answered on both protocols, however much of it there is", async () => {
  const url = new URL(connection.url("atomic_write"));
  const session = connect(server.url, { maxSessionMemory: 256 });
  for (const size of [64_000, 300_000, 9_000_000]) {
    for (let round = 0; round < 4; round++) {
      const headers = { authorization: "Bearer wrong" };
      const first = await fetch(url, { method: "POST", headers, body: new Uint8Array(size) });
      expect([first.status, await first.text()]).toEqual([401, expect.stringContaining("token")]);
      const stream = session.request({ ":method": "POST", ":path": url.pathname, ...headers });
      stream.end(new Uint8Array(size));
      const [answer] = await once(stream, "response");
      expect(answer).toMatchObject({ ":status": 401 });
      stream.resume();
      await once(stream, "close");
    }
  }
  session.close();
});

describe.skipIf(process.platform !== "linux")("a client that goes away", () => {
  const openFiles = (): number => readdirSync(`/proc/${server.workerdPid()}/fd`).length;

  /** One watch each on streams of one session, every one of them told its first state. */
  async function openWatches(session: ClientHttp2Session, count: number): Promise<void> {
    const { pathname } = new URL(connection.url("watch"));
    for (let opened = 0; opened < count; opened += 100) {
      const streams = Array.from({ length: 100 }, (_, i) => {
        const stream = session.request({ ":method": "POST", ":path": pathname, ...connection.headers() });
        stream.end(encodeWatch({ keys: [{ key: rawKey("http2", opened + i) }] }));
        return once(stream, "response").then(async ([headers]) => {
          expect(headers).toMatchObject({ ":status": 200 });
          await once(stream, "data");
        });
      });
      await Promise.all(streams);
    }
  }

  test("takes its watches with it at once, and leaves nothing in the database, which takes 10,000 of them (O15)", async () => {
    const before = openFiles();
    for (let round = 0; round < 11; round++) {
      const session = connect(server.url);
      await openWatches(session, 1000);
      expect(openFiles()).toBeGreaterThanOrEqual(before + 1000);
      session.destroy();
      // A keep-alive comes only after five seconds.
      await expect.poll(openFiles, { timeout: 4000, interval: 50 }).toBeLessThan(before + 100);
    }
  });
});
