import { describe, expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { ConfiguredAuthority, CONFIGURED_TOKEN_ID } from "../../src/directory/configured-authority.ts";
import { DataTokens } from "../../src/directory/data-token.ts";
import { signingKeys } from "../../src/directory/signing-keys.ts";

const databaseId = "6f1b3e0a-1111-4222-8333-444455556666";
const keys = signingKeys(`k:${btoa("s".repeat(32))}`);
if ("ok" in keys) throw new Error(keys.message);
let now = asUnixMs(1_800_000_000_000);
const authority = new ConfiguredAuthority({ databaseId, accessToken: "correct horse" }, new DataTokens(keys), {
  now: () => now,
});

describe("one configured database and token", () => {
  test("the token is exchanged for a data token that reads and writes, by the clock that was given", async () => {
    const exchanged = await authority.exchange("correct horse", databaseId);
    if ("ok" in exchanged) throw new Error(exchanged.message);
    expect(exchanged.expiresAt).toBe(now + 3_600_000);
    const grant = { tokenId: CONFIGURED_TOKEN_ID, read: true, write: true, expiresAt: now + 4_200_000 };
    expect(await authority.verify(exchanged.token, databaseId)).toEqual(grant);
    expect(authority.verify(exchanged.token, databaseId)).toEqual(grant);
    now = asUnixMs(now + 4_200_000);
    expect(await authority.verify(exchanged.token, databaseId)).toMatchObject({ code: "unauthenticated" });
  });

  test.each(["", "correct hors", "correct horse ", "Correct horse"])(
    "%j is not the token, whatever the database",
    async (text) => {
      const here = await authority.exchange(text, databaseId);
      expect(here).toMatchObject({ ok: false, code: "unauthenticated" });
      expect(await authority.exchange(text, "made-up")).toEqual(here);
    },
  );

  test("with the token, another database is not found", async () => {
    expect(await authority.exchange("correct horse", "made-up")).toMatchObject({ ok: false, code: "not-found" });
  });
});
