/** What tests against the generated code share: its messages, its judgement, and bytes that are damaged. */
/* oxlint-disable typescript/no-unsafe-enum-assignment -- the numbers are the protocol's */
import { create, fromBinary, toBinary, type DescMessage } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { concatBytes } from "../../src/core/bytes.ts";
import type { Entry } from "../../src/core/operations.ts";
import { versionstampBytes } from "../../src/core/versionstamp.ts";
import { KvEntrySchema } from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";

export function entryMessage({ key, value, encoding, version }: Entry) {
  return create(KvEntrySchema, { key, value, encoding, versionstamp: versionstampBytes(version) });
}

/** Bytes of a message with some flipped, cut off, doubled or put in: mostly malformed, sometimes only unusual. */
export function damaged(messages: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return messages.chain((bytes) => {
    const place = fc.nat(Math.max(0, bytes.length - 1));
    return fc.oneof(
      fc.uint8Array({ maxLength: 30 }),
      place.map((length) => bytes.slice(0, length)),
      fc.tuple(place, fc.nat(7)).map(([at, bit]) => bytes.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte))),
      fc
        .tuple(place, fc.uint8Array({ minLength: 1, maxLength: 4 }))
        .map(([at, extra]) => concatBytes([bytes.subarray(0, at), extra, bytes.subarray(at)])),
      fc.constant(concatBytes([bytes, bytes])),
    );
  });
}

/** The generated code's clean copy of a message, or undefined for bytes that it refuses. */
export function cleanCopy(schema: DescMessage, bytes: Uint8Array): Uint8Array | undefined {
  try {
    return toBinary(schema, fromBinary(schema, bytes));
  } catch {
    return undefined;
  }
}
