import { isFailure } from "../../src/core/errors.ts";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { deploymentOf } from "../../src/directory/deployment.ts";
import { deploymentSecrets, type Secrets } from "../../src/local/secrets.ts";
import { CAIRN_ENCRYPTION_KEYS, CAIRN_SIGNING_KEYS } from "../support/deployment-secrets.ts";
import { temporaryFolder } from "./stand-in-server.ts";

function secretsOf(folder: string, given: Partial<Secrets> = {}): Secrets {
  const secrets = deploymentSecrets(folder, given, ["127.0.0.1"]);
  if (isFailure(secrets)) throw new Error(secrets.message);
  return secrets;
}

test("secrets are made once, kept in a file that only its owner reads, and never twice the same", () => {
  const folder = temporaryFolder();
  const made = secretsOf(folder);
  expect(secretsOf(folder)).toEqual(made);
  expect(secretsOf(temporaryFolder()).CAIRN_DEPLOYMENT_TOKEN).not.toBe(made.CAIRN_DEPLOYMENT_TOKEN);
  expect(statSync(join(folder, "secrets.json")).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["secrets-lock.db", "secrets.json"]);
});

test("what is made has the form that the Worker asks for", () => {
  const made = secretsOf(temporaryFolder());
  expect(deploymentOf(made)).toMatchObject({
    deploymentTokens: [expect.stringMatching(/^cairn_deployment_[\w-]{43}$/)],
    keys: [{ secret: { length: 32 } }],
  });
});

test("what is given goes before the file and is not written down", () => {
  const folder = temporaryFolder();
  const given = { CAIRN_DEPLOYMENT_TOKEN: "given-deployment-token" };
  expect(secretsOf(folder, given).CAIRN_DEPLOYMENT_TOKEN).toBe("given-deployment-token");
  expect(readFileSync(join(folder, "secrets.json"), "utf8")).not.toContain("CAIRN_DEPLOYMENT_TOKEN");
  const made = secretsOf(folder);
  expect(made.CAIRN_DEPLOYMENT_TOKEN).toMatch(/^cairn_/);
  expect(secretsOf(folder, given)).toEqual({ ...made, ...given });
  expect(secretsOf(folder)).toEqual(made);
});

test("a file that others could read is closed to them", () => {
  const folder = temporaryFolder();
  secretsOf(folder);
  chmodSync(join(folder, "secrets.json"), 0o644);
  secretsOf(folder);
  expect(statSync(join(folder, "secrets.json")).mode & 0o777).toBe(0o600);
});

test.each([
  ["CAIRN_DEPLOYMENT_TOKEN", "with spaces in it"],
  ["CAIRN_DEPLOYMENT_TOKEN", "fifteen-letters"],
  ["CAIRN_DEPLOYMENT_TOKEN", "a-good-deployment-token,short"],
  ["CAIRN_SIGNING_KEYS", "k1:c2hvcnQ="],
  ["CAIRN_SIGNING_KEYS", "no-colon"],
  ["CAIRN_DEPLOYMENT_TOKEN", "a-good-deployment-token\n"],
])("a %s of the wrong form is refused by name, its value not shown", (name, value) => {
  const refused = deploymentSecrets(temporaryFolder(), { [name]: value }, ["127.0.0.1"]);
  expect(refused).toMatchObject({ ok: false, message: expect.stringContaining(name) });
  expect(refused).not.toMatchObject({ message: expect.stringContaining(value) });
});

test.each([
  ["CAIRN_DEPLOYMENT_TOKEN", "xK9v2mQ7pL4tR8wZ\n", "CAIRN_DEPLOYMENT_TOKEN ends with a line break, "],
  ["CAIRN_DEPLOYMENT_TOKEN", "xK9v2mQ7pL4tR8wZ\r\nxK9v2mQ7", "CAIRN_DEPLOYMENT_TOKEN has a line break in it, "],
  ["CAIRN_SIGNING_KEYS", `${CAIRN_SIGNING_KEYS}\n`, "CAIRN_SIGNING_KEYS ends with a line break, "],
  ["CAIRN_ENCRYPTION_KEYS", `${CAIRN_ENCRYPTION_KEYS}\n`, "CAIRN_ENCRYPTION_KEYS ends with a line break, "],
])("%s read from a file with its last line break is refused by saying so", (name, value, sentence) => {
  const refused = deploymentSecrets(temporaryFolder(), { [name]: value }, ["127.0.0.1"]);
  expect(refused).toMatchObject({ ok: false, code: "invalid", message: expect.stringContaining(sentence) });
});

test("placeholders are taken where only this machine reaches the server, and nowhere else", () => {
  const placeholders = { CAIRN_DEPLOYMENT_TOKEN: "choose-a-long-random-token" };
  for (const host of ["127.0.0.1", "127.8.0.1", "localhost", "::1"]) {
    expect(deploymentSecrets(temporaryFolder(), placeholders, [host])).toMatchObject(placeholders);
  }
  for (const host of ["0.0.0.0", "::", "192.168.1.5", "kv.example.com"]) {
    const folder = temporaryFolder();
    expect(deploymentSecrets(folder, placeholders, [host])).toMatchObject({
      ok: false,
      message: expect.stringMatching(/^CAIRN_DEPLOYMENT_TOKEN, entry 1: it is a placeholder /),
    });
    expect(readdirSync(folder)).toEqual([]);
  }
});

const keyA = Buffer.alloc(32, 1).toString("base64");
const keyB = Buffer.alloc(40, 2).toString("base64");

test("two signing keys may have a space between them", () => {
  const given = {
    CAIRN_DEPLOYMENT_TOKEN: "given-deployment-token",
    CAIRN_SIGNING_KEYS: `k1:${keyA}, k2:${keyB}`,
    CAIRN_ENCRYPTION_KEYS: `k1:${keyA}`,
  };
  expect(deploymentSecrets(temporaryFolder(), given, ["127.0.0.1"])).toEqual(given);
  expect(deploymentOf(given)).toMatchObject({ keys: [{ kid: "k1" }, { kid: "k2" }] });
});

/** What the local server lets pass and the Worker refuses would be a server whose every request is 500. */
test.each([
  ["the same key id twice", `k1:${keyA},k1:${keyB}`, /entry 2: its key id was used/],
  ["base64 of an impossible length", `k1:${"A".repeat(45)}`, /entry 1: .*not base64/],
  ["a key of 31 bytes", `k1:${Buffer.alloc(31).toString("base64")}`, /entry 1: the key has 31 bytes/],
  ["a comma at the end", `k1:${keyA},`, /entry 2: expected kid:base64/],
])("signing keys, %s: refused by the local server as by the Worker, naming the variable once", (_, value, sentence) => {
  const given = { CAIRN_DEPLOYMENT_TOKEN: "given-deployment-token", CAIRN_SIGNING_KEYS: value };
  const refused = deploymentSecrets(temporaryFolder(), given, ["127.0.0.1"]);
  expect(refused).toMatchObject({ ok: false, code: "invalid", message: expect.stringMatching(sentence) });
  expect(deploymentOf(given)).toEqual(refused);
  expect(refused).not.toMatchObject({ message: expect.stringMatching(/CAIRN_SIGNING_KEYS.*CAIRN_SIGNING_KEYS/) });
});

test.each(["{", "[1]", "[]", "", '{"CAIRN_DEPLOYMENT_TOKEN": 1}', "null"])(
  "a file with %s in it is refused and left alone",
  (text) => {
    const folder = temporaryFolder();
    const file = join(folder, "secrets.json");
    writeFileSync(file, text);
    expect(deploymentSecrets(folder, {}, ["127.0.0.1"])).toMatchObject({
      ok: false,
      message: expect.stringContaining(file),
    });
    expect(readFileSync(file, "utf8")).toBe(text);
  },
);
