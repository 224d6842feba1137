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
    { what: "what was asked, where no proxy is", address: untold, headers: {}, link: here, origin: here },
    {
      what: "what was asked, where a proxy says the same",
      address: untold,
      headers: { "x-forwarded-proto": "http" },
      link: here,
      origin: here,
    },
    {
      what: "nothing, where a proxy says another scheme and is not trusted",
      address: untold,
      headers: { "x-forwarded-proto": "https" },
      link: "",
      origin: here,
    },
    {
      what: "nothing, where a proxy says another name and is not trusted",
      address: untold,
      headers: { "x-forwarded-host": "kv.example.com" },
      link: "",
      origin: here,
    },
    {
      what: "what was told",
      address: told,
      headers: {},
      link: "https://kv.example.com",
      origin: "https://kv.example.com",
    },
    {
      what: "what was told, whatever a header says",
      address: told,
      headers: { "x-forwarded-host": "evil.example" },
      link: "https://kv.example.com",
      origin: "https://kv.example.com",
    },
    {
      what: "what a trusted proxy says",
      address: trusting,
      headers: byProxy,
      link: "https://kv.example.com",
      origin: "https://kv.example.com",
    },
    {
      what: "its scheme, where it says no more",
      address: trusting,
      headers: { "x-forwarded-proto": "https" },
      link: "https://127.0.0.1:4512",
      origin: "https://127.0.0.1:4512",
    },
    {
      what: "the first proxy's word of several",
      address: trusting,
      headers: { "x-forwarded-proto": "https, http", "x-forwarded-host": "kv.example.com:8443, inner" },
      link: "https://kv.example.com:8443",
      origin: "https://kv.example.com:8443",
    },
    {
      what: "an IPv6 host",
      address: trusting,
      headers: { "x-forwarded-host": "[2001:db8::1]:8443" },
      link: "http://[2001:db8::1]:8443",
      origin: "http://[2001:db8::1]:8443",
    },
    {
      what: "what was asked, where what is said is none",
      address: trusting,
      headers: { "x-forwarded-proto": "gopher", "x-forwarded-host": "a/b?c@d" },
      link: here,
      origin: here,
    },
    {
      what: "what was asked, where a port is none",
      address: trusting,
      headers: { "x-forwarded-host": "kv.example.com:99999" },
      link: here,
      origin: here,
    },
  ])("$what", ({ address, headers, link, origin }) => {
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
