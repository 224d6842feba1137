/** Where events may be sent, and how they are signed. */
import { describe, expect, test } from "vitest";
import { MAX_WEBHOOK_URL_CHARACTERS } from "../../src/core/limits.ts";
import { newWebhookSecret, signatureHeaders } from "../../src/directory/webhook-signature.ts";
import { parseWebhookUrl } from "../../src/directory/webhook-url.ts";
import { systemEntropy } from "../../src/objects/system.ts";

const [strict, lenient] = [{ strict: true }, { strict: false }];

describe("a URL", () => {
  test.each([
    ["https://example.com/hook", "https://example.com/hook"],
    ["https://EXAMPLE.com", "https://example.com/"],
    ["https://example.com:8443/a/b?token=x%20y&z=@", "https://example.com:8443/a/b?token=x%20y&z=@"],
    ["https://93.184.216.34/", "https://93.184.216.34/"],
  ])("%s is taken everywhere", (given, url) => {
    expect(parseWebhookUrl(given, strict)).toEqual({ ok: true, url });
    expect(parseWebhookUrl(given, lenient)).toEqual({ ok: true, url });
  });

  test.each([
    "http://example.com/hook",
    "https://localhost/hook",
    "https://10.0.0.5/hook",
    "https://[fd00::1]/hook",
    "https://hooks.internal/",
    "https://0x7f.1/",
    "http://127.0.0.1:9000/",
  ])("%s is taken where private addresses are", (given) => {
    expect(parseWebhookUrl(given, strict)).toMatchObject({ ok: false, code: "invalid" });
    expect(parseWebhookUrl(given, lenient)).toMatchObject({ ok: true });
  });

  test.each([
    "http://169.254.169.254/latest/meta-data",
    "http://[fd00:ec2::254]/",
    "http://metadata.google.internal/",
    "https://user:password@example.com/",
    "https://user@example.com/",
    "https://example.com/#fragment",
    "ftp://example.com/",
    "https:/example.com",
    "https://example.com\\@evil.example/",
    "https://exämple.com/",
    "https://example.com/a b",
    "example.com/hook",
    "",
  ])("%s is taken nowhere, and a sentence says why", (given) => {
    for (const rules of [strict, lenient]) {
      const refused = parseWebhookUrl(given, rules);
      expect(refused).toMatchObject({ ok: false, code: "invalid", message: expect.stringMatching(/^url .+\.$/) });
    }
  });

  test("is at most so long", () => {
    const longest = `https://example.com/${"a".repeat(MAX_WEBHOOK_URL_CHARACTERS - 20)}`;
    expect(parseWebhookUrl(longest, strict)).toMatchObject({ ok: true });
    expect(parseWebhookUrl(`${longest}a`, strict)).toMatchObject({ ok: false, code: "limit" });
  });
});

describe("a signature", () => {
  const message = {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    timestamp: 1_614_265_330,
    body: '{"test": 2432232314}',
  };
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

  test("is the one that the libraries of Standard Webhooks test theirs with", async () => {
    expect(await signatureHeaders(message, [secret])).toEqual({
      "webhook-id": message.id,
      "webhook-timestamp": "1614265330",
      "webhook-signature": expected,
    });
  });

  test("is made with each secret while one is replaced", async () => {
    const another = newWebhookSecret(systemEntropy);
    const both = (await signatureHeaders(message, [another, secret]))["webhook-signature"] ?? "";
    expect(both.split(" ")).toEqual([expect.stringMatching(/^v1,[\w+/]{43}=$/), expected]);
  });

  test("has a secret of 32 bytes that nobody can guess", () => {
    const secrets = Array.from({ length: 10 }, () => newWebhookSecret(systemEntropy));
    expect(new Set(secrets).size).toBe(10);
    for (const each of secrets) expect(each).toMatch(/^whsec_[\w+/]{43}=$/);
  });
});
