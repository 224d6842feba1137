/** A throw in a handler of the front ends the connection that the handler is of, is told to whoever runs the server, and does no more. */
import { isFailure } from "../../src/core/errors.ts";
import { EventEmitter } from "node:events";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Front } from "../../src/local/front/front.ts";
import { BoundedLog } from "../../src/local/front/bounded-log.ts";
import { Guard } from "../../src/local/front/guard.ts";
import { room } from "./fronts.ts";
import { http2Request, http2Session } from "./stand-in-server.ts";

const bug = new Error("a bug of the front");

test("what a handler throws ends its connection, whichever way the handler was called", async () => {
  let ended = 0;
  const reported: unknown[] = [];
  const guard = new Guard(
    () => ended++,
    (error) => reported.push(error),
  );
  const emitter = new EventEmitter();
  const fail = (): never => {
    throw bug;
  };
  guard.on(emitter, "drain", fail);
  guard.once(emitter, "close", fail);
  guard.until(emitter, "end", fail)();
  for (const event of ["drain", "drain", "close", "close", "end"]) emitter.emit(event);
  guard.after(1, fail);
  guard.after(1, fail)();
  guard.soon(fail);
  guard.wrap(fail)();
  await expect.poll(() => ended).toBe(6);
  expect(reported).toEqual(Array.from({ length: 6 }, () => bug));
});

test("a connection that cannot even be ended is told of too, and throws nothing", () => {
  const reported: unknown[] = [];
  const guard = new Guard(
    () => {
      throw new Error("no end");
    },
    (error) => reported.push(error),
  );
  guard.wrap(() => {
    throw bug;
  })();
  expect(reported).toEqual([bug, new Error("no end")]);
});

test("connections whose handlers throw end on both protocols, and others go on", async () => {
  let throws = false;
  const lines: string[] = [];
  const server = (): undefined => {
    if (throws) throw bug;
    return undefined;
  };
  const front = await Front.listen("127.0.0.1", 0, server, room(10, 10), { write: (line) => lines.push(line) });
  if (isFailure(front)) throw new Error(front.message);
  onTestFinished(() => front.close(0));
  const url = `http://127.0.0.1:${front.port}`;
  const before = http2Session(url);
  expect((await http2Request(before, {})).status).toBe(503);

  throws = true;
  const [first, second] = [rawConnection(front.port), http2Session(url)];
  first.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  await new Promise((resolve) => first.once("close", resolve));
  const stream = second.request({});
  stream.on("error", () => undefined);
  await new Promise((resolve) => second.once("close", resolve));
  expect(lines).toEqual([
    expect.stringMatching(/^Connections ended by an error of the front: 1\. .*a bug of the front/),
  ]);

  throws = false;
  expect((await http2Request(before, {})).status).toBe(503);
});

function rawConnection(port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  return socket.on("error", () => undefined).resume();
}

test("at most one line a minute is written, which counts those before it", () => {
  const lines: string[] = [];
  let now = 0;
  const log = new BoundedLog(
    (line) => lines.push(line),
    (count, latest) => `${count}: ${latest}`,
    { now: () => now },
  );
  for (now of [0, 1, 59_999, 60_000, 60_001]) log.add(`at ${now}`);
  expect(lines).toEqual(["1: at 0\n", "3: at 60000\n"]);
});
