/** The front's HTTP/2 frame by frame (RFC 9113): what a client may send, what it is told when it breaks the protocol, and who waits for whom. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Guard } from "../../src/local/front/guard.ts";
import { Http2Connection } from "../../src/local/front/http2/connection.ts";
import { ErrorCode } from "../../src/local/front/http2/protocol.ts";
import { type Http2Stream, NO_HANDLER } from "../../src/local/front/http2/stream.ts";
import { Turns } from "../../src/local/front/http2/turns.ts";
import { MAX_STREAMS_OF_CONNECTION } from "../../src/core/limits.ts";
import {
  type Frame,
  frame,
  frameFlags,
  framesIn,
  frameTypes,
  get,
  headerBlock,
  PREFACE,
  request,
  settings,
  uint32,
  type HeaderList,
} from "../support/raw-http2.ts";

const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION } =
  frameTypes;
const { END_STREAM, END_HEADERS, PADDED } = frameFlags;

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

/** A connection, and its client. */
class Peer {
  readonly frames: Frame[] = [];
  readonly streams: Http2Stream[] = [];
  readonly bugs: unknown[] = [];
  isClosed = false;
  #rest: Buffer = Buffer.alloc(0);
  #news: () => void = () => undefined;
  readonly #socket: Socket;
  readonly connection: Http2Connection;

  private constructor(socket: Socket, ours: Socket, opened: (stream: Http2Stream) => void) {
    this.#socket = socket;
    const guard = new Guard(
      () => ours.destroy(),
      (error) => void this.bugs.push(error),
    );
    ours.on("error", () => undefined);
    this.connection = new Http2Connection({
      socket: ours,
      guard,
      turns: new Turns(),
      opened: (stream) => {
        this.streams.push(stream);
        opened(stream);
      },
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.isClosed = true;
      this.#news();
    });
    socket.on("data", (chunk: Buffer) => {
      const { frames, rest } = framesIn(Buffer.concat([this.#rest, chunk]));
      this.frames.push(...frames);
      this.#rest = rest;
      this.#news();
    });
  }

  static async open(opened: (stream: Http2Stream) => void = answerAtOnce, first = settings()): Promise<Peer> {
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [ours] = (await once(server, "connection")) as [Socket];
    open.push(() => {
      socket.destroy();
      ours.destroy();
      server.close();
    });
    const peer = new Peer(socket, ours, opened);
    peer.send(PREFACE, first);
    return peer;
  }

  send(...bytes: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(bytes));
  }

  end(): void {
    this.#socket.end();
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => (this.#news = resolve));
  }

  of(type: number, stream: number): readonly Frame[] {
    return this.frames.filter((each) => each.type === type && each.stream === stream);
  }

  dataOf(stream: number): Buffer {
    return Buffer.concat(this.of(DATA, stream).map(({ payload }) => payload));
  }

  /** Everything that was sent before has been handled when this resolves. */
  async roundTrip(): Promise<void> {
    const before = this.of(PING, 0).length;
    this.send(frame(PING, 0, 0, Buffer.from("12345678")));
    await this.until(() => this.isClosed || this.of(PING, 0).length > before);
  }

  resetOf(stream: number): number | undefined {
    return this.of(RST_STREAM, stream)[0]?.payload.readUInt32BE();
  }

  get goneWith(): number | undefined {
    return this.of(GOAWAY, 0)[0]?.payload.readUInt32BE(4);
  }
}

function answerAtOnce(stream: Http2Stream): void {
  stream.resume();
  stream.respond(200, ["x-path", stream.head.path]);
  stream.end(Buffer.from("hi"));
}

const post: HeaderList = [...get("/").slice(1), [":method", "POST"]].toReversed() as HeaderList;
const opened = request(1, post, 0);
const body = (bytes: number, flags = 0, stream = 1): Buffer => frame(DATA, flags, stream, Buffer.alloc(bytes, "b"));

/** Reads nothing and answers nothing. */
const ignore = (): void => undefined;

test("a request is answered, with its body or without", async () => {
  const peer = await Peer.open((stream) => {
    let text = "";
    stream.handler = {
      ...NO_HANDLER,
      received: (piece) => void (text += String(piece)),
      receivedAll() {
        stream.respond(201, []);
        stream.end(Buffer.from(`${stream.head.method} ${text}`));
      },
    };
    stream.resume();
  });
  peer.send(opened, body(3), body(2, END_STREAM));
  await peer.until(() => peer.of(DATA, 1).length > 0);
  expect(String(peer.dataOf(1))).toBe("POST bbbbb");
  expect(peer.of(DATA, 1).at(-1)?.flags).toBe(END_STREAM);
  peer.send(request(3, get("/")));
  await peer.roundTrip();
  // A request without a body has ended from the start.
  expect(peer.streams[1]?.body).toBe("none");
  expect(peer.bugs).toEqual([]);
});

describe("what ends the connection", () => {
  const { protocolError, frameSizeError, flowControlError, compressionError, streamClosed, enhanceYourCalm } =
    ErrorCode;
  test.each<[string, readonly Buffer[], number]>([
    ["DATA on no stream", [body(1, 0, 0)], protocolError],
    ["DATA on a stream that is not open yet", [body(1, 0, 5)], protocolError],
    ["padding longer than its frame", [opened, frame(DATA, PADDED, 1, Buffer.of(5, 1))], protocolError],
    ["a stream that the server would open", [request(2, get("/"))], protocolError],
    ["HEADERS on no stream", [request(0, get("/"))], protocolError],
    [
      "HEADERS with half a priority",
      [frame(HEADERS, END_HEADERS | frameFlags.PRIORITY, 1, Buffer.of(0))],
      frameSizeError,
    ],
    [
      "a stream that depends on itself",
      [frame(PRIORITY, 0, 1, Buffer.concat([uint32(1), Buffer.of(1)]))],
      protocolError,
    ],
    ["a header block that is broken", [frame(HEADERS, END_HEADERS, 1, Buffer.of(0x80))], compressionError],
    ["another frame within a header block", [frame(HEADERS, 0, 1, headerBlock(get("/"))), settings()], protocolError],
    [
      "a header block that goes on at another stream",
      [frame(HEADERS, 0, 1, headerBlock(get("/"))), frame(CONTINUATION, END_HEADERS, 3)],
      protocolError,
    ],
    ["CONTINUATION of nothing", [frame(CONTINUATION, END_HEADERS, 1)], protocolError],
    [
      "a header block in endless pieces",
      [frame(HEADERS, 0, 1), ...Array.from({ length: 20 }, () => frame(CONTINUATION, 0, 1))],
      enhanceYourCalm,
    ],
    [
      "a header block in large pieces",
      [frame(HEADERS, 0, 1), ...Array.from({ length: 3 }, () => frame(CONTINUATION, 0, 1, Buffer.alloc(16_384)))],
      enhanceYourCalm,
    ],
    ["a priority of no stream", [frame(PRIORITY, 0, 0, Buffer.alloc(5))], protocolError],
    ["a priority of four bytes", [frame(PRIORITY, 0, 1, Buffer.alloc(4))], frameSizeError],
    ["a reset of no stream", [frame(RST_STREAM, 0, 0, uint32(0))], protocolError],
    ["a reset of a stream that is not open yet", [frame(RST_STREAM, 0, 1, uint32(0))], protocolError],
    ["a reset of five bytes", [opened, frame(RST_STREAM, 0, 1, Buffer.alloc(5))], frameSizeError],
    ["settings of a stream", [frame(SETTINGS, 0, 1)], protocolError],
    ["half a setting", [frame(SETTINGS, 0, 0, Buffer.alloc(5))], frameSizeError],
    ["an acknowledgement with settings", [frame(SETTINGS, frameFlags.ACK, 0, Buffer.alloc(6))], frameSizeError],
    ["a push setting of 2", [settings({ 2: 2 })], protocolError],
    ["a window too large to be one", [settings({ 4: 2 ** 31 })], flowControlError],
    ["frames smaller than they must be", [settings({ 5: 16_383 })], protocolError],
    ["frames larger than they can be", [settings({ 5: 2 ** 24 })], protocolError],
    ["a promise", [opened, frame(PUSH_PROMISE, END_HEADERS, 1, uint32(2))], protocolError],
    ["a ping of a stream", [frame(PING, 0, 1, Buffer.alloc(8))], protocolError],
    ["a ping of seven bytes", [frame(PING, 0, 0, Buffer.alloc(7))], frameSizeError],
    ["a goaway of seven bytes", [frame(GOAWAY, 0, 0, Buffer.alloc(7))], frameSizeError],
    ["a goaway of a stream", [frame(GOAWAY, 0, 1, Buffer.alloc(8))], protocolError],
    ["a window update of 0", [frame(WINDOW_UPDATE, 0, 0, uint32(0))], protocolError],
    ["a window update of three bytes", [frame(WINDOW_UPDATE, 0, 0, Buffer.alloc(3))], frameSizeError],
    ["a window update of a stream that is not open yet", [frame(WINDOW_UPDATE, 0, 1, uint32(1))], protocolError],
    ["a window update too far", [frame(WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1))], flowControlError],
    ["a frame larger than allowed", [frame(DATA, 0, 1, Buffer.alloc(16_385))], frameSizeError],
    [
      "a setting that opens the window of a stream too far",
      [opened, frame(WINDOW_UPDATE, 0, 1, uint32(2 ** 31 - 1 - 65_535)), settings({ 4: 65_536 })],
      flowControlError,
    ],
  ])("%s", async (_, frames, code) => {
    const peer = await Peer.open(ignore);
    peer.send(...frames);
    await peer.until(() => peer.isClosed);
    expect(peer.goneWith).toBe(code);
    expect(peer.bugs).toEqual([]);
  });

  test("HEADERS on a stream that has ended", async () => {
    const peer = await Peer.open();
    peer.send(request(1, get("/")));
    await peer.roundTrip();
    peer.send(request(1, get("/")));
    await peer.until(() => peer.isClosed);
    expect(peer.goneWith).toBe(streamClosed);
  });

  test("anything before the first settings", async () => {
    const peer = await Peer.open(answerAtOnce, frame(PING, 0, 0, Buffer.alloc(8)));
    await peer.until(() => peer.isClosed);
    expect(peer.goneWith).toBe(protocolError);
  });

  test("the client's end", async () => {
    const peer = await Peer.open(ignore);
    peer.send(opened);
    await peer.roundTrip();
    peer.end();
    await peer.until(() => peer.isClosed);
    expect(peer.streams[0]?.isClosed).toBe(true);
  });

  test("a thousand broken off requests, but not a hundred each second", async () => {
    const peer = await Peer.open(ignore);
    let id = 1;
    const breakOff = (count: number): void => {
      for (let i = 0; i < count; i++, id += 2) peer.send(request(id, get("/")), frame(RST_STREAM, 0, id, uint32(8)));
    };
    for (let second = 0; second < 12; second++) {
      breakOff(100);
      await peer.roundTrip();
      peer.connection.check(1000);
    }
    expect(peer.isClosed).toBe(false);
    breakOff(1001);
    await peer.until(() => peer.isClosed);
    expect(peer.goneWith).toBe(enhanceYourCalm);
  });
});

describe("what ends a stream, and no other", () => {
  const { protocolError, flowControlError, streamClosed, refusedStream } = ErrorCode;
  const upper: HeaderList = [...get("/"), ["X-Upper", "1"]];
  const without = (name: string): HeaderList => get("/").filter(([each]) => each !== name);
  test.each<[string, readonly Buffer[], number]>([
    ["a name in upper case", [request(1, upper)], protocolError],
    ["no path", [request(1, without(":path"))], protocolError],
    ["no method", [request(1, without(":method"))], protocolError],
    ["no scheme", [request(1, without(":scheme"))], protocolError],
    ["a path that begins nowhere", [request(1, [[":path", "x"], ...without(":path")])], protocolError],
    ["two methods", [request(1, [[":method", "GET"], ...get("/")])], protocolError],
    ["a pseudo-header of an answer", [request(1, [[":status", "200"], ...get("/")])], protocolError],
    ["a pseudo-header after another", [request(1, [["x-a", "1"], ...get("/")])], protocolError],
    ["the length, then a pseudo-header", [request(1, [["content-length", "0"], ...get("/")])], protocolError],
    ["a CONNECT with a path", [request(1, [[":method", "CONNECT"], ...without(":method")])], protocolError],
    ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map(
      (name): [string, readonly Buffer[], number] => [
        `the header ${name}`,
        [request(1, [...get("/"), [name, "close"]])],
        protocolError,
      ],
    ),
    ["te for more than trailers", [request(1, [...get("/"), ["te", "gzip"]])], protocolError],
    ["a length that is no number", [request(1, [...post, ["content-length", "1e3"]], 0)], protocolError],
    [
      "two lengths",
      [request(1, [...post, ["content-length", "1"], ["content-length", "2"]], 0), body(1, END_STREAM)],
      protocolError,
    ],
    ["a length and no body", [request(1, [...post, ["content-length", "1"]])], protocolError],
    ["more than the length", [request(1, [...post, ["content-length", "1"]], 0), body(2)], protocolError],
    ["less than the length", [request(1, [...post, ["content-length", "3"]], 0), body(2, END_STREAM)], protocolError],
    ["trailers that end nothing", [opened, request(1, [["x-a", "1"]], 0)], protocolError],
    ["a window update of 0", [opened, frame(WINDOW_UPDATE, 0, 1, uint32(0))], protocolError],
    ["a window update too far", [opened, frame(WINDOW_UPDATE, 0, 1, uint32(2 ** 31 - 1))], flowControlError],
    ["DATA after the end", [opened, body(1, END_STREAM), body(1)], streamClosed],
    ["trailers after the end", [opened, body(1, END_STREAM), request(1, [["x-a", "1"]])], streamClosed],
    ["more than the window", [opened, ...Array.from({ length: 65 }, () => body(16_384))], flowControlError],
    [
      "one stream too many",
      [
        ...Array.from({ length: MAX_STREAMS_OF_CONNECTION }, (_, i) => request(2 * i + 3, get("/"))),
        request(2 * MAX_STREAMS_OF_CONNECTION + 3, get("/")),
      ],
      refusedStream,
    ],
  ])("%s", async (title, frames, code) => {
    const peer = await Peer.open(ignore);
    peer.send(...frames);
    await peer.roundTrip();
    const last = title === "one stream too many" ? 2 * MAX_STREAMS_OF_CONNECTION + 3 : 1;
    expect(peer.frames.filter(({ type }) => type === RST_STREAM).map(({ stream }) => stream)).toEqual([last]);
    expect(peer.resetOf(last)).toBe(code);
    expect(peer.streams.find(({ id }) => id === last)?.isClosed ?? true).toBe(true);
    // What comes to a stream that was reset is no error.
    peer.send(body(5, 0, last), frame(WINDOW_UPDATE, 0, last, uint32(1)), request(last, [["x-a", "1"]]));
    await peer.roundTrip();
    expect([peer.isClosed, peer.bugs]).toEqual([false, []]);
  });
});

test("what is no part of the protocol is passed over", async () => {
  const peer = await Peer.open();
  const priority = Buffer.concat([uint32(0), Buffer.of(7)]);
  const flags = END_HEADERS | END_STREAM | PADDED | frameFlags.PRIORITY;
  const block = Buffer.concat([Buffer.of(2), priority, headerBlock(get("/padded")), Buffer.of(0, 0)]);
  peer.send(
    frame(0x77, 0xff, 0, Buffer.alloc(10)),
    frame(0x77, 0xff, 9, Buffer.alloc(10)),
    settings({ 99: 5 }),
    frame(PRIORITY, 0, 9, priority),
    frame(PING, frameFlags.ACK, 0, Buffer.alloc(8)),
    frame(GOAWAY, 0, 0, Buffer.alloc(8)),
    frame(HEADERS, flags, 1, block),
  );
  await peer.until(() => peer.of(DATA, 1).length > 0);
  expect(peer.streams[0]?.head.path).toBe("/padded");
});

test("frames may come in any pieces, and a header block in several frames", async () => {
  const peer = await Peer.open();
  const block = headerBlock(get("/in-pieces"));
  const bytes = Buffer.concat([
    frame(HEADERS, END_STREAM, 1, block.subarray(0, 5)),
    frame(CONTINUATION, 0, 1, block.subarray(5, 7)),
    frame(CONTINUATION, END_HEADERS, 1, block.subarray(7)),
  ]);
  for (const byte of bytes) {
    peer.send(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await peer.until(() => peer.of(DATA, 1).length > 0);
  expect(peer.streams[0]?.head.path).toBe("/in-pieces");
});

test("a head is told as HTTP/1.1 has it: the authority is the host, and pieces of a cookie are one", async () => {
  const peer = await Peer.open();
  const list: HeaderList = [
    ...get("/"),
    ["host", "other"],
    ["cookie", "a=1"],
    ["x-a", "1"],
    ["cookie", "b=2"],
    ["x-a", "2"],
  ];
  peer.send(request(1, [...list, ["te", "trailers"], ["trailer", "x"], ["expect", "100-continue"]]));
  await peer.roundTrip();
  const head = peer.streams[0]?.head;
  expect(head?.headers).toEqual(["host", "localhost", "x-a", "1", "x-a", "2", "cookie", "a=1; b=2"]);
  expect([head?.get("x-a"), head?.get("host"), head?.get("x-b")]).toEqual(["1, 2", "localhost", null]);
});

test("a head of more than 16 KiB is known as too large", async () => {
  const peer = await Peer.open();
  // Each counts 38 bytes.
  const large = Array.from({ length: 450 }, (_, i) => [`x-${i + 100}`, "1"] as const);
  peer.send(request(1, [...get("/"), ...large.slice(0, 425)]), request(3, [...get("/"), ...large]));
  await peer.roundTrip();
  expect(peer.streams.map(({ head }) => head.isTooLarge)).toEqual([false, true]);
  // A broken field among so many is still one.
  peer.send(request(5, [...get("/"), ...large, ["X", "1"]]));
  await peer.roundTrip();
  expect(peer.resetOf(5)).toBe(ErrorCode.protocolError);
});

describe("what is sent to the client", () => {
  const sending = (bytes: number) => (stream: Http2Stream) => {
    stream.respond(200, []);
    stream.end(Buffer.alloc(bytes, "a"));
  };

  test("is no more than its windows allow, and goes on as they open", async () => {
    const peer = await Peer.open(sending(100_000), settings({ 4: 1000 }));
    peer.send(request(1, get("/")), request(3, get("/")));
    await peer.roundTrip();
    expect([peer.dataOf(1).length, peer.dataOf(3).length]).toEqual([1000, 1000]);
    // 500 fewer than were sent: the windows are below 0.
    peer.send(settings({ 4: 500 }), frame(WINDOW_UPDATE, 0, 1, uint32(400)));
    await peer.roundTrip();
    expect(peer.dataOf(1).length).toBe(1000);
    peer.send(frame(WINDOW_UPDATE, 0, 1, uint32(200)));
    await peer.roundTrip();
    expect(peer.dataOf(1).length).toBe(1100);
    // Now the window of the connection stops both: 65,535.
    const sent = (): number => peer.dataOf(1).length + peer.dataOf(3).length;
    peer.send(settings({ 4: 1_000_000 }));
    await peer.until(() => sent() >= 65_535);
    await peer.roundTrip();
    expect(sent()).toBe(65_535);
    peer.send(frame(WINDOW_UPDATE, 0, 0, uint32(1_000_000)));
    await peer.until(
      () => peer.of(DATA, 3).at(-1)?.flags === END_STREAM && peer.of(DATA, 1).at(-1)?.flags === END_STREAM,
    );
    expect([peer.dataOf(1).length, peer.dataOf(3).length]).toEqual([100_000, 100_000]);
  });

  test("ends also when no window is open", async () => {
    const peer = await Peer.open(sending(0), settings({ 4: 0 }));
    peer.send(request(1, get("/")));
    await peer.until(() => peer.of(DATA, 1).at(-1)?.flags === END_STREAM);
    expect(peer.streams[0]?.isClosed).toBe(true);
  });

  test("comes from all streams in turn", async () => {
    const peer = await Peer.open(sending(1_000_000), settings({ 4: 2_000_000 }));
    peer.send(frame(WINDOW_UPDATE, 0, 0, uint32(100_000_000)));
    for (let id = 1; id < 20; id += 2) peer.send(request(id, get("/")));
    await peer.until(() => peer.frames.some(({ type, flags }) => type === DATA && flags === END_STREAM));
    for (let id = 1; id < 20; id += 2) expect(peer.dataOf(id).length).toBeGreaterThan(900_000);
  });

  test("waits when the client takes nothing, and its stream says so", async () => {
    const drained: number[] = [];
    const peer = await Peer.open((stream) => {
      stream.respond(200, []);
      stream.handler = { ...NO_HANDLER, taken: () => void drained.push(stream.writableLength) };
      expect(stream.write(Buffer.alloc(50_000))).toBe(true);
      expect(stream.write(Buffer.alloc(50_000))).toBe(false);
    });
    peer.send(request(1, get("/")));
    await peer.until(() => peer.dataOf(1).length >= 65_535);
    await peer.roundTrip();
    expect([peer.dataOf(1).length, drained, peer.bugs]).toEqual([65_535, [], []]);
    peer.send(frame(WINDOW_UPDATE, 0, 1, uint32(1_000_000)), frame(WINDOW_UPDATE, 0, 0, uint32(1_000_000)));
    await peer.until(() => peer.dataOf(1).length === 100_000);
    expect(drained).toHaveLength(1);
  });

  test("is the head of an answer in several frames when it is large", async () => {
    const peer = await Peer.open((stream) => {
      stream.respond(200, ["x-large", "v".repeat(40_000)]);
      stream.end();
    });
    peer.send(request(1, get("/")));
    await peer.until(() => peer.of(DATA, 1).length === 1);
    const head = [...peer.of(HEADERS, 1), ...peer.of(CONTINUATION, 1)];
    expect(head.map(({ payload, flags }) => [payload.length, flags])).toEqual([
      [16_384, 0],
      [16_384, 0],
      [expect.any(Number), END_HEADERS],
    ]);
  });

  test("is a reset when the answer breaks off, and the rest of it is not", async () => {
    const peer = await Peer.open((stream) => {
      stream.respond(200, []);
      stream.write(Buffer.from("half"));
      stream.breakOff(ErrorCode.internalError);
      expect(stream.write(Buffer.from("more"))).toBe(true);
      stream.end();
      stream.letGo();
    });
    peer.send(request(1, get("/")));
    await peer.roundTrip();
    expect([peer.resetOf(1), peer.of(DATA, 1)]).toEqual([ErrorCode.internalError, []]);
  });

  test("is a whole answer and then a reset, when the client need not go on with its request", async () => {
    const peer = await Peer.open(
      (stream) => {
        stream.respond(401, []);
        stream.end(Buffer.alloc(2000));
        stream.letGo();
      },
      settings({ 4: 1000 }),
    );
    peer.send(opened, body(10));
    await peer.roundTrip();
    expect(peer.resetOf(1)).toBeUndefined();
    peer.send(frame(WINDOW_UPDATE, 0, 1, uint32(1000)));
    await peer.roundTrip();
    expect([peer.dataOf(1).length, peer.resetOf(1)]).toEqual([2000, ErrorCode.noError]);
    expect(peer.frames.findLastIndex(({ type }) => type === DATA)).toBeLessThan(
      peer.frames.findIndex(({ type }) => type === RST_STREAM),
    );
  });
});

describe("what a client may send", () => {
  test("are a stream's window and the connection's, which open as the body is read", async () => {
    const peer = await Peer.open(ignore);
    peer.send(opened, ...Array.from({ length: 64 }, () => body(16_384)));
    await peer.roundTrip();
    expect(peer.frames.filter(({ type, stream }) => type === WINDOW_UPDATE && stream === 1)).toEqual([]);
    let read = 0;
    const [stream] = peer.streams;
    if (stream === undefined) throw new Error("expected a stream");
    const received = ({ length }: Buffer): void => {
      read += length;
      if (read === 608 * 1024) stream.pause();
    };
    stream.handler = { ...NO_HANDLER, received };
    stream.resume();
    await peer.roundTrip();
    expect(read).toBe(608 * 1024);
    const opens = peer.of(WINDOW_UPDATE, 1).map(({ payload }) => payload.readUInt32BE());
    const openedBy = opens.reduce((sum, by) => sum + by, 0);
    expect(openedBy).toBeGreaterThanOrEqual(512 * 1024);
    expect(openedBy).toBeLessThanOrEqual(read);
    stream?.resume();
    peer.send(...Array.from({ length: 32 }, () => body(16_384)));
    await peer.roundTrip();
    expect(read).toBe(96 * 16_384);
    expect(peer.resetOf(1)).toBeUndefined();
  });

  test(
    "is what it pleases in a connection's whole life, whatever became of the bodies",
    { timeout: 60_000 },
    async () => {
      // Three windows of the connection: read, unread when the stream ended, and to streams that were over.
      const peer = await Peer.open((stream) => {
        if (stream.id % 4 === 3) return;
        stream.respond(200, []);
        stream.end();
        if (stream.id % 8 === 1) stream.resume();
        else stream.letGo();
      });
      for (let id = 1; id < 100; id += 2) {
        const pieces = Array.from({ length: 60 }, () => frame(DATA, PADDED, id, Buffer.alloc(16_384)));
        peer.send(request(id, post, 0), ...pieces, frame(RST_STREAM, 0, id, uint32(8)));
        await peer.roundTrip();
      }
      expect(peer.goneWith).toBeUndefined();
    },
  );

  test("ends with the streams under way when the server stops", async () => {
    const peer = await Peer.open(ignore);
    peer.send(request(1, get("/")));
    await peer.roundTrip();
    peer.connection.drain();
    await peer.until(() => peer.goneWith !== undefined);
    expect(peer.of(GOAWAY, 0)[0]?.payload.readUInt32BE()).toBe(1);
    peer.send(request(3, get("/")), body(1, 0, 3));
    await peer.roundTrip();
    expect([peer.resetOf(3), peer.streams.length]).toEqual([ErrorCode.refusedStream, 1]);
    peer.streams[0]?.respond(200, []);
    peer.streams[0]?.end(Buffer.from("last"));
    await peer.until(() => peer.isClosed);
    expect(String(peer.dataOf(1))).toBe("last");
  });
});
