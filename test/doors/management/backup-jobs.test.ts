/** Jobs that databases do, as the organization shows them. */
import { expect, test } from "vitest";
import { deletionName } from "../../../src/contracts/restore-commands.ts";
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

test.each([
  ["/restores", { at: "2026-01-01T00:00:00Z", confirm: true }],
  ["/forks", { at: "2026-01-01T00:00:00Z", name: "fork" }],
])(
  "a request to %s that is repeated with its Idempotency-Key is answered with the same job (G18)",
  async (path, body) => {
    const id = await newDatabase(tenant);
    const headers = { "idempotency-key": `for${path}` };
    const first = await send("POST", `/api/databases/${id}${path}`, { ...tenant, body, headers });
    expect(first.status).toBe(202);
    const again = await send("POST", `/api/databases/${id}${path}`, { ...tenant, body, headers });
    expect([again.status, again.body]).toEqual([202, first.body]);
    expect(again.headers.get("location")).toBe(first.headers.get("location"));
    const other = { ...body, at: "2026-01-02T00:00:00Z" };
    expect(await send("POST", `/api/databases/${id}${path}`, { ...tenant, body: other, headers })).toMatchObject({
      status: 409,
    });
  },
);

test("a restore from a bucket that is repeated with its Idempotency-Key makes one database", async () => {
  const other = await newTenant();
  const path = `/api/organizations/${other.organizationId}`;
  const body = { destination: { kind: "r2" }, databaseId: crypto.randomUUID(), at: "2026-01-01T00:00:00Z" };
  const request = { ...other, body, headers: { "idempotency-key": "i" } };
  const first = await send("POST", `${path}/restores`, request);
  expect(await send("POST", `${path}/restores`, request)).toMatchObject({ status: 202, body: first.body });
  expect((await send("GET", `${path}/databases`, other)).body.items).toEqual([first.body.database]);
});

test("a restore from a bucket that is refused leaves no database and no job", async () => {
  const other = await newTenant();
  const path = `/api/organizations/${other.organizationId}`;
  const from = { destination: { kind: "r2" }, databaseId: crypto.randomUUID(), at: "never" };
  expect(await send("POST", `${path}/restores`, { ...other, body: from })).toMatchObject({ status: 400 });
  expect((await send("GET", `${path}/databases`, other)).body.items).toEqual([]);
});

test("a database is deleted with its backup: the job goes on until the backup is gone, and the database is gone before", async () => {
  const id = await newDatabase(tenant);
  const deleter = bindings.DATABASES.getByName(deletionName(id));
  await deleter.endJobs("running");
  const deleted = await send("DELETE", `/api/databases/${id}?backups=delete`, tenant);
  const running = { kind: "database.delete", databaseId: id, status: "running", done: 1, total: 2 };
  expect(deleted).toMatchObject({ status: 202, body: { ...running, result: { phase: "reading" } } });
  expect(await bindings.DATABASES.getByName(id).told()).toMatchObject({ wiped: { deleteBackups: true } });
  expect((await send("GET", `/api/databases/${id}`, tenant)).status).toBe(404);
  const again = await send("DELETE", `/api/databases/${id}?backups=keep`, tenant);
  expect(again, "the first request has decided").toMatchObject({ status: 202, body: deleted.body });
  await deleter.endJobs("completed");
  const ended = await send("GET", `/api/jobs/${deleted.body.id}`, tenant);
  expect(ended.body).toMatchObject({ status: "completed", error: null, finishedAt: "1970-01-01T00:00:00.002Z" });
  await deleter.endJobs("running");
  expect((await send("GET", `/api/jobs/${deleted.body.id}`, tenant)).body).toEqual(ended.body);
});

test("the deletion of a backup can be cancelled, the deletion of the database cannot", async () => {
  const id = await newDatabase(tenant);
  await bindings.DATABASES.getByName(deletionName(id)).endJobs("running");
  await bindings.DATABASES.getByName(id).fail(1);
  const { body } = await send("DELETE", `/api/databases/${id}?backups=delete`, tenant);
  expect(body, "its object does not answer").toMatchObject({ status: "running", result: null });
  const cancelling = () => send("POST", `/api/jobs/${body.id}:cancel`, tenant);
  expect(await cancelling()).toMatchObject({ status: 409, body: { detail: "A deletion cannot be cancelled." } });
  await expect.poll(async () => (await send("GET", `/api/jobs/${body.id}`, tenant)).body.result).not.toBeNull();
  expect(await cancelling()).toMatchObject({ status: 200, body: { status: "cancelled" } });
  expect(await cancelling()).toMatchObject({ status: 409 });
});

test("with no backup there is nothing more to delete than the database", async () => {
  const id = await newDatabase(tenant);
  const { body } = await send("DELETE", `/api/databases/${id}?backups=delete`, tenant);
  expect(body).toMatchObject({ status: "completed", done: 1, total: 1, error: null });
});
