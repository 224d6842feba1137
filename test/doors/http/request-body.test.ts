/** Bodies of requests in time and over it; what is too large is in `test/doors/kv-connect/bad-input.test.ts`. */
import { describe, expect, test } from "vitest";
import { readBody, readJsonBody } from "../../../src/doors/http/request-body.ts";
import { FakeTimers } from "../../support/fake-timers.ts";

const LIMIT = 1024 * 1024;
const late = {
  code: "invalid",
  message: "The rest of the body did not come in time: nothing of it for 30 seconds, or less than 1024 bytes a second.",
};

function requestOf(body: BodyInit, headers: Record<string, string> = {}): Request {
  return new Request("https://cairn.example/", { method: "POST", body, headers });
}

/** A client that sends when the test says so. */
class SlowClient {
  readonly timers = new FakeTimers();
  readonly time = { clock: this.timers, timers: this.timers };
  cancelled = false;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  readonly body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      this.#controller = controller;
    },
    cancel: () => {
      this.cancelled = true;
    },
  });

  async send(bytes: number): Promise<void> {
    this.#controller?.enqueue(new Uint8Array(bytes));
    await this.timers.pass(0);
  }

  async end(): Promise<void> {
    this.#controller?.close();
    await this.timers.pass(0);
  }
}

describe("a body of unknown length", () => {
  test("may pause for less than 30 seconds", async () => {
    const client = new SlowClient();
    const read = readBody(requestOf(client.body), LIMIT, client.time);
    await client.timers.pass(29_999);
    await client.send(100_000);
    await client.timers.pass(29_999);
    await client.send(1);
    await client.end();
    expect(await read).toHaveLength(100_001);
    expect(client.timers.size).toBe(0);
  });

  test("that pauses for 30 seconds is given up, however much came before", async () => {
    const client = new SlowClient();
    const read = readBody(requestOf(client.body), LIMIT, client.time);
    await client.timers.pass(0);
    await client.send(LIMIT);
    await client.timers.pass(30_000);
    expect(await read).toMatchObject(late);
    expect({ cancelled: client.cancelled, timers: client.timers.size }).toEqual({ cancelled: true, timers: 0 });
  });

  test("that trickles is given up", async () => {
    const client = new SlowClient();
    const read = readBody(requestOf(client.body), LIMIT, client.time);
    for (let seconds = 0; seconds < 50; seconds += 10) {
      await client.timers.pass(10_000);
      if (!client.cancelled) await client.send(1024);
    }
    expect(await read).toMatchObject(late);
    expect(client.cancelled).toBe(true);
  });

  test("that passes the limit is read no further, and left to others", async () => {
    const client = new SlowClient();
    const request = requestOf(client.body);
    const read = readBody(request, 10, client.time);
    await client.send(11);
    expect(await read).toEqual({
      ok: false,
      code: "limit",
      message: "The body of the request has at least 11 bytes; the limit is 10.",
    });
    expect({ locked: request.body?.locked, cancelled: client.cancelled }).toEqual({ locked: false, cancelled: false });
    expect(client.timers.size).toBe(0);
  });

  test("at the least rate comes whole", async () => {
    const client = new SlowClient();
    const read = readBody(requestOf(client.body), LIMIT, client.time);
    for (let seconds = 0; seconds < 200; seconds += 10) {
      await client.timers.pass(10_000);
      await client.send(10 * 1024);
    }
    await client.end();
    expect(await read).toHaveLength(200 * 1024);
  });
});

describe("a body of a known length", () => {
  test("has as long as that takes at the least rate, and 30 seconds", async () => {
    const client = new SlowClient();
    const { readable, writable } = new FixedLengthStream(10 * 1024);
    const headers = { "content-length": String(10 * 1024) };
    const read = readBody(requestOf(readable, headers), LIMIT, client.time);
    const writer = writable.getWriter();
    await writer.write(new Uint8Array(9 * 1024));
    let settled = false;
    void read.then(() => (settled = true));
    await client.timers.pass(39_999);
    expect(settled).toBe(false);
    await client.timers.pass(1);
    expect(await read).toMatchObject(late);
    await writer.abort().catch(() => undefined);
  });

  test("that passes the limit is not read at all", async () => {
    const client = new SlowClient();
    const request = requestOf(client.body, { "content-length": "11" });
    expect(await readBody(request, 10, client.time)).toMatchObject({
      code: "limit",
      message: "The body of the request has 11 bytes; the limit is 10.",
    });
    expect(request.body?.locked).toBe(false);
  });

  test("leaves no timer behind", async () => {
    const timers = new FakeTimers();
    const bytes = new Uint8Array(5);
    const read = await readBody(requestOf(bytes, { "content-length": "5" }), 5, { clock: timers, timers });
    expect([read, timers.size]).toEqual([bytes, 0]);
  });
});

describe("a body of JSON", () => {
  const timers = new FakeTimers();
  const read = (text: string) => readJsonBody(requestOf(text), LIMIT, { clock: timers, timers });

  test("is its text and its value", async () => {
    expect(await read(' {"a":1}')).toEqual({ text: ' {"a":1}', value: { a: 1 } });
  });

  test("that is empty has no value", async () => {
    expect(await read(" \n")).toEqual({ text: " \n", value: undefined });
  });

  test.each(["{", "{}{}", "nothing"])("that is no JSON is refused: %j", async (text) => {
    expect(await read(text)).toMatchObject({ code: "invalid", message: expect.stringMatching(/^The body /) });
  });
});
