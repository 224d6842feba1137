/** The Worker between a client that has no token yet and the object: how long it waits, and what it keeps. */
import { expect, test } from "vitest";
import { encodeClientFrame } from "../../../src/codec/socket-client.ts";
import {
  MAX_SOCKET_PENDING_BYTES,
  MAX_SOCKET_TOKEN_FRAME_BYTES,
  MAX_SOCKET_TOKEN_WAIT_MS,
} from "../../../src/core/limits.ts";
import type { ObjectSocket } from "../../../src/contracts/database.ts";
import { relay } from "../../../src/doors/socket/relay.ts";
import { FakeTimers, turns } from "../../support/fake-timers.ts";
import { type SocketClient, tokenRequest } from "../../support/socket-client.ts";
import { clientOf } from "../../support/workerd/sessions.ts";

interface Relayed {
  readonly client: SocketClient;
  readonly time: FakeTimers;
  /** Connects to the object, whose other end this is. */
  readonly connect: () => WebSocket;
  readonly connects: () => number;
}

/** `unsent`: what the runtime says of the client's bytes that have not left. */
function relayed(unsent?: () => number): Relayed {
  const time = new FakeTimers();
  const { 0: outside, 1: server } = new WebSocketPair();
  const { promise, resolve } = Promise.withResolvers<ObjectSocket>();
  server.binaryType = "arraybuffer";
  server.accept();
  if (unsent !== undefined) Object.defineProperty(server, "bufferedAmount", { get: unsent });
  let connects = 0;
  relay({
    client: server,
    timers: time,
    connect: () => {
      connects += 1;
      return promise;
    },
  });
  return {
    client: clientOf(outside),
    time,
    connect: () => {
      const { 0: inner, 1: object } = new WebSocketPair();
      object.accept();
      resolve(inner);
      return object;
    },
    connects: () => connects,
  };
}

test("waits ten seconds for a token, and asks no object meanwhile (N3)", async () => {
  const { client, time, connects } = relayed();
  client.socket.send("ping");
  expect(await client.nextText()).toBe("pong");
  await time.pass(MAX_SOCKET_TOKEN_WAIT_MS - 1);
  expect(client.closedWith).toBeNull();
  await time.pass(1);
  expect(await client.closed()).toEqual({
    code: 4401,
    why: "No token came within 10 seconds. Send it first, or in a subprotocol.",
  });
  expect(connects()).toBe(0);
});

test("leaves no timer behind when a token has come, and closes both sides when one closes (N3)", async () => {
  const { client, time, connect } = relayed();
  client.send(tokenRequest(1, "t"));
  const object = connect();
  expect(await client.next(1)).toEqual([[1, "done"]]);
  expect(time.size).toBe(0);
  object.close(4401, "over");
  await expect.poll(() => client.closedWith).toEqual({ code: 4401, reason: "over" });
});

test("a client that goes before the object is connected to leaves no socket open (N3)", async () => {
  const { client, connect } = relayed();
  client.send(tokenRequest(1, "t"));
  await turns();
  client.socket.close(1000);
  await turns();
  const closed = new Promise((resolve) => {
    connect().addEventListener("close", ({ code }) => resolve(code));
  });
  expect(await closed).toBe(1000);
});

test("what comes before the object is connected to is bounded (N26)", async () => {
  const { client } = relayed();
  client.send(tokenRequest(1, "t"));
  const mebibyte = new Uint8Array(1024 * 1024);
  for (let bytes = 0; bytes <= MAX_SOCKET_PENDING_BYTES; bytes += mebibyte.length) client.socket.send(mebibyte);
  expect((await client.closed()).code).toBe(4429);
});

test("messages without bytes are bounded, too (N26)", async () => {
  const { client } = relayed();
  client.send(tokenRequest(1, "t"));
  for (let i = 0; i <= MAX_SOCKET_PENDING_BYTES / 64; i++) client.socket.send("");
  expect((await client.closed()).code).toBe(4429);
});

test("what the object does not take is bounded, and known from pings that it does not answer (N26)", async () => {
  const { client, connect } = relayed();
  client.send(tokenRequest(1, "t"));
  const object = connect();
  await client.next(1);
  const mebibyte = new Uint8Array(1024 * 1024);
  // It answers pings at first.
  let answers = true;
  object.addEventListener("message", ({ data }) => {
    if (data === "ping" && answers) object.send("pong");
  });
  for (let i = 0; i < 40; i++) {
    client.socket.send(mebibyte);
    await turns();
  }
  expect(client.closedWith).toBeNull();
  expect(client.texts).toEqual([]);
  answers = false;
  for (let i = 0; i < 20 && client.closedWith === null; i++) {
    client.socket.send(mebibyte);
    await turns();
  }
  expect((await client.closed()).code).toBe(4429);
});

test("the object is told what the client has taken (N25)", async () => {
  let unsent = 0;
  const { client, time, connect } = relayed(() => unsent);
  client.send(tokenRequest(1, "t"));
  const object = connect();
  await client.next(1);
  const told: unknown[] = [];
  object.addEventListener("message", ({ data }) => void told.push(data));
  unsent = 600;
  object.send("a".repeat(1000));
  await time.pass(50);
  expect(told).toEqual(["taken 400"]);
  object.send("b".repeat(500));
  await time.pass(50);
  expect(told).toEqual(["taken 400", "taken 500"]);
  unsent = 0;
  await time.pass(50);
  expect(told).toEqual(["taken 400", "taken 500", "taken 600"]);
  await time.pass(1000);
  expect(told).toHaveLength(3);
  expect(time.size).toBe(0);
});

test.each(["taken 1000000", "taken "])("a client cannot say %j itself (N10)", async (text) => {
  const { client, connect } = relayed();
  client.send(tokenRequest(1, "t"));
  client.socket.send(text);
  const object = connect();
  const told: unknown[] = [];
  object.addEventListener("message", ({ data }) => void told.push(data));
  await expect.poll(() => client.closedWith?.code).toBe(4400);
  expect(told).toEqual([]);
});

test("the first message has at most 16 KiB (N3, N26)", async () => {
  const largest = relayed();
  largest.client.socket.send(encodeClientFrame([tokenRequest(1, "t".repeat(MAX_SOCKET_TOKEN_FRAME_BYTES - 100))]));
  largest.connect();
  expect(await largest.client.next(1)).toEqual([[1, "done"]]);
  const { client, connects } = relayed();
  client.socket.send(new Uint8Array(MAX_SOCKET_TOKEN_FRAME_BYTES + 1));
  expect(await client.closed()).toEqual({
    code: 4429,
    why: expect.stringContaining("The first message of a socket without a token has at most 16384 bytes"),
  });
  expect(connects()).toBe(0);
});
