import { describe, expect, test } from "vitest";
import { publicAddressFrom, publicUrlOf } from "../../../src/core/public-address.ts";
import { linkOrigin, publicOrigin } from "../../../src/doors/http/public-url.ts";

const asked = (headers: Record<string, string> = {}): Request =>
  new Request("http://127.0.0.1:4512/v1/x?y", { headers });
const here = "http://127.0.0.1:4512";
const byProxy = { "x-forwarded-proto": "https", "x-forwarded-host": "kv.example.com" };

const untold = { url: null, trustsProxy: false };
const told = { url: "https://kv.example.com", trustsProxy: false };
const trusting = { url: null, trustsProxy: true };

describe("links begin with", () => {
  test.each([
    ["what was asked, where no proxy is", untold, {}, here, here],
    ["what was asked, where a proxy says the same", untold, { "x-forwarded-proto": "http" }, here, here],
    [
      "nothing, where a proxy says another scheme and is not trusted",
      untold,
      { "x-forwarded-proto": "https" },
      "",
      here,
    ],
    [
      "nothing, where a proxy says another name and is not trusted",
      untold,
      { "x-forwarded-host": "kv.example.com" },
      "",
      here,
    ],
    ["what was told", told, {}, "https://kv.example.com", "https://kv.example.com"],
    [
      "what was told, whatever a header says",
      told,
      { "x-forwarded-host": "evil.example" },
      "https://kv.example.com",
      "https://kv.example.com",
    ],
    ["what a trusted proxy says", trusting, byProxy, "https://kv.example.com", "https://kv.example.com"],
    [
      "its scheme, where it says no more",
      trusting,
      { "x-forwarded-proto": "https" },
      "https://127.0.0.1:4512",
      "https://127.0.0.1:4512",
    ],
    [
      "the first proxy's word of several",
      trusting,
      { "x-forwarded-proto": "https, http", "x-forwarded-host": "kv.example.com:8443, inner" },
      "https://kv.example.com:8443",
      "https://kv.example.com:8443",
    ],
    [
      "an IPv6 host",
      trusting,
      { "x-forwarded-host": "[2001:db8::1]:8443" },
      "http://[2001:db8::1]:8443",
      "http://[2001:db8::1]:8443",
    ],
    [
      "what was asked, where what is said is none",
      trusting,
      { "x-forwarded-proto": "gopher", "x-forwarded-host": "a/b?c@d" },
      here,
      here,
    ],
    ["what was asked, where a port is none", trusting, { "x-forwarded-host": "kv.example.com:99999" }, here, here],
  ])("%s", (_, address, headers, link, origin) => {
    expect([linkOrigin(asked(headers), address), publicOrigin(asked(headers), address)]).toEqual([link, origin]);
  });
});

describe("an operator's word", () => {
  test.each([
    ["https://kv.example.com", "https://kv.example.com"],
    ["https://kv.example.com/", "https://kv.example.com"],
    ["HTTP://KV.example.com:80", "http://kv.example.com"],
  ])("%s is %s", (given, url) => expect(publicUrlOf(given)).toBe(url));

  test.each([
    "",
    "kv.example.com",
    "https://kv.example.com/kv",
    "https://a@kv.example.com",
    "ftp://kv.example.com",
    "https://kv?x",
    "https://",
  ])("is not %j", (given) =>
    expect(publicUrlOf(given)).toMatchObject({ message: expect.stringContaining("https://kv.example.com") }),
  );

  test("is refused by the name of what says it", () => {
    expect(publicAddressFrom({ CAIRN_PUBLIC_URL: "kv" })).toMatchObject({
      message: expect.stringMatching(/^CAIRN_PUBLIC_URL must be /),
    });
    expect(publicAddressFrom({ CAIRN_TRUST_PROXY: "1" })).toMatchObject({
      message: expect.stringMatching(/^CAIRN_TRUST_PROXY must be /),
    });
    expect(publicAddressFrom({ CAIRN_PUBLIC_URL: "", CAIRN_TRUST_PROXY: null })).toEqual(untold);
    expect(publicAddressFrom({ CAIRN_TRUST_PROXY: "true" })).toEqual(trusting);
  });
});
