/** What tokens allow on the data path, seen from the real Deno: two tenants, read-only tokens, key prefixes, revocation and ends. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startManagedServer, Tenant, tryExchange, type MintedToken } from "../support/management.ts";
import { encodeRead, encodeWrite, exchange, rawKey, rawPrefix, rawSet } from "../support/raw-connect.ts";
import type { Client } from "./clients/client.ts";
import { startDeno } from "./clients/deno-client.ts";
import type { Operation, Outcome, Watched } from "./clients/operations.ts";

const server = await startManagedServer();
let tenant: Tenant;
let databaseId: string;

beforeAll(async () => {
  tenant = await Tenant.make(server);
  databaseId = await tenant.newDatabase();
});

afterAll(() => server.close());

function denoWith(accessToken: string, id = databaseId, of = tenant): Client {
  const deno = startDeno(of.opening(id, accessToken));
  onTestFinished(() => deno.close());
  return deno;
}

async function attempt(client: Client, operation: Operation): Promise<Outcome> {
  return (await client.order({ do: "attempt", operation })) as Outcome;
}

async function watched(client: Client, name: string): Promise<Watched> {
  const outcome = await attempt(client, { type: "watched", name });
  if ("error" in outcome) throw new Error(outcome.error);
  return outcome.value as Watched;
}

const refusedWith = (sentence: RegExp): unknown => ({ error: expect.stringMatching(sentence) });

describe("two tenants", () => {
  test("write the same keys side by side, and neither sees or reaches what is the other's (T15, T21)", async () => {
    const tenants = [tenant, await Tenant.make(server)] as const;
    const opened = await Promise.all(
      tenants.map(async (each) => {
        const id = await each.newDatabase();
        return { id, deno: denoWith(each.token, id, each) };
      }),
    );
    const [one, two] = opened;
    if (one === undefined || two === undefined) throw new Error("expected two");
    for (const [index, { deno }] of opened.entries()) {
      expect(await attempt(deno, { type: "watch", name: "w", keys: [["name"]] })).toEqual({});
      expect(await attempt(deno, { type: "set", key: ["name"], value: index })).toEqual({ value: true });
    }
    for (const [index, { deno }] of opened.entries()) {
      const all = { type: "list", selector: { prefix: [] } } as const;
      expect(await attempt(deno, all)).toEqual({ value: [[["name"], index]] });
      await expect.poll(async () => (await watched(deno, "w")).states).toEqual([[null], [index]]);
    }

    const foreign = await tryExchange(tenants[0].opening(two.id));
    const unknown = await tryExchange(tenants[0].opening("00000000-0000-4000-8000-000000000000"));
    expect(foreign).toEqual({ status: 404, sentence: expect.stringMatching(/^There is no such database/) });
    expect(unknown).toEqual(foreign);
    // A data token of one's own database does not open another's.
    const connect = await tenants[0].connect(one.id);
    onTestFinished(() => connect.close());
    const answer = await connect.post("snapshot_read", encodeRead({ ranges: [rawPrefix("name")] }), {
      url: connect.url("snapshot_read", two.id),
      headers: connect.headers({ "x-denokv-database-id": two.id }),
    });
    expect([answer.status, answer.body.toString()]).toEqual([401, expect.stringMatching(/for this database/)]);
  });

  test("Deno is told that there is no such database, be it another tenant's or nobody's (T21)", async () => {
    const foreign = await (await Tenant.make(server)).newDatabase();
    for (const id of [foreign, "00000000-0000-4000-8000-000000000000"]) {
      const deno = denoWith(tenant.token, id);
      await expect(attempt(deno, { type: "get", key: ["a"] })).rejects.toThrow(/404[^]*There is no such database/);
    }
  });
});

describe("a token", () => {
  test("that may only read reads and watches; its writes are refused with a sentence, and change nothing (T6)", async () => {
    const { token } = await tenant.newToken({ permissions: ["read"], databases: [databaseId] });
    const [writer, reader] = [denoWith(tenant.token), denoWith(token)];
    await attempt(writer, { type: "set", key: ["read only"], value: 1 });
    expect(await attempt(reader, { type: "get", key: ["read only"] })).toEqual({ value: 1 });
    expect(await attempt(reader, { type: "watch", name: "w", keys: [["read only"]] })).toEqual({});
    for (const operation of [
      { type: "set", key: ["read only"], value: 2 },
      { type: "delete", key: ["read only"] },
      { type: "sum", key: ["counter"] },
    ] as const) {
      expect(await attempt(reader, operation)).toEqual(refusedWith(/The token does not allow writing/));
    }
    expect(await attempt(writer, { type: "get", key: ["read only"] })).toEqual({ value: 1 });
    await attempt(writer, { type: "set", key: ["read only"], value: 3 });
    await expect.poll(async () => (await watched(reader, "w")).states.at(-1)).toEqual([3]);
  });

  test("that may only write writes, and its reads are refused (T6)", async () => {
    const writer = denoWith((await tenant.newToken({ permissions: ["write"] })).token);
    expect(await attempt(writer, { type: "set", key: ["write only"], value: 1 })).toEqual({ value: true });
    const refused = refusedWith(/The token does not allow reading/);
    expect(await attempt(writer, { type: "get", key: ["write only"] })).toEqual(refused);
    expect(await attempt(writer, { type: "watch", name: "w", keys: [["write only"]] })).toEqual(refused);
  });

  test("for other databases, or for none of the data, opens nothing (T7)", async () => {
    const elsewhere = await tenant.newToken({ databases: [await tenant.newDatabase()] });
    expect(await tryExchange(tenant.opening(databaseId, elsewhere.token))).toMatchObject({ status: 404 });
    for (const permissions of [["admin"], ["metrics"]]) {
      const { token } = await tenant.newToken({ permissions });
      const refused = await tryExchange(tenant.opening(databaseId, token));
      expect(refused).toEqual({ status: 403, sentence: expect.stringMatching(/needs the permission read or write/) });
    }
    const backup = await tenant.newToken({ permissions: ["backup"] });
    expect(await attempt(denoWith(backup.token), { type: "get", key: ["a"] })).toHaveProperty("value");
  });

  test("with an end opens the database until then, and what it opened ends with it (O11, T13)", async () => {
    const expiresAt = Date.now() + 4000;
    const { token } = await tenant.newToken({ expiresAt: new Date(expiresAt).toISOString() });
    const metadata = await tryExchange(tenant.opening(databaseId, token));
    if ("status" in metadata) throw new Error(metadata.sentence);
    expect(Date.parse(metadata.expiresAt)).toBe(expiresAt);
    const connect = await tenant.connect(databaseId, token);
    onTestFinished(() => connect.close());
    const watch = await connect.watch(rawKey("end"));
    await watch.next();
    const read = encodeRead({ ranges: [rawPrefix("end")] });
    expect((await connect.post("snapshot_read", read)).status).toBe(200);

    while (Date.now() < expiresAt) await new Promise((resolve) => setTimeout(resolve, 50));
    const late = await connect.post("snapshot_read", read);
    expect([late.status, late.body.toString()]).toEqual([401, expect.stringMatching(/expired/)]);
    expect(await tryExchange(tenant.opening(databaseId, token))).toEqual({
      status: 401,
      sentence: "The access token has expired.",
    });
    // Keep-alives before its end are no news.
    let frame = await watch.frame();
    while (frame === "keep-alive") frame = await watch.frame();
    expect(frame).toBeUndefined();
  });
});

describe("a token with a key prefix", () => {
  const users = (...more: readonly (string | number)[]) => ["users", "alice", ...more];
  let inside: Client;
  let everywhere: Client;

  beforeAll(async () => {
    const { token } = await tenant.newToken({ databases: [databaseId], keyPrefix: ["users", "alice"] });
    inside = startDeno(tenant.opening(databaseId, token));
    everywhere = startDeno(tenant.opening(databaseId));
    for (const [index, key] of [
      ["a"],
      ["users"],
      ["users", "al"],
      users(),
      users("x"),
      users("y", 1),
      // Its bytes begin with those of the prefix, its parts do not.
      ["users", "alice\u0000b"],
      ["users", "alicea"],
      ["users", "bob"],
      ["z"],
    ].entries()) {
      await attempt(everywhere, { type: "set", key, value: index });
    }
  });

  afterAll(async () => {
    await inside.close();
    await everywhere.close();
  });

  test("gets what lies under it, and finds nothing elsewhere (T8)", async () => {
    const keys = [users(), users("x"), ["users", "alicea"], ["users", "alice\u0000b"], ["users"], ["a"]];
    expect(await attempt(inside, { type: "getMany", keys })).toEqual({ value: [3, 4, null, null, null, null] });
  });

  test.each([
    ["everything", { prefix: [] }, [3, 4, 5]],
    ["a shorter prefix", { prefix: ["users"] }, [3, 4, 5]],
    ["its own prefix, which the key itself is not under", { prefix: users() }, [4, 5]],
    ["a longer one", { prefix: users("y") }, [5]],
    ["another's", { prefix: ["users", "bob"] }, []],
    ["a range that begins before it", { start: ["a"], end: users("x") }, [3]],
    ["a range that ends after it", { start: users("x"), end: ["z", 1] }, [4, 5]],
    ["a range around it", { start: ["a"], end: ["zz"] }, [3, 4, 5]],
    ["a range before it", { start: ["a"], end: users() }, []],
    ["a range after it", { start: ["users", "alicea"], end: ["zz"] }, []],
  ] as const)("lists of %s only what lies under it (T9)", async (_, selector, values) => {
    const expected = values.map((value) => expect.arrayContaining([value]));
    expect(await attempt(inside, { type: "list", selector })).toEqual({ value: expected });
    const reversed = await attempt(inside, { type: "list", selector, reverse: true });
    expect(reversed).toEqual({ value: expected.toReversed() });
    // The limit counts what is given, not what was hidden.
    const limited = await attempt(inside, { type: "list", selector, limit: 2 });
    expect(limited).toEqual({ value: expected.slice(0, 2) });
  });

  test("writes, sums, deletes and watches under it", async () => {
    expect(await attempt(inside, { type: "watch", name: "w", keys: [users("w")] })).toEqual({});
    expect(await attempt(inside, { type: "set", key: users("w"), value: 1 })).toEqual({ value: true });
    expect(await attempt(inside, { type: "check", key: users("c"), check: users("d") })).toEqual({ value: true });
    expect(await attempt(inside, { type: "sum", key: users("n") })).toEqual({ value: true });
    await expect.poll(async () => (await watched(inside, "w")).states).toEqual([[null], [1]]);
    for (const name of ["w", "c", "n"]) await attempt(inside, { type: "delete", key: users(name) });
  });

  test.each([
    ["to set", { type: "set", key: ["users", "bob"], value: "x" }],
    ["to set its bytes but not its parts", { type: "set", key: ["users", "alicea"], value: "x" }],
    ["to set its first part", { type: "set", key: ["users"], value: "x" }],
    ["to delete", { type: "delete", key: ["a"] }],
    ["to sum", { type: "sum", key: ["z"] }],
    ["to check", { type: "check", key: ["users", "alice", "new"], check: ["users", "bob"] }],
    [
      "to watch",
      {
        type: "watch",
        name: "no",
        keys: [
          ["users", "alice"],
          ["users", "bob"],
        ],
      },
    ],
  ] as const)("is refused %s elsewhere, with a sentence, and nothing changes (T10)", async (_, operation) => {
    const before = await attempt(everywhere, { type: "list", selector: { prefix: [] } });
    expect(await attempt(inside, operation)).toEqual(refusedWith(/allows only keys under its key prefix/));
    expect(await attempt(everywhere, { type: "list", selector: { prefix: [] } })).toEqual(before);
  });

  test("is answered 403 when a write names one key elsewhere among many (T10)", async () => {
    const { token } = await tenant.newToken({ databases: [databaseId], keyPrefix: ["users", "alice"] });
    const connect = await tenant.connect(databaseId, token);
    onTestFinished(() => connect.close());
    const value = Uint8Array.of(1);
    const mutations = [rawSet(rawKey("users", "alice", "m"), value), rawSet(rawKey("users", "bob"), value)];
    expect((await connect.post("atomic_write", encodeWrite({ mutations }))).status).toBe(403);
    expect(await attempt(inside, { type: "get", key: users("m") })).toEqual({ value: null });
  });
});

describe("a revoked token", () => {
  test("is refused on the data path at once, its open watches end, and another token's go on (O12, T17)", async () => {
    const [leaving, staying] = [await tenant.newToken({}), await tenant.newToken({ permissions: ["read"] })];
    const [goes, stays] = [denoWith(leaving.token), denoWith(staying.token)];
    const writer = denoWith(tenant.token);
    for (const client of [goes, stays]) {
      expect(await attempt(client, { type: "watch", name: "w", keys: [["watched"]] })).toEqual({});
    }
    const connect = await tenant.connect(databaseId, leaving.token);
    onTestFinished(() => connect.close());
    const watch = await connect.watch(rawKey("watched"));
    await watch.next();

    await tenant.revoke(leaving);
    // From the answer on, not a moment later.
    const write = encodeWrite({ mutations: [rawSet(rawKey("late"), Uint8Array.of(1))] });
    for (const [operation, body] of [
      ["atomic_write", write],
      ["snapshot_read", encodeRead({ ranges: [rawPrefix("watched")] })],
    ] as const) {
      const answer = await connect.post(operation, body);
      expect([answer.status, answer.body.toString()]).toEqual([401, expect.stringMatching(/revoked/)]);
    }
    expect(await watch.frame()).toBeUndefined();
    expect(await tryExchange(tenant.opening(databaseId, leaving.token))).toEqual({
      status: 401,
      sentence: "The access token has been revoked.",
    });
    await expect.poll(async () => (await watched(goes, "w")).ended).toMatch(/access token has been revoked/);
    expect(await attempt(goes, { type: "get", key: ["watched"] })).toEqual(refusedWith(/revoked/));

    await attempt(writer, { type: "set", key: ["watched"], value: "after" });
    await expect.poll(async () => (await watched(stays, "w")).states).toEqual([[null], ["after"]]);
    expect((await watched(stays, "w")).ended).toBeNull();
    expect(await attempt(writer, { type: "get", key: ["late"] })).toEqual({ value: null });
  });

  test("was for several databases: all of them refuse it (T17)", async () => {
    const leaving = await tenant.newToken({});
    const ids = await Promise.all(Array.from({ length: 12 }, () => tenant.newDatabase()));
    const connects = await Promise.all(ids.map((id) => tenant.connect(id, leaving.token)));
    onTestFinished(() => connects.forEach((connect) => connect.close()));
    await tenant.revoke(leaving);
    const read = encodeRead({ ranges: [rawPrefix("a")] });
    const answers = await Promise.all(connects.map((connect) => connect.post("snapshot_read", read)));
    expect(answers.map(({ status }) => status)).toEqual(ids.map(() => 401));
  });
});

describe("a deleted database", () => {
  test("cuts what is open, refuses what comes late, and its id opens nothing ever again (O12, T22)", async () => {
    const id = await tenant.newDatabase();
    const connect = await tenant.connect(id);
    onTestFinished(() => connect.close());
    const deno = denoWith(tenant.token, id);
    await connect.write({ mutations: [rawSet(rawKey("a"), Uint8Array.of(1))] });
    const watch = await connect.watch(rawKey("a"));
    await watch.next();
    expect(await attempt(deno, { type: "watch", name: "w", keys: [["a"]] })).toEqual({});

    const deleted = await server.send("DELETE", `/api/databases/${id}`, tenant.token);
    expect(deleted).toMatchObject({ status: 202, body: { status: "completed", databaseId: id } });
    expect(await watch.frame()).toBeUndefined();
    const read = encodeRead({ ranges: [rawPrefix("a")] });
    const write = encodeWrite({ mutations: [rawSet(rawKey("a"), Uint8Array.of(2))] });
    for (const [operation, body] of [
      ["snapshot_read", read],
      ["atomic_write", write],
    ] as const) {
      const answer = await connect.post(operation, body);
      expect([answer.status, answer.body.toString()]).toEqual([404, expect.stringMatching(/no such database/)]);
    }
    expect(await tryExchange(tenant.opening(id))).toMatchObject({ status: 404 });
    await expect.poll(async () => (await watched(deno, "w")).ended).not.toBeNull();
    expect(await attempt(deno, { type: "get", key: ["a"] })).toEqual(refusedWith(/no such database/));
    expect((await server.send("GET", `/api/databases/${id}`, tenant.token)).status).toBe(404);
    expect((await server.send("DELETE", `/api/databases/${id}`, tenant.token)).body).toEqual(deleted.body);
  });
});

test("what is shown once is nowhere else: no secret is in what the server logs or in any list (T2)", async () => {
  const minted: MintedToken[] = [await tenant.newToken({}), await tenant.newToken({ keyPrefix: ["a"] })];
  const listed = await server.send("GET", `/api/organizations/${tenant.organizationId}/tokens?limit=100`, tenant.token);
  await exchange(tenant.opening(databaseId, `${minted[0]?.token}x`), undefined);
  for (const token of [...minted.map((each) => each.token), tenant.token, server.adminToken, server.accessToken]) {
    const secret = token.split("_")[3] ?? token;
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    for (const text of [JSON.stringify(listed.body), server.log()]) expect(text).not.toContain(secret);
  }
  expect(server.log()).not.toContain(server.deploymentToken);
});
