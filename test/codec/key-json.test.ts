import { expect, test } from "vitest";
import { encodeKey, type KeyPart } from "../../src/codec/key-codec.ts";
import { textOfKey } from "../../src/codec/key-json.ts";

function textOf(...parts: KeyPart[]): string {
  const key = encodeKey(parts);
  if (!key.ok) throw new Error(key.message);
  return textOfKey(key.bytes);
}

test("a key in a sentence is written as the management API takes it", () => {
  expect(textOf("users", 1, true, -12n, Uint8Array.of(0, 255))).toBe(
    '["users",1,true,{"type":"bigint","value":"-12"},{"type":"bytes","value":"AP8="}]',
  );
  expect(textOf("a\r\nb")).toBe('["a\\r\\nb"]');
});

test("a long key is cut, and never inside of a character", () => {
  expect(textOf("x".repeat(2000))).toBe(`["${"x".repeat(198)}…`);
  expect(textOf("x".repeat(195) + "😀".repeat(9))).toHaveLength(201);
  expect(textOf("x".repeat(197) + "😀".repeat(9)).isWellFormed()).toBe(true);
});

test("bytes that are no key are not shown", () => {
  expect(textOfKey(Uint8Array.of(7, 7))).toBe("(bytes that are no key)");
});
