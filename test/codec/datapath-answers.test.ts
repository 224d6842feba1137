/** Answers as whoever asks a database reads them: against the generated code, and cut off, damaged or larger than anybody asks for. */
/* oxlint-disable typescript/no-unsafe-enum-assignment -- the numbers are the protocol's, and bad ones are part of the tests */
import { create, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeAtomicWriteOutput, encodeSnapshotReadOutput, encodeWatchOutput } from "../../src/codec/datapath.ts";
import {
  decodeAtomicWriteOutput,
  decodeSnapshotReadOutput,
  decodeWatchOutput,
} from "../../src/codec/datapath-answers.ts";
import type { CommitResult, Entry } from "../../src/core/operations.ts";
import { asVersion, versionstampBytes } from "../../src/core/versionstamp.ts";
import { arbitraryEntry } from "../support/operations.ts";
import {
  AtomicWriteOutputSchema,
  SnapshotReadOutputSchema,
  WatchOutputSchema,
} from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";
import { cleanCopy, damaged, entryMessage } from "./generated.ts";

const arbitraryRanges = fc.array(fc.array(arbitraryEntry, { maxLength: 5 }), { maxLength: 10 });
const arbitraryResult: fc.Arbitrary<CommitResult> = fc.oneof(
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map((n) => ({ ok: true as const, version: asVersion(n) })),
  fc.array(fc.nat(99), { maxLength: 100 }).map((failedChecks) => ({ ok: false as const, failedChecks })),
);
const arbitraryWatched = fc.array(fc.option(arbitraryEntry), { maxLength: 9 });

const readOutput = (message: MessageInitShape<typeof SnapshotReadOutputSchema>) =>
  decodeSnapshotReadOutput(toBinary(SnapshotReadOutputSchema, create(SnapshotReadOutputSchema, message)));
const writeOutput = (message: MessageInitShape<typeof AtomicWriteOutputSchema>) =>
  decodeAtomicWriteOutput(toBinary(AtomicWriteOutputSchema, create(AtomicWriteOutputSchema, message)));
const watchOutput = (message: MessageInitShape<typeof WatchOutputSchema>) =>
  decodeWatchOutput(toBinary(WatchOutputSchema, create(WatchOutputSchema, message)));

const entry: Entry = { key: Uint8Array.of(2, 0x61, 0), value: Uint8Array.of(1), encoding: 3, version: asVersion(7) };
const message = entryMessage(entry);
const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);

describe("what is encoded is decoded the same, by our codec's bytes and the generated code's", () => {
  it("reads", () => {
    fc.assert(
      fc.property(arbitraryRanges, (ranges) => {
        const expected = { ok: true, ranges };
        expect(decodeSnapshotReadOutput(encodeSnapshotReadOutput(ranges))).toEqual(expected);
        const messages = ranges.map((entries) => ({ values: entries.map(entryMessage) }));
        expect(readOutput({ status: 1, readIsStronglyConsistent: true, ranges: messages })).toEqual(expected);
      }),
    );
  });

  it("writes", () => {
    fc.assert(
      fc.property(arbitraryResult, (result) => {
        const expected = { ok: true, result };
        expect(decodeAtomicWriteOutput(encodeAtomicWriteOutput(result))).toEqual(expected);
        const generated = result.ok
          ? writeOutput({ status: 1, versionstamp: versionstampBytes(result.version) })
          : writeOutput({ status: 2, failedChecks: [...result.failedChecks] });
        expect(generated).toEqual(expected);
      }),
    );
  });

  it("watches, keys that did not change among them", () => {
    fc.assert(
      fc.property(arbitraryWatched, fc.nat(9), (entries, at) => {
        expect(decodeWatchOutput(encodeWatchOutput(entries))).toEqual({ ok: true, entries });
        const keys = entries.map((one) =>
          one === null ? { changed: true } : { changed: true, entryIfChanged: entryMessage(one) },
        );
        const some = watchOutput({ status: 1, keys: keys.toSpliced(at, 0, { changed: false }) });
        const expected: (Entry | null | "unchanged")[] = [...entries];
        expect(some).toEqual({ ok: true, entries: expected.toSpliced(at, 0, "unchanged") });
      }),
    );
  });
});

describe("a database that refuses", () => {
  it("reads, writes or watches just now is unavailable", () => {
    for (const answer of [
      readOutput({ status: 2 }),
      readOutput({ status: 1, readDisabled: true }),
      writeOutput({ status: 5 }),
      watchOutput({ status: 2 }),
    ])
      expect(answer).toMatchObject({ ok: false, code: "unavailable" });
  });

  it("with a status that is not known, or none, is not understood", () => {
    const answers = [0, 3, -1].flatMap((status) => [
      readOutput({ status }),
      writeOutput({ status }),
      watchOutput({ status }),
    ]);
    for (const answer of answers) expect(answer).toMatchObject({ ok: false, code: "internal" });
    expect(answers[0]).toMatchObject({ message: "The answer to the read has the status 0, which is not known." });
  });
});

describe("an answer that nobody can have asked for is refused", () => {
  const refused = (text: string) => ({ ok: false, code: "internal", message: text });

  it("reads of more ranges, or more entries in all", () => {
    expect(readOutput({ status: 1, ranges: times(10, {}) })).toMatchObject({ ok: true });
    expect(readOutput({ status: 1, ranges: times(11, {}) })).toEqual(
      refused("The answer to the read has more than 10 ranges, which nobody can ask for."),
    );
    const half = { values: times(500, message) };
    expect(readOutput({ status: 1, ranges: [half, half] })).toMatchObject({ ok: true });
    expect(readOutput({ status: 1, ranges: [half, half, { values: [message] }] })).toEqual(
      refused("The answer to the read has more than 1000 entries, which nobody can ask for."),
    );
  });

  it("writes of more checks, and watches of more keys", () => {
    expect(writeOutput({ status: 2, failedChecks: times(100, 1) })).toMatchObject({ ok: true });
    expect(writeOutput({ status: 2, failedChecks: times(101, 1) })).toEqual(
      refused("The answer to the write has more than 100 failed checks, which nobody can ask for."),
    );
    expect(watchOutput({ status: 1, keys: times(10, { changed: true }) })).toMatchObject({ ok: true });
    expect(watchOutput({ status: 1, keys: times(11, { changed: true }) })).toEqual(
      refused("The answer to the watch has more than 10 keys, which nobody can ask for."),
    );
  });
});

describe("an entry that no database of ours has is refused", () => {
  it.each([
    ["no key", { key: new Uint8Array(0) }, "has an entry without a key"],
    ["no encoding", { encoding: 0 }, "has a value with the encoding 0, which is not known"],
    ["an unknown encoding", { encoding: 4 }, "has a value with the encoding 4, which is not known"],
    ["no versionstamp", { versionstamp: new Uint8Array(0) }, "has a versionstamp that no commit can have"],
    ["a versionstamp of zeroes", { versionstamp: new Uint8Array(10) }, "has a versionstamp that no commit can have"],
    ["somebody else's", { versionstamp: new Uint8Array(10).fill(1) }, "has a versionstamp that no commit can have"],
  ])("%s", (_, flaw, words) => {
    const values = [{ ...message, ...flaw }];
    const entryIfChanged = { ...message, ...flaw };
    expect(readOutput({ status: 1, ranges: [{ values }] })).toMatchObject({
      code: "internal",
      message: `The answer to the read ${words}.`,
    });
    expect(watchOutput({ status: 1, keys: [{ changed: true, entryIfChanged }] })).toMatchObject({
      code: "internal",
      message: `What the watch says ${words}.`,
    });
  });

  it("a commit without a versionstamp", () => {
    expect(writeOutput({ status: 1 })).toMatchObject({
      message: "The answer to the write has a versionstamp that no commit can have.",
    });
  });
});

type Verdict = ReturnType<typeof decodeSnapshotReadOutput | typeof decodeAtomicWriteOutput | typeof decodeWatchOutput>;

const kinds: [string, (bytes: Uint8Array) => Verdict, DescMessage, fc.Arbitrary<Uint8Array>][] = [
  ["reads", decodeSnapshotReadOutput, SnapshotReadOutputSchema, arbitraryRanges.map(encodeSnapshotReadOutput)],
  ["writes", decodeAtomicWriteOutput, AtomicWriteOutputSchema, arbitraryResult.map(encodeAtomicWriteOutput)],
  ["watches", decodeWatchOutput, WatchOutputSchema, arbitraryWatched.map(encodeWatchOutput)],
];

describe("damaged answers never make the codec throw", () => {
  it.each(kinds)("%s: whatever is protobuf to both is what the generated code's copy of it is", (...kind) => {
    const [, decode, schema, answers] = kind;
    const property = fc.property(damaged(answers), (bytes) => {
      const ours = decode(bytes);
      const copy = cleanCopy(schema, bytes);
      const judged = copy === undefined || isMalformed(ours) ? undefined : decode(copy);
      expect(ours).toMatchObject(judged?.ok === true ? judged : { ok: false });
    });
    fc.assert(property, { numRuns: 2000 });
  });
});

const isMalformed = (verdict: Verdict): boolean => !verdict.ok && verdict.message.includes("is not valid protobuf");
