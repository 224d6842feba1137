import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { isLoopback, lineBreakIn, placeholderAmong } from "../../src/contracts/secret-text.ts";
import * as good from "../support/deployment-secrets.ts";

const keyOf = (text: string): string => btoa(text.padEnd(32, "!"));
const tokens = (text: string) => placeholderAmong({ CAIRN_DEPLOYMENT_TOKEN: text });
const signing = (text: string) => placeholderAmong({ CAIRN_SIGNING_KEYS: text });

describe("a placeholder", () => {
  test.each([
    "choose-a-long-random-token",
    "replace-me-with-a-token",
    "<YOUR_DEPLOYMENT_TOKEN>",
    "aaaaaaaaaaaaaaaa",
    "1234123412341234",
    `${good.CAIRN_DEPLOYMENT_TOKEN}, deployment-token-here`,
  ])("is the deployment token %s", (text) => {
    expect(tokens(text)).toMatchObject({
      code: "invalid",
      message: expect.stringMatching(/^CAIRN_DEPLOYMENT_TOKEN, entry \d: .*\.$/),
    });
  });

  test.each([
    "k1:c2lnbmluZyBrZXkgZm9yIGxvY2FsIGRldmVsb3BtZW50IQ==",
    `k1:${btoa("\0".repeat(32))}`,
    `k1:${keyOf("signing key for production")}`,
  ])("is the signing key %s", (text) => {
    expect(signing(text)).toMatchObject({ message: expect.stringMatching(/^CAIRN_SIGNING_KEYS, entry 1: /) });
  });

  test("is refused behind a good key when it was published; a passphrase there can be rotated out", () => {
    const behind = (key: string) => `${good.CAIRN_SIGNING_KEYS},old:${key}`;
    expect(signing(behind("c2lnbmluZyBrZXkgZm9yIGxvY2FsIGRldmVsb3BtZW50IQ=="))).toMatchObject({
      message: expect.stringMatching(/^CAIRN_SIGNING_KEYS, entry 2: /),
    });
    expect(signing(behind(keyOf("signing key for production")))).toBeUndefined();
  });

  test("is nothing that was drawn at random, in any spelling, or is malformed or missing", () => {
    expect(placeholderAmong(good)).toBeUndefined();
    for (let i = 0; i < 500; i++) {
      const bytes = randomBytes(32);
      for (const text of [bytes.toString("hex"), bytes.toString("base64url"), bytes.toString("hex").slice(0, 24)])
        expect(tokens(text)).toBeUndefined();
      expect(signing(`k1:${bytes.toString("base64")}`)).toBeUndefined();
      expect(signing(`k1:${btoa(bytes.toString("hex").slice(0, 32))}`)).toBeUndefined();
    }
    for (const text of ["", "no colon", "k1:c2hvcnQ="]) expect(signing(text)).toBeUndefined();
    expect(placeholderAmong({ CAIRN_ENCRYPTION_KEYS: null })).toBeUndefined();
  });
});

test("a line break is said to be at the end or inside", () => {
  expect(lineBreakIn("token")).toBeUndefined();
  expect(lineBreakIn("token\n")).toMatch(/^ends with a line break, /);
  expect(lineBreakIn("token\r\n")).toMatch(/^ends with a line break, /);
  expect(lineBreakIn("tok\nen")).toMatch(/^has a line break in it, /);
});

test("loopback is what leads to this machine and nowhere else", () => {
  for (const host of ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])
    expect([host, isLoopback(host)]).toEqual([host, true]);
  for (const host of [
    "0.0.0.0",
    "::",
    "localhost.example.com",
    "127.0.0.1.nip.io",
    "notlocalhost",
    "1127.0.0.1",
    "[::2]",
  ])
    expect([host, isLoopback(host)]).toEqual([host, false]);
});
