/** The codec written by hand against the one generated from the schema, both ways. */
/* oxlint-disable typescript/no-unsafe-enum-assignment -- the numbers are the protocol's, and bad ones are part of the tests */
import { create, fromBinary, toBinary, type DescMessage } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes } from "../../src/core/bytes.ts";
import {
  decodeAtomicWrite,
  decodeSnapshotRead,
  decodeWatch,
  encodeAtomicWriteOutput,
  encodeSnapshotReadOutput,
  encodeWatchOutput,
  snapshotReadOutputChunks,
} from "../../src/codec/datapath.ts";
import { encodeAtomicWrite, encodeSnapshotRead, encodeWatch } from "../../src/codec/datapath-requests.ts";
import type { AtomicWrite, Mutation } from "../../src/core/operations.ts";
import { asVersion, versionstampBytes } from "../../src/core/versionstamp.ts";
import { cleanCopy, damaged, entryMessage } from "./generated.ts";
import { arbitraryEntry, arbitraryKey, arbitraryRange, arbitraryWrite } from "../support/operations.ts";
import {
  AtomicWriteOutputSchema,
  AtomicWriteSchema,
  SnapshotReadOutputSchema,
  SnapshotReadSchema,
  WatchOutputSchema,
  WatchSchema,
} from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";

const ranges = fc.array(arbitraryRange, { maxLength: 10 });
const watchedKeys = fc.array(arbitraryKey, { minLength: 1, maxLength: 10 });

const typeNumber = { set: 1, delete: 2, sum: 3, max: 4, min: 5 } as const;

function mutationMessage(mutation: Mutation) {
  const { type, key } = mutation;
  if (type === "delete") return { key, mutationType: 2 };
  const value = { data: mutation.value, encoding: mutation.encoding };
  if (type === "set") {
    const expireAtMs = BigInt(mutation.expiresAt ?? 0);
    return { key, value, mutationType: mutation.versionstampedKey ? 9 : 1, expireAtMs };
  }
  const none = new Uint8Array(0);
  const { sumMin, sumMax, clamp } = mutation;
  return {
    key,
    value,
    mutationType: typeNumber[type],
    sumMin: sumMin ?? none,
    sumMax: sumMax ?? none,
    sumClamp: clamp,
  };
}

function writeMessage({ checks, mutations, enqueues }: AtomicWrite) {
  return create(AtomicWriteSchema, {
    checks: checks.map(({ key, version }) => ({
      key,
      versionstamp:
        version === null
          ? new Uint8Array(0)
          : version === "other"
            ? new Uint8Array(10).fill(0xff)
            : versionstampBytes(version),
    })),
    mutations: mutations.map(mutationMessage),
    enqueues: enqueues.map(({ payload, deliverAt, keysIfUndelivered, backoffSchedule }) => ({
      payload,
      deadlineMs: BigInt(deliverAt),
      keysIfUndelivered: [...keysIfUndelivered],
      backoffSchedule: [...backoffSchedule],
    })),
  });
}

describe("requests", () => {
  it("a snapshot read is the same to both codecs", () => {
    fc.assert(
      fc.property(ranges, (wanted) => {
        const message = create(SnapshotReadSchema, { ranges: wanted });
        expect(fromBinary(SnapshotReadSchema, encodeSnapshotRead(wanted))).toEqual(message);
        expect(decodeSnapshotRead(toBinary(SnapshotReadSchema, message))).toEqual({ ok: true, ranges: wanted });
      }),
    );
  });

  it("an atomic write is the same to both codecs", () => {
    fc.assert(
      fc.property(arbitraryWrite, (write) => {
        const message = writeMessage(write);
        expect(fromBinary(AtomicWriteSchema, encodeAtomicWrite(write))).toEqual(message);
        expect(decodeAtomicWrite(toBinary(AtomicWriteSchema, message))).toEqual({ ok: true, write });
      }),
    );
  });

  it("a watch is the same to both codecs", () => {
    fc.assert(
      fc.property(watchedKeys, (keys) => {
        const message = create(WatchSchema, { keys: keys.map((key) => ({ key })) });
        expect(fromBinary(WatchSchema, encodeWatch(keys))).toEqual(message);
        expect(decodeWatch(toBinary(WatchSchema, message))).toEqual({ ok: true, keys });
      }),
    );
  });
});

describe("answers", () => {
  it("the generated code reads our answer to a read, whole or in chunks", () => {
    const large = arbitraryEntry.map((entry) => ({ ...entry, value: new Uint8Array(16 * 1024).fill(7) }));
    const entries = fc.array(fc.oneof({ weight: 4, arbitrary: arbitraryEntry }, large), { maxLength: 5 });
    fc.assert(
      fc.property(fc.array(entries, { maxLength: 4 }), (found) => {
        const encoded = encodeSnapshotReadOutput(found);
        expect(fromBinary(SnapshotReadOutputSchema, encoded)).toEqual(
          create(SnapshotReadOutputSchema, {
            ranges: found.map((values) => ({ values: values.map(entryMessage) })),
            readIsStronglyConsistent: true,
            status: 1,
          }),
        );
        const { size, chunks } = snapshotReadOutputChunks(found);
        expect(size).toBe(encoded.length);
        expect(concatBytes(chunks)).toEqual(encoded);
        for (const { value } of found.flat()) expect(chunks.includes(value)).toBe(value.length >= 16 * 1024);
      }),
    );
  });

  it("the generated code reads our answer to a write", () => {
    const versions = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(asVersion);
    fc.assert(
      fc.property(versions, fc.array(fc.nat(300), { minLength: 1 }), (version, failedChecks) => {
        expect(fromBinary(AtomicWriteOutputSchema, encodeAtomicWriteOutput({ ok: true, version }))).toEqual(
          create(AtomicWriteOutputSchema, { status: 1, versionstamp: versionstampBytes(version) }),
        );
        expect(fromBinary(AtomicWriteOutputSchema, encodeAtomicWriteOutput({ ok: false, failedChecks }))).toEqual(
          create(AtomicWriteOutputSchema, { status: 2, failedChecks }),
        );
      }),
    );
  });

  it("the generated code reads what a watch says", () => {
    fc.assert(
      fc.property(fc.array(fc.option(arbitraryEntry), { maxLength: 10 }), (entries) => {
        expect(fromBinary(WatchOutputSchema, encodeWatchOutput(entries))).toEqual(
          create(WatchOutputSchema, {
            status: 1,
            keys: entries.map((entry) =>
              entry === null ? { changed: true } : { changed: true, entryIfChanged: entryMessage(entry) },
            ),
          }),
        );
      }),
    );
  });
});

type Verdict =
  | ReturnType<typeof decodeSnapshotRead>
  | ReturnType<typeof decodeAtomicWrite>
  | ReturnType<typeof decodeWatch>;

const isMalformed = (verdict: Verdict): boolean => !verdict.ok && verdict.message.includes("is not valid protobuf");

describe("damaged requests never make the codec throw", () => {
  const kinds: [string, (bytes: Uint8Array) => Verdict, DescMessage, fc.Arbitrary<Uint8Array>][] = [
    ["snapshot reads", decodeSnapshotRead, SnapshotReadSchema, ranges.map(encodeSnapshotRead)],
    ["atomic writes", decodeAtomicWrite, AtomicWriteSchema, arbitraryWrite.map(encodeAtomicWrite)],
    ["watches", decodeWatch, WatchSchema, watchedKeys.map(encodeWatch)],
  ];

  // Ours is stricter about the wire (a number where bytes belong, an inner message past its end): what it calls malformed the
  // generated code may take. All else both take for protobuf, and it must mean the same to both.
  it.each(kinds)("%s: whatever is protobuf to both is judged like the generated code's copy of it", (...kind) => {
    const [, decode, schema, requests] = kind;
    const property = fc.property(damaged(requests), (bytes) => {
      const ours = decode(bytes);
      const copy = cleanCopy(schema, bytes);
      const judged = copy === undefined || isMalformed(ours) ? undefined : decode(copy);
      // Of several flaws the first is named, and the copy may have its fields in another order.
      expect(ours).toMatchObject(judged?.ok === true ? judged : { ok: false });
    });
    fc.assert(property, { numRuns: 2000 });
  });
});
