import { isFailure } from "../../src/core/errors.ts";
import { describe, expect, test } from "vitest";
import { SecretBox } from "../../src/backup/secrets.ts";
import { encryptionKeys } from "../../src/core/encryption-keys.ts";
import { systemEntropy } from "../../src/objects/system.ts";
import { secretBox } from "../support/workerd/backup.ts";

const place = { databaseId: "db", backupId: "one" };
const keyA = btoa("a".repeat(32));
const keyB = btoa("b".repeat(32));

describe("a sealed secret", () => {
  test("comes back, is never the same twice, and shows nothing of itself (B2)", async () => {
    const box = secretBox(`a:${keyA}`);
    const [one, two] = await Promise.all([box.seal("hunter2 ü", place), box.seal("hunter2 ü", place)]);
    expect(one).not.toBe(two);
    expect(one).toMatch(/^1\.a\.[A-Za-z0-9+/=]{16}\.[A-Za-z0-9+/=]+$/);
    expect(await box.open(one, place)).toEqual({ ok: true, text: "hunter2 ü", stale: false });
  });

  test("of an older key opens and says that it is to be sealed again (B32)", async () => {
    const sealed = await secretBox(`a:${keyA}`).seal("secret", place);
    expect(await secretBox(`b:${keyB},a:${keyA}`).open(sealed, place)).toMatchObject({ text: "secret", stale: true });
  });

  test.each([
    ["another database", { ...place, databaseId: "other" }],
    ["another backup", { ...place, backupId: "two" }],
    ["ids that are the same when put together", { databaseId: "dbo", backupId: "ne" }],
  ])("opens in no other place: %s (B2)", async (_, elsewhere) => {
    const box = secretBox(`a:${keyA}`);
    expect(await box.open(await box.seal("secret", place), elsewhere)).toMatchObject({ ok: false, code: "internal" });
  });

  test("opens under no other key, nor with one bit changed, nor cut short", async () => {
    const box = secretBox(`a:${keyA}`);
    const sealed = await box.seal("secret", place);
    expect(await secretBox(`b:${keyB}`).open(sealed, place)).toMatchObject({ message: expect.stringContaining('"a"') });
    expect(await secretBox(`a:${keyB}`).open(sealed, place)).toMatchObject({
      message: expect.stringContaining('cannot be decrypted with key "a" of CAIRN_ENCRYPTION_KEYS'),
    });
    const [version, kid, ...parts] = sealed.split(".");
    for (const [index, part] of parts.entries()) {
      const bytes = atob(part);
      for (let i = 0; i < bytes.length; i++) {
        const flipped = bytes.slice(0, i) + String.fromCharCode(bytes.charCodeAt(i) ^ 1) + bytes.slice(i + 1);
        const altered = [version, kid, ...parts.with(index, btoa(flipped))].join(".");
        expect(await box.open(altered, place)).toMatchObject({ ok: false, code: "internal" });
      }
    }
    expect(await box.open(sealed.slice(0, -4), place)).toMatchObject({ ok: false });
    expect(await box.open(`${sealed}!`, place)).toMatchObject({ ok: false });
    expect(await box.open("", place)).toMatchObject({ ok: false });
  });
});

test.each([
  ["nothing", ""],
  ["31 bytes", `a:${btoa("x".repeat(31))}`],
  ["33 bytes", `a:${btoa("x".repeat(33))}`],
  ["no key id", keyA],
])("%s is no list of encryption keys, and the sentence names the entry alone", (_, text) => {
  const keys = encryptionKeys(text);
  expect(keys).toMatchObject({ ok: false, message: expect.stringMatching(/^entry 1: /) });
});

test("a box with several keys seals with the first", async () => {
  const keys = encryptionKeys(`b:${keyB}, a:${keyA}`);
  if (isFailure(keys)) throw new Error(keys.message);
  expect(await new SecretBox(keys, systemEntropy).seal("secret", place)).toMatch(/^1\.b\./);
});
