import { isFailure } from "../../src/core/errors.ts";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { Grant } from "../../src/contracts/grant.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { MAX_KEY_PREFIX_BYTES, MAX_ORIGIN_CHARACTERS } from "../../src/core/limits.ts";
import { DataTokens, FOREVER, MAX_KEPT_TOKENS } from "../../src/contracts/data-token.ts";
import { MAX_DATA_TOKEN_LENGTH } from "../../src/core/limits.ts";
import { fromBase64Url, toBase64Url } from "../../src/codec/base64url.ts";
import { toHex } from "../../src/core/bytes.ts";
import { JURISDICTIONS } from "../../src/contracts/placement.ts";
import { signingKeys, type SigningKeys } from "../../src/contracts/signing-keys.ts";

const database = "6f1b3e0a-1111-4222-8333-444455556666";
const other = "6f1b3e0a-1111-4222-8333-444455556667";
const now = asUnixMs(1_800_000_000_000);
const minute = 60_000;
const tokenId = "00112233445566ff";
const grant: Grant = { tokenId, read: true, write: false, expiresAt: FOREVER };

function keysOf(...names: string[]): SigningKeys {
  const keys = signingKeys(names.map((name) => `${name}:${btoa(name.padEnd(32, "."))}`).join(","));
  if (isFailure(keys)) throw new Error(keys.message);
  return keys;
}

let tokens: DataTokens;

beforeEach(() => {
  tokens = new DataTokens(keysOf("k1"));
});

describe("life of a data token", () => {
  test("the client is told one hour, the token lives 10 minutes longer (T14)", async () => {
    const { token, expiresAt } = await tokens.mint(grant, database, now);
    expect(expiresAt).toBe(now + 60 * minute);
    expect(await tokens.verify(token, database, now)).toEqual({ ...grant, expiresAt: now + 70 * minute });
    expect(
      await new DataTokens(keysOf("k1")).verify(token, database, asUnixMs(now + 70 * minute - 1)),
    ).not.toHaveProperty("ok");
    expect(await new DataTokens(keysOf("k1")).verify(token, database, asUnixMs(now + 70 * minute))).toMatchObject({
      code: "unauthenticated",
      message: expect.stringContaining("expired"),
    });
  });

  test.each([
    [30 * minute, 30 * minute, 30 * minute],
    [65 * minute, 60 * minute, 65 * minute],
    [30 * minute + 999, 30 * minute + 999, 30 * minute],
  ])("of a grant that ends in %i ms: the client is told %i, and it lives %i (T14)", async (end, told, lives) => {
    const { token, expiresAt } = await tokens.mint({ ...grant, expiresAt: asUnixMs(now + end) }, database, now);
    expect(expiresAt).toBe(now + told);
    expect(await tokens.verify(token, database, now)).toMatchObject({ expiresAt: now + lives });
  });

  test.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])("it carries read %s, write %s and no more", async (read, write) => {
    const { token } = await tokens.mint({ ...grant, read, write }, database, now);
    expect(await tokens.verify(token, database, now)).toMatchObject({ tokenId, read, write });
  });

  test("a token of a key that is no longer current is accepted, of a dropped one refused (T25)", async () => {
    const { token } = await tokens.mint(grant, database, now);
    expect(await new DataTokens(keysOf("k2", "k1")).verify(token, database, now)).toMatchObject({ tokenId });
    expect(await new DataTokens(keysOf("k2")).verify(token, database, now)).toMatchObject({ code: "unauthenticated" });
    const rotated = await new DataTokens(keysOf("k2", "k1")).mint(grant, database, now);
    expect(await new DataTokens(keysOf("k2")).verify(rotated.token, database, now)).toMatchObject({ tokenId });
  });
});

describe("of a state of the past", () => {
  const [at, otherAt] = ["000638a1b2c3d4e50000", "000638a1b2c3d4e60000"];

  test("it opens that state and no other, and not the live database", async () => {
    const { token } = await tokens.mint({ ...grant, at }, database, now);
    const refused = { code: "unauthenticated", message: expect.stringContaining("another moment") };
    expect(await tokens.verify(token, database, now)).toMatchObject(refused);
    expect(await tokens.verify(token, database, now, otherAt)).toMatchObject(refused);
    expect(await tokens.verify(token, database, now, at)).toEqual({ ...grant, at, expiresAt: now + 70 * minute });
    // And once it is kept.
    expect(tokens.verify(token, database, now)).toMatchObject(refused);
    expect(tokens.verify(token, database, now, otherAt)).toMatchObject(refused);
    expect(tokens.verify(token, database, now, at)).toMatchObject({ at });
    expect(tokens.verify(token, other, now, at)).toMatchObject({
      message: expect.stringContaining("for this database"),
    });
  });

  test("one of the live database opens none", async () => {
    const { token } = await tokens.mint(grant, database, now);
    const refused = { code: "unauthenticated", message: expect.stringContaining("another moment") };
    expect(await tokens.verify(token, database, now, at)).toMatchObject(refused);
    expect(await tokens.verify(token, database, now)).not.toHaveProperty("at");
    expect(tokens.verify(token, database, now, at)).toMatchObject(refused);
  });
});

describe("of a page", () => {
  const origin = "https://app.example";

  test("it carries the page's origin (T23)", async () => {
    const { token } = await tokens.mint({ ...grant, origin }, database, now);
    expect(await tokens.verify(token, database, now)).toMatchObject({ origin });
    const nobodys = await tokens.mint(grant, database, now);
    expect(await tokens.verify(nobodys.token, database, now)).not.toHaveProperty("origin");
  });

  test("the longest that can be minted is accepted", async () => {
    const longest: Grant = {
      tokenId: "0".repeat(16),
      read: true,
      write: true,
      expiresAt: FOREVER,
      keyPrefix: "f".repeat(2 * MAX_KEY_PREFIX_BYTES),
      origin: "o".repeat(MAX_ORIGIN_CHARACTERS),
      jurisdiction: "fedramp",
      at: "0".repeat(20),
    };
    const keys = keysOf("k".repeat(64));
    const { token } = await new DataTokens(keys).mint(longest, database, now);
    expect(await new DataTokens(keys).verify(token, database, now, longest.at)).toMatchObject({
      origin: longest.origin,
    });
  });
});

describe("verified tokens are kept", () => {
  test("the second time is answered at once, with the same checks", async () => {
    const { token } = await tokens.mint(grant, database, now);
    expect(tokens.verify(token, database, now)).toBeInstanceOf(Promise);
    await tokens.verify(token, database, now);
    expect(tokens.verify(token, database, now)).toMatchObject({ tokenId });
    expect(tokens.verify(token, other, now)).toMatchObject({
      ok: false,
      message: expect.stringContaining("for this database"),
    });
    const end = asUnixMs(now + 70 * minute);
    expect(tokens.verify(token, database, end)).toMatchObject({
      ok: false,
      message: expect.stringContaining("expired"),
    });
  });

  test("a refused token is not kept", async () => {
    const { token } = await tokens.mint(grant, database, now);
    await tokens.verify(token, other, now);
    expect(tokens.verify(token, other, now)).toBeInstanceOf(Promise);
  });

  test("at most MAX_KEPT_TOKENS are, and the oldest goes first", async () => {
    const minted: string[] = [];
    for (let i = 0; i <= MAX_KEPT_TOKENS; i++) {
      const { token } = await tokens.mint({ ...grant, tokenId: i.toString(16).padStart(16, "0") }, database, now);
      await tokens.verify(token, database, now);
      if (i < 2 || i === MAX_KEPT_TOKENS) minted.push(token);
    }
    const [first, second, last] = minted;
    expect(tokens.verify(first ?? "", database, now)).toBeInstanceOf(Promise);
    expect(tokens.verify(second ?? "", database, now)).not.toBeInstanceOf(Promise);
    expect(tokens.verify(last ?? "", database, now)).not.toBeInstanceOf(Promise);
  }, 30_000);
});

test("it has 40 characters, and more only for what it carries more", async () => {
  const lengthOf = async (more: Partial<Grant>) =>
    (await tokens.mint({ ...grant, ...more }, database, now)).token.length;
  expect(await lengthOf({})).toBe(40);
  expect(await lengthOf({ write: true })).toBe(40);
  expect(await lengthOf({ jurisdiction: "eu" })).toBe(42);
  expect(await lengthOf({ at: "000638a1b2c3d4e50000" })).toBe(54);
  expect(await lengthOf({ keyPrefix: "026100" })).toBe(47);
});

test("any grant comes back as it was given", async () => {
  const hex = (bytes: number, maxLength = bytes) =>
    fc.uint8Array({ minLength: bytes, maxLength }).map((one) => toHex(one));
  const anyGrant = fc.record(
    {
      tokenId: hex(8),
      read: fc.boolean(),
      write: fc.boolean(),
      keyPrefix: hex(1, MAX_KEY_PREFIX_BYTES),
      at: hex(10),
      origin: fc.webUrl(),
      jurisdiction: fc.constantFrom(...JURISDICTIONS),
    },
    { requiredKeys: ["tokenId", "read", "write"] },
  );
  await fc.assert(
    fc.asyncProperty(anyGrant, fc.integer({ min: 1, max: 4000 }), async (given, seconds) => {
      const whole: Grant = { ...given, expiresAt: asUnixMs(now + seconds * 1000) };
      const { token } = await tokens.mint(whole, database, now);
      expect(token.length).toBeLessThanOrEqual(MAX_DATA_TOKEN_LENGTH);
      expect(await tokens.verify(token, database, now, whole.at)).toEqual(whole);
    }),
    { numRuns: 200 },
  );
});

describe("what was not minted here is refused", () => {
  const refused = {
    ok: false,
    code: "unauthenticated",
    message: expect.stringContaining("not a data token that this deployment issued for this database"),
  };

  test("a good token of another database", async () => {
    const { token } = await tokens.mint(grant, other, now);
    expect(await tokens.verify(token, database, now)).toMatchObject(refused);
    expect(await tokens.verify(token, `${other}\0`, now)).toMatchObject(refused);
  });

  test("a token of the same key id and another key (T16)", async () => {
    const { token } = await new DataTokens(keysOf("k1")).mint(grant, database, now);
    const others = signingKeys(`k1:${btoa("another".padEnd(32, "."))}`);
    if (isFailure(others)) throw new Error(others.message);
    expect(await new DataTokens(others).verify(token, database, now)).toMatchObject(refused);
  });

  test("two keys may have the same number: both are tried", async () => {
    // 31 × "a" + "P" is 31 × "b" + "1".
    const keys = keysOf("aP", "b1");
    const { token } = await new DataTokens(keysOf("b1")).mint(grant, database, now);
    expect(await new DataTokens(keys).verify(token, database, now)).toMatchObject({ tokenId });
    expect(await new DataTokens(keysOf("aP")).verify(token, database, now)).toMatchObject(refused);
  });

  test("with any one bit flipped, cut short, or with more (T16)", async () => {
    for (const more of [{}, { keyPrefix: "0261", origin: "https://app.example", at: "000638a1b2c3d4e50000" }]) {
      const whole = { ...grant, ...more };
      const { token } = await tokens.mint(whole, database, now);
      const bytes = fromBase64Url(token) ?? new Uint8Array();
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const flipped = bytes.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
        expect(await tokens.verify(toBase64Url(flipped), database, now, whole.at)).toMatchObject(refused);
      }
      for (let length = 0; length < token.length; length++) {
        expect(await tokens.verify(token.slice(0, length), database, now, whole.at)).toMatchObject(refused);
      }
      for (const made of [`${token}A`, `${token}AAAA`, `${token}=`, `${token} `, ` ${token}`, `${token}.x`]) {
        expect(await tokens.verify(made, database, now, whole.at)).toMatchObject(refused);
      }
    }
  });

  test("in another spelling of the same bytes", async () => {
    const { token } = await tokens.mint({ ...grant, jurisdiction: "us" }, database, now);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    expect(token.length % 4).toBe(2);
    const last = alphabet.indexOf(token.at(-1) ?? "");
    for (let bits = 1; bits < 16; bits++) {
      const made = token.slice(0, -1) + alphabet[last + bits];
      expect(await tokens.verify(made, database, now)).toMatchObject(refused);
    }
    expect(await tokens.verify(`${token}==`, database, now)).toMatchObject(refused);
  });

  test("in base64's other alphabet", async () => {
    for (let i = 0; ; i++) {
      const { token } = await tokens.mint({ ...grant, tokenId: i.toString(16).padStart(16, "0") }, database, now);
      const made = token.replaceAll("-", "+").replaceAll("_", "/");
      if (made === token) continue;
      expect(await tokens.verify(made, database, now)).toMatchObject(refused);
      break;
    }
  });

  test.each([
    "",
    ".",
    "..",
    "a.b.c",
    "\u0000",
    "A".repeat(40),
    "x".repeat(MAX_DATA_TOKEN_LENGTH),
    "x".repeat(MAX_DATA_TOKEN_LENGTH + 1),
    // As tokens were before.
    `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.${"e".repeat(150)}.${"A".repeat(43)}`,
  ])("%j", async (text) => {
    expect(await tokens.verify(text, database, now)).toMatchObject(refused);
  });
});

test("a token id of another form is a bug of ours", async () => {
  await expect(tokens.mint({ ...grant, tokenId: "t1" }, database, now)).rejects.toThrow("16 hexadecimal digits");
});
