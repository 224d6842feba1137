/** Jobs that databases do, as the organization shows them. */
import { expect, test } from "vitest";
import { bindings, newDatabase, newTenant, send } from "../../support/workerd/directory.ts";

const tenant = await newTenant();

test("a job is shown as its database has it, and is kept when the database is gone", async () => {
  const id = await newDatabase(tenant);
  const started = await send("POST", `/api/databases/${id}/backup:verify`, tenant);
  expect(started).toMatchObject({ status: 202, body: { kind: "backup.verify", status: "running", done: 1, total: 2 } });
  const job = `/api/jobs/${started.body.id}`;
  await bindings.DATABASES.getByName(id).endJobs("completed");
  const ended = await send("GET", job, tenant);
  expect(ended.body).toMatchObject({ status: "completed", finishedAt: "1970-01-01T00:00:00.002Z" });
  await bindings.DATABASES.getByName(id).endJobs("running");
  await send("DELETE", `/api/databases/${id}`, tenant);
  expect((await send("GET", job, tenant)).body).toEqual(ended.body);
});

test("a job of a database that was deleted has failed", async () => {
  const id = await newDatabase(tenant);
  const { body } = await send("POST", `/api/databases/${id}/backup:verify`, tenant);
  await send("DELETE", `/api/databases/${id}`, tenant);
  expect((await send("GET", `/api/jobs/${body.id}`, tenant)).body).toMatchObject({ status: "failed" });
});

test("a job is cancelled where it runs", async () => {
  const id = await newDatabase(tenant);
  const { body } = await send("POST", `/api/databases/${id}/backup:verify`, tenant);
  const cancelled = await send("POST", `/api/jobs/${body.id}:cancel`, tenant);
  expect(cancelled).toMatchObject({ status: 200, body: { status: "cancelled" } });
  expect(await send("POST", `/api/jobs/${body.id}:cancel`, tenant)).toMatchObject({ status: 409 });
});

test("a restore from a bucket that is refused leaves no database and no job", async () => {
  const other = await newTenant();
  const path = `/api/organizations/${other.organizationId}`;
  const from = { destination: { kind: "r2" }, databaseId: crypto.randomUUID(), at: "never" };
  expect(await send("POST", `${path}/restores`, { ...other, body: from })).toMatchObject({ status: 400 });
  expect((await send("GET", `${path}/databases`, other)).body.items).toEqual([]);
});
