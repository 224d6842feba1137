import { isFailure } from "../../src/core/errors.ts";
import { describe, expect, test } from "vitest";
import { signingKeys } from "../../src/contracts/signing-keys.ts";

const secretA = btoa("a".repeat(32));
const secretB = btoa("b".repeat(48));

describe("signing keys", () => {
  test("the first is current, the others follow in order (T25)", () => {
    const keys = signingKeys(`new:${secretA}, old-1:${secretB}`);
    expect(keys).toMatchObject([{ kid: "new" }, { kid: "old-1" }]);
    expect(isFailure(keys) ? undefined : keys[1]?.secret).toEqual(new TextEncoder().encode("b".repeat(48)));
  });

  test.each([
    ["nothing", "", /entry 1: expected kid:base64/],
    ["a bare secret", secretA, /entry 1: expected kid:base64/],
    ["a comma at the end", `a:${secretA},`, /entry 2/],
    ["an empty key id", `:${secretA}`, /entry 1: the key id/],
    ["a key id with a quote", `a":${secretA}`, /entry 1: the key id/],
    ["a key id twice", `a:${secretA},a:${secretB}`, /entry 2: its key id was used/],
    ["what is not base64", "a:hunter2secret!", /not base64/],
    ["base64 of an impossible length", `a:${"A".repeat(45)}`, /not base64/],
    ["31 bytes", `a:${btoa("x".repeat(31))}`, /has 31 bytes, at least 32/],
  ])("%s is refused with a sentence that shows nothing of it", (_, text, sentence) => {
    const refused = signingKeys(text);
    expect(refused).toMatchObject({ ok: false, code: "invalid", message: expect.stringMatching(sentence) });
    const message = isFailure(refused) ? refused.message : "";
    for (const secret of [secretA, secretB, "hunter2", btoa("x".repeat(31))]) expect(message).not.toContain(secret);
  });
});
