/** Flow control of the front's HTTP/2 (RFC 9113, sections 5.2 and 6.9): what is read makes room, whatever became of its stream. */
import { expect, test } from "vitest";
import { type Http2Stream, NO_HANDLER } from "../../src/local/front/http2/stream.ts";
import { frame, frameFlags, frameTypes, get, type HeaderList, request, uint32 } from "../support/raw-http2.ts";
import { held, type HeldSocket, turn } from "./held-http2.ts";

const { DATA, GOAWAY, RST_STREAM, WINDOW_UPDATE } = frameTypes;

const CONNECTION_WINDOW = 16 * 1024 * 1024;
const STREAM_WINDOW = 1024 * 1024;
const FRAME = 16_384;

const post: HeaderList = [
  [":method", "POST"],
  [":path", "/"],
  [":scheme", "http"],
];

/** How much the client may still send on the connection, by all that it was told. */
function left(socket: HeldSocket, sent: number): number {
  const opened = socket.frames(WINDOW_UPDATE).filter(({ stream }) => stream === 0);
  return opened.reduce((sum, { payload }) => sum + payload.readUInt32BE(), 65_535) - sent;
}

const wasted: readonly [what: string, make: (stream: number) => Buffer[]][] = [
  ["after its end", (id) => [request(id, post), frame(DATA, 0, id, Buffer.alloc(FRAME))]],
  [
    "beyond its length",
    (id) => [request(id, [...post, ["content-length", "1"]], 0), frame(DATA, 0, id, Buffer.alloc(FRAME))],
  ],
  [
    "below its length",
    (id) => [request(id, [...post, ["content-length", "99999"]], 0), frame(DATA, 1, id, Buffer.alloc(FRAME))],
  ],
  [
    "that is reset unread",
    (id) => [request(id, post, 0), frame(DATA, 0, id, Buffer.alloc(FRAME)), frame(RST_STREAM, 0, id, uint32(8))],
  ],
  [
    "of a stream that was reset",
    (id) => [request(id, post, 0), frame(RST_STREAM, 0, id, uint32(8)), frame(DATA, 0, id, Buffer.alloc(FRAME))],
  ],
  [
    "that is all padding",
    (id) => [
      request(id, post, 0),
      frame(DATA, frameFlags.PADDED, id, Buffer.alloc(256, 255)),
      frame(RST_STREAM, 0, id, uint32(8)),
    ],
  ],
];

test.each(wasted)("a body %s gives its part of the connection's window back", async (_, make) => {
  const { socket, connection } = held();
  let sent = 0;
  for (let i = 0; i < 900; i++) {
    for (const bytes of make(2 * i + 1)) {
      if (bytes[3] === DATA) sent += bytes.length - 9;
      socket.emit("data", bytes);
    }
    connection.check(1000);
    await turn();
  }
  expect(socket.frames(GOAWAY)).toEqual([]);
  expect(left(socket, sent)).toBeGreaterThanOrEqual(CONNECTION_WINDOW / 2);
});

test("streams that are not read keep only their own part of the connection's window from the others", async () => {
  const streams: Http2Stream[] = [];
  const { socket } = held((stream) => {
    streams.push(stream);
  });
  let sent = 0;
  const send = (id: number): void => {
    socket.emit("data", frame(DATA, 0, id, Buffer.alloc(FRAME)));
    sent += FRAME;
  };
  const unread = 15;
  for (let i = 0; i < unread; i++) {
    socket.emit("data", request(2 * i + 1, post, 0));
    for (let bytes = 0; bytes < STREAM_WINDOW; bytes += FRAME) send(2 * i + 1);
    await turn();
  }
  for (let i = 0; i < 64; i++) {
    const id = 2 * (unread + i) + 1;
    socket.emit("data", request(id, post, 0));
    streams.at(-1)?.resume();
    for (let bytes = 0; bytes < STREAM_WINDOW / 2; bytes += FRAME) {
      expect(left(socket, sent)).toBeGreaterThanOrEqual(FRAME);
      send(id);
      await turn();
    }
  }
  expect(socket.frames(GOAWAY)).toEqual([]);
});

test("a window update for each half of a window, and no more, while all is read", async () => {
  const { socket } = held((stream) => stream.resume());
  socket.emit("data", request(1, post, 0));
  for (let i = 0; i < 4 * (CONNECTION_WINDOW / FRAME); i++) {
    socket.emit("data", frame(DATA, 0, 1, Buffer.alloc(FRAME)));
    await turn();
  }
  const updates = socket.frames(WINDOW_UPDATE);
  expect(updates.filter(({ stream }) => stream === 0).length).toBe(1 + 8);
  expect(updates.filter(({ stream }) => stream === 1).length).toBe(8 * (CONNECTION_WINDOW / STREAM_WINDOW));
});

test("a body that is larger than its window ends its stream, and nothing else", async () => {
  const { socket } = held();
  socket.emit("data", request(1, post, 0));
  for (let i = 0; i <= STREAM_WINDOW / FRAME; i++) socket.emit("data", frame(DATA, 0, 1, Buffer.alloc(FRAME)));
  await turn();
  expect(socket.frames(RST_STREAM).map(({ stream, payload }) => [stream, payload.readUInt32BE()])).toEqual([[1, 3]]);
  socket.emit("data", request(3, get("/")));
  expect(socket.destroyed).toBe(false);
});

test("a body in tiny pieces that waits for its reader takes the memory of its bytes, and comes as it was sent", async () => {
  const { socket } = held((stream) => streams.push(stream));
  const streams: Http2Stream[] = [];
  socket.emit("data", request(1, post, 0));
  const sent: Buffer[] = [];
  for (let i = 0; i < 50_000; i++) {
    // Large ones among them.
    const piece = Buffer.alloc(i % 9_000 === 8_999 ? FRAME : 1 + (i % 3), i);
    sent.push(piece);
    socket.emit("data", frame(DATA, i === 49_999 ? frameFlags.END_STREAM : 0, 1, piece));
    while (!socket.isReading) await turn();
  }
  const got: Buffer[] = [];
  const [stream] = streams;
  if (stream === undefined) throw new Error("expected a stream");
  stream.handler = { ...NO_HANDLER, received: (piece) => void got.push(piece) };
  stream.resume();
  expect(Buffer.concat(got)).toEqual(Buffer.concat(sent));
  expect(got.length).toBeLessThan(100);
});
