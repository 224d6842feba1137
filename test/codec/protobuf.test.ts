import { BinaryReader, BinaryWriter, WireType as GeneratedWireType } from "@bufbuild/protobuf/wire";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bytesFieldSize,
  MalformedProtobuf,
  ProtobufReader,
  ProtobufWriter,
  varintFieldSize,
} from "../../src/codec/protobuf.ts";

const numbers = fc.oneof(
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  // Where varints get longer.
  fc
    .integer({ min: 0, max: 53 })
    .chain((bit) => fc.constantFrom(Math.max(0, 2 ** bit - 1), Math.min(2 ** bit, 2 ** 53 - 1))),
);
const fieldNumbers = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(2047, 2048, 0x0fff_ffff));

/** The only field of the message. */
function field(...bytes: number[]): ProtobufReader {
  const reader = new ProtobufReader(Uint8Array.from(bytes));
  expect(reader.next()).toBe(true);
  return reader;
}

describe("the writer", () => {
  it("fills exactly the announced size, with what the generated code's reader reads", () => {
    fc.assert(
      fc.property(fieldNumbers, numbers, fc.uint8Array({ maxLength: 300 }), (number, value, bytes) => {
        const writer = new ProtobufWriter(varintFieldSize(number, value) + bytesFieldSize(number, bytes.length));
        writer.varintField(number, value);
        writer.bytesField(number, bytes);
        const reader = new BinaryReader(writer.finish());
        expect(reader.tag()).toEqual([number, GeneratedWireType.Varint]);
        expect(Number(reader.uint64())).toBe(value);
        expect(reader.tag()).toEqual([number, GeneratedWireType.LengthDelimited]);
        expect(reader.bytes()).toEqual(bytes);
        expect(reader.pos).toBe(reader.len);
      }),
    );
  });

  it("asserts that the sizes were added up rightly", () => {
    const writer = new ProtobufWriter(3);
    writer.varintField(1, 1);
    expect(() => writer.finish()).toThrow("expected a message of 3 bytes, wrote 2");
  });
});

describe("the reader", () => {
  it("reads the numbers that the generated code's writer writes", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.maxSafeInteger(),
        fc.integer(),
        (big, safe, int) => {
          const writer = new BinaryWriter();
          for (const value of [big, BigInt(safe)]) writer.tag(1, GeneratedWireType.Varint).int64(value);
          writer.tag(2, GeneratedWireType.Varint).int32(int);
          const reader = new ProtobufReader(writer.finish());
          reader.next();
          expect(reader.int64()).toBe(Number(big));
          reader.next();
          expect(reader.int64()).toBe(safe);
          reader.next();
          expect(reader.field).toBe(2);
          expect(reader.int32()).toBe(int);
          expect(reader.next()).toBe(false);
        },
      ),
    );
  });

  it("skips fields of every wire type but groups", () => {
    const reader = new ProtobufReader(
      Uint8Array.of(0x08, 0x96, 0x01, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, 9, 9, 0x25, 1, 2, 3, 4, 0x28, 7),
    );
    const seen: number[] = [];
    while (reader.next()) {
      seen.push(reader.field);
      reader.skip();
    }
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    for (const wireType of [3, 4, 6, 7]) {
      expect(() => field(0x08 | wireType).skip()).toThrow(`wire type ${wireType}, which is not supported`);
    }
  });

  it("gives views of the message, not copies", () => {
    const message = Uint8Array.of(0x0a, 3, 1, 2, 3);
    const reader = new ProtobufReader(message);
    reader.next();
    expect(reader.bytes().buffer).toBe(message.buffer);
  });

  it("reads repeated numbers packed or not, and counts those for which there is no room", () => {
    const numbersRead: number[] = [];
    expect(field(0x0a, 4, 1, 2, 0xac, 2).repeatedUint32(numbersRead, 2)).toBe(3);
    expect(field(0x08, 5).repeatedUint32(numbersRead, 0)).toBe(1);
    expect(field(0x08, 5).repeatedUint32(numbersRead, 1)).toBe(1);
    expect(numbersRead).toEqual([1, 2, 5]);
  });

  it.each([
    ["a length past the end", () => field(0x0a, 5, 1, 2).bytes(), "announces 5 bytes, and 2 are left"],
    ["a length past 2^32", () => field(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 1).bytes(), "and 0 are left"],
    ["a length in an inner message past its end", () => innerPastItsEnd(), "announces 4 bytes, and 1 are left"],
    ["a number that breaks off", () => field(0x08, 0x80).int32(), "ends in the middle of a number"],
    ["a number of 11 bytes", () => field(0x08, ...Array<number>(10).fill(0x80), 1).int64(), "more than 10 bytes"],
    ["field 0", () => field(0x00), "a field number outside"],
    ["a field number past 2^29", () => field(0x80, 0x80, 0x80, 0x80, 0x10), "a field number outside"],
    ["bytes where a number belongs", () => field(0x0a, 1, 1).int32(), "wire type 2 where 0 belongs"],
    ["a number where bytes belong", () => field(0x08, 1).bytes(), "wire type 0 where 2 belongs"],
    ["a fixed64 that breaks off", () => field(0x09, 1, 2).skip(), "ends in the middle of a number"],
  ])("refuses %s", (_what, read, sentence) => {
    expect(read).toThrow(MalformedProtobuf);
    expect(read).toThrow(sentence);
  });
});

function innerPastItsEnd(): Uint8Array {
  const reader = field(0x0a, 3, 0x0a, 4, 1, 2, 3, 4);
  reader.enter();
  reader.next();
  return reader.bytes();
}
