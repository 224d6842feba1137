import { describe, expect, test } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { encodeKey, type KeyPart } from "../../src/codec/key-codec.ts";
import { MAX_DATABASES_OF_TOKEN, MAX_KEY_PREFIX_BYTES } from "../../src/core/limits.ts";
import type { CommandName } from "../../src/contracts/management.ts";
import type { Permission, Scopes } from "../../src/contracts/resources.ts";
import { POLICY, refuses } from "../../src/directory/policy.ts";
import { beyond, checkScopes } from "../../src/directory/scopes.ts";
import { ok } from "../support/workerd/directory.ts";

const now = asUnixMs(1000);
const all: Scopes = {
  permissions: ["read", "write", "admin", "backup", "metrics"],
  databases: "all",
  keyPrefix: null,
  expiresAt: null,
  allowedOrigins: null,
};

function prefix(...parts: KeyPart[]): string {
  return toHex(ok(encodeKey(parts)).bytes);
}

describe("scopes that no token may have", () => {
  test.each<[string, Partial<Scopes>, string]>([
    ["no permission", { permissions: [] }, "invalid"],
    ["a permission twice", { permissions: ["read", "read"] }, "invalid"],
    ["no database", { databases: [] }, "invalid"],
    ["a database twice", { databases: ["a", "a"] }, "invalid"],
    [
      "too many databases",
      { databases: Array.from({ length: MAX_DATABASES_OF_TOKEN + 1 }, (__, i) => String(i)) },
      "limit",
    ],
    ["a prefix and admin", { permissions: ["read", "admin"], keyPrefix: prefix("a") }, "invalid"],
    ["a prefix and backup", { permissions: ["backup"], keyPrefix: prefix("a") }, "invalid"],
    ["a prefix and metrics", { permissions: ["metrics"], keyPrefix: prefix("a") }, "invalid"],
    ["too long a prefix", { permissions: ["read"], keyPrefix: "02".repeat(MAX_KEY_PREFIX_BYTES + 1) }, "limit"],
    ["an end that is now", { expiresAt: now }, "invalid"],
  ])("%s", (_, part, code) => expect(checkScopes({ ...all, ...part }, now)).toMatchObject({ code }));

  test.each<[string, Partial<Scopes>]>([
    ["everything", {}],
    [
      "as many databases as allowed",
      { databases: Array.from({ length: MAX_DATABASES_OF_TOKEN }, (__, i) => String(i)) },
    ],
    ["a prefix with read and write", { permissions: ["read", "write"], keyPrefix: "02".repeat(MAX_KEY_PREFIX_BYTES) }],
    ["an end right after now", { expiresAt: asUnixMs(now + 1) }],
  ])("but %s is fine", (_, part) => expect(checkScopes({ ...all, ...part }, now)).toBeUndefined());
});

describe("a token mints only within its own scopes (T12)", () => {
  const listed: Scopes = { ...all, databases: ["a", "b"] };
  const ending: Scopes = { ...all, expiresAt: asUnixMs(50) };
  const narrow: Scopes = { ...all, permissions: ["read", "write"], keyPrefix: prefix("user") };
  test.each<[string, Scopes, Scopes, RegExp | undefined]>([
    ["the same", all, all, undefined],
    ["another permission", all, { ...all, permissions: ["admin"] }, /read/],
    ["read from backup", { ...all, permissions: ["read"] }, { ...all, permissions: ["backup"] }, undefined],
    ["backup from read", { ...all, permissions: ["backup"] }, { ...all, permissions: ["read"] }, /backup/],
    ["all databases from some", all, listed, /all databases/],
    ["some databases from all", listed, all, undefined],
    ["fewer databases", { ...all, databases: ["b"] }, listed, undefined],
    ["another database", { ...all, databases: ["b", "c"] }, listed, /the database c/],
    ["no end", all, ending, /a later end/],
    ["a later end", { ...all, expiresAt: asUnixMs(51) }, ending, /a later end/],
    ["the same end", ending, ending, undefined],
    ["an earlier end", { ...all, expiresAt: asUnixMs(49) }, ending, undefined],
    ["no prefix", { ...narrow, keyPrefix: null }, narrow, /prefix/],
    ["the same prefix", narrow, narrow, undefined],
    ["a prefix under it", { ...narrow, keyPrefix: prefix("user", 1) }, narrow, undefined],
    ["a prefix whose bytes begin so", { ...narrow, keyPrefix: prefix("users") }, narrow, /prefix/],
    ["a prefix above it", narrow, { ...narrow, keyPrefix: prefix("user", 1) }, /prefix/],
  ])("%s", (_, inner, outer, sentence) => {
    expect(beyond(inner, outer) ?? "nothing").toMatch(sentence ?? /^nothing$/);
  });
});

describe("the policy's table", () => {
  const commands = Object.keys(POLICY) as (CommandName | "exchange")[];

  test.each(commands)("%s is allowed by each permission that it names, and by no other (T5)", (command) => {
    for (const permission of ["read", "write", "admin", "backup", "metrics"] satisfies Permission[]) {
      const named =
        POLICY[command].needs.includes(permission) ||
        (permission === "backup" && POLICY[command].needs.includes("read"));
      expect(refuses({ ...all, permissions: [permission] }, command)?.code).toBe(named ? undefined : "forbidden");
    }
  });

  test.each(commands)(
    "%s of the whole organization is refused to a token that lists databases, and only that",
    (command) => {
      const expected = POLICY[command].reach === "organization" ? "forbidden" : undefined;
      expect(refuses({ ...all, databases: ["a"] }, command)?.code).toBe(expected);
    },
  );

  test("a token with a key prefix can open databases and nothing else (T11)", () => {
    const scopes: Scopes = { ...all, permissions: ["read", "write"], keyPrefix: prefix("a") };
    expect(commands.filter((command) => refuses(scopes, command) === undefined)).toEqual(["exchange"]);
  });

  test("a token for metrics can do nothing else", () => {
    expect(commands.filter((command) => refuses({ ...all, permissions: ["metrics"] }, command) === undefined)).toEqual([
      "metrics.get",
    ]);
  });
});
