/** Which requests go through the environment's proxy. */
import { expect, test } from "vitest";
import { goesThroughProxy, type ProxiedRequests } from "../../src/core/outbound-proxy.ts";

const both: ProxiedRequests = { schemes: ["http", "https"], noProxy: "" };

test("by the scheme of the URL", () => {
  expect(goesThroughProxy(new URL("https://a.example"), { ...both, schemes: ["https"] })).toBe(true);
  expect(goesThroughProxy(new URL("http://a.example"), { ...both, schemes: ["https"] })).toBe(false);
});

test.each([
  "http://localhost:9",
  "http://a.localhost",
  "http://127.0.0.1",
  "http://127.1.2.3:80",
  "http://[::1]:9000",
  "http://localhost.",
])("%s is this machine, and never does", (url) => {
  expect(goesThroughProxy(new URL(url), both)).toBe(false);
});

test.each([
  ["*", "https://a.example", false],
  ["a.example", "https://a.example", false],
  ["a.example", "https://A.EXAMPLE", false],
  ["a.example", "https://b.a.example", false],
  ["a.example", "https://ba.example", true],
  ["a.example", "https://a.example.", false],
  [".a.example", "https://b.a.example", false],
  [".a.example", "https://a.example", true],
  ["*.a.example", "https://b.a.example", false],
  ["A.Example", "https://a.example", false],
  [" b.example , a.example ", "https://a.example", false],
  ["b.example,,", "https://a.example", true],
  ["a.example:443", "https://a.example", false],
  ["a.example:8443", "https://a.example", true],
  ["a.example:80", "http://a.example", false],
  ["10.0.0.5", "http://10.0.0.5:9000", false],
  ["10.0.0.5:9000", "http://10.0.0.5:9000", false],
  ["10.0.0.0/8", "http://10.200.0.5", false],
  ["10.0.0.0/8", "http://11.0.0.5", true],
  ["10.0.0.0/8", "http://a10.0.0.0.example", true],
  ["0.5", "http://10.0.0.5", true],
  ["0.0.0.0/0", "http://1.2.3.4", false],
  ["fd12::1", "http://[fd12::1]:9000", false],
  ["[fd12::1]:9000", "http://[fd12::1]:9000", false],
  ["[fd12::1]:9001", "http://[fd12::1]:9000", true],
])("with NO_PROXY %j %s goes through it: %s", (noProxy, url, goes) => {
  expect(goesThroughProxy(new URL(url), { ...both, noProxy })).toBe(goes);
});
