/** Archives of deleted databases over HTTP: a real bucket is the deployment's own place, and databases only note what they are told. */
import { beforeAll, expect, test } from "vitest";
import { toHex } from "../../../src/core/bytes.ts";
import { bindings, newDatabase, newTenant, send, type Tenant } from "../../support/workerd/directory.ts";

const BYTES = Uint8Array.from({ length: 1_000 }, (_, i) => i % 251);

let tenant: Tenant;
let deleted: string;
let there: string;
let unknown: string;

const nameIn = (databaseId: string, number: number): string =>
  `${databaseId}/archives/${String(number).padStart(8, "0")}-0123456789abcdef.cairn`;
const idOf = (name: string): string => toHex(new TextEncoder().encode(name));
const put = (name: string) => bindings.BACKUPS?.put(`${tenant.organizationId}/${name}`, BYTES);
const isStored = async (name: string) => (await bindings.BACKUPS?.head(`${tenant.organizationId}/${name}`)) !== null;

function ask(method: string, path: string, headers: Record<string, string> = {}) {
  return send(method, `/api/organizations/${tenant.organizationId}/orphanedArchives${path}`, { ...tenant, headers });
}

beforeAll(async () => {
  tenant = await newTenant();
  [deleted, there, unknown] = [await newDatabase(tenant, "gone"), await newDatabase(tenant), crypto.randomUUID()];
  await send("DELETE", `/api/databases/${deleted}`, tenant);
});

test("only archives of the organization's deleted databases are listed, in pages, with what is known of them (Z38)", async () => {
  const names = [nameIn(deleted, 7), nameIn(deleted, 12), `Some where/else/${nameIn(deleted, 3)}`];
  const others = [
    nameIn(there, 1),
    nameIn(unknown, 1),
    `${deleted}/manifest.json`,
    `${deleted}/0123456789abcdef/logs/0001_x.bin`,
    `${deleted}/archives/notes.txt`,
    `nightly/${nameIn(there, 2)}`,
  ];
  for (const name of [...names, ...others]) await put(name);
  const { status, body } = await ask("GET", "");
  expect(status).toBe(200);
  expect(body).toEqual({
    items: names.toSorted().map((name) => ({
      id: idOf(name),
      databaseId: deleted,
      databaseName: "gone",
      number: String(Number(/(\d+)-[0-9a-f]{16}\.cairn$/.exec(name)?.[1])),
      directory: name.startsWith("Some") ? "Some where/else" : "",
      size: BYTES.length,
      storedAt: expect.stringMatching(/^\d{4}-.*Z$/),
    })),
  });
  const paged: string[] = [];
  for (let path = "?limit=1"; path !== "";) {
    const page = await ask("GET", path);
    expect(page.body.items).toHaveLength(1);
    paged.push(page.body.items[0].id);
    path = page.body.next === undefined ? "" : `?limit=1&cursor=${encodeURIComponent(page.body.next)}`;
  }
  expect(paged).toEqual(names.toSorted().map(idOf));
  expect(await ask("GET", "?cursor=nonsense")).toMatchObject({ status: 400, body: { code: "invalid" } });
  for (const name of [...names, ...others]) await bindings.BACKUPS?.delete(`${tenant.organizationId}/${name}`);
});

test("one is shown, downloaded whole and in ranges, and destroyed once (Z38)", async () => {
  const name = `Some where/${nameIn(deleted, 41)}`;
  const id = idOf(name);
  await put(name);
  const { body } = await ask("GET", `/${id}`);
  expect(body).toMatchObject({ id, databaseId: deleted, number: "41", directory: "Some where", size: BYTES.length });
  const whole = await ask("GET", `/${id}:download`);
  const etag = whole.headers.get("etag") ?? "";
  expect([whole.status, Object.fromEntries(whole.headers)]).toMatchObject([
    200,
    {
      "accept-ranges": "bytes",
      "content-length": "1000",
      "content-type": "application/octet-stream",
      "content-disposition": `attachment; filename="cairn-${deleted}-41.cairn"`,
    },
  ]);
  expect(whole.body).toBe(new TextDecoder().decode(BYTES));
  const part = await ask("GET", `/${id}:download`, { range: "bytes=990-", "if-range": etag });
  expect([part.status, part.headers.get("content-range"), part.headers.get("content-length")]).toEqual([
    206,
    "bytes 990-999/1000",
    "10",
  ]);
  expect(part.body).toBe(new TextDecoder().decode(BYTES.subarray(990)));
  const changed = await ask("GET", `/${id}:download`, { range: "bytes=0-9", "if-range": '"other"' });
  expect(changed.status).toBe(200);
  const beyond = await ask("GET", `/${id}:download`, { range: "bytes=1000-" });
  expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */1000"]);
  const head = await ask("HEAD", `/${id}:download`);
  expect([head.status, head.headers.get("content-length"), head.body]).toEqual([200, "1000", ""]);

  const answers = await Promise.all([ask("DELETE", `/${id}`), ask("DELETE", `/${id}`)]);
  for (const { status } of answers) expect([204, 404]).toContain(status);
  expect(answers.some(({ status }) => status === 204)).toBe(true);
  expect(await isStored(name)).toBe(false);
  for (const [method, path] of [
    ["GET", `/${id}`],
    ["GET", `/${id}:download`],
    ["DELETE", `/${id}`],
  ] as const) {
    expect((await ask(method, path)).status).toBe(404);
  }
});

test("what is no archive of a deleted database of the organization is not shown, read or destroyed (Z38)", async () => {
  const names = [
    nameIn(there, 1),
    nameIn(unknown, 1),
    `${deleted}/manifest.json`,
    `${deleted}/archives/notes.txt`,
    `../${tenant.organizationId}/${nameIn(deleted, 1)}`,
    `a//${nameIn(deleted, 1)}`,
    `${nameIn(deleted, 1)}/x`,
  ];
  await put(nameIn(deleted, 1));
  for (const name of names.slice(0, 4)) await put(name);
  for (const id of [...names.map(idOf), "zz", "6", "ff", "41"]) {
    for (const [method, path] of [
      ["GET", `/${id}`],
      ["GET", `/${id}:download`],
      ["DELETE", `/${id}`],
    ] as const) {
      expect([id, method, (await ask(method, path)).status]).toEqual([id, method, 404]);
    }
  }
  for (const name of [nameIn(deleted, 1), ...names.slice(0, 4)])
    expect([name, await isStored(name)]).toEqual([name, true]);
});

test("an archive has one id (Z38)", async () => {
  const name = nameIn(deleted, 77);
  await put(name);
  expect((await ask("GET", `/${idOf(name)}`)).status).toBe(200);
  for (const other of [`efbbbf${idOf(name)}`, `${idOf(name)}ff`, `2f${idOf(name)}`]) {
    expect((await ask("GET", `/${other}`)).status).toBe(404);
  }
});
