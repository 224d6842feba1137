import { describe, expect, test } from "vitest";
import { deploymentOf } from "../../src/directory/deployment.ts";

const CAIRN_SIGNING_KEYS = `k1:${btoa("a key of thirty-two bytes or more")}`;
const CAIRN_DEPLOYMENT_TOKEN = "a-deployment-token";
const good = { CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS };

describe("the deployment's secrets", () => {
  test("are one or several deployment tokens, the signing keys, and perhaps an alias", () => {
    expect(deploymentOf(good)).toMatchObject({
      deploymentTokens: ["a-deployment-token"],
      keys: [{ kid: "k1" }],
      alias: null,
    });
    const several = { ...good, CAIRN_DEPLOYMENT_TOKEN: "a-new-deployment-token, the-old-deployment-token" };
    expect(deploymentOf({ ...several, CAIRN_TOKEN_ALIAS: "my-own:cairn_x" })).toMatchObject({
      deploymentTokens: ["a-new-deployment-token", "the-old-deployment-token"],
      alias: { text: "my-own", token: "cairn_x" },
    });
  });

  test.each([
    ["CAIRN_DEPLOYMENT_TOKEN is not set.", { CAIRN_SIGNING_KEYS }],
    ["CAIRN_DEPLOYMENT_TOKEN is not set. Make one: npm run --silent secrets.", { ...good, CAIRN_DEPLOYMENT_TOKEN: "" }],
    ["CAIRN_SIGNING_KEYS is not set.", { CAIRN_DEPLOYMENT_TOKEN }],
    ["CAIRN_SIGNING_KEYS is not set.", { ...good, CAIRN_SIGNING_KEYS: null }],
    [/^CAIRN_DEPLOYMENT_TOKEN, entry 1: /, { ...good, CAIRN_DEPLOYMENT_TOKEN: "fifteen-letters" }],
    [/^CAIRN_DEPLOYMENT_TOKEN, entry 2: /, { ...good, CAIRN_DEPLOYMENT_TOKEN: `${CAIRN_DEPLOYMENT_TOKEN},` }],
    [/^CAIRN_DEPLOYMENT_TOKEN, entry 1: /, { ...good, CAIRN_DEPLOYMENT_TOKEN: "with spaces inside of it" }],
    [/^CAIRN_SIGNING_KEYS, entry 1: /, { ...good, CAIRN_SIGNING_KEYS: "no-colon" }],
    [/^CAIRN_TOKEN_ALIAS must be /, { ...good, CAIRN_TOKEN_ALIAS: "no-colon" }],
    [/^CAIRN_TOKEN_ALIAS must be /, { ...good, CAIRN_TOKEN_ALIAS: ":token" }],
    [/^CAIRN_TOKEN_ALIAS must be /, { ...good, CAIRN_TOKEN_ALIAS: "a:b:c" }],
  ])("are refused with %s", (message, secrets) => {
    expect(deploymentOf(secrets)).toMatchObject({
      ok: false,
      code: "invalid",
      message: expect.stringMatching(message),
    });
  });
});
