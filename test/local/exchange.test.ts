/** What an exchange counts of a request that its server does not read on: a client and a server without a network. */
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { ClientConnections } from "../../src/local/front/client-connections.ts";
import type { Client, ClientReader } from "../../src/local/front/client.ts";
import { Exchange, type ExchangeParts } from "../../src/local/front/exchange.ts";
import { Exchanges } from "../../src/local/front/exchanges.ts";
import { Places } from "../../src/local/front/places.ts";
import { ServerPace } from "../../src/local/front/server-pace.ts";
import { RequestFacts } from "../../src/local/front/request-facts.ts";
import { REQUEST_BYTES_STEP } from "../../src/core/limits.ts";

class Body {
  readableLength = 0;
  writableLength = 0;
  pause(): void {
    // Nothing comes but by the test.
  }
  resume(): void {
    // The same.
  }
  write(): boolean {
    return true;
  }
}

test("bytes of a body that wait at the front until the server reads on count as the server's, and end the request beyond the limit", () => {
  const socket = Object.assign(new EventEmitter(), { remoteAddress: "127.0.0.1", bytesRead: 0 });
  const connections = new ClientConnections(new Places(10), 10, { now: () => 0 }, (error) => {
    throw error;
  });
  // As much of a socket as a connection needs.
  const connection = connections.add(socket as unknown as Socket);
  if (connection === undefined) throw new Error("expected room for a connection");
  const input = new Body();
  const statuses: number[] = [];
  let reader: ClientReader | undefined;
  const client: Client = {
    connection,
    method: "POST",
    path: "/",
    headers: ["host", "a"],
    body: "chunked",
    facts: new RequestFacts({ method: "POST", path: "/", fields: { get: () => null }, isAuthorized: false }),
    flaw: undefined,
    input,
    output: new Body(),
    isGone: false,
    read: (reading) => void (reader = reading),
    tellTaken: () => undefined,
    answer: () => undefined,
    respond: (status) => void statuses.push(status),
    goOn: () => undefined,
    end: () => undefined,
    breakOff: () => undefined,
    letGo: () => undefined,
    turnAway: () => undefined,
  };
  const requestBytes = new Places(10 * REQUEST_BYTES_STEP);
  const some = () => new Places(100);
  const sink = { write: () => false, end: () => undefined, pause: () => undefined, resume: () => undefined };
  // The parts that a request on the long way meets.
  const parts = {
    server: () => ({ address: { path: "" }, pid: 0 }),
    databases: { use: () => ({ answered: () => undefined }) },
    servers: { request: () => ({ ...sink, abandon: () => undefined }) },
    exchanges: new Exchanges(
      { clients: some(), requests: some(), lasting: some(), requestBytes, answerBytes: some() },
      1e9,
    ),
    dataPath: { smallRequest: () => undefined },
    pace: new ServerPace(() => undefined),
  } as unknown as ExchangeParts;
  const exchange = new Exchange(client, parts);
  exchange.start();
  reader?.received(Buffer.alloc(100));
  exchange.check(1000);
  expect(requestBytes.takenBy("127.0.0.1")).toBe(0);
  input.readableLength = 4 * REQUEST_BYTES_STEP;
  exchange.check(1000);
  expect(requestBytes.takenBy("127.0.0.1")).toBe(4 * REQUEST_BYTES_STEP);
  // Of ten steps one address has eight.
  input.readableLength = 20 * REQUEST_BYTES_STEP;
  exchange.check(1000);
  expect(statuses).toEqual([503]);
  expect(requestBytes.takenBy("127.0.0.1")).toBe(0);
});
