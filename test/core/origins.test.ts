import { describe, expect, test } from "vitest";
import { MAX_ORIGIN_CHARACTERS } from "../../src/core/limits.ts";
import { canonicalOrigin, originRefusal } from "../../src/core/origins.ts";

describe("an origin", () => {
  test.each([
    ["https://app.example.com", "https://app.example.com"],
    ["HTTPS://App.Example.com", "https://app.example.com"],
    ["https://app.example.com:443", "https://app.example.com"],
    ["http://localhost:5173", "http://localhost:5173"],
    ["https://app.example.com:8443", "https://app.example.com:8443"],
    ["https://münchen.example", "https://xn--mnchen-3ya.example"],
    ["http://[::1]:3000", "http://[::1]:3000"],
    ["capacitor://localhost", "capacitor://localhost"],
    ["chrome-extension://abcdefghijklmnopabcdefghijklmnop", "chrome-extension://abcdefghijklmnopabcdefghijklmnop"],
    ["*", "*"],
  ])("%s is kept as browsers spell it: %s", (given, kept) => {
    expect(canonicalOrigin(given)).toBe(kept);
  });

  test.each([
    "",
    "app.example.com",
    "https://",
    "https://app.example.com/",
    "https://app.example.com/page",
    "https://app.example.com?x",
    "https://user@app.example.com",
    "https://*.example.com",
    "https://app.example.com:99999",
    "https://a b",
    "file:///etc",
    "file://host",
    "null",
    "data:text/html,x",
    "javascript://x\n",
  ])("is not %j, and the sentence shows one", (given) => {
    expect(canonicalOrigin(given)).toMatchObject({
      code: "invalid",
      message: expect.stringMatching(/^allowedOrigins: ".*" is not an origin: .*https:\/\/app\.example\.com/),
    });
  });

  test("is at most as long as the longest host's", () => {
    const scheme = "app-scheme://";
    const longest = scheme + "h".repeat(MAX_ORIGIN_CHARACTERS - scheme.length);
    expect(canonicalOrigin(longest)).toBe(longest);
    expect(canonicalOrigin(`${longest}h`)).toMatchObject({ code: "limit" });
  });
});

describe("a page may use a token", () => {
  test.each([
    [null, null, true],
    [null, "https://a.example", false],
    [["https://a.example"], null, true],
    [["https://a.example"], "https://a.example", true],
    [["https://b.example", "https://a.example"], "https://a.example", true],
    [["https://a.example"], "https://a.example:8443", false],
    [["https://a.example"], "http://a.example", false],
    [["https://a.example"], "https://a.example.evil.example", false],
    [["https://a.example"], "https://evil.example", false],
    [["https://a.example"], "null", false],
    [["*"], "https://evil.example", true],
    [["*"], "null", true],
  ])("that admits %j, from %s: %s", (allowed, origin, may) => {
    expect(originRefusal(allowed, origin)?.code).toBe(may ? undefined : "forbidden-origin");
  });
});
