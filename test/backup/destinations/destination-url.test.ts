import { describe, expect, it } from "vitest";
import { parseBucketName, parseEndpoint, parseRegion } from "../../../src/backup/destinations/destination-url.ts";
import { MAX_SESSION_TOKEN_CHARACTERS } from "../../../src/core/limits.ts";
import { parseS3Settings } from "../../../src/backup/destinations/s3-settings.ts";

const strict = { strict: true };
const relaxed = { strict: false };

describe("an endpoint", () => {
  it.each([
    ["https://s3.eu-central-1.amazonaws.com", "https://s3.eu-central-1.amazonaws.com"],
    ["https://s3.amazonaws.com/", "https://s3.amazonaws.com"],
    ["HTTPS://Example.COM:443", "https://example.com"],
    ["https://0123456789abcdef.r2.cloudflarestorage.com", "https://0123456789abcdef.r2.cloudflarestorage.com"],
    ["https://storage.example.org:9000/a/b/", "https://storage.example.org:9000/a/b"],
    ["https://8.8.8.8:9000", "https://8.8.8.8:9000"],
    ["https://[2606:4700::6810:1]", "https://[2606:4700::6810:1]"],
    ["https://172.32.0.1", "https://172.32.0.1"],
    ["https://100.128.0.1", "https://100.128.0.1"],
  ])("%s is public and becomes %s", (text, endpoint) => {
    expect(parseEndpoint(text, strict)).toEqual({ ok: true, endpoint });
  });

  it.each([
    "http://s3.amazonaws.com",
    "https://localhost",
    "https://localhost.",
    "https://a.localhost",
    "https://minio",
    "https://nas.local",
    "https://nas.local.",
    "https://db.internal",
    "https://router.lan",
    "https://router.home.arpa",
    "https://0.0.0.0",
    "https://10.1.2.3",
    "https://100.64.0.1",
    "https://100.127.255.255",
    "https://127.0.0.1",
    "https://127.1",
    "https://2130706433",
    "https://0x7f000001",
    "https://0177.0.0.1",
    "https://127.0.0.1.",
    "https://172.16.0.1",
    "https://172.31.255.255",
    "https://192.168.1.1",
    "https://198.19.0.1",
    "https://224.0.0.1",
    "https://255.255.255.255",
    "https://[::]",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[::ffff:8.8.8.8]",
    "https://[::7f00:1]",
    "https://[64:ff9b::7f00:1]",
    "https://[fc00::1]",
    "https://[fd12:3456::1]",
    "https://[fec0::1]",
    "https://[ff02::1]",
    "https://[2001:db8::1]",
    "https://[2001::1]",
    "https://[2002:7f00:1::]",
    "https://[3fff::1]",
  ])("%s is for relaxed deployments only (B42)", (text) => {
    expect(parseEndpoint(text, strict)).toMatchObject({ ok: false, code: "invalid" });
    expect(parseEndpoint(text, relaxed).ok).toBe(true);
  });

  it.each([
    "https://169.254.169.254",
    "https://169.254.0.1/x",
    "https://100.100.100.200",
    "https://168.63.129.16",
    "https://192.0.0.192",
    "https://2852039166",
    "https://0xa9fea9fe",
    "https://[::ffff:169.254.169.254]",
    "https://[64:ff9b::a9fe:a9fe]",
    "https://[2002:a9fe:a9fe::]",
    "https://[fe80::1]",
    "https://[fd00:ec2::254]",
    "https://metadata.google.internal",
    "https://METADATA.google.internal.",
  ])("%s is refused everywhere: machines' credentials are there (B42)", (text) => {
    expect(parseEndpoint(text, strict)).toMatchObject({ ok: false, code: "invalid" });
    expect(parseEndpoint(text, relaxed)).toMatchObject({ ok: false, code: "invalid" });
  });

  it.each([
    "",
    "s3.amazonaws.com",
    "ftp://example.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://",
    "https:///x",
    "https:example.com",
    "https://user:pass@example.com",
    "https://user@example.com",
    "https://@example.com",
    "https://example.com?x=1",
    "https://example.com?",
    "https://example.com#",
    "https://example.com#a",
    "https://example.com/a b",
    "https://example.com/a%2e%2e/b",
    "https://example.com//a",
    "https://example.com\\@evil.example",
    "https://exam\tple.com",
    " https://example.com",
    "https://example.com\n",
    "https://münchen.example",
    "https://exa mple.com",
    "https://[::1",
    "https://999.999.999.999",
    "https://example.com:99999",
    `https://example.com/${"a".repeat(500)}`,
  ])("%j is no endpoint", (text) => {
    expect(parseEndpoint(text, relaxed).ok).toBe(false);
  });

  it("cannot climb out of its path", () => {
    expect(parseEndpoint("https://example.com/a/../b", strict)).toEqual({
      ok: true,
      endpoint: "https://example.com/b",
    });
  });
});

describe("a bucket's name", () => {
  it.each(["abc", "my-bucket", "my_bucket", "my.bucket.1", "a".repeat(63)])("%s", (text) => {
    expect(parseBucketName(text)).toEqual({ ok: true, bucket: text });
  });
  it.each([
    "",
    "ab",
    "a".repeat(64),
    "My-Bucket",
    "a/b",
    "a..b",
    "-abc",
    "abc-",
    ".abc",
    "192.168.1.1",
    "_ab",
    "ab_",
    "a%2fb",
  ])("not %j", (text) => {
    expect(parseBucketName(text).ok).toBe(false);
  });
});

describe("a region", () => {
  it.each(["auto", "us-east-1", "EU2"])("%s", (text) => {
    expect(parseRegion(text)).toEqual({ ok: true, region: text });
  });
  it.each(["", "a/b", "a b", "-a", "a".repeat(65), "a\nb"])("not %j", (text) => {
    expect(parseRegion(text).ok).toBe(false);
  });
});

describe("settings of an S3 destination", () => {
  const input = {
    endpoint: "https://s3.example.com/",
    bucket: "backups",
    region: "auto",
    accessKeyId: "AKIA",
    secretAccessKey: "a/b+c=",
    sessionToken: null,
    prefix: "/some/where",
    addressing: "path",
  } as const;

  it("are kept in canonical form", () => {
    expect(parseS3Settings(input, strict)).toEqual({
      ok: true,
      settings: {
        ...input,
        endpoint: "https://s3.example.com",
        prefix: "some/where/",
        address: "https://s3.example.com/backups",
      },
    });
  });

  it.each([
    { endpoint: "http://s3.example.com" },
    { bucket: "B" },
    { region: "" },
    { prefix: "a/../b" },
    { accessKeyId: "" },
    { accessKeyId: "a/b" },
    { accessKeyId: "a,b" },
    { accessKeyId: "a\r\nx: y" },
    { secretAccessKey: "" },
    { secretAccessKey: "a b" },
    { sessionToken: "" },
    { sessionToken: "a b" },
  ])("are refused with %j", (change) => {
    expect(parseS3Settings({ ...input, ...change }, strict).ok).toBe(false);
  });

  it("take a session token of up to 16 KiB", () => {
    const longest = "t".repeat(MAX_SESSION_TOKEN_CHARACTERS);
    expect(parseS3Settings({ ...input, sessionToken: longest }, strict).ok).toBe(true);
    expect(parseS3Settings({ ...input, sessionToken: `${longest}t` }, strict)).toMatchObject({
      code: "limit",
      message: "The session token has 16385 characters; the limit is 16384.",
    });
  });

  const virtualHost = { ...input, addressing: "virtual-host" } as const;

  it.each([
    ["https://s3.example.com", "backups", "https://backups.s3.example.com"],
    ["https://s3.example.com:8443/sub/", "backups", "https://backups.s3.example.com:8443/sub"],
    ["http://s3.example.com", "my.backups", "http://my.backups.s3.example.com"],
  ])("with the bucket in the host: %s and %s are %s", (endpoint, bucket, address) => {
    const parsed = parseS3Settings({ ...virtualHost, endpoint, bucket }, relaxed);
    expect(parsed.ok && parsed.settings.address).toBe(address);
  });

  it.each([
    [{ endpoint: "http://127.0.0.1:9000" }, /name, not an address/],
    [{ endpoint: "https://[2600::1]" }, /name, not an address/],
    [{ bucket: "my_bucket" }, /underscores/],
    [{ bucket: "my.backups" }, /dots/],
    // Each of the two is harmless, and both together are a cloud's metadata server.
    [{ endpoint: "http://google.internal", bucket: "metadata" }, /metadata/],
  ])("with the bucket in the host are refused with %j", (change, sentence) => {
    expect(parseS3Settings({ ...virtualHost, ...change }, relaxed)).toMatchObject({
      code: "invalid",
      message: expect.stringMatching(sentence),
    });
  });
});
