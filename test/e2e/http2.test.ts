/** What Deno's HTTP/2 client is given by the front, seen with a client that shows it. */
import { once } from "node:events";
import { connect } from "node:http2";
import { afterAll, expect, test } from "vitest";
import { startTestServer } from "../support/server.ts";

const server = await startTestServer();

afterAll(() => server.close());

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
