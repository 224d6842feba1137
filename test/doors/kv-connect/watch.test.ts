import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failure } from "../../../src/core/errors.ts";
import { KEEP_ALIVE_MS, RECONNECT_DELAYS_MS } from "../../../src/doors/kv-connect/watch.ts";
import { encodeWatch } from "../../../src/codec/datapath-requests.ts";
import { FakeTimers, turns } from "../../support/fake-timers.ts";
import { dataRequest, doorBefore, grants, outcome, refused } from "./fakes.ts";

const watch = encodeWatch([Uint8Array.of(2, 0x61, 0)]);

/** One connection as the object sees it. */
class FakeSocket {
  readonly received: (string | Uint8Array)[] = [];
  closed = false;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      this.received.push(typeof data === "string" ? data : new Uint8Array(data));
    });
    socket.addEventListener("close", () => {
      this.closed = true;
    });
    socket.accept();
  }

  send(message: string | Uint8Array): void {
    this.#socket.send(message);
  }

  close(): void {
    this.closed = true;
    this.#socket.close(1012);
  }
}

let timers: FakeTimers;
let sockets: FakeSocket[];
/** What the object answers to a connection; each is used once, and then it accepts. */
let answers: (() => Response | Promise<Response>)[];
let asked: Request[];

function accepted(): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  sockets.push(new FakeSocket(server));
  return new Response(null, { status: 101, webSocket: client });
}

const door = (watching: Request) =>
  doorBefore(
    {
      fetch: async (request) => {
        asked.push(request);
        const answer = answers.shift();
        if (answer !== undefined) return answer();
        return accepted();
      },
    },
    timers,
  )(watching);

beforeEach(() => {
  timers = new FakeTimers();
  sockets = [];
  answers = [];
  asked = [];
});

/** Whatever way a watch ends, this holds then. */
afterEach(() => {
  expect(timers.size).toBe(0);
});

async function connection(number: number): Promise<FakeSocket> {
  for (let tries = 0; tries < 50 && sockets[number] === undefined; tries++) await turns();
  const socket = sockets[number];
  if (socket === undefined) throw new Error(`there is no connection ${number}`);
  await turns();
  return socket;
}

/** A watch that has had its first output, which is 1, 2, 3. */
async function opened(token = "all") {
  const answer = door(dataRequest("watch", watch, { authorization: `Bearer ${token}` }));
  const socket = await connection(0);
  socket.send(Uint8Array.of(1, 2, 3));
  const response = await answer;
  if (response.body === null) throw new Error("the watch has no body");
  const reader = response.body.getReader();
  return { response, socket, reader };
}

const first = { done: false, value: Uint8Array.of(3, 0, 0, 0, 1, 2, 3) };
const keepAlive = { done: false, value: new Uint8Array(4) };
const end = { done: true, value: undefined };

describe("a watch", () => {
  it("keeps of the client's message its keys alone, whatever was sent with them", async () => {
    const padded = Uint8Array.of(...watch, 0xfa, 0x3e, 3, 1, 2, 3);
    const answer = door(dataRequest("watch", padded));
    const socket = await connection(0);
    socket.send(Uint8Array.of(1));
    await (await answer).body?.cancel();
    expect(socket.received[0]).toEqual(watch);
  });

  it("connects with the grant, sends the request on, and frames each output", async () => {
    const { response, socket, reader } = await opened();
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(asked.map(({ url }) => new URL(url).pathname)).toEqual(["/watch"]);
    expect(asked[0]?.headers.get("upgrade")).toBe("websocket");
    expect(JSON.parse(asked[0]?.headers.get("x-cairn-grant") ?? "")).toEqual(grants["all"]);
    expect(socket.received).toEqual([watch]);
    expect(await reader.read()).toEqual(first);
    const second = reader.read();
    await turns();
    const large = new Uint8Array(70_000).fill(5);
    socket.send(large);
    const { value } = await second;
    expect(value?.subarray(0, 4)).toEqual(Uint8Array.of(0x70, 0x11, 1, 0));
    expect(value?.subarray(4)).toEqual(large);
    await reader.cancel();
  });

  it("hands a large output on in pieces, and acknowledges it when the client has taken them all", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    const large = new Uint8Array(900_000).fill(5);
    const pieces = [reader.read()];
    await turns();
    socket.send(large);
    await pieces[0];
    for (let i = 0; i < 3; i++) pieces.push(reader.read());
    const values = (await Promise.all(pieces)).map(({ value }) => value ?? new Uint8Array());
    expect(values.map(({ length }) => length)).toEqual([262_144, 262_144, 262_144, 900_004 - 3 * 262_144]);
    await turns();
    expect(socket.received).toEqual([watch, "ack"]);
    const next = reader.read();
    await turns();
    expect(socket.received).toEqual([watch, "ack", "ack"]);
    socket.send(Uint8Array.of(7));
    expect(await next).toEqual({ done: false, value: Uint8Array.of(1, 0, 0, 0, 7) });
    await reader.cancel();
  });

  it("breaks off in the middle of an output when the object gives its client up", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    const piece = reader.read();
    await turns();
    socket.send(new Uint8Array(900_000));
    await piece;
    socket.send(JSON.stringify(failure("unavailable", "too slow")));
    await turns();
    await expect(reader.read()).rejects.toThrow("in the middle of a message");
    expect(socket.closed).toBe(true);
  });

  it("finishes an output when its connection is lost meanwhile, and connects again", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    const piece = reader.read();
    await turns();
    socket.send(new Uint8Array(300_000));
    await piece;
    socket.close();
    await turns();
    expect((await reader.read()).value?.length).toBe(300_004 - 262_144);
    const next = reader.read();
    await turns();
    timers.advance(RECONNECT_DELAYS_MS[0]);
    (await connection(1)).send(Uint8Array.of(8));
    expect(await next).toEqual({ done: false, value: Uint8Array.of(1, 0, 0, 0, 8) });
    await reader.cancel();
  });

  it("acknowledges an output when the client has taken it and asks for more, not before", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    await turns();
    expect(socket.received).toEqual([watch]);
    const next = reader.read();
    await turns();
    expect(socket.received).toEqual([watch, "ack"]);
    socket.send(Uint8Array.of(7));
    expect(await next).toEqual({ done: false, value: Uint8Array.of(1, 0, 0, 0, 7) });
    await turns();
    expect(socket.received).toEqual([watch, "ack"]);
    await reader.cancel();
  });

  it("is kept alive every five seconds without an output, and owes no acknowledgement for that (O10)", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    for (let times = 0; times < 3; times++) {
      const next = reader.read();
      await turns();
      timers.advance(KEEP_ALIVE_MS);
      expect(await next).toEqual(keepAlive);
    }
    expect(socket.received).toEqual([watch, "ack"]);
    await reader.cancel();
  });

  it("closes its socket when the client goes away, in the middle of a wait too (O15)", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    const next = reader.read();
    await turns();
    await reader.cancel();
    expect(await next).toEqual(end);
    await turns();
    expect(socket.closed).toBe(true);
  });

  it("ends when the grant ends, whether or not the client reads (O11)", async () => {
    const { socket, reader } = await opened("seven-seconds");
    await reader.read();
    const next = reader.read();
    await turns();
    timers.advance(6999);
    expect(await next).toEqual(keepAlive);
    await turns();
    expect(socket.closed).toBe(false);
    timers.advance(1);
    await turns();
    expect(socket.closed).toBe(true);
    expect(await reader.read()).toEqual(end);
  });

  it("ends with a whole message when the grant ends while the client takes one", async () => {
    const { socket, reader } = await opened("seven-seconds");
    await reader.read();
    const piece = reader.read();
    await turns();
    socket.send(new Uint8Array(900_000));
    let taken = (await piece).value?.length ?? 0;
    timers.advance(7000);
    for (let next = await reader.read(); !next.done; next = await reader.read()) taken += next.value.length;
    expect(taken).toBe(900_004);
    await turns();
    expect(socket.closed).toBe(true);
  });

  it("connects again when the object went away, and goes on with the whole state (O13)", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    const next = reader.read();
    await turns();
    socket.close();
    await turns();
    timers.advance(RECONNECT_DELAYS_MS[0]);
    const again = await connection(1);
    expect(again.received).toEqual([watch]);
    again.send(Uint8Array.of(8));
    expect(await next).toEqual({ done: false, value: Uint8Array.of(1, 0, 0, 0, 8) });
    await reader.cancel();
  });

  it("owes an object that it connected to again no acknowledgement for what the one before sent", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    socket.close();
    await turns();
    const next = reader.read();
    await turns();
    timers.advance(RECONNECT_DELAYS_MS[0]);
    const again = await connection(1);
    expect(again.received).toEqual([watch]);
    await reader.cancel();
    await next;
  });

  it("ends when the object cannot be reached for about three seconds (O13)", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    const unreachable = () => {
      throw Object.assign(new Error("gone"), { retryable: true });
    };
    answers = RECONNECT_DELAYS_MS.map(() => unreachable);
    const next = reader.read();
    await turns();
    socket.close();
    for (const delay of RECONNECT_DELAYS_MS) {
      await turns();
      timers.advance(delay);
    }
    expect(await next).toEqual(end);
    expect(asked.length).toBe(1 + RECONNECT_DELAYS_MS.length);
  });

  it("that is left while it connects again closes what it gets", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    const next = reader.read();
    await turns();
    socket.close();
    await turns();
    const connecting = Promise.withResolvers<void>();
    answers = [() => connecting.promise.then(accepted)];
    timers.advance(RECONNECT_DELAYS_MS[0]);
    await turns();
    await reader.cancel();
    await next;
    connecting.resolve();
    expect((await connection(1)).closed).toBe(true);
  });

  it("ends when the object says that it must", async () => {
    const { socket, reader } = await opened();
    await reader.read();
    const next = reader.read();
    await turns();
    socket.send(JSON.stringify(failure("unauthenticated", "The token was revoked.")));
    expect(await next).toEqual(end);
    await turns();
    expect(socket.closed).toBe(true);
    expect(asked.length).toBe(1);
  });
});

describe("before its first output", () => {
  it("a failure is the answer, with its status and sentence (O18)", async () => {
    const answer = outcome(door(dataRequest("watch", watch)));
    const socket = await connection(0);
    socket.send(JSON.stringify(failure("limit", "The watch has 11 keys; the limit is 10.")));
    socket.close();
    expect(await answer).toEqual(refused(400, "The watch has 11 keys; the limit is 10."));
  });

  it("a refused connection is the answer, with its status and sentence", async () => {
    answers = [() => Response.json(failure("not-found", "There is no such database."), { status: 404 })];
    expect(await outcome(door(dataRequest("watch", watch)))).toEqual(refused(404, "There is no such database."));
  });

  it("an object that never answers is 503 after five seconds (O18)", async () => {
    const answer = outcome(door(dataRequest("watch", watch)));
    const socket = await connection(0);
    timers.advance(KEEP_ALIVE_MS);
    expect(await answer).toEqual(refused(503, "The database did not answer the watch in time. Try again."));
    await turns();
    expect(socket.closed).toBe(true);
  });

  it("an object that cannot be reached is 503", async () => {
    answers = Array.from({ length: 1 + RECONNECT_DELAYS_MS.length }, () => () => {
      throw Object.assign(new Error("gone"), { retryable: true });
    });
    const answer = outcome(door(dataRequest("watch", watch)));
    for (const delay of RECONNECT_DELAYS_MS) {
      await turns();
      timers.advance(delay);
    }
    expect(await answer).toEqual(refused(503, "The database was restarted or moved while it answered. Try again."));
  });

  it("an answer that is no failure of ours is 500", async () => {
    answers = [() => new Response("<html>", { status: 502 })];
    expect((await outcome(door(dataRequest("watch", watch)))).status).toBe(500);
  });
});
