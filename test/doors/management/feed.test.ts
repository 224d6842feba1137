/** The setting of the change feed, over /api. */
import { expect, test } from "vitest";
import { bindings, newDatabase, newTenant, newToken, send } from "../../support/workerd/directory.ts";

test("a database keeps its log for feeds when it is told to, and says so (F1)", async () => {
  const tenant = await newTenant();
  const { token } = tenant;
  const databaseId = await newDatabase(tenant);
  const path = `/api/databases/${databaseId}`;
  const told = async () => (await bindings.DATABASES.getByName(databaseId).told()).feed;
  expect((await send("GET", path, { token })).body).toMatchObject({ feed: null });
  const set = await send("PATCH", path, {
    token,
    body: { feed: { retentionHours: 24, prefix: ["users", 1] }, name: "n" },
  });
  const prefix = [
    { type: "string", value: "users" },
    { type: "number", value: 1 },
  ];
  expect(set).toMatchObject({ status: 200, body: { name: "n", feed: { retentionHours: 24, prefix } } });
  expect(await told()).toEqual({ retentionHours: 24, prefix: "0275736572730021bff0000000000000" });
  expect((await send("PATCH", path, { token, body: { name: "other" } })).body.feed.retentionHours).toBe(24);
  expect((await send("PATCH", path, { token, body: { feed: { retentionHours: 1 } } })).body.feed).toEqual({
    retentionHours: 1,
    prefix: null,
  });
  expect((await send("PATCH", path, { token, body: { feed: null } })).body.feed).toBeNull();
  expect(await told()).toBeNull();
});

test.each([
  [{ retentionHours: 0 }, "feed.retentionHours: must be at least 1, not 0."],
  [{ retentionHours: 169 }, "feed.retentionHours: must be at most 168, not 169."],
  [{ retentionHours: 1.5 }, "feed.retentionHours: must be a whole number of hours from 1 to 168, such as 24."],
  [{}, "feed.retentionHours"],
  [24, "feed: must be an object, or null, such as"],
  [{ retentionHours: 1, prefix: [] }, "prefix"],
  [{ retentionHours: 1, prefix: "users" }, "prefix"],
  [{ retentionHours: 1, days: 2 }, "days"],
])("a feed like %j is refused, and nothing is changed (F1)", async (feed, why) => {
  const tenant = await newTenant();
  const databaseId = await newDatabase(tenant);
  const refused = await send("PATCH", `/api/databases/${databaseId}`, { token: tenant.token, body: { feed } });
  expect(refused).toMatchObject({ status: 400, body: { detail: expect.stringContaining(why) } });
  expect((await bindings.DATABASES.getByName(databaseId).told()).feed).toBeUndefined();
});

test("a feed is set by those who administer the database, and not recorded where the database cannot be told (F1)", async () => {
  const tenant = await newTenant();
  const databaseId = await newDatabase(tenant);
  const path = `/api/databases/${databaseId}`;
  const { token } = await newToken(tenant, { permissions: ["read", "write", "backup"] });
  const body = { feed: { retentionHours: 24 } };
  expect((await send("PATCH", path, { token, body })).status).toBe(403);
  await bindings.DATABASES.getByName(databaseId).fail(1);
  expect((await send("PATCH", path, { token: tenant.token, body })).status).toBeGreaterThanOrEqual(500);
  expect((await send("GET", path, { token: tenant.token })).body.feed).toBeNull();
  const [first, second] = await Promise.all([
    send("PATCH", path, { token: tenant.token, body }),
    send("PATCH", path, { token: tenant.token, body: { feed: null } }),
  ]);
  expect([first.body.feed, second.body.feed]).toEqual([{ retentionHours: 24, prefix: null }, null]);
  expect((await send("GET", path, { token: tenant.token })).body.feed).toBeNull();
});
