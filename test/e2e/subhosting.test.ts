/** /v1 through the official client of Deno Deploy's Subhosting API, as a program uses it that was written for that. */
import { Subhosting } from "subhosting";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";
import { startManagedServer, Tenant } from "../support/management.ts";
import { destinationAt } from "../support/s3-place.ts";
import { startS3Server } from "../support/s3-server.ts";
import { startDeno } from "./clients/deno-client.ts";

const server = await startManagedServer();
const tenant = await Tenant.make(server, "A tenant");
const other = await Tenant.make(server, "Another");

// How the client is pointed elsewhere. It reads these when it is made.
vi.stubEnv("SUBHOSTING_BASE_URL", `${server.url}/v1`);
vi.stubEnv("DEPLOY_ACCESS_TOKEN", tenant.token);
// It sends a 409 again, twice.
const client = new Subhosting({ maxRetries: 0 });

afterAll(async () => {
  vi.unstubAllEnvs();
  await server.close();
});

/** What the client throws, as the caller sees it. */
async function errorOf(attempt: Promise<unknown>): Promise<InstanceType<typeof Subhosting.APIError>> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Subhosting.APIError) return error;
  throw new Error(`expected an error of the API, got ${String(error)}`);
}

test("an organization", async () => {
  const organization = await client.organizations.get(tenant.organizationId);
  expect(organization).toEqual({
    id: tenant.organizationId,
    name: "A tenant",
    createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    updatedAt: organization.createdAt,
  });
});

test("a database is created, described anew, listed, and opened by Deno", async () => {
  const made = await client.organizations.databases.create(tenant.organizationId, { description: "of a program" });
  expect(made).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    organizationId: tenant.organizationId,
    description: "of a program",
    createdAt: expect.any(String),
    updatedAt: made.createdAt,
  });
  expect((await client.databases.update(made.id, { description: "of another" })).description).toBe("of another");
  const kept = await client.databases.update(made.id, { description: null });
  expect(kept).toMatchObject({ id: made.id, description: "of another" });
  expect(await client.organizations.databases.list(tenant.organizationId, { q: made.id })).toEqual([kept]);

  const deno = startDeno(tenant.opening(made.id));
  expect(await deno.order({ do: "attempt", operation: { type: "set", key: ["a"], value: 1 } })).toEqual({
    value: true,
  });
  expect(await deno.order({ do: "attempt", operation: { type: "get", key: ["a"] } })).toEqual({ value: 1 });
  await deno.close();
});

test("null is an empty description, and 1,000 characters are the longest", async () => {
  const create = (description: string | null) =>
    client.organizations.databases.create(other.organizationId, { description }, ofOther);
  const ofOther = { headers: { authorization: `Bearer ${other.token}` } };
  expect((await create(null)).description).toBe("");
  expect((await create("é".repeat(1000))).description).toHaveLength(1000);
  expect(await errorOf(create("é".repeat(1001)))).toMatchObject({ status: 400 });
});

test("pages follow the Link header to the end and back, in the order that was asked for", async () => {
  const paged = await Tenant.make(server);
  const ids: string[] = [];
  for (let i = 0; i < 7; i++) ids.push(await paged.newDatabase());
  const ofPaged = { headers: { authorization: `Bearer ${paged.token}` } };
  const { databases } = client.organizations;

  const seen: string[] = [];
  const first = await databases.list(paged.organizationId, { limit: 3, order: "desc" }, ofPaged).withResponse();
  seen.push(...first.data.map(({ id }) => id));
  expect(Object.keys(linksOf(first.response.headers.get("link")))).toEqual(["first", "next", "last"]);
  let next = linksOf(first.response.headers.get("link"))["next"];
  let last: Record<string, string> = {};
  while (next !== undefined) {
    // The client takes whole URLs, too.
    const page = await client.get<unknown, { id: string }[]>(next, ofPaged).withResponse();
    seen.push(...page.data.map(({ id }) => id));
    last = linksOf(page.response.headers.get("link"));
    next = last["next"];
  }
  expect(seen).toEqual(ids.toReversed());
  expect(Object.keys(last)).toEqual(["first", "prev", "last"]);

  expect((await databases.list(paged.organizationId, ofPaged)).map(({ id }) => id)).toEqual(ids);
  expect((await databases.list(paged.organizationId, { page: 3, limit: 3 }, ofPaged)).map(({ id }) => id)).toEqual(
    ids.slice(6),
  );
  expect(await databases.list(paged.organizationId, { page: 4, limit: 3 }, ofPaged)).toEqual([]);
  expect((await databases.list(paged.organizationId, { sort: "updated_at", limit: 1 }, ofPaged))[0]?.id).toBe(ids[0]);
  for (const query of [{ limit: 0 }, { limit: 101 }, { page: 0 }, { sort: "name" }, { order: "up" }]) {
    expect(await errorOf(databases.list(paged.organizationId, query, ofPaged))).toMatchObject({ status: 400 });
  }
});

test("errors are those of the client's own classes, with code and message", async () => {
  const database = await other.newDatabase();
  const notFound = await errorOf(client.databases.update(database, { description: "x" }));
  expect(notFound).toBeInstanceOf(Subhosting.NotFoundError);
  expect(notFound.message).toMatch(/^404 There is no such database/);
  const nowhere = "00000000-0000-4000-8000-000000000000";
  expect((await errorOf(client.databases.update(nowhere, {}))).message).toBe(notFound.message);
  expect((await errorOf(client.organizations.get(other.organizationId))).message).toBe(
    (await errorOf(client.organizations.get(nowhere))).message,
  );
  for (const bearerToken of ["ddp_of_another_service", `${tenant.token}x`]) {
    const stranger = new Subhosting({ bearerToken, maxRetries: 0 });
    const refused = await errorOf(stranger.organizations.get(tenant.organizationId));
    expect(refused).toBeInstanceOf(Subhosting.AuthenticationError);
  }
  const { token } = await tenant.newToken({ permissions: ["read"] });
  const reader = new Subhosting({ bearerToken: token, maxRetries: 0 });
  expect(await reader.organizations.databases.list(tenant.organizationId)).toEqual(expect.any(Array));
  const forbidden = await errorOf(reader.organizations.databases.create(tenant.organizationId, {}));
  expect(forbidden).toBeInstanceOf(Subhosting.PermissionDeniedError);
  expect(forbidden.message).toMatch(/needs the permission admin/);
});

test("a backup to a bucket is made, seen to get active, and deleted", async () => {
  const s3 = await startS3Server();
  onTestFinished(() => s3.close());
  const database = await tenant.newDatabase();
  const path = `/databases/${database}/database_backups`;
  const body = destinationAt(s3);
  expect(await client.get(path)).toEqual([]);
  const refused = await errorOf(client.post(path, { body: { ...body, secretAccessKey: "wrong" } }));
  expect(refused).toBeInstanceOf(Subhosting.BadRequestError);
  expect(await client.get(path)).toEqual([]);
  const { secretAccessKey: _, ...shown } = body;
  const made = await client.post<typeof body, { readonly id: string }>(path, { body });
  expect(made).toEqual({ id: expect.any(String), ...shown, prefix: "", status: { code: expect.any(String) } });
  const byId = `/database_backups/${made.id}`;
  await expect.poll(() => client.get(byId)).toMatchObject({ id: made.id, status: { code: "active" } });
  expect(await client.get(path)).toHaveLength(1);
  expect(await errorOf(client.post(path, { body }))).toBeInstanceOf(Subhosting.ConflictError);
  expect(await client.delete(byId)).toEqual({});
  expect(await errorOf(client.get(byId))).toBeInstanceOf(Subhosting.NotFoundError);
  expect(await errorOf(client.delete(byId))).toBeInstanceOf(Subhosting.NotFoundError);
  const elsewhere = `/databases/${await other.newDatabase()}/database_backups`;
  expect(await errorOf(client.get(elsewhere))).toBeInstanceOf(Subhosting.NotFoundError);
  expect(await errorOf(client.post(elsewhere, { body }))).toBeInstanceOf(Subhosting.NotFoundError);
});

test("analytics are buckets of 15 minutes", async () => {
  const until = new Date();
  const since = new Date(until.getTime() - 3_600_000);
  const range = { since: since.toISOString(), until: until.toISOString() };
  const { fields, values } = await client.organizations.analytics.get(tenant.organizationId, range);
  expect(fields.map(({ name }) => name)).toEqual([
    "time",
    "kvReadCount",
    "kvWriteCount",
    "kvReadUnits",
    "kvWriteUnits",
    "kvStorageBytes",
  ]);
  expect(values).toHaveLength(4);
});

/** By relation. */
function linksOf(header: string | null): Record<string, string> {
  return Object.fromEntries(
    [...(header ?? "").matchAll(/<([^>]+)>; rel="(\w+)"/g)].map(([, url = "", rel = ""]) => [rel, url]),
  );
}
