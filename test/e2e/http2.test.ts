/** What Deno's HTTP/2 client is given by the front, seen with a client that shows it. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect } from "node:http2";
import { afterAll, expect, test } from "vitest";
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

test.skipIf(process.platform !== "linux")("a client that goes away takes its watches with it, at once", async () => {
  const openFiles = (): number => readdirSync(`/proc/${server.workerdPid()}/fd`).length;
  const before = openFiles();
  const session = connect(server.url);
  const { pathname } = new URL(connection.url("watch"));
  for (let i = 0; i < 100; i++) {
    const stream = session.request({ ":method": "POST", ":path": pathname, ...connection.headers() });
    stream.end(encodeWatch({ keys: [{ key: rawKey("http2", i) }] }));
    await once(stream, "data");
  }
  expect(openFiles()).toBeGreaterThanOrEqual(before + 100);
  session.destroy();
  // A keep-alive comes only after five seconds.
  await expect.poll(openFiles, { timeout: 3000, interval: 50 }).toBeLessThan(before + 20);
});
