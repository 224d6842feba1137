/** Whatever a client sends, the answer is a 4xx with a sentence; what the door can refuse itself never reaches the object. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeAtomicWrite, decodeSnapshotRead } from "../../../src/codec/datapath.ts";
import { failure } from "../../../src/core/errors.ts";
import { FakeTimers } from "../../support/fake-timers.ts";
import { ACCESS_TOKEN, DATABASE, dataRequest, doorBefore, ORIGIN, outcome, post, refused } from "./fakes.ts";

const OTHER = "00000000-6e4c-4d5c-8d4a-1f0a3f6b2e11";
const closed = doorBefore({});
const operations = [
  ["snapshot_read", 64 * 1024],
  ["atomic_write", 9 * 1024 * 1024],
  ["watch", 64 * 1024],
] as const;
const none = new Uint8Array(0);

describe.each(operations)("%s", (operation, limit) => {
  const send = (headers: Record<string, string>, body: BodyInit = none) =>
    outcome(closed(dataRequest(operation, body, headers)));

  it("refuses a missing, malformed or wrong token", async () => {
    expect(await outcome(closed(post(`/databases/${DATABASE}/${operation}`, none)))).toEqual(
      refused(401, "The token is missing or malformed: send the header Authorization: Bearer <token>."),
    );
    for (const authorization of ["", "Bearer", "Bearer ", "Basic YTpi", "all"]) {
      expect(await send({ authorization })).toEqual(refused(401, /^The token is missing or malformed/));
    }
    expect(await send({ authorization: "Bearer forged" })).toEqual(refused(401, "The token is wrong or has expired."));
  });

  it("says how to authenticate", async () => {
    const response = await closed(dataRequest(operation, none, { authorization: "Bearer forged" }));
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
  });

  it("refuses a token of another database (T15)", async () => {
    const request = post(`/databases/${OTHER}/${operation}`, none, { authorization: "Bearer all" });
    expect(await outcome(closed(request))).toEqual(refused(401, "The token is for another database."));
  });

  it("refuses a header that names another database", async () => {
    expect(await send({ "x-denokv-database-id": OTHER })).toEqual(
      refused(400, "The header x-denokv-database-id names another database than the URL."),
    );
    const version1 = { authorization: "Bearer all", "x-transaction-domain-id": OTHER };
    for (const headers of [version1, { ...version1, "x-denokv-version": "3", "x-denokv-database-id": DATABASE }]) {
      expect(await outcome(closed(post(`/databases/${DATABASE}/${operation}`, none, headers)))).toEqual(
        refused(400, "The header x-transaction-domain-id names another database than the URL."),
      );
    }
  });

  it.each(["0", "4", "three", "", "2.5", "3.0", "0x3"])("refuses the protocol version %j", async (version) => {
    expect(await send({ "x-denokv-version": version })).toEqual(
      refused(400, "x-denokv-version names a version that is not known; this server speaks 1, 2, 3."),
    );
  });

  it.each(["application/json", "text/plain", "application/x-protobuffer", ";"])(
    "refuses the content type %s",
    async (type) => {
      expect(await send({ "content-type": type })).toEqual(
        refused(415, "The content type of the request must be application/x-protobuf."),
      );
    },
  );

  it("refuses what the token does not allow", async () => {
    const writes = operation === "atomic_write";
    expect(await send({ authorization: `Bearer ${writes ? "read-only" : "write-only"}` })).toEqual(
      refused(403, `The token does not allow ${writes ? "writing" : "reading"}.`),
    );
  });

  it("refuses other methods", async () => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      const request = new Request(`${ORIGIN}/databases/${DATABASE}/${operation}`, { method });
      expect(await outcome(closed(request))).toEqual(
        refused(405, `${method} is not allowed here: KV Connect uses POST.`),
      );
    }
  });

  it("refuses a body over its limit, announced or not", async () => {
    const sentence = `bytes; the limit is ${limit}.`;
    const body = new Uint8Array(limit + 1);
    const announced: Record<string, string>[] = [{ "content-length": String(limit + 1) }, { "content-length": "1" }];
    for (const headers of announced) {
      expect(await send(headers, body)).toEqual(refused(400, `The body of the request has ${limit + 1} ${sentence}`));
    }
    expect(await send({}, body)).toEqual(refused(400, `The body of the request has at least ${limit + 1} ${sentence}`));
  });

  it("stops reading a body that does not end", async () => {
    let pulled = 0;
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(1024 * 1024));
      },
      cancel() {
        cancelled = true;
      },
    });
    // What is read on, behind the answer, is 32 MiB, and the part that passes it.
    const looked = Math.floor(limit / 1024 / 1024) + 1;
    const taken = looked + 33;
    const sentence = `The body of the request has at least ${looked * 1024 * 1024} bytes; the limit is ${limit}.`;
    expect(await send({}, endless)).toEqual(refused(400, sentence));
    expect({ cancelled, few: pulled <= taken + 2 }).toEqual({ cancelled: true, few: true });
  });

  it("refuses a body that breaks off", async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(Uint8Array.of(1));
        controller.error(new Error("gone"));
      },
    });
    expect(await send({}, broken)).toEqual(refused(400, "The body of the request broke off."));
  });
});

describe("the body of a request that is refused", () => {
  const MIB = 1024 * 1024;
  const sentence = "The token does not allow writing.";

  /** A write with a token that only reads, in parts of 1 MiB; `next` says when each of them comes. */
  async function refusedWrite(timers: FakeTimers, count: number, next: () => Promise<void> = () => Promise.resolve()) {
    const sent = { parts: 0 };
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          await next();
          if (sent.parts === count) return controller.close();
          sent.parts += 1;
          controller.enqueue(new Uint8Array(MIB));
        },
      },
      { highWaterMark: 0 },
    );
    const request = dataRequest("atomic_write", body, { authorization: "Bearer read-only" });
    const answer = await doorBefore({}, timers)(request);
    expect([answer.status, sent.parts]).toEqual([403, 0]);
    const reader = answer.body?.getReader();
    const first = await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toBe(sentence);
    return { sent, ended: reader?.read() };
  }

  it("is taken to its end behind the answer, so that its client gets to read why", async () => {
    const timers = new FakeTimers();
    const { sent, ended } = await refusedWrite(timers, 5);
    expect(await ended).toMatchObject({ done: true });
    expect({ ...sent, timers: timers.size }).toEqual({ parts: 5, timers: 0 });
  });

  it("is taken no further than 32 MiB and one part", async () => {
    const { sent, ended } = await refusedWrite(new FakeTimers(), 1000);
    await ended;
    expect(sent.parts).toBe(33);
  });

  it("is not waited for when it pauses", async () => {
    const timers = new FakeTimers();
    const { ended } = await refusedWrite(timers, 5, () => new Promise(() => undefined));
    await timers.pass(3000);
    expect(await ended).toMatchObject({ done: true });
    expect(timers.size).toBe(0);
  });

  it("is waited for no longer than ten seconds when it trickles", async () => {
    const timers = new FakeTimers();
    const trickle = (): Promise<void> => new Promise((resolve) => timers.after(2500, resolve));
    const { sent, ended } = await refusedWrite(timers, 1000, trickle);
    for (let i = 0; i < 4; i++) await timers.pass(2500);
    expect(await ended).toMatchObject({ done: true });
    expect(sent.parts).toBeLessThan(5);
  });
});

it("arbitrary bodies get an answer or a 4xx with a sentence, at every operation", async () => {
  const answered = new TextEncoder().encode("answered");
  const door = doorBefore({
    snapshotRead: async (_grant, bytes) => {
      const read = decodeSnapshotRead(bytes);
      return read.ok ? answered : read;
    },
    atomicWrite: async (_grant, bytes) => {
      const write = decodeAtomicWrite(bytes);
      return write.ok ? answered : write;
    },
    fetch: async () =>
      Response.json(failure("invalid", "The watch names no keys; it needs at least one."), { status: 400 }),
  });
  const tag = fc.constantFrom(0x08, 0x0a, 0x12, 0x18, 0x1a, 0x20, 0x22);
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc
      .array(fc.tuple(tag, fc.nat(20), fc.uint8Array({ maxLength: 20 })), { maxLength: 8 })
      .map((fields) => Uint8Array.from(fields.flatMap(([head, length, rest]) => [head, length, ...rest]))),
  );
  const property = fc.asyncProperty(fc.constantFrom(...operations), body, async ([operation], bytes) => {
    const { status, text, type } = await outcome(door(dataRequest(operation, bytes)));
    expect([200, 400]).toContain(status);
    expect(type).toBe(status === 200 ? "application/x-protobuf" : "text/plain; charset=utf-8");
    expect(text).toMatch(status === 200 ? /^answered$/ : /^\S.* .*\.$/);
  });
  await fc.assert(property, { numRuns: 500 });
});

describe("the metadata exchange", () => {
  it("arbitrary bodies get a 200 or a 4xx with a sentence", async () => {
    const property = fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async (body) => {
      const request = post(`/databases/${DATABASE}/connect`, body, { authorization: "Bearer access" });
      const { status, text } = await outcome(closed(request));
      expect([200, 400]).toContain(status);
      expect(text).not.toBe("");
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

describe("a compressed body", () => {
  const gzipped = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const sentence = "The body is compressed with gzip, which is not taken here: send it as it is.";

  it.each(["snapshot_read", "atomic_write", "watch"])(
    "of %s is refused with the sentence that it is compressed",
    async (operation) => {
      const refusal = failure("invalid", "The request is not well-formed.");
      const door = doorBefore({ snapshotRead: async () => refusal, atomicWrite: async () => refusal });
      for (const headers of [{}, { "content-encoding": "gzip" }]) {
        expect(await outcome(door(dataRequest(operation, gzipped, headers)))).toEqual(refused(400, sentence));
      }
    },
  );

  it("of an exchange is refused with the sentence that it is compressed", async () => {
    const headers = { authorization: `Bearer ${ACCESS_TOKEN}` };
    const answer = doorBefore({})(post(`/databases/${DATABASE}/connect`, gzipped, headers));
    expect(await outcome(answer)).toEqual(refused(400, sentence));
  });
});
