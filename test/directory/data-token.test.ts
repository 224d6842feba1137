import { SignJWT, base64url } from "jose";
import { beforeEach, describe, expect, test } from "vitest";
import type { Grant } from "../../src/contracts/grant.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { MAX_KEY_PREFIX_BYTES, MAX_ORIGIN_CHARACTERS } from "../../src/core/limits.ts";
import { DataTokens, FOREVER, MAX_DATA_TOKEN_LENGTH, MAX_KEPT_TOKENS } from "../../src/directory/data-token.ts";
import { signingKeys, type SigningKeys } from "../../src/contracts/signing-keys.ts";

const database = "6f1b3e0a-1111-4222-8333-444455556666";
const other = "6f1b3e0a-1111-4222-8333-444455556667";
const now = asUnixMs(1_800_000_000_000);
const minute = 60_000;
const grant: Grant = { tokenId: "t1", read: true, write: false, expiresAt: FOREVER };

function keysOf(...names: string[]): SigningKeys {
  const keys = signingKeys(names.map((name) => `${name}:${btoa(name.padEnd(32, "."))}`).join(","));
  if ("ok" in keys) throw new Error(keys.message);
  return keys;
}

const secret = new TextEncoder().encode("k1".padEnd(32, "."));
const header = { alg: "HS256", typ: "JWT", kid: "k1" };
const claims = { sub: "t1", scope: "read", aud: database, exp: now / 1000 + 60 };
let tokens: DataTokens;

async function hs256(headerText: string, payloadText: string): Promise<string> {
  const input = `${base64url.encode(headerText)}.${base64url.encode(payloadText)}`;
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(input));
  return `${input}.${base64url.encode(new Uint8Array(signature))}`;
}

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
    expect(await tokens.verify(token, database, now)).toMatchObject({ tokenId: "t1", read, write });
  });

  test("a token of a key that is no longer current is accepted, of a dropped one refused (T25)", async () => {
    const { token } = await tokens.mint(grant, database, now);
    expect(await new DataTokens(keysOf("k2", "k1")).verify(token, database, now)).toMatchObject({ tokenId: "t1" });
    expect(await new DataTokens(keysOf("k2")).verify(token, database, now)).toMatchObject({ code: "unauthenticated" });
    const rotated = await new DataTokens(keysOf("k2", "k1")).mint(grant, database, now);
    expect(await new DataTokens(keysOf("k2")).verify(rotated.token, database, now)).toMatchObject({ tokenId: "t1" });
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
      message: expect.stringContaining("another database"),
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
    expect(tokens.verify(token, database, now)).toMatchObject({ tokenId: "t1" });
    expect(tokens.verify(token, other, now)).toMatchObject({
      ok: false,
      message: expect.stringContaining("another database"),
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
      const { token } = await tokens.mint({ ...grant, tokenId: `t${i}` }, database, now);
      await tokens.verify(token, database, now);
      if (i < 2 || i === MAX_KEPT_TOKENS) minted.push(token);
    }
    const [first, second, last] = minted;
    expect(tokens.verify(first ?? "", database, now)).toBeInstanceOf(Promise);
    expect(tokens.verify(second ?? "", database, now)).not.toBeInstanceOf(Promise);
    expect(tokens.verify(last ?? "", database, now)).not.toBeInstanceOf(Promise);
  }, 30_000);
});

describe("what was not minted here is refused as malformed", () => {
  test("the tokens made by hand below are good but for what their title says", async () => {
    const token = await hs256(JSON.stringify(header), JSON.stringify(claims));
    expect(await tokens.verify(token, database, now)).toEqual({ ...grant, expiresAt: now + minute });
  });

  const h = JSON.stringify(header);
  const c = JSON.stringify(claims);
  test.each([
    ["alg HS512", h.replace("HS256", "HS512"), c],
    ["alg none", h.replace("HS256", "none"), c],
    ["alg RS256", h.replace("HS256", "RS256"), c],
    ["alg twice", h.replace("{", '{"alg":"none",'), c],
    ["kid twice", h.replace("}", ',"kid":"k1"}'), c],
    ["no kid", '{"alg":"HS256","typ":"JWT"}', c],
    ["an unknown kid", h.replace("k1", "k9"), c],
    ["crit", h.replace("}", ',"crit":["b64"],"b64":true}'), c],
    ["an empty crit", h.replace("}", ',"crit":[]}'), c],
    ["no exp", h, JSON.stringify({ ...claims, exp: undefined })],
    ["exp of text", h, JSON.stringify({ ...claims, exp: "9999999999" })],
    ["no sub", h, JSON.stringify({ ...claims, sub: undefined })],
    ["no scope", h, JSON.stringify({ ...claims, scope: undefined })],
    ["claims that are an array", h, "[]"],
    ["claims that are not JSON", h, "{"],
  ])("%s", async (_, headerText, payloadText) => {
    const refused = await tokens.verify(await hs256(headerText, payloadText), database, now);
    expect(refused).toMatchObject({
      ok: false,
      code: "unauthenticated",
      message: expect.stringContaining("not a data token"),
    });
  });

  test("no audience is not this database", async () => {
    const refused = await tokens.verify(await hs256(h, JSON.stringify({ ...claims, aud: undefined })), database, now);
    expect(refused).toMatchObject({ code: "unauthenticated" });
  });

  test("the right key id with another key (T16)", async () => {
    const token = await new SignJWT(claims).setProtectedHeader(header).sign(new Uint8Array(32));
    expect(await tokens.verify(token, database, now)).toMatchObject({
      message: expect.stringContaining("not a data token"),
    });
  });

  test("without its signature, with a flipped bit, cut short, with a part more (T16)", async () => {
    const { token } = await tokens.mint(grant, database, now);
    const dot = token.lastIndexOf(".");
    const flipped = token.slice(0, dot + 1) + (token[dot + 1] === "A" ? "B" : "A") + token.slice(dot + 2);
    for (const made of [
      token.slice(0, dot),
      token.slice(0, dot + 1),
      flipped,
      token.slice(0, -4),
      `${token}.x`,
      `${token} `,
    ]) {
      expect(await tokens.verify(made, database, now)).toMatchObject({ code: "unauthenticated" });
    }
  });

  test("in another spelling of the same signature", async () => {
    const { token } = await tokens.mint(grant, database, now);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const last = alphabet.indexOf(token.at(-1) ?? "");
    for (const bits of [1, 2, 3]) {
      const made = token.slice(0, -1) + alphabet[last + bits];
      expect(await tokens.verify(made, database, now)).toMatchObject({ code: "unauthenticated" });
    }
  });

  test.each(["", ".", "..", "a.b.c", "\u0000", "x".repeat(MAX_DATA_TOKEN_LENGTH + 1)])("%j", async (text) => {
    expect(await tokens.verify(text, database, now)).toMatchObject({ code: "unauthenticated" });
  });
});

test("a good token of another database says so", async () => {
  const { token } = await tokens.mint(grant, other, now);
  expect(await tokens.verify(token, database, now)).toMatchObject({
    code: "unauthenticated",
    message: expect.stringContaining("another database"),
  });
});
