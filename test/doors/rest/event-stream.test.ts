/** Streams of events before an object whose socket the test holds, with the time that it moves. */
import { describe, expect, test } from "vitest";
import { encodeServerFrame, errorResponse, SocketField } from "../../../src/codec/socket.ts";
import type { ObjectSocket } from "../../../src/contracts/database.ts";
import { FEED_STREAM_MS, SSE_COMMENT_MS } from "../../../src/core/limits.ts";
import { type EventStreamParts, eventStreamAnswer, eventText } from "../../../src/doors/rest/event-stream.ts";
import { SessionLink } from "../../../src/doors/rest/session-link.ts";
import { FakeTimers, turns } from "../../support/fake-timers.ts";

/** The object's end: what it was sent, and what it sends. */
class HeldSocket implements ObjectSocket {
  binaryType: "blob" | "arraybuffer" = "blob";
  readonly sent: Uint8Array[] = [];
  closedWith: number | null = null;
  readonly #handlers = new Map<string, (event: never) => void>();

  addEventListener(type: "message" | "close" | "error", handle: (event: never) => void): void {
    this.#handlers.set(type, handle);
  }

  accept(): void {
    // Events come from the test.
  }

  send(message: string | Uint8Array): void {
    if (typeof message !== "string") this.sent.push(message);
  }

  close(code: number): void {
    this.closedWith = code;
  }

  tell(text: string): void {
    this.#message(encodeServerFrame([{ id: 1, field: SocketField.feed, body: new TextEncoder().encode(text) }]));
  }

  fail(): void {
    this.#message(encodeServerFrame([errorResponse(0, { code: "too-old", message: "No.", oldest: "07" })]));
  }

  vanish(): void {
    this.#handlers.get("close")?.({} as never);
  }

  #message(bytes: Uint8Array<ArrayBuffer>): void {
    this.#handlers.get("message")?.({ data: bytes.buffer } as never);
  }
}

async function open(more: Partial<EventStreamParts> = {}) {
  const timers = new FakeTimers();
  const socket = new HeldSocket();
  const link = new SessionLink(socket);
  socket.tell("first");
  const first = await link.next(timers, 1);
  if (first === null) throw new Error("no first event");
  const textOf = (update: Uint8Array) => [eventText("told", new TextDecoder().decode(update))];
  const ration = { turn: async () => undefined, rest: () => undefined };
  const { body } = eventStreamAnswer({ link, first, timers, ration, textOf, endsAfterMs: null, ...more });
  if (body === null) throw new Error("no body");
  const reader = body.getReader();
  const read = async () => new TextDecoder().decode((await reader.read()).value);
  return { timers, socket, reader, read };
}

describe("a stream of events", () => {
  test("asks for the next update when the client has taken the one before, and not sooner (H37)", async () => {
    const { socket, read } = await open();
    await turns();
    expect(socket.sent).toHaveLength(0);
    expect(await read()).toBe("event: told\ndata: first\n\n");
    const next = read();
    await turns();
    expect(socket.sent).toHaveLength(1);
    socket.tell("second");
    expect(await next).toBe("event: told\ndata: second\n\n");
    expect(socket.sent).toHaveLength(1);
  });

  test("of a client that reads nothing holds one update, and writes no more of it than was taken (H37)", async () => {
    let made = 0;
    function* pieces(): Generator<string, void, undefined> {
      for (let i = 0; i < 1_000; i++) {
        made += 1;
        yield "x".repeat(10_000);
      }
    }
    const { socket, timers, read } = await open({ textOf: pieces });
    await timers.pass(10 * SSE_COMMENT_MS);
    expect(made).toBe(0);
    expect((await read()).length).toBeLessThan(100_000);
    await timers.pass(10 * SSE_COMMENT_MS);
    expect(made).toBeLessThan(20);
    expect(socket.sent).toHaveLength(0);
  });

  test("that has nothing to say sends a comment every fifteen seconds (H37)", async () => {
    const { timers, read } = await open();
    await read();
    for (let i = 0; i < 3; i++) {
      const next = read();
      await timers.pass(SSE_COMMENT_MS);
      expect(await next).toBe(": nothing new\n\n");
    }
  });

  test("says what ends it, and ends when the object goes away, after its time, and when the client goes (H32, H37)", async () => {
    const failing = await open();
    await failing.read();
    const failed = failing.read();
    failing.socket.fail();
    expect(await failed).toBe('event: error\ndata: {"code":"too-old","message":"No.","oldest":"07"}\n\n');
    expect((await failing.reader.read()).done).toBe(true);

    const lost = await open();
    await lost.read();
    const end = lost.reader.read();
    lost.socket.vanish();
    expect((await end).done).toBe(true);

    const timed = await open({ endsAfterMs: FEED_STREAM_MS });
    await timed.read();
    const last = timed.reader.read();
    await timed.timers.pass(FEED_STREAM_MS);
    // A comment may come just before.
    expect((await last).done || (await timed.reader.read()).done).toBe(true);
    expect(timed.socket.closedWith).toBe(1000);
    expect(timed.timers.size).toBe(0);

    const left = await open({ endsAfterMs: FEED_STREAM_MS });
    await left.read();
    const waiting = left.reader.read();
    await turns();
    await left.reader.cancel();
    await waiting;
    expect(left.socket.closedWith).toBe(1000);
    await turns();
    expect(left.timers.size).toBe(0);
  });

  test("of a client that takes nothing frees the object when its time is over (H32)", async () => {
    const { timers, socket } = await open({ endsAfterMs: FEED_STREAM_MS });
    await timers.pass(FEED_STREAM_MS);
    expect(socket.closedWith).toBe(1000);
    expect(timers.size).toBe(0);
  });
});
