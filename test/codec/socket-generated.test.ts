/** The frames of sockets, written by hand, against the codec generated from their schema, both ways. */
/* oxlint-disable typescript/no-unsafe-enum-assignment -- the numbers are the protocol's */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { concatBytes } from "../../src/core/bytes.ts";
import type { Failure } from "../../src/core/errors.ts";
import { MAX_SOCKET_FRAME_REQUESTS, MAX_TIME_MS } from "../../src/core/limits.ts";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  decodeWatch,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
  encodeWatchOutput,
} from "../../src/codec/datapath.ts";
import { encodeAtomicWrite, encodeSnapshotRead, encodeWatch } from "../../src/codec/datapath-requests.ts";
import {
  decodePrefixWatch,
  encodePrefixUpdate,
  type KeyUpdate,
  type PrefixUpdate,
  type WatchedPrefix,
} from "../../src/codec/socket-prefix.ts";
import {
  decodeClientFrame,
  doneResponse,
  encodeServerFrame,
  errorResponse,
  SocketField,
  type SocketRequest,
  type SocketResponse,
} from "../../src/codec/socket.ts";
import {
  decodePrefixUpdate,
  decodeServerFrame,
  decodeSocketError,
  encodeClientFrame,
  encodePrefixWatch,
  type SentRequest,
} from "../../src/codec/socket-client.ts";
import {
  decodeFeedPage,
  decodeFeedRequest,
  encodeFeedPage,
  encodeFeedRequest,
  operationOf,
} from "../../src/codec/feed.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import type { FeedChange, FeedPage, FeedRequest } from "../../src/core/feed.ts";
import { Encoding } from "../../src/core/operations.ts";
import { asVersion, NO_VERSION, versionstampBytes } from "../../src/core/versionstamp.ts";
import { arbitraryEntry, arbitraryKey, arbitraryRange, arbitraryWrite } from "../support/operations.ts";
import {
  AtomicWriteSchema,
  SnapshotReadSchema,
  WatchSchema,
} from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";
import {
  ClientFrameSchema,
  FeedRequestSchema,
  FeedUpdateSchema,
  PrefixUpdateSchema,
  PrefixWatchSchema,
  ServerFrameSchema,
} from "../support/proto/generated/cairn/socket/v1/socket_pb.js";
import { cleanCopy, damaged } from "./generated.ts";

const id = fc.integer({ min: 1, max: 0xffff_ffff });

const anyVersion = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(asVersion);

const prefixWatch: fc.Arbitrary<WatchedPrefix> = fc.record({
  prefix: fc.oneof(arbitraryKey, fc.constant(new Uint8Array(0))),
  after: fc.option(anyVersion),
  updatesOnly: fc.boolean(),
  ignoreDeletes: fc.boolean(),
  keysOnly: fc.boolean(),
});

const keyUpdate: fc.Arbitrary<KeyUpdate> = fc.oneof(
  arbitraryEntry.map((entry) => ({ key: entry.key, version: entry.version, entry })),
  fc.record({ key: arbitraryKey, version: fc.option(anyVersion), entry: fc.constant(null) }),
);

const prefixUpdate: fc.Arbitrary<PrefixUpdate> = fc.record({
  reset: fc.boolean(),
  keys: fc.array(keyUpdate, { maxLength: 4 }),
  upTo: fc.option(anyVersion),
});

const feedRequest: fc.Arbitrary<FeedRequest> = fc.record({
  prefix: fc.oneof(arbitraryKey, fc.constant(new Uint8Array(0))),
  from: fc.oneof(anyVersion, fc.constant(NO_VERSION), fc.constantFrom("now" as const, "oldest" as const)),
});

const feedChange: fc.Arbitrary<FeedChange> = fc.oneof(
  fc.record({ key: arbitraryKey, set: fc.constant(null), isNew: fc.constant(false) }),
  fc.record({
    key: arbitraryKey,
    set: fc.record({
      value: fc.uint8Array({ maxLength: 40 }),
      encoding: fc.constantFrom(Encoding.v8, Encoding.le64, Encoding.bytes),
      expiresAt: fc.option(fc.integer({ min: 1, max: MAX_TIME_MS }).map(asUnixMs)),
    }),
    isNew: fc.boolean(),
  }),
);

const feedPage: fc.Arbitrary<FeedPage> = fc.record({
  commits: fc.array(fc.record({ version: anyVersion, changes: fc.array(feedChange, { maxLength: 3 }) }), {
    maxLength: 3,
  }),
  reset: fc.option(anyVersion),
  upTo: anyVersion,
  isLast: fc.boolean(),
});

const request: fc.Arbitrary<SentRequest> = fc.oneof(
  fc.record(
    {
      type: fc.constant("read" as const),
      id,
      body: fc.array(arbitraryRange, { maxLength: 3 }).map(encodeSnapshotRead),
      maxBytes: fc.integer({ min: 1, max: 0xffff_ffff }),
    },
    { requiredKeys: ["type", "id", "body"] },
  ),
  fc.record({ type: fc.constant("write" as const), id, body: arbitraryWrite.map(encodeAtomicWrite) }),
  fc.record({
    type: fc.constant("watch" as const),
    id,
    body: fc.array(arbitraryKey, { minLength: 1, maxLength: 3 }).map(encodeWatch),
  }),
  fc.record({ type: fc.constant("watchPrefix" as const), id, body: prefixWatch.map(encodePrefixWatch) }),
  fc.record({ type: fc.constant("feed" as const), id, body: feedRequest.map(encodeFeedRequest) }),
  fc.record({ type: fc.constant("unwatch" as const), id, watch: id }),
  fc.record({ type: fc.constant("ack" as const), id: fc.constant(0), watch: id }),
  fc.record({ type: fc.constant("token" as const), id, token: fc.string({ unit: "binary" }) }),
);
const requests = fc.array(request, { maxLength: 5 });

/** What the generated code makes of a request. */
function messageOf(sent: SentRequest) {
  switch (sent.type) {
    case "read":
      return {
        id: sent.id,
        request: { case: "snapshotRead" as const, value: fromBinary(SnapshotReadSchema, sent.body) },
        maxBytes: sent.maxBytes ?? 0,
      };
    case "write":
      return {
        id: sent.id,
        request: { case: "atomicWrite" as const, value: fromBinary(AtomicWriteSchema, sent.body) },
      };
    case "watch":
      return { id: sent.id, request: { case: "watch" as const, value: fromBinary(WatchSchema, sent.body) } };
    case "watchPrefix":
      return {
        id: sent.id,
        request: { case: "watchPrefix" as const, value: fromBinary(PrefixWatchSchema, sent.body) },
      };
    case "feed":
      return { id: sent.id, request: { case: "feed" as const, value: fromBinary(FeedRequestSchema, sent.body) } };
    case "token":
      return { id: sent.id, request: { case: "token" as const, value: sent.token } };
    default:
      return { id: sent.id, request: { case: sent.type, value: sent.watch } };
  }
}

/** Whether its body is no protobuf. */
function isMalformed(decoded: SocketRequest): boolean {
  if (!("body" in decoded)) return false;
  const { type, body } = decoded;
  const verdict = {
    read: decodeSnapshotRead,
    write: decodeAtomicWrite,
    watch: decodeWatch,
    watchPrefix: decodePrefixWatch,
    feed: decodeFeedRequest,
  }[type](body);
  return !verdict.ok && verdict.message.includes("is not valid protobuf");
}

describe("client frames", () => {
  it("are the same to both codecs", () => {
    fc.assert(
      fc.property(requests, (sent) => {
        const message = create(ClientFrameSchema, { requests: sent.map(messageOf) });
        expect(fromBinary(ClientFrameSchema, encodeClientFrame(sent))).toEqual(message);
        const decoded = decodeClientFrame(encodeClientFrame(sent));
        expect(decoded).toEqual({ ok: true, requests: sent });
        expect(decodeClientFrame(toBinary(ClientFrameSchema, message))).toMatchObject({
          ok: true,
          requests: sent.map((one) => ({ type: one.type, id: one.id })),
        });
      }),
    );
  });

  it("that are damaged never make the codec throw, and mean the same to both where both take them", () => {
    const property = fc.property(damaged(requests.map(encodeClientFrame)), (bytes) => {
      const ours = decodeClientFrame(bytes);
      const copy = cleanCopy(ClientFrameSchema, bytes);
      // The generated code reads on past the end of an inner message; ours leaves that to whoever decodes the body.
      if (!ours.ok || copy === undefined || ours.requests.some(isMalformed)) return;
      const shapes = (verdict: typeof ours | Failure) =>
        verdict.ok ? verdict.requests.map(({ type, id: of }) => [type, of]) : verdict;
      expect(shapes(ours)).toEqual(shapes(decodeClientFrame(copy)));
    });
    fc.assert(property, { numRuns: 2000 });
  });

  const refusal = (bytes: Uint8Array): unknown => {
    const verdict = decodeClientFrame(bytes);
    return verdict.ok ? verdict.requests : [verdict.code, verdict.message];
  };
  const frame = (message: Uint8Array): Uint8Array => Uint8Array.of(0x0a, message.length, ...message);

  test("say what is wrong with them", () => {
    const many = Array.from({ length: MAX_SOCKET_FRAME_REQUESTS + 1 }, (_, i) => ({
      type: "unwatch" as const,
      id: i + 1,
      watch: 1,
    }));
    expect(refusal(encodeClientFrame(many.slice(1)))).toHaveLength(MAX_SOCKET_FRAME_REQUESTS);
    expect(refusal(encodeClientFrame(many))).toEqual(["limit", "The frame has 257 requests; the limit is 256."]);
    expect(refusal(encodeClientFrame([{ type: "unwatch", id: 0, watch: 1 }]))).toEqual([
      "invalid",
      "requests[0]: its id is missing; it must be from 1 to 4294967295.",
    ]);
    // Without an id there is nobody to answer.
    expect(refusal(frame(Uint8Array.of(48, 1, 56, 1)))).toEqual([
      "invalid",
      "requests[0]: it asks for more than one thing.",
    ]);
    expect(refusal(Uint8Array.of(0x0a, 5, 8))).toEqual([
      "invalid",
      expect.stringMatching(/^The frame is not valid protobuf: /),
    ]);
  });

  test.each([
    ["two things", Uint8Array.of(8, 1, 48, 1, 56, 1), "requests[0]: it asks for more than one thing."],
    ["a token that is no text", Uint8Array.of(8, 1, 66, 1, 0xff), "requests[0]: its token is not text in UTF-8."],
  ])("with a request of %s fail for that request alone (N10)", (_, asked, message) => {
    const known = encodeClientFrame([{ type: "unwatch", id: 2, watch: 1 }]);
    expect(refusal(concatBytes([frame(asked), known]))).toEqual([
      { type: "refused", id: 1, why: expect.objectContaining({ code: "invalid", message }) },
      { type: "unwatch", id: 2, watch: 1 },
    ]);
  });

  test("with a request that is not known fail for that request alone", () => {
    const known = encodeClientFrame([{ type: "unwatch", id: 2, watch: 1 }]);
    expect(refusal(concatBytes([frame(Uint8Array.of(8, 1, 122, 0)), known]))).toEqual([
      { type: "refused", id: 1, why: expect.objectContaining({ code: "unsupported" }) },
      { type: "unwatch", id: 2, watch: 1 },
    ]);
  });
});

describe("watches of prefixes", () => {
  it("are the same to both codecs", () => {
    fc.assert(
      fc.property(prefixWatch, (watch) => {
        const { after, ...rest } = watch;
        const stamp = after === null ? new Uint8Array(0) : versionstampBytes(after);
        const message = create(PrefixWatchSchema, { ...rest, after: stamp });
        expect(fromBinary(PrefixWatchSchema, encodePrefixWatch(watch))).toEqual(message);
        expect(decodePrefixWatch(toBinary(PrefixWatchSchema, message))).toEqual({ ok: true, ...watch });
      }),
    );
  });

  it("are told in updates that are the same to both codecs", () => {
    fc.assert(
      fc.property(prefixUpdate, (update) => {
        const bytes = encodePrefixUpdate(update);
        const none = new Uint8Array(0);
        const message = create(PrefixUpdateSchema, {
          reset: update.reset,
          keys: update.keys.map(({ key, version: of, entry }) => ({
            key,
            versionstamp: of === null ? none : versionstampBytes(of),
            ...(entry === null ? {} : { value: entry.value, encoding: entry.encoding }),
          })),
          upTo: update.upTo === null ? none : versionstampBytes(update.upTo),
        });
        expect(fromBinary(PrefixUpdateSchema, bytes)).toEqual(message);
        expect(decodePrefixUpdate(toBinary(PrefixUpdateSchema, message))).toEqual({ ok: true, ...update });
      }),
    );
  });

  it("that are damaged never make the codec throw", () => {
    fc.assert(
      fc.property(
        damaged(fc.oneof(prefixUpdate.map(encodePrefixUpdate), prefixWatch.map(encodePrefixWatch))),
        (bytes) => {
          expect(decodePrefixUpdate(bytes)).toHaveProperty("ok");
          expect(decodePrefixWatch(bytes)).toHaveProperty("ok");
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("say what is wrong with them", () => {
    const none = { after: null, updatesOnly: false, ignoreDeletes: false, keysOnly: false };
    const watch = (prefix: Uint8Array) => decodePrefixWatch(encodePrefixWatch({ prefix, ...none }));
    expect(watch(new Uint8Array(2049))).toMatchObject({
      code: "limit",
      message: "The watch: its prefix has 2049 bytes; the limit is 2048.",
    });
    expect(watch(Uint8Array.of(9))).toMatchObject({
      code: "invalid",
      message: "The watch: its prefix is no encoded key.",
    });
    expect(decodePrefixWatch(Uint8Array.of(0x12, 1, 5))).toMatchObject({ code: "invalid" });
  });
});

describe("feeds", () => {
  it("are asked for and given in messages that are the same to both codecs", () => {
    fc.assert(
      fc.property(feedRequest, (asked) => {
        const { prefix, from } = asked;
        const after = typeof from === "string" ? new Uint8Array(0) : versionstampBytes(from);
        const message = create(FeedRequestSchema, { prefix, after, oldest: from === "oldest" });
        expect(fromBinary(FeedRequestSchema, encodeFeedRequest(asked))).toEqual(message);
        expect(decodeFeedRequest(toBinary(FeedRequestSchema, message))).toEqual({ ok: true, ...asked });
      }),
    );
    const numbers = { delete: 0, insert: 1, update: 2 } as const;
    fc.assert(
      fc.property(feedPage, (page) => {
        const message = create(FeedUpdateSchema, {
          commits: page.commits.map(({ version: of, changes }) => ({
            versionstamp: versionstampBytes(of),
            changes: changes.map((change) => ({
              key: change.key,
              operation: numbers[operationOf(change)],
              ...(change.set === null
                ? {}
                : {
                    value: change.set.value,
                    encoding: change.set.encoding,
                    expiresAtMs: BigInt(change.set.expiresAt ?? 0),
                  }),
            })),
          })),
          reset: page.reset === null ? new Uint8Array(0) : versionstampBytes(page.reset),
          upTo: versionstampBytes(page.upTo),
          more: !page.isLast,
        });
        expect(fromBinary(FeedUpdateSchema, encodeFeedPage(page))).toEqual(message);
        expect(decodeFeedPage(toBinary(FeedUpdateSchema, message))).toEqual({ ok: true, ...page });
      }),
    );
  });

  it("that are damaged never make the codec throw", () => {
    fc.assert(
      fc.property(damaged(fc.oneof(feedPage.map(encodeFeedPage), feedRequest.map(encodeFeedRequest))), (bytes) => {
        expect(decodeFeedPage(bytes)).toHaveProperty("ok");
        expect(decodeFeedRequest(bytes)).toHaveProperty("ok");
      }),
      { numRuns: 1000 },
    );
  });

  test("say what is wrong with them", () => {
    expect(decodeFeedRequest(encodeFeedRequest({ prefix: new Uint8Array(2049), from: "now" }))).toMatchObject({
      code: "limit",
      message: "The feed: its prefix has 2049 bytes; the limit is 2048.",
    });
    expect(decodeFeedRequest(encodeFeedRequest({ prefix: Uint8Array.of(9), from: "now" }))).toMatchObject({
      code: "invalid",
      message: "The feed: its prefix is no encoded key.",
    });
    expect(decodeFeedRequest(Uint8Array.of(0x12, 1, 5))).toMatchObject({ code: "invalid" });
    const both = concatBytes([
      encodeFeedRequest({ prefix: new Uint8Array(), from: asVersion(1) }),
      Uint8Array.of(24, 1),
    ]);
    expect(decodeFeedRequest(both)).toMatchObject({ code: "invalid" });
  });
});

describe("server frames", () => {
  const entries = fc.array(arbitraryEntry, { maxLength: 3 });
  const response: fc.Arbitrary<SocketResponse> = fc.oneof(
    fc
      .tuple(id, fc.array(entries, { maxLength: 3 }))
      .map(([of, ranges]) => ({ id: of, field: SocketField.read, body: encodeSnapshotReadOutput(ranges) })),
    fc.tuple(id, anyVersion).map(([of, version]) => ({
      id: of,
      field: SocketField.write,
      body: encodeAtomicWriteOutput({ ok: true, version }),
    })),
    fc
      .tuple(id, fc.array(fc.option(arbitraryEntry), { minLength: 1, maxLength: 3 }))
      .map(([of, told]) => ({ id: of, field: SocketField.watch, body: encodeWatchOutput(told) })),
    fc.tuple(id, prefixUpdate).map(([of, update]) => ({
      id: of,
      field: SocketField.prefix,
      body: encodePrefixUpdate(update),
    })),
    fc.tuple(id, feedPage).map(([of, page]) => ({ id: of, field: SocketField.feed, body: encodeFeedPage(page) })),
    id.map(doneResponse),
    fc
      .tuple(fc.nat(), fc.string({ unit: "binary" }))
      .map(([of, message]) => errorResponse(of, { code: "too-old", message, oldest: "0006444c9be62a400000" })),
  );

  it("are the same to both codecs", () => {
    const names: Record<number, string> = {
      [SocketField.read]: "snapshotRead",
      [SocketField.write]: "atomicWrite",
      [SocketField.watch]: "watch",
      [SocketField.prefix]: "prefix",
      [SocketField.done]: "done",
      [SocketField.error]: "error",
      [SocketField.feed]: "feed",
    };
    fc.assert(
      fc.property(fc.array(response, { maxLength: 5 }), (responses) => {
        const bytes = encodeServerFrame(responses);
        const message = fromBinary(ServerFrameSchema, bytes);
        expect(message.responses.map(({ id: of, response: { case: name } }) => [of, name])).toEqual(
          responses.map(({ id: of, field }) => [of, names[field]]),
        );
        expect(decodeServerFrame(bytes)).toEqual({ ok: true, responses });
        expect(decodeServerFrame(toBinary(ServerFrameSchema, message))).toMatchObject({ ok: true });
        for (const {
          response: { case: name, value },
        } of message.responses) {
          if (name !== "error") continue;
          const { message: said, oldest } = value;
          const body = errorResponse(1, { code: "too-old", message: said, oldest }).body;
          expect(decodeSocketError(body)).toEqual({ ok: true, code: value.code, message: said, oldest });
        }
      }),
    );
  });

  it("that are damaged never make the codec throw", () => {
    const frames = fc.array(response, { maxLength: 5 }).map(encodeServerFrame);
    fc.assert(
      fc.property(damaged(frames), (bytes) => {
        expect(decodeServerFrame(bytes)).toHaveProperty("ok");
        expect(decodeSocketError(bytes)).toHaveProperty("ok");
      }),
      { numRuns: 1000 },
    );
  });
});
