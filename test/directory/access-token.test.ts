import { describe, expect, test } from "vitest";
import { AccessTokenKeys } from "../../src/directory/access-token.ts";
import { systemEntropy } from "../../src/objects/system.ts";
import { accessTokenKeys, DEPLOYMENT_TOKEN, keysOf, ok } from "../support/workerd/directory.ts";

const organizationId = "6f1b3e0a-1111-4222-8333-444455556666";
const tokenId = "0123456789abcdef";
const keys = accessTokenKeys(keysOf("k1"));

describe("access tokens", () => {
  test("have the form cairn_{organization}_{id}_{secret}_{check} and read back (T1)", async () => {
    const { token, secretHash, signingKey } = ok(await keys.mint(organizationId, tokenId, null, null));
    expect(token).toMatch(/^cairn_6f1b3e0a111142228333444455556666_0123456789abcdef_[0-9a-f]{64}_[0-9a-f]{24}$/);
    expect(signingKey).toBe("k1");
    expect(await keys.caller(token, null)).toEqual({
      kind: "token",
      organizationId,
      tokenId,
      secretHash,
      origin: null,
    });
  });

  test("have a new secret each time (T1)", async () => {
    const first = ok(await keys.mint(organizationId, tokenId, null, null));
    expect(ok(await keys.mint(organizationId, tokenId, null, null)).token).not.toBe(first.token);
  });

  test("made with an idempotency key come out the same again, and for another key, id or organization differ (T27)", async () => {
    const first = ok(await keys.mint(organizationId, tokenId, "i1", null));
    expect(await keys.mint(organizationId, tokenId, "i1", "k1")).toEqual(first);
    const others = [
      await keys.mint(organizationId, tokenId, "i2", null),
      await keys.mint(organizationId, "0123456789abcdee", "i1", null),
      await keys.mint(organizationId.replace("6f", "6e"), tokenId, "i1", null),
    ].map((minted) => ok(minted).token.split("_")[3]);
    expect(new Set([first.token.split("_")[3], ...others]).size).toBe(4);
  });

  test("come out the same after a rotation, as long as their key is there", async () => {
    const first = ok(await keys.mint(organizationId, tokenId, "i1", null));
    const rotated = accessTokenKeys(keysOf("k2", "k1"));
    expect(await rotated.mint(organizationId, tokenId, "i1", "k1")).toEqual(first);
    const dropped = accessTokenKeys(keysOf("k2"));
    expect(await dropped.mint(organizationId, tokenId, "i1", "k1")).toMatchObject({ code: "conflict" });
  });

  test("are taken while any accepted key made their check, and no longer (T25)", async () => {
    const { token } = ok(await keys.mint(organizationId, tokenId, null, null));
    const rotated = accessTokenKeys(keysOf("k2", "k1"));
    expect(await rotated.tokenCaller(token, null)).toMatchObject({ tokenId });
    const dropped = accessTokenKeys(keysOf("k2"));
    expect(await dropped.tokenCaller(token, null)).toMatchObject({ code: "unauthenticated" });
  });

  test("with anything but the secret changed are refused before anybody is asked (T3)", async () => {
    const { token } = ok(await keys.mint(organizationId, tokenId, null, null));
    const [cairn, organization, id, secret, check] = token.split("_");
    const made = [
      [cairn, organization?.replace("6f", "6e"), id, secret, check],
      [cairn, organization, "0123456789abcdee", secret, check],
      [cairn, organization, id, secret, check?.replace(/.$/, (last) => (last === "0" ? "1" : "0"))],
      [cairn, organization, id, secret],
      [cairn, organization, id, secret, check, "x"],
      [cairn, organization, id, secret?.toUpperCase(), check?.toUpperCase()],
    ].map((parts) => parts.join("_"));
    for (const text of [...made, "", "cairn", `${token}\n`, "é", "x".repeat(100_000)]) {
      expect(await keys.tokenCaller(text, null)).toMatchObject({ ok: false, code: "unauthenticated" });
    }
  });

  test("the deployment's token is itself and nothing near it", async () => {
    expect(await keys.caller(DEPLOYMENT_TOKEN, null)).toEqual({ kind: "deployment" });
    for (const text of ["", `${DEPLOYMENT_TOKEN}x`, DEPLOYMENT_TOKEN.slice(1), DEPLOYMENT_TOKEN.toUpperCase()]) {
      expect(await keys.caller(text, null)).toMatchObject({ code: "unauthenticated" });
    }
  });

  test("of the deployment may be several: each is taken, and nothing made of them (T25)", async () => {
    const deploymentTokens = ["a-new-deployment-token", "the-old-deployment-token"];
    const several = new AccessTokenKeys({ keys: keysOf("k1"), deploymentTokens, alias: null }, systemEntropy);
    for (const token of deploymentTokens) expect(await several.caller(token, null)).toEqual({ kind: "deployment" });
    for (const token of [deploymentTokens.join(","), "", "a-new-deployment-toke"]) {
      expect(await several.caller(token, null)).toMatchObject({ code: "unauthenticated" });
    }
  });

  test("an alias is the token that it stands for, and hides no token that is spelled like it", async () => {
    const { token } = ok(await keys.mint(organizationId, tokenId, null, null));
    const other = ok(await keys.mint(organizationId, "0123456789abcdee", null, null)).token;
    const withAlias = accessTokenKeys(keysOf("k1"), { text: "my-own-text", token });
    expect(await withAlias.caller("my-own-text", null)).toEqual(await keys.caller(token, null));
    expect(await withAlias.tokenCaller("my-own-text", null)).toEqual(await keys.tokenCaller(token, null));
    expect(await withAlias.tokenCaller("my-own-tex", null)).toMatchObject({ code: "unauthenticated" });
    const spelledLikeIt = accessTokenKeys(keysOf("k1"), { text: other, token });
    expect(await spelledLikeIt.tokenCaller(other, null)).toMatchObject({ tokenId: "0123456789abcdee" });
    const madeUp = accessTokenKeys(keysOf("k1"), { text: "my-own-text", token: token.replace(/.$/, "x") });
    expect(await madeUp.tokenCaller("my-own-text", null)).toMatchObject({ code: "unauthenticated" });
  });
});
