/** API keys in the object of a database: kept encrypted, bounded, and gone from the answer to their deletion on. */
import { expect, test } from "vitest";
import { SecretBox } from "../../src/backup/secrets.ts";
import { ApiKeyIds } from "../../src/contracts/api-key-id.ts";
import type { ApiKeyCommand, ApiKeyWithSecret } from "../../src/contracts/api-keys.ts";
import { encryptionKeys } from "../../src/core/encryption-keys.ts";
import { signingKeys } from "../../src/contracts/signing-keys.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { MAX_API_KEYS } from "../../src/core/document-limits.ts";
import { failure, isFailure } from "../../src/core/errors.ts";
import { ApiKeys } from "../../src/objects/api-keys.ts";
import { ObjectTables } from "../../src/objects/object-tables.ts";
import { systemEntropy } from "../../src/objects/system.ts";
import { CAIRN_ENCRYPTION_KEYS, CAIRN_SIGNING_KEYS } from "../support/deployment-secrets.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { MovableClock, withStorage } from "../support/workerd/engine.ts";

const setup = { organizationId: "o", databaseId: "0190f3c2-5b1e-4d6f-9a53-6c1f4b7f2a10", jurisdiction: null };
const NEWER_KEYS = `k2:Jm4Rz8cVq1NsXy6WbT3hKd0LfP7uGa5eIo2iYtCxQnA=,${CAIRN_ENCRYPTION_KEYS}`;

type Create = Extract<ApiKeyCommand, { command: "create" }>;

const create: Create = {
  command: "create",
  name: "web site",
  permissions: ["documents"],
  requireExpiry: false,
  apps: null,
  createdBy: "token",
  expiresAt: null,
  idempotency: null,
};

function good<T>(value: T): Exclude<T, { readonly ok: false }> {
  if (isFailure(value)) throw new Error(JSON.stringify(value));
  // Failures were just thrown.
  return value as Exclude<T, { readonly ok: false }>;
}

const ids = new ApiKeyIds(good(signingKeys(CAIRN_SIGNING_KEYS)));

function keysIn(
  storage: DurableObjectStorage,
  clock = new MovableClock(),
  encryption = CAIRN_ENCRYPTION_KEYS,
): ApiKeys {
  const secrets = new SecretBox(good(encryptionKeys(encryption)), systemEntropy);
  return new ApiKeys({
    tables: new ObjectTables(storage),
    setup,
    ids: () => ids,
    secrets,
    clock,
    entropy: systemEntropy,
    isRevoked: (tokenId) => tokenId === "revoked",
  });
}

async function made(keys: ApiKeys, wishes: Partial<Create> = {}): Promise<ApiKeyWithSecret> {
  const answer = good(await keys.run({ ...create, ...wishes }));
  if (answer.kind !== "created") throw new Error(answer.kind);
  return answer;
}

test("a key opens the database until it is deleted, also in an object that has just started (D33)", async () => {
  await withStorage(async (storage) => {
    const first = keysIn(storage);
    const { key, secret } = await made(first, { apps: ["shop", "crm/contacts"] });
    const tables = [
      { appId: "shop", tableId: null },
      { appId: "crm", tableId: "contacts" },
    ];
    const opened = { ok: true, secret, requireExpiry: false, expiresAt: null, tables };
    for (const keys of [first, keysIn(storage)]) expect(await keys.open(key.id)).toEqual(opened);
    const other = await made(first);
    expect(other.secret).not.toBe(secret);
    // A request that is under way when the key goes gets nothing either.
    const underWay = keysIn(storage);
    const asked = underWay.open(key.id);
    expect(await underWay.run({ command: "delete", keyId: key.id })).toEqual({ ok: true, kind: "deleted" });
    expect(await asked).toMatchObject({ code: "unauthenticated", message: expect.stringContaining("no such API key") });
    expect(underWay.has(key.id)).toBe(false);
    for (const keys of [underWay, keysIn(storage)]) {
      expect(await keys.open(key.id)).toMatchObject({ code: "unauthenticated" });
      expect(await keys.run({ command: "get", keyId: key.id })).toMatchObject({ code: "not-found" });
      expect(await keys.run({ command: "delete", keyId: key.id })).toMatchObject({ code: "not-found" });
      expect(await keys.run({ command: "list" })).toMatchObject({ keys: [{ id: other.key.id }] });
    }
  });
});

test("the secret is in no row and in no answer but the first, and an old encryption key may go (D32)", async () => {
  await withStorage(async (storage) => {
    const { key, secret } = await made(keysIn(storage));
    const rows = () => JSON.stringify(storage.sql.exec("SELECT * FROM api_keys").toArray());
    expect(rows()).toContain(key.id);
    expect(rows()).not.toContain(secret);
    const list = await keysIn(storage).run({ command: "list" });
    expect(list).toEqual({ ok: true, kind: "list", keys: [key] });
    const stored = rows();
    // The list of keys uses each of them.
    expect(await keysIn(storage, undefined, NEWER_KEYS).run({ command: "list" })).toEqual(list);
    expect(rows()).not.toBe(stored);
    const [newest = ""] = NEWER_KEYS.split(",");
    expect(await keysIn(storage, undefined, newest).open(key.id)).toMatchObject({ ok: true, secret });
    const dropped = await keysIn(storage).open(key.id);
    expect(dropped).toMatchObject({ code: "internal", message: expect.stringContaining("CAIRN_ENCRYPTION_KEYS") });
  });
});

test("a key ends with the token that made it, and then makes room (D34)", async () => {
  await withStorage(async (storage) => {
    const clock = new MovableClock();
    const keys = keysIn(storage, clock);
    const expiresAt = asUnixMs(clock.time + 1_000);
    const { key } = await made(keys, { expiresAt });
    expect(await keys.open(key.id)).toMatchObject({ expiresAt });
    for (let i = 1; i < MAX_API_KEYS; i++) await made(keys);
    const beyond = await keys.run(create);
    expect(beyond).toMatchObject({ code: "limit", message: expect.stringContaining(`${MAX_API_KEYS} API keys`) });
    clock.time = expiresAt;
    await made(keys);
    expect(keys.has(key.id)).toBe(false);
    expect(await keys.run(create)).toMatchObject({ code: "limit" });
  });
});

test("the same request with the same Idempotency-Key makes one key, also when both come at once (D32)", async () => {
  await withStorage(async (storage) => {
    const clock = new MovableClock();
    const keys = keysIn(storage, clock);
    const idempotency = { key: "once", fingerprint: "a" };
    const [one, two] = await Promise.all([made(keys, { idempotency }), made(keys, { idempotency })]);
    expect(two).toEqual(one);
    expect(await made(keysIn(storage, clock), { idempotency })).toEqual(one);
    const another = await keys.run({ ...create, idempotency: { ...idempotency, fingerprint: "b" } });
    expect(another).toMatchObject({ code: "conflict" });
    expect((await made(keys, { idempotency, createdBy: "somebody else" })).key.id).not.toBe(one.key.id);
    clock.time += 86_400_000;
    expect((await made(keys, { idempotency })).key.id).not.toBe(one.key.id);
  });
});

test("the keys that a token made are deleted together, and a revoked token makes none (T19)", async () => {
  await withStorage(async (storage) => {
    const keys = keysIn(storage);
    const [one, two, other] = [
      await made(keys, { createdBy: "leaked" }),
      await made(keys, { createdBy: "leaked" }),
      await made(keys, { createdBy: "another" }),
    ];
    keys.deleteMadeBy("leaked");
    for (const known of [keys, keysIn(storage)]) {
      expect([one, two, other].map(({ key }) => known.has(key.id))).toEqual([false, false, true]);
    }
    expect(await keys.open(one.key.id)).toMatchObject({ code: "unauthenticated" });
    expect(await keys.run({ ...create, createdBy: "revoked" })).toMatchObject({ code: "unauthenticated" });
    expect(keys.has(other.key.id)).toBe(true);
  });
});

test("an object that is asked about keys and has none makes no table", async () => {
  await withStorage(async (storage) => {
    const counting = new CountingStorage(storage);
    const tables = new ObjectTables(counting);
    const keys = new ApiKeys({
      tables,
      setup,
      ids: () => failure("internal", "not needed"),
      secrets: failure("unsupported", "CAIRN_ENCRYPTION_KEYS is not set."),
      clock: new MovableClock(),
      entropy: systemEntropy,
      isRevoked: () => false,
    });
    expect(counting.count(() => expect(keys.has("key_1")).toBe(false))).toEqual({ read: 0, written: 0 });
    expect(await keys.open("key_1")).toMatchObject({ code: "unauthenticated" });
    expect(tables.has("api_keys")).toBe(false);
    const refused = { code: "unsupported", message: expect.stringContaining("CAIRN_ENCRYPTION_KEYS is not set") };
    expect(await keys.run(create)).toMatchObject(refused);
  });
});

test("the id of a key is of one database, one place and one deployment (D35)", async () => {
  const { id, signingKey } = await ids.make(setup.databaseId, "0123456789abcdef", null);
  expect(signingKey).toBe("k1");
  const { id: inEurope } = await ids.make(setup.databaseId, "0123456789abcdef", "eu");
  expect(await ids.placeOf(id, setup.databaseId)).toEqual({ ok: true, jurisdiction: null });
  expect(await ids.placeOf(inEurope, setup.databaseId)).toEqual({ ok: true, jurisdiction: "eu" });
  const rotated = new ApiKeyIds(
    good(signingKeys(`k9:9wQ2Zf5nTjvR0LxYb7aKcU3mPq9sHd6eGt1iVoWzXhE=,${CAIRN_SIGNING_KEYS}`)),
  );
  expect(await rotated.placeOf(id, setup.databaseId)).toMatchObject({ ok: true });
  const moved = inEurope.replace("_eu_", "_us_");
  const others = [
    "",
    id.toUpperCase(),
    `${id} `,
    id.slice(0, -1),
    id.replace("_", "_eu_"),
    inEurope.replace("eu_", ""),
    moved,
  ];
  for (const other of others) {
    expect([other, await ids.placeOf(other, setup.databaseId)]).toMatchObject([other, { code: "unauthenticated" }]);
  }
  for (const other of ["", setup.databaseId.replace("0190", "0191")]) {
    expect(await ids.placeOf(id, other)).toMatchObject({ code: "unauthenticated" });
  }
  const otherDeployment = new ApiKeyIds(good(signingKeys("k1:9wQ2Zf5nTjvR0LxYb7aKcU3mPq9sHd6eGt1iVoWzXhE=")));
  expect(await otherDeployment.placeOf(id, setup.databaseId)).toMatchObject({ code: "unauthenticated" });
});
