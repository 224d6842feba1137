/** Tokens that callers sign with an API key: which are taken, and what the others are told. */
import { base64url, SignJWT, UnsecuredJWT } from "jose";
import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../../src/core/clock.ts";
import { MAX_CALLER_TOKEN_CHARACTERS } from "../../../src/core/document-limits.ts";
import { MAX_TIME_MS } from "../../../src/core/limits.ts";
import { verifyCallerToken } from "../../../src/documents/access/caller-token.ts";

const secret = "5e0d".repeat(16);
const now = asUnixMs(Date.UTC(2026, 10, 27, 12));
const seconds = now / 1000;

type Claims = Readonly<Record<string, unknown>>;

async function signed(claims: Claims, with_ = secret, header: Readonly<Record<string, unknown>> = {}): Promise<string> {
  // The headers and claims are what the test is about, right or not.
  const jwt = new SignJWT(claims).setProtectedHeader({ alg: "HS256", ...header });
  return jwt.sign(new TextEncoder().encode(with_));
}

function verify(token: string, requireExpiry = false) {
  return verifyCallerToken(token, { secret, requireExpiry }, now);
}

/** The parts of a token whose payload is any text. */
async function signedText(payload: string, header = '{"alg":"HS256"}'): Promise<string> {
  const encoder = new TextEncoder();
  const begin = `${base64url.encode(header)}.${base64url.encode(payload)}`;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(begin)));
  return `${begin}.${base64url.encode(mac)}`;
}

describe("a token is taken, and ends (D31)", () => {
  test.each<[string, Claims, number]>([
    ["never, without exp", { identity: "cdb" }, MAX_TIME_MS],
    ["at exp", { identity: "cdb", exp: seconds + 60 }, now + 60_000],
    ["at exp with a fraction", { identity: "cdb", exp: seconds + 0.5 }, now + 500],
    ["at the last moment that there is, with a farther exp", { identity: "cdb", exp: 1e300 }, MAX_TIME_MS],
    ["whatever else it says", { identity: "cdb", iat: seconds + 9e9, aud: "x", deep: { a: [1] } }, MAX_TIME_MS],
    ["with nbf a minute ahead: clocks differ", { identity: "cdb", nbf: seconds + 60 }, MAX_TIME_MS],
  ])("%s", async (_, claims, expiresAt) => {
    expect(await verify(await signed(claims))).toEqual({ ok: true, expiresAt });
  });

  test("the longest that is taken", async () => {
    const short = await signed({ identity: "cdb", pad: "" });
    const room = Math.floor(((MAX_CALLER_TOKEN_CHARACTERS - short.length) * 3) / 4);
    for (const pad of [room - 2, room + 4]) {
      const token = await signed({ identity: "cdb", pad: "x".repeat(pad) });
      const isShort = token.length <= MAX_CALLER_TOKEN_CHARACTERS;
      expect(isShort).toBe(pad < room);
      expect((await verify(token)).ok).toBe(isShort);
    }
  });
});

describe("a token is refused, with what is wrong (D31)", () => {
  const good = { identity: "cdb" };
  const cases: readonly [string, () => string | Promise<string>, string][] = [
    ["of another secret", () => signed(good, "other"), "is not signed with the secret of the API key"],
    ["of no secret", () => signed(good, "0"), "is not signed with the secret"],
    ["of no algorithm", () => new UnsecuredJWT(good).encode(), "must be signed with HS256, and says that it is not"],
    [
      "of algorithm none, signed",
      () => signedText('{"identity":"cdb"}', '{"alg":"none"}'),
      "must be signed with HS256",
    ],
    ["of another algorithm", () => signedText('{"identity":"cdb"}', '{"alg":"HS512"}'), "must be signed with HS256"],
    [
      "with an extension",
      () => signedText('{"identity":"cdb"}', '{"alg":"HS256","crit":["x"],"x":1}'),
      "must be a JWT",
    ],
    ["whose body is cut off", async () => (await signed(good)).slice(0, -1), "is not signed with the secret"],
    ["that is no JWT", () => "Bearer", "must be a JWT of three parts"],
    ["that is empty", () => "", "must be a JWT of three parts"],
    ["of two parts", () => "a.b", "must be a JWT of three parts"],
    ["of five parts", () => "a.b.c.d.e", "must be a JWT of three parts"],
    ["of dots", () => "..", "must be a JWT of three parts"],
    ["whose payload is no JSON", () => signedText("identity"), "must be a JWT of three parts"],
    ["whose payload is an array", () => signedText('["cdb"]'), "must be a JWT of three parts"],
    ["whose payload is null", () => signedText("null"), "must be a JWT of three parts"],
    ["without identity", () => signed({}), 'must say {"identity":"cdb"}'],
    ["with another identity", () => signed({ identity: "CDB" }), 'must say {"identity":"cdb"}'],
    ["that has expired", () => signed({ ...good, exp: seconds - 1 }), '"exp" is 2026-11-27T11:59:59.000Z'],
    ["that expires now", () => signed({ ...good, exp: seconds }), "has expired"],
    ["that expired long ago", () => signed({ ...good, exp: -1e300 }), "has expired"],
    ["whose exp is a text", () => signedText('{"identity":"cdb","exp":"1"}'), 'a claim "exp" that is no number'],
    ["of tomorrow", () => signed({ ...good, nbf: seconds + 86_400 }), "is not valid yet"],
    ["whose nbf is a text", () => signedText('{"identity":"cdb","nbf":"1"}'), 'a claim "nbf" that is no number'],
  ];

  test.each(cases)("%s", async (_, token, why) => {
    const answer = await verify(await token());
    expect(answer).toMatchObject({ ok: false, code: "unauthenticated" });
    expect(answer).toMatchObject({ message: expect.stringContaining(why) });
  });

  test("without exp, where its key requires one", async () => {
    const answer = await verify(await signed(good), true);
    expect(answer).toMatchObject({ code: "unauthenticated", message: expect.stringContaining('has no "exp"') });
    expect((await verify(await signed({ ...good, exp: seconds + 1 }), true)).ok).toBe(true);
  });
});
