/** The one rule of what a grant allows: `src/contracts/grant.ts`. */
import { describe, expect, test } from "vitest";
import { encodeKey, type KeyPart } from "../../src/codec/key-codec.ts";
import {
  type Access,
  admittedRanges,
  type Grant,
  grantOfPast,
  PAST_IS_READ_ONLY,
  refusedAccess,
  refusedKeys,
  refusedPage,
  refusedWrite,
} from "../../src/contracts/grant.ts";
import { toHex } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import type { AtomicWrite } from "../../src/core/operations.ts";

const end = asUnixMs(1_000);
const everything: Grant = { tokenId: "t1", read: true, write: true, expiresAt: end };
const before = asUnixMs(999);

function encoded(...parts: KeyPart[]): Uint8Array {
  const key = encodeKey(parts);
  if (!key.ok) throw new Error(key.message);
  return key.bytes;
}

const users = encoded("users");
const prefixed: Grant = { ...everything, keyPrefix: toHex(users) };

describe("what a grant allows", () => {
  const past = grantOfPast(everything, "0".repeat(20));

  test.each<[string, Grant, Access, string | null]>([
    ["everything reads", everything, "read", null],
    ["everything writes", everything, "write", null],
    ["what only reads does not write", { ...everything, write: false }, "write", "The token does not allow writing."],
    ["what only writes does not read", { ...everything, read: false }, "read", "The token does not allow reading."],
    ["the past is read", past, "read", null],
    ["the past is not written, and that is why", past, "write", PAST_IS_READ_ONLY.message],
    ["a grant of the past that claims to write does not", { ...past, write: true }, "write", PAST_IS_READ_ONLY.message],
  ])("%s", (_, grant, access, why) => {
    const refused = refusedAccess(grant, access, before);
    expect(refused?.message ?? null).toBe(why);
    expect(refused?.code ?? "forbidden").toBe("forbidden");
  });

  test("nothing from the millisecond on at which it ends", () => {
    for (const access of ["read", "write"] as const) {
      expect(refusedAccess(everything, access, before)).toBeNull();
      expect(refusedAccess(everything, access, end)).toMatchObject({ code: "unauthenticated" });
      const ofKey = refusedAccess({ ...everything, apiKey: "key_1" }, access, end);
      expect(ofKey?.message).toContain("with the secret of the API key");
    }
  });
});

describe("a page may use a grant", () => {
  const ofPage: Grant = { ...everything, origin: "https://a.example" };

  test.each<[string, Grant, string | null, boolean]>([
    ["that it exchanged itself", ofPage, "https://a.example", true],
    ["not one of another page", ofPage, "https://b.example", false],
    ["not one of a program", everything, "https://a.example", false],
  ])("%s", (_, grant, origin, may) => {
    expect(refusedPage(grant, origin)?.code ?? null).toBe(may ? null : "forbidden-origin");
  });

  test("a program may use a page's, and its own", () => {
    expect(refusedPage(ofPage, null)).toBeNull();
    expect(refusedPage(everything, null)).toBeNull();
  });
});

describe("a key prefix", () => {
  const under = encoded("users", 1);
  const beside = encoded("users2");

  test("admits the key itself and those under it, by part", () => {
    expect(refusedKeys(prefixed, [users, under])).toBeNull();
    expect(refusedKeys(everything, [beside])).toBeNull();
    expect(refusedKeys(prefixed, [under, beside])).toMatchObject({
      code: "forbidden",
      message: 'This token allows only keys under its key prefix; the request names ["users2"].',
    });
  });

  test("cuts each range of a read to what lies under it", () => {
    const range = { limit: 7, reverse: true };
    const all = { ...range, start: Uint8Array.of(), end: Uint8Array.of(0xff) };
    const outside = { ...range, start: beside, end: Uint8Array.of(0xff) };
    const inside = { ...range, start: under, end: encoded("users", 5) };
    const [cut, empty, same] = admittedRanges(prefixed, [all, outside, inside]);
    expect(cut).toEqual({ ...range, start: users, end: Uint8Array.of(...users, 0xff) });
    expect(empty).toEqual({ ...range, start: users, end: users });
    expect(same).toEqual(inside);
    expect(admittedRanges(everything, [all])).toEqual([all]);
  });

  test.each<[string, (key: Uint8Array) => Partial<AtomicWrite>]>([
    ["a check", (key) => ({ checks: [{ key, version: null }] })],
    ["a mutation", (key) => ({ mutations: [{ type: "delete", key }] })],
    [
      "an undelivered key",
      (key) => ({
        enqueues: [{ payload: Uint8Array.of(), deliverAt: end, keysIfUndelivered: [under, key], backoffSchedule: [] }],
      }),
    ],
  ])("is held by %s of a write", (_, part) => {
    const write = (key: Uint8Array): AtomicWrite => ({ checks: [], mutations: [], enqueues: [], ...part(key) });
    expect(refusedWrite(prefixed, write(under))).toBeNull();
    expect(refusedWrite(prefixed, write(beside))).toMatchObject({ code: "forbidden" });
    expect(refusedWrite(everything, write(beside))).toBeNull();
  });
});
