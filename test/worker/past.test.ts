/** A database as of a moment, through the whole Worker: exchange, reads and watches over the real objects and a bucket. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { fromBinary } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeAtomicWrite, encodeSnapshotRead, encodeWatch } from "../../src/codec/datapath-requests.ts";
import type { Mutation } from "../../src/core/operations.ts";
import { pastName } from "../../src/contracts/restore-commands.ts";
import { timeOfVersion, versionOfBytes, versionOfHex, versionstampHex } from "../../src/core/versionstamp.ts";
import { migrateDatabase } from "../../src/engine/engine-schema.ts";
import type { Env } from "../../src/objects/env.ts";
import { bury } from "../../src/objects/identity.ts";
import { ObjectTables } from "../../src/objects/object-tables.ts";
import worker from "../../src/worker.ts";
import { CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS } from "../support/deployment-secrets.ts";
import { passTime } from "../support/moved-date.ts";
import {
  AtomicWriteOutputSchema,
  SnapshotReadOutputSchema,
} from "../support/proto/generated/com/deno/kv/datapath/datapath_pb.js";
import { key, point, set, text, write } from "../support/workerd/engine.ts";

// The plugin's environment is the deployment's, without its secrets.
const configured: Env = {
  ...(env as unknown as Env),
  CAIRN_DEPLOYMENT_TOKEN,
  CAIRN_SIGNING_KEYS,
};
const { DATABASES } = configured;

function send(method: string, path: string, token: string, body?: object | Uint8Array): Promise<Response> {
  const sent = body === undefined ? {} : { body: body instanceof Uint8Array ? body : JSON.stringify(body) };
  const headers = { authorization: `Bearer ${token}` };
  return worker.fetch(new Request(`https://cairn.test${path}`, { method, headers, ...sent }), configured);
}

/** What the management doors answer has tests of its own. */
async function made(method: string, path: string, token: string, body?: object): Promise<Record<string, string>> {
  const answer = await send(method, path, token, body);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Record<string, string>;
}

let organization: string;
let admin: string;

beforeAll(async () => {
  ({ organization, admin } = await newTenant());
});

async function newTenant(): Promise<{ organization: string; admin: string }> {
  const tenant = (await made("POST", "/api/organizations", CAIRN_DEPLOYMENT_TOKEN, { name: "o" })) as unknown as {
    token: string;
    organization: { id: string };
  };
  return { organization: tenant.organization.id, admin: tenant.token };
}

async function newToken(scopes: object): Promise<{ id: string; token: string }> {
  const { id = "", token = "" } = await made("POST", `/api/organizations/${organization}/tokens`, admin, {
    name: "t",
    databases: "all",
    permissions: ["read", "write"],
    ...scopes,
  });
  return { id, token };
}

/** What an exchange gave. */
interface Opened {
  readonly endpoint: string;
  readonly token: string;
}

/** The status and the sentence of a refusal. */
type Refused = readonly [number, string];

async function exchange(databaseId: string, moment: string | null, token = admin): Promise<Opened | Refused> {
  const path = `/databases/${databaseId}${moment === null ? "" : `/at/${moment}`}/connect`;
  const answer = await send("POST", path, token, { supportedVersions: [3] });
  if (!answer.ok) return [answer.status, await answer.text()];
  const metadata: { token: string; endpoints: { url: string }[] } = await answer.json();
  return { endpoint: metadata.endpoints[0]?.url ?? "", token: metadata.token };
}

async function opened(databaseId: string, moment: string | null, token = admin): Promise<Opened> {
  for (let i = 0; ; i++) {
    const answer = await exchange(databaseId, moment, token);
    if ("endpoint" in answer) return answer;
    if (answer[0] !== 503 || i > 200) throw new Error(answer.join(" "));
    await scheduler.wait(50);
  }
}

/** The value under the key as text, null for none; or the refusal. */
async function read({ endpoint, token }: Opened, name: Uint8Array): Promise<string | null | Refused> {
  const answer = await send("POST", `${endpoint}/snapshot_read`, token, encodeSnapshotRead([point(name)]));
  if (!answer.ok) return [answer.status, await answer.text()];
  const { ranges } = fromBinary(SnapshotReadOutputSchema, new Uint8Array(await answer.arrayBuffer()));
  const value = ranges[0]?.values[0]?.value;
  return value === undefined ? null : new TextDecoder().decode(value);
}

/** As clients do: a 503 is asked again. */
async function waitAndRead(open: Opened, name: Uint8Array): Promise<string | null | Refused> {
  for (let i = 0; ; i++) {
    const answer = await read(open, name);
    if (!Array.isArray(answer) || answer[0] !== 503 || i > 200) return answer;
    await scheduler.wait(50);
  }
}

async function put({ endpoint, token }: Opened, ...mutations: Mutation[]): Promise<string> {
  const answer = await send("POST", `${endpoint}/atomic_write`, token, encodeAtomicWrite(write(mutations)));
  const { versionstamp } = fromBinary(AtomicWriteOutputSchema, new Uint8Array(await answer.arrayBuffer()));
  return versionstampHex(versionOfBytes(versionstamp) ?? notCommitted());
}

function notCommitted(): never {
  throw new Error("the write was not committed");
}

interface TestDatabase {
  readonly id: string;
  readonly live: Opened;
  /** The commits at which `a` became 0, 1, 2, … */
  readonly commits: readonly string[];
}

const a = key("a");
const backup = { destination: { kind: "r2", prefix: "" }, intervalMs: 500 };

async function newDatabase(count = 3): Promise<TestDatabase> {
  const { id = "" } = await made("POST", `/api/organizations/${organization}/databases`, admin, {});
  const live = await opened(id, null);
  // In the snapshot.
  await put(live, set(key("z"), text("z")));
  await made("POST", `/api/databases/${id}/backup`, admin, backup);
  await expect
    .poll(async () => (await made("GET", `/api/databases/${id}/backup`, admin))["status"])
    .toMatchObject({ code: "active" });
  const commits: string[] = [];
  for (let i = 0; i < count; i++) {
    commits.push(await put(live, set(a, text(`${i}`)), set(key("b", i), text("b"))));
    passTime(5);
  }
  return { id, live, commits };
}

function stateOf({ id }: TestDatabase, at = "") {
  return DATABASES.getByName(pastName(id, versionOfHex(at) ?? notCommitted()));
}

describe("a moment", () => {
  test("is read as it was, before and after commits that follow, while the live database goes on (G27)", async () => {
    const { id, live, commits } = await newDatabase();
    const then = await opened(id, commits[1] ?? "");
    expect(then.endpoint).toBe(`/databases/${id}/at/${commits[1]}`);
    expect(await waitAndRead(then, a)).toBe("1");
    expect(await read(then, key("b", 2))).toBeNull();
    await put(live, set(a, text("later")));
    expect([await read(then, a), await read(live, a)]).toEqual(["1", "later"]);
    const refused = await send("POST", `${then.endpoint}/atomic_write`, then.token, encodeAtomicWrite(write([])));
    expect([refused.status, await refused.text()]).toEqual([403, expect.stringMatching(/can be read and not written/)]);
  });

  test("by its time is the last commit up to then", async () => {
    const { id, commits } = await newDatabase();
    const after = new Date(timeOfVersion(versionOfHex(commits[1] ?? "") ?? notCommitted()) + 2).toISOString();
    const then = await opened(id, encodeURIComponent(after));
    expect(then.endpoint).toBe(`/databases/${id}/at/${commits[1]}`);
    expect(await waitAndRead(then, a)).toBe("1");
  });

  test("asked for twice at once is built once (G29)", async () => {
    const database = await newDatabase();
    const [at = ""] = database.commits;
    await opened(database.id, at);
    await stateOf(database, at).discard();
    const both = await Promise.all([opened(database.id, at), opened(database.id, at), opened(database.id, at)]);
    expect(await Promise.all(both.map((one) => waitAndRead(one, a)))).toEqual(["0", "0", "0"]);
  });

  test("is built although its object and the database's are killed meanwhile", async () => {
    const database = await newDatabase();
    const [at = ""] = database.commits;
    const then = await opened(database.id, at);
    await Promise.all([
      evictDurableObject(stateOf(database, at)),
      evictDurableObject(DATABASES.getByName(database.id)),
    ]);
    expect(await waitAndRead(then, a)).toBe("0");
  });

  test("that is no moment, lies before the backup or is not over yet is refused with what there is (G4)", async () => {
    const { id, commits } = await newDatabase();
    await opened(id, commits[2] ?? "");
    expect(await exchange(id, "yesterday")).toEqual([400, expect.stringMatching(/^"yesterday" is no moment/)]);
    expect(await exchange(id, "2026-02-31T00:00:00Z")).toEqual([400, expect.stringMatching(/month 02 of 2026 has 28/)]);
    const range = new RegExp(`The commits in the backup are those from [0-9a-f]{20} .* to ${commits[2]}`);
    expect(await exchange(id, "2020-01-01T00:00:00Z")).toEqual([404, expect.stringMatching(/lies before the oldest/)]);
    expect(await exchange(id, "2020-01-01T00:00:00Z")).toEqual([404, expect.stringMatching(range)]);
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
    expect(await exchange(id, tomorrow)).toEqual([404, expect.stringMatching(/is not over yet/)]);
    expect(await exchange(id, tomorrow)).toEqual([404, expect.stringMatching(range)]);
  });

  test("of a database without a backup, and one that a backup that stands still does not hold, is refused", async () => {
    const { id: without = "" } = await made("POST", `/api/organizations/${organization}/databases`, admin, {});
    expect(await exchange(without, "2020-01-01T00:00:00Z")).toEqual([404, expect.stringMatching(/has no backup/)]);
    const { id, live, commits } = await newDatabase();
    await opened(id, commits[2] ?? "");
    await made("POST", `/api/databases/${id}/backup:pause`, admin);
    const at = await put(live, set(a, text("unsent")));
    expect(await exchange(id, at)).toEqual([409, expect.stringMatching(/stands still: resume it/)]);
    expect(await waitAndRead(await opened(id, commits[0] ?? ""), a)).toBe("0");
  });

  test("stays readable when the backup ends, and is not built again (G32)", async () => {
    const database = await newDatabase();
    const [at = ""] = database.commits;
    const then = await opened(database.id, at);
    expect(await waitAndRead(then, a)).toBe("0");
    await send("DELETE", `/api/databases/${database.id}/backup`, admin);
    expect(await read(then, a)).toBe("0");
    expect(await exchange(database.id, at)).toEqual([404, expect.stringMatching(/has no backup/)]);
    await stateOf(database, at).discard();
    expect(await read(then, a)).toEqual([404, expect.stringMatching(/has no backup/)]);
  });
});

describe("a token", () => {
  test("of a moment opens nothing live and no other moment, and a live one opens no moment (T15)", async () => {
    const { id, live, commits } = await newDatabase();
    const then = await opened(id, commits[0] ?? "");
    expect(await waitAndRead(then, a)).toBe("0");
    const elsewhere = `/databases/${id}/at/${commits[1]}`;
    for (const wrong of [
      { ...then, endpoint: live.endpoint },
      { ...then, endpoint: elsewhere },
      { ...live, endpoint: then.endpoint },
    ]) {
      expect(await read(wrong, a)).toEqual([401, expect.stringMatching(/at another moment/)]);
    }
  });

  test("holds there as it does in the live database: its key prefix, and reading", async () => {
    const { id, commits } = await newDatabase();
    const at = commits[1] ?? "";
    const under = await newToken({ keyPrefix: ["b"] });
    const then = await opened(id, at, under.token);
    expect(await waitAndRead(then, key("b", 1))).toBe("b");
    expect(await read(then, a)).toBeNull();
    const outside = await send("POST", `${then.endpoint}/watch`, then.token, encodeWatch([a]));
    expect([outside.status, await outside.text()]).toEqual([403, expect.stringMatching(/key prefix/)]);
    const writer = await newToken({ permissions: ["write"] });
    expect(await exchange(id, at, writer.token)).toEqual([403, expect.stringMatching(/does not allow reading/)]);
  });

  test("of another tenant gets the same answer as for a database that does not exist", async () => {
    const { id, commits } = await newDatabase();
    const { admin: stranger } = await newTenant();
    for (const moment of [commits[0] ?? "", "yesterday", "2020-01-01T00:00:00Z"]) {
      const unknown = await exchange(crypto.randomUUID(), moment, stranger);
      expect(unknown).toEqual([404, expect.any(String)]);
      expect(await exchange(id, moment, stranger)).toEqual(unknown);
    }
    expect(await exchange(id, commits[0] ?? "", "made up")).toEqual([401, expect.any(String)]);
  });

  test("that is revoked reads no moment from then on, also one that is wiped, being built, or built again", async () => {
    const database = await newDatabase();
    const { id, commits } = database;
    const [at = "", second = ""] = commits;
    const { id: tokenId, token } = await newToken({});
    const [first, other] = [await opened(id, at, token), await opened(id, second, token)];
    expect([await waitAndRead(first, a), await waitAndRead(other, a)]).toEqual(["0", "1"]);
    const watch = await send("POST", `${first.endpoint}/watch`, first.token, encodeWatch([a]));
    await stateOf(database, second).discard();
    await made("DELETE", `/api/organizations/${organization}/tokens/${tokenId}`, admin);

    const revoked = [401, expect.stringMatching(/revoked/)];
    expect(await read(first, a)).toEqual(revoked);
    expect(await read(other, a)).toEqual(revoked);
    expect(await exchange(id, at, token)).toEqual(revoked);
    // The stream ends: all of it can be read.
    expect((await watch.arrayBuffer()).byteLength).toBeGreaterThan(0);
    const again = await opened(id, second);
    expect(await read(other, a)).toEqual(revoked);
    expect(await waitAndRead(again, a)).toBe("1");
    expect(await read(other, a)).toEqual(revoked);
    await evictDurableObject(stateOf(database, second));
    expect([await read(other, a), await read(again, a)]).toEqual([revoked, "1"]);
  });
});

describe("a state", () => {
  test("that was wiped is built again for a token that is still good, and never read as empty meanwhile (G29)", async () => {
    const database = await newDatabase();
    const [at = ""] = database.commits;
    const then = await opened(database.id, at);
    expect(await waitAndRead(then, a)).toBe("0");
    await stateOf(database, at).discard();
    expect(await read(then, a)).toEqual([503, expect.stringMatching(/is being built/)]);
    expect(await waitAndRead(then, a)).toBe("0");
    await stateOf(database, at).discard();
    const watch = await send("POST", `${then.endpoint}/watch`, then.token, encodeWatch([a]));
    expect(watch.status).toBe(200);
    await watch.body?.cancel();
  });

  test("whose object was killed between being made and being told what for holds nothing, and is built", async () => {
    const database = await newDatabase();
    const [at = ""] = database.commits;
    const then = await opened(database.id, at);
    expect(await waitAndRead(then, a)).toBe("0");
    const state = stateOf(database, at);
    await state.discard();
    await runInDurableObject(state, (_, { storage }) => migrateDatabase(storage));
    await evictDurableObject(state);
    expect(await read(then, a)).toEqual([503, expect.stringMatching(/is being built/)]);
    expect(await waitAndRead(then, a)).toBe("0");
  });

  test("makes room for a third moment unless it is the last that was read; its reader waits until another is idle (G30)", async () => {
    const database = await newDatabase();
    const { id, commits } = database;
    const [first, second] = [await opened(id, commits[0] ?? ""), await opened(id, commits[1] ?? "")];
    expect([await waitAndRead(first, a), await waitAndRead(second, a)]).toEqual(["0", "1"]);
    // Asked for last, and yet not read last.
    await opened(id, commits[1] ?? "");
    passTime(5);
    expect(await read(first, a)).toBe("0");
    const third = await opened(id, commits[2] ?? "");
    expect(await waitAndRead(third, a)).toBe("2");
    expect(await read(first, a)).toBe("0");
    expect(await read(second, a)).toEqual([503, expect.stringMatching(/Other moments .* are being read/)]);
    await runInDurableObject(stateOf(database, commits[2]), (_, { storage }) => {
      storage.sql.exec("UPDATE mode SET used_at = ?1", Date.now() - 11_000);
    });
    await evictDurableObject(stateOf(database, commits[2]));
    await runInDurableObject(DATABASES.getByName(id), (_, { storage }) => {
      storage.sql.exec("UPDATE past_states SET used_at = ?1", Date.now() - 11_000);
    });
    await evictDurableObject(DATABASES.getByName(id));
    expect(await waitAndRead(second, a)).toBe("1");
    expect(await read(first, a)).toBe("0");
    expect(await stateOf(database, commits[2]).lastUse()).toBeNull();
  });

  test("is not wiped while somebody watches it (G31)", async () => {
    const database = await newDatabase();
    const [at = ""] = database.commits;
    const then = await opened(database.id, at);
    expect(await waitAndRead(then, a)).toBe("0");
    const watch = await send("POST", `${then.endpoint}/watch`, then.token, encodeWatch([a]));
    const state = stateOf(database, at);
    const passQuarterHour = async () => {
      await runInDurableObject(state, (_, { storage }) => {
        storage.sql.exec("UPDATE mode SET used_at = ?1", Date.now() - 16 * 60_000);
      });
      await evictDurableObject(state);
      await runDurableObjectAlarm(state);
    };
    await passQuarterHour();
    expect(await state.lastUse()).toBeGreaterThan(Date.now() - 1_000);
    expect(await read(then, a)).toBe("0");
    await watch.body?.cancel();
    await expect
      .poll(async () => {
        await passQuarterHour();
        return state.lastUse();
      })
      .toBeNull();
  });

  test("whose backup is damaged is refused with the damage, and not waited for", async () => {
    const database = await newDatabase();
    const { id, commits } = database;
    await opened(id, commits[2] ?? "");
    const { BACKUPS } = configured;
    const stored = await BACKUPS?.list({ prefix: `${organization}/${id}/` });
    const ranges = stored?.objects.map((one) => one.key).filter((name) => name.includes("/snapshots/")) ?? [];
    expect(ranges).not.toEqual([]);
    for (const name of ranges) await BACKUPS?.put(name, "damaged");
    const then = await opened(id, commits[0] ?? "");
    expect(await waitAndRead(then, a)).toEqual([409, expect.stringMatching(/could not be built: .*/)]);
  });

  test("goes with its database (G32)", async () => {
    const database = await newDatabase();
    const { id, commits } = database;
    const [at = ""] = commits;
    const then = await opened(id, at);
    expect(await waitAndRead(then, a)).toBe("0");
    await send("DELETE", `/api/databases/${id}`, admin);
    expect(await read(then, a)).toEqual([404, expect.stringMatching(/no such database/)]);
    expect(await stateOf(database, at).lastUse()).toBeNull();
    expect(await exchange(id, at)).toEqual([404, expect.any(String)]);
  });

  test("goes also when a deletion was interrupted, and is done again", async () => {
    const database = await newDatabase();
    const { id, commits } = database;
    const [at = ""] = commits;
    expect(await waitAndRead(await opened(id, at), a)).toBe("0");
    const live = DATABASES.getByName(id);
    await runInDurableObject(live, (_, { storage }) => bury(new ObjectTables(storage)));
    await evictDurableObject(live);
    await live.wipe({ deleteBackups: false });
    expect(await stateOf(database, at).lastUse()).toBeNull();
    await live.wipe({ deleteBackups: false });
  });
});

describe("the deployment's own bucket, which its organizations share", () => {
  const restore = (organizationId: string, token: string, databaseId: string, prefix: string) =>
    send("POST", `/api/organizations/${organizationId}/restores`, token, {
      destination: { kind: "r2", prefix },
      databaseId,
      at: new Date(Date.now()).toISOString(),
    });

  test("gives back to an organization its own backups, whatever prefix is entered, and nobody else's (B46)", async () => {
    const { id } = await newDatabase();
    const other = await newTenant();
    for (const prefix of ["", organization, `/${organization}`, `${organization}/`]) {
      const refused = await restore(other.organization, other.admin, id, prefix);
      expect([prefix, refused.status]).toEqual([prefix, 404]);
      // The database knows that its first snapshot is whole a moment before the bucket does.
      await expect.poll(async () => (await restore(organization, admin, id, prefix)).status).toBe(202);
    }
  });

  test("takes nothing of one organization's below what another one's backups are read by (B46)", async () => {
    const { id: theirs } = await newDatabase();
    const other = await newTenant();
    const { id = "" } = await made("POST", `/api/organizations/${other.organization}/databases`, other.admin, {});
    const destination = { kind: "r2", prefix: `${organization}/${theirs}` };
    const { generations } = (await made("POST", `/api/databases/${id}/backup`, other.admin, {
      destination,
    })) as unknown as {
      generations: { prefix: string }[];
    };
    expect(generations[0]?.prefix).toMatch(new RegExp(`^${other.organization}/${organization}/${theirs}/${id}/`));
    const backups = (env as unknown as Required<Env>).BACKUPS;
    const { objects } = await backups.list({ prefix: `${organization}/${theirs}/` });
    expect(objects.filter(({ key: name }) => name.includes(id))).toEqual([]);
    expect(objects.length).toBeGreaterThan(0);
  });
});
