/** What a request must keep: both sides of each limit, and a sentence that names what is wrong. */
/* oxlint-disable typescript/no-unsafe-enum-assignment -- the numbers are the protocol's, and bad ones are part of the tests */
import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { concatBytes } from "../../src/core/bytes.ts";
import { decodeAtomicWrite, decodeSnapshotRead, decodeWatch } from "../../src/codec/datapath.ts";
import { encodeKey } from "../../src/codec/key-codec.ts";
import {
  AtomicWriteSchema,
  MutationSchema,
  SnapshotReadSchema,
  WatchSchema,
} from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";

type WriteMessage = MessageInitShape<typeof AtomicWriteSchema>;
type MutationMessage = NonNullable<WriteMessage["mutations"]>[number];

function key(text: string): Uint8Array {
  const encoded = encodeKey([text]);
  if (!encoded.ok) throw new Error(encoded.message);
  return encoded.bytes;
}

/** A key of exactly this many bytes, two of which are the tag and the end of its string. */
const keyOfSize = (size: number): Uint8Array => key("k".repeat(size - 2));
const zeroes = (size: number): Uint8Array => new Uint8Array(size);
const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

const read = (...ranges: NonNullable<MessageInitShape<typeof SnapshotReadSchema>["ranges"]>) =>
  decodeSnapshotRead(toBinary(SnapshotReadSchema, create(SnapshotReadSchema, { ranges })));
const write = (message: WriteMessage) =>
  decodeAtomicWrite(toBinary(AtomicWriteSchema, create(AtomicWriteSchema, message)));
const mutate = (mutation: MutationMessage) => write({ mutations: [{ key: key("a"), ...mutation }] });
const setUntil = (expireAtMs: bigint) => mutate({ ...set, expireAtMs });
const enqueue = (one: NonNullable<WriteMessage["enqueues"]>[number]) => write({ enqueues: [one] });
const watch = (...keys: Uint8Array[]) =>
  decodeWatch(toBinary(WatchSchema, create(WatchSchema, { keys: keys.map((one) => ({ key: one })) })));

const range = { start: zeroes(0), end: Uint8Array.of(0xff), limit: 1 };
const bytesValue = (size: number) => ({ data: zeroes(size), encoding: 3 });
const set = { key: key("a"), value: bytesValue(1), mutationType: 1 };

const invalid = (message: string) => ({ ok: false, code: "invalid", message });
const limit = (message: string) => ({ ok: false, code: "limit", message });
const good = expect.objectContaining({ ok: true });

describe("a snapshot read", () => {
  it("asks for at most 10 ranges; none is a read of nothing (R15)", () => {
    expect(read()).toEqual({ ok: true, ranges: [] });
    expect(read(...times(10, () => range))).toEqual(good);
    expect(read(...times(11, () => range))).toEqual(limit("The snapshot read has 11 ranges; the limit is 10."));
  });

  it("asks for at most 1,000 entries in all its ranges (R15)", () => {
    expect(read({ ...range, limit: 999 }, range)).toEqual(good);
    expect(read({ ...range, limit: 1000 }, range)).toEqual(
      limit(
        "The ranges of the snapshot read ask for 1001 entries together; the limit is 1000. Lower the limit or batchSize.",
      ),
    );
  });

  it.each([0, -1, -(2 ** 31)])("does not take %i as the limit of a range (R15)", (bad) => {
    expect(read(range, { ...range, limit: bad })).toEqual(
      invalid(`ranges[1]: its limit is ${bad}; it must be at least 1.`),
    );
  });

  it("has bounds of at most 2,049 bytes, which need not be keys (R16)", () => {
    expect(read({ ...range, start: zeroes(2049) })).toEqual(good);
    expect(read({ ...range, start: zeroes(2050) })).toEqual(
      limit("ranges[0]: its start has 2050 bytes; the limit is 2049."),
    );
    expect(read({ ...range, end: new Uint8Array(2050).fill(255) })).toEqual(
      limit("ranges[0]: its end has 2050 bytes; the limit is 2049."),
    );
    expect(read({ ...range, start: zeroes(2050), end: new Uint8Array(3000).fill(255) })).toEqual(
      limit("ranges[0]: its start has 2050 bytes; the limit is 2049."),
    );
  });

  it("may have an empty range, but none that starts after its end (R16)", () => {
    expect(read({ ...range, start: range.end })).toEqual(good);
    expect(read({ ...range, start: Uint8Array.of(0xff, 0) })).toEqual(
      invalid("ranges[0]: its start lies after its end."),
    );
  });
});

describe("the checks of an atomic write", () => {
  it("are at most 100 (W25)", () => {
    const check = { key: key("a") };
    expect(write({ checks: times(100, () => check) })).toEqual(good);
    expect(write({ checks: times(101, () => check) })).toEqual(
      limit("The atomic write has 101 checks; the limit is 100."),
    );
  });

  it("name a well-formed key of at most 2,048 bytes (K9, K12)", () => {
    expect(write({ checks: [{ key: keyOfSize(2048) }] })).toEqual(good);
    expect(write({ checks: [{ key: keyOfSize(2049) }] })).toEqual(
      limit("checks[0]: its key has 2049 bytes; the limit is 2048."),
    );
    expect(write({ checks: [{ key: zeroes(3) }] })).toEqual(
      invalid("checks[0]: its key is not a well-formed encoded key."),
    );
    expect(write({ checks: [{}] })).toEqual(invalid("checks[0]: its key is missing or empty."));
  });

  it.each([1, 9, 11, 20])("do not take a versionstamp of %i bytes (W6)", (size) => {
    expect(write({ checks: [{ key: key("a"), versionstamp: zeroes(size) }] })).toEqual(
      invalid(`checks[0]: its versionstamp has ${size} bytes; it must have 10, or none for "no entry".`),
    );
  });

  it("never hold with a stamp that no commit can have, zeroes among them (W6)", () => {
    const foreign = [zeroes(10), new Uint8Array(10).fill(1), new Uint8Array(10).fill(0xff)];
    expect(write({ checks: foreign.map((versionstamp) => ({ key: key("a"), versionstamp })) })).toMatchObject({
      write: { checks: foreign.map(() => ({ version: "other" })) },
    });
  });
});

describe("the mutations of an atomic write", () => {
  it("are at most 1,000, enqueues among them (W25)", () => {
    const enqueues = [{ payload: zeroes(1) }];
    expect(write({ mutations: times(999, () => set), enqueues })).toEqual(good);
    expect(write({ mutations: times(1000, () => set), enqueues })).toEqual(
      limit("The atomic write has 1001 mutations and enqueues; the limit is 1000."),
    );
  });

  it("have a key of at most 2,048 bytes, 22 less if a versionstamp is to be added (K9, K12, K13)", () => {
    expect(mutate({ ...set, key: keyOfSize(2048) })).toEqual(good);
    expect(mutate({ ...set, key: keyOfSize(2049) })).toEqual(
      limit("mutations[0] (set): its key has 2049 bytes; the limit is 2048."),
    );
    expect(mutate({ ...set, key: keyOfSize(2026), mutationType: 9 })).toEqual(good);
    expect(mutate({ ...set, key: keyOfSize(2027), mutationType: 9 })).toEqual(
      limit(
        "mutations[0] (set with versionstamped key): its key has 2049 bytes with its versionstamp; the limit is 2048.",
      ),
    );
    expect(mutate({ mutationType: 2, key: Uint8Array.of(2) })).toEqual(
      invalid("mutations[0] (delete): its key is not a well-formed encoded key."),
    );
  });

  it.each([0, 6, 7, 8, 10, -1])("do not have the type %i (W27)", (mutationType) => {
    expect(mutate({ ...set, mutationType })).toEqual(
      invalid(`mutations[0]: its type is ${mutationType}, which is not known.`),
    );
  });

  it("have values of at most 1 MiB (V7)", () => {
    expect(mutate({ ...set, value: bytesValue(1_048_576) })).toEqual(good);
    expect(mutate({ ...set, value: bytesValue(1_048_577) })).toEqual(
      limit("mutations[0] (set): its value has 1048577 bytes; the limit is 1048576."),
    );
    const sum = { mutationType: 3, value: bytesValue(1) };
    expect(mutate({ ...sum, sumMax: zeroes(1_048_576) })).toEqual(good);
    expect(mutate({ ...sum, sumMax: zeroes(1_048_577) })).toEqual(
      limit("mutations[0] (sum): its sum_min or sum_max has 1048577 bytes; the limit is 1048576."),
    );
  });

  it("are at most 8 MiB of keys and values in all (W26)", () => {
    // 3 bytes of key each; the ninth value brings it to 8 MiB exactly.
    const eight = times(8, () => ({ ...set, value: bytesValue(1_000_000) }));
    const rest = 8 * 1_048_576 - 8_000_000 - 9 * 3;
    expect(write({ mutations: [...eight, { ...set, value: bytesValue(rest) }] })).toEqual(good);
    expect(write({ mutations: [...eight, { ...set, value: bytesValue(rest + 1) }] })).toEqual(
      limit("The atomic write has 8388609 bytes of keys and values; the limit is 8388608."),
    );
    // Whatever else brings keys and values counts too; the rest is one byte less than what is left.
    const almost = { mutations: [...eight, { ...set, value: bytesValue(rest - 4) }] };
    const tooMuch = { code: "limit", message: expect.stringContaining("bytes of keys and values") };
    for (const [few, more] of [
      [{ checks: [{ key: key("a") }] }, { checks: [{ key: key("abc") }] }],
      [{ enqueues: [{ payload: zeroes(4) }] }, { enqueues: [{ payload: zeroes(5) }] }],
      [{ enqueues: [{ keysIfUndelivered: [key("a")] }] }, { enqueues: [{ keysIfUndelivered: [key("abc")] }] }],
    ] satisfies [WriteMessage, WriteMessage][]) {
      expect(write({ ...almost, ...few })).toEqual(good);
      expect(write({ ...almost, ...more })).toMatchObject(tooMuch);
    }
    const sum = { key: key(""), mutationType: 3, value: bytesValue(0) };
    const withSum = (size: number) => write({ mutations: [...almost.mutations, { ...sum, sumMax: zeroes(size) }] });
    expect([withSum(2), withSum(3)]).toEqual([good, expect.objectContaining(tooMuch)]);
  });

  it.each([1, 3, 4, 5, 9])("of type %i need a value (W27)", (mutationType) => {
    expect(mutate({ mutationType })).toMatchObject({
      code: "invalid",
      message: expect.stringContaining("it has no value."),
    });
  });

  it.each([0, 4, -1])("do not have values with the encoding %i (V1)", (encoding) => {
    expect(mutate({ ...set, value: { data: zeroes(1), encoding } })).toEqual(
      invalid(`mutations[0] (set): its value has the encoding ${encoding}, which is not known.`),
    );
  });

  it.each([0, 7, 9])("do not have LE64 values of %i bytes (V6)", (size) => {
    expect(mutate({ ...set, value: { data: zeroes(size), encoding: 2 } })).toEqual(
      invalid(`mutations[0] (set): its LE64 value has ${size} bytes; it must have 8.`),
    );
  });

  it("may bring their value in two halves, which are merged", () => {
    const half = (message: MutationMessage) => toBinary(MutationSchema, create(MutationSchema, message));
    const data = Uint8Array.of(1, 2, 3);
    const merged = concatBytes([half({ ...set, value: { data } }), half({ value: { encoding: 3 } })]);
    expect(decodeAtomicWrite(concatBytes([Uint8Array.of(0x12, merged.length), merged]))).toMatchObject({
      write: { mutations: [{ value: data, encoding: 3 }] },
    });
  });

  it("store V8 values in a version that every client reads (V3)", () => {
    for (const mutationType of [1, 3, 9]) {
      expect(mutate({ mutationType, value: { data: Uint8Array.of(0xff, 0x10, 0x5f), encoding: 1 } })).toMatchObject({
        write: { mutations: [{ value: Uint8Array.of(0xff, 0x0f, 0x5f) }] },
      });
    }
  });

  it("take -1 and 0 as no expiry, and times that Date can show, long past ones too (W13)", () => {
    for (const none of [0n, -1n]) expect(setUntil(none)).toMatchObject({ write: { mutations: [{ expiresAt: null }] } });
    for (const time of [1n, -2n, 8_640_000_000_000_000n]) {
      expect(setUntil(time)).toMatchObject({ write: { mutations: [{ expiresAt: Number(time) }] } });
    }
    for (const late of [8_640_000_000_000_001n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      expect(setUntil(late)).toMatchObject({
        code: "invalid",
        message: expect.stringContaining("its expire_at_ms is"),
      });
    }
  });

  it.each([1, 2, 4, 5, 9])("of type %i have no range of a sum", (mutationType) => {
    const value = { data: zeroes(8), encoding: 2 };
    for (const ofSum of [{ sumMin: zeroes(1) }, { sumMax: zeroes(1) }, { sumClamp: true }]) {
      expect(mutate({ mutationType, value, ...ofSum })).toMatchObject({
        code: "invalid",
        message: expect.stringContaining("sum_min, sum_max and sum_clamp go with sum alone."),
      });
    }
  });
});

describe("the enqueues of an atomic write", () => {
  it("have a payload of at most 1 MiB, in a version that every client reads", () => {
    expect(enqueue({ payload: zeroes(1_048_576) })).toEqual(good);
    expect(enqueue({ payload: zeroes(1_048_577) })).toEqual(
      limit("enqueues[0]: its payload has 1048577 bytes; the limit is 1048576."),
    );
    expect(enqueue({ payload: Uint8Array.of(0xff, 0x10, 0x5f) })).toMatchObject({
      write: { enqueues: [{ payload: Uint8Array.of(0xff, 0x0f, 0x5f) }] },
    });
  });

  it("name at most 10 well-formed keys for what cannot be delivered", () => {
    expect(enqueue({ keysIfUndelivered: times(10, () => key("a")) })).toEqual(good);
    expect(enqueue({ keysIfUndelivered: times(11, () => key("a")) })).toEqual(
      limit("enqueues[0] has 11 keys for undelivered messages; the limit is 10."),
    );
    expect(enqueue({ keysIfUndelivered: [key("a"), zeroes(1)] })).toEqual(
      invalid("enqueues[0]: keys_if_undelivered[1] is not a well-formed encoded key."),
    );
  });

  it("have at most 10 delays of at most an hour", () => {
    expect(enqueue({ backoffSchedule: times(10, () => 3_600_000) })).toEqual(good);
    expect(enqueue({ backoffSchedule: times(11, () => 1) })).toEqual(
      limit("enqueues[0]: its backoff schedule has 11 delays; the limit is 10."),
    );
    expect(enqueue({ backoffSchedule: [1, 3_600_001] })).toEqual(
      limit("enqueues[0]: a backoff delay is 3600001 ms; the limit is 3600000 ms."),
    );
  });

  it("have a deadline that Date can show", () => {
    expect(enqueue({ deadlineMs: 2n ** 62n })).toMatchObject({
      code: "invalid",
      message: expect.stringContaining("enqueues[0]: its deadline_ms is"),
    });
  });
});

describe("a watch", () => {
  it("names 1 to 10 keys (O9)", () => {
    expect(watch()).toEqual(invalid("The watch names no keys; it needs at least one."));
    expect(watch(...times(10, () => key("a")))).toEqual(good);
    expect(watch(...times(11, () => key("a")))).toEqual(limit("The watch has 11 keys; the limit is 10."));
  });

  it("names well-formed keys of at most 2,048 bytes (K9)", () => {
    expect(watch(keyOfSize(2048))).toEqual(good);
    expect(watch(key("a"), keyOfSize(2049))).toEqual(limit("keys[1]: the key has 2049 bytes; the limit is 2048."));
    expect(watch(zeroes(0))).toEqual(invalid("keys[0]: the key is missing or empty."));
  });
});

describe("bytes that are not protobuf", () => {
  it.each([
    ["The snapshot read", decodeSnapshotRead],
    ["The atomic write", decodeAtomicWrite],
    ["The watch", decodeWatch],
  ])("%s is refused with the place of the flaw", (name, decode) => {
    expect(decode(Uint8Array.of(0x0a, 5, 1))).toEqual(
      invalid(`${name} is not valid protobuf: at byte 2 it announces 5 bytes, and 1 are left (in or after field 1).`),
    );
  });

  it("millions of empty parts are counted, not kept", () => {
    const parts = new Uint8Array(2_000_000).map((_, i) => (i % 2 === 0 ? 0x0a : 0));
    expect(decodeAtomicWrite(parts)).toMatchObject({ ok: false, message: "checks[0]: its key is missing or empty." });
    const check = Uint8Array.of(0x0a, 5, 0x0a, 3, ...key("a"));
    const checks = new Uint8Array(check.length * 300_000).map((_, i) => check[i % check.length] ?? 0);
    expect(decodeAtomicWrite(checks)).toEqual(limit("The atomic write has 300000 checks; the limit is 100."));
  });
});
