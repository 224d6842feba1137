/** The door of archives with what clients send, right and wrong, on real objects. */
import { beforeAll, describe, expect, test } from "vitest";
import { MAX_ARCHIVE_DESCRIPTION_CHARACTERS, MAX_ARCHIVES_ON_PAGE } from "../../../src/core/archive-limits.ts";
import worker from "../../../src/worker.ts";
import { type Answered, configured, RestDatabase, send, SERVER } from "../rest/rest-client.ts";

let database: RestDatabase;
/** A completed archive. */
let id: string;

async function made(of: RestDatabase, body = "{}"): Promise<string> {
  const { json } = await of.ask("POST", "backups:create", { body });
  for (let i = 0; i < 400; i++) {
    const { json: now } = await of.ask("GET", `backups:get?filterByTk=${json.data.id}`);
    if (now.data.status === "completed") return json.data.id;
    if (now.data.status === "failed") throw new Error(now.data.error);
    await scheduler.wait(25);
  }
  throw new Error("the archive is never completed");
}

beforeAll(async () => {
  database = await RestDatabase.make();
  await database.put("a", 1);
  id = await made(database, '{"description":"first"}');
});

const detailOf = ({ status, json }: Answered) => [status, json.detail];

describe("what comes back", () => {
  test("an action answers data, the other spelling the object itself (Z26)", async () => {
    const byAction = await database.ask("GET", `backups:get?filterByTk=${id}`);
    const inPath = await database.ask("GET", `backups:get/${id}`);
    const byPost = await database.ask("POST", `backups%3Aget/${id}?filterByTk=${id}`);
    const byRest = await database.ask("GET", `backups/${id}`);
    expect([byAction, inPath, byPost].map(({ json }) => json)).toEqual(
      Array.from({ length: 3 }, () => ({ data: byRest.json })),
    );
    expect(byRest.json).toMatchObject({
      id,
      description: "first",
      status: "completed",
      origin: "request",
      databaseId: database.id,
    });
    expect(byRest.headers.get("cache-control")).toBe("private, no-cache");
  });

  test("a list has its page, how many there are, and the order that was asked for (Z17, Z26)", async () => {
    const { json } = await database.ask("GET", "backups:list?sort[]=-createdAt&sort[]=id&pageSize=1");
    expect(json).toMatchObject({ data: [{ id }], meta: { count: 1, page: 1, pageSize: 1, totalPage: 1 } });
    const rest = await database.ask("GET", "backups?page=2");
    expect(rest.json).toEqual({ items: [], count: 1, page: 2, pageSize: 20, totalPage: 1 });
  });

  test("a list is sorted by any member of the spec's archive, up and down (Z17)", async () => {
    const other = await database.another();
    await other.put("a", "x".repeat(500));
    await made(other, '{"type":"database","description":"b"}');
    await other.put("a", 1);
    await made(other, '{"type":"full","description":"a"}');
    // As text, which compares as the members do.
    const rank = (value: unknown): string => {
      const one = Array.isArray(value) ? value.filter(({ status }) => status === "stored").length : value;
      return typeof one === "number" ? String(one).padStart(20) : String(one);
    };
    const members =
      "id type status progress size description checksum encrypted destinations versionstamp createdAt completedAt error";
    for (const member of members.split(" ")) {
      const sorted = async (sign: string): Promise<string[]> => {
        const { status, json } = await other.ask("GET", `backups:list?sort[]=${sign}${member}`);
        expect([member, status]).toEqual([member, 200]);
        return json.data.map((one: Record<string, unknown>) => rank(one[member]));
      };
      const up = await sorted("");
      expect(up).toEqual(up.toSorted());
      expect(await sorted("-")).toEqual(up.toReversed());
    }
  });

  test("destinations are a list like archives (Z17)", async () => {
    const other = await database.another();
    for (const [name, enabled] of Object.entries({ b: true, a: false, c: true })) {
      const values = { type: "r2", name, enabled, config: { directory: name } };
      await other.ask("POST", "backupDestinations:create", { body: JSON.stringify({ values }) });
    }
    const listed = async (query: string) => {
      const { json } = await other.ask("GET", `backupDestinations:list${query}`);
      return [json.data?.map((one: { name: string }) => one.name).join(""), json.meta];
    };
    const meta = { count: 3, page: 1, pageSize: 20, totalPage: 1 };
    expect(await listed("")).toEqual(["bac", meta]);
    expect(await listed("?sort=name&page=1&pageSize=20")).toEqual(["abc", meta]);
    expect(await listed("?sort[]=-enabled&sort[]=-name")).toEqual(["cba", meta]);
    expect(await listed("?sort=-createdAt&page=2&pageSize=2")).toEqual([
      "b",
      { count: 3, page: 2, pageSize: 2, totalPage: 2 },
    ]);
    expect(await listed('?filter={"enabled":true,"type":"r2"}')).toEqual(["bc", { ...meta, count: 2 }]);
    const { json } = await other.ask("GET", "backupDestinations?pageSize=1");
    expect(json.items[0].id).toMatch(/^\d{16}$/);
    expect(json).toMatchObject({ items: [{ name: "b" }], count: 3, pageSize: 1, totalPage: 3 });
  });

  test("a file that the client has is not sent again, and another one than it wants is refused (Z16)", async () => {
    const path = `backups:download?filterByTk=${id}`;
    const { headers, text } = await database.ask("GET", path);
    const etag = headers.get("etag") ?? "";
    const ask = async (method: string, sent: Record<string, string>) => {
      const answer = await database.ask(method, path, { headers: sent });
      return [answer.status, answer.headers.get("etag")];
    };
    expect(text.length).toBeGreaterThan(0);
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
      expect(await ask("GET", { "if-none-match": known, range: "bytes=0-3" })).toEqual([304, etag]);
    }
    expect(await ask("GET", { "if-none-match": '"x"', "if-match": `"y", ${etag}` })).toEqual([200, etag]);
    expect(await ask("GET", { "if-match": `W/${etag}` })).toEqual([412, null]);
    expect(await ask("GET", { "if-match": "*", range: "Bytes=0-99999999999999999999" })).toEqual([206, etag]);
    expect(await ask("GET", { range: "bytes=99999999999999999999-" })).toEqual([416, null]);
    expect(await ask("HEAD", { range: "bytes=0-3" })).toEqual([200, etag]);
  });

  test("values come bare or in `values`, and no body is no values (Z26)", async () => {
    const bodies = ['{"retention":5}', '{"values":{"retention":6}}', '{"values":{}}', ""];
    const seen: number[] = [];
    for (const body of bodies) {
      const { json } = await database.ask("POST", "backupSchedule:update", { body });
      seen.push(json.data.retention);
    }
    expect(seen).toEqual([5, 6, 6, 6]);
    const rest = await database.ask("PATCH", "backupSchedule", { body: '{"retention":null}' });
    expect(rest.json).toMatchObject({ retention: null, enabled: false, notifyOnFailure: false });
  });

  test("a failure is a problem, and has its message in a list, too (Z26)", async () => {
    const { status, headers, json } = await database.ask("GET", "backups:get?filterByTk=999");
    expect([status, headers.get("content-type")]).toEqual([404, "application/problem+json"]);
    expect(json).toMatchObject({
      status: 404,
      code: "not-found",
      errors: [{ code: "not-found", message: json.detail }],
    });
  });

  test("a removal answers what is gone, or nothing in the other spelling (Z26)", async () => {
    const make = (name: string) =>
      database.ask("POST", "backupDestinations", {
        body: JSON.stringify({ type: "r2", name, config: { directory: name } }),
      });
    const [one, two] = [(await make("one")).json.id, (await make("two")).json.id];
    const byAction = await database.ask("POST", `backupDestinations:destroy?filterByTk=${one}`);
    expect([byAction.status, byAction.json]).toEqual([200, { data: { id: one, destroyed: true } }]);
    const byRest = await database.ask("DELETE", `backupDestinations/${two}`);
    expect([byRest.status, byRest.text]).toEqual([204, ""]);
  });

  test("a page may send the headers of such clients, and reads what a download says (Z26)", async () => {
    const headers = { origin: "https://app.example", "access-control-request-method": "POST" };
    const answer = await database.ask("OPTIONS", "backups:create", { headers });
    const allowed = answer.headers.get("access-control-allow-headers")?.split(", ");
    expect(allowed).toEqual(
      expect.arrayContaining(["authorization", "x-role", "x-locale", "x-authenticator", "range"]),
    );
    expect(answer.headers.get("access-control-allow-methods")).toBe("POST");
  });
});

describe("what is refused, with where and what is wanted (Z28)", () => {
  test.each<[method: string, path: string, body: string | undefined, status: number, says: string]>([
    ["GET", "backups:nothing", undefined, 404, "nothing at this address"],
    ["GET", "backups/1/2", undefined, 404, "nothing at this address"],
    ["GET", "backups:get/1:get", undefined, 404, "nothing at this address"],
    ["GET", "backupSchedule/1", undefined, 404, "nothing at this address"],
    ["DELETE", "backups:get", undefined, 405, "GET, HEAD, POST, OPTIONS"],
    ["GET", "backups:create", undefined, 405, "POST, OPTIONS"],
    ["PUT", "backups", undefined, 405, "GET, HEAD, POST, OPTIONS"],
    ["GET", "backups:get", undefined, 400, "The id is missing"],
    ["GET", "backups:get/1?filterByTk=2", undefined, 400, "different ids"],
    ["GET", "backups:get?filterByTk=x", undefined, 404, 'no archive "x"'],
    ["GET", "backups:get?filterByTk=0", undefined, 404, 'no archive "0"'],
    ["GET", "backups:get?filterByTk=99999999999999999", undefined, 404, "no archive"],
    ["GET", "backups:get?id=1", undefined, 400, 'has "id"'],
    ["GET", "backups:list?page=0", undefined, 400, "page is"],
    ["GET", `backups:list?pageSize=${MAX_ARCHIVES_ON_PAGE + 1}`, undefined, 400, `from 1 to ${MAX_ARCHIVES_ON_PAGE}`],
    ["GET", "backups:list?page=1&page=2", undefined, 400, "page more than once"],
    ["GET", "backups:list?sort=secret", undefined, 400, "sort is"],
    ["GET", "backupDestinations:list?sort=config", undefined, 400, "sort is"],
    ["GET", 'backupDestinations:list?filter={"enabled":"true"}', undefined, 400, "filter.enabled must be one of"],
    ["GET", 'backupDestinations:list?filter={"name":"x"}', undefined, 400, "it takes type, enabled"],
    ["GET", "backups:list?filter=%7B", undefined, 400, "filter must be a JSON object"],
    ["GET", "backups:list?filter=%5B%5D", undefined, 400, "filter must be a JSON object"],
    ["GET", 'backups:list?filter={"size":1}', undefined, 400, "filter has"],
    ["GET", 'backups:list?filter={"status":"old"}', undefined, 400, "filter.status must be one of"],
    ["POST", "backups:create", "[]", 400, "must be a JSON object"],
    ["POST", "backups:create", "{", 400, "The body is not JSON"],
    ["POST", "backups:create", '{"type":"half"}', 400, 'values.type is "half"; it must be one of "full", "database"'],
    ["POST", "backups:create", '{"kind":"full"}', 400, 'values has "kind"'],
    ["POST", "backups:create", '{"description":7}', 400, "values.description is 7"],
    ["POST", "backups:create", '{"description":"a\\nb"}', 400, "control characters"],
    [
      "POST",
      "backups:create",
      `{"description":"${"x".repeat(MAX_ARCHIVE_DESCRIPTION_CHARACTERS + 1)}"}`,
      400,
      "the limit is 1000",
    ],
    ["POST", "backups:restore/1", "{}", 400, 'send {"confirm":true}'],
    ["POST", "backups:restore/1", '{"confirm":"true"}', 400, 'send {"confirm":true}'],
    ["POST", "backups:restore/1", '{"confirm":true,"into":"x"}', 400, "values.into is not known"],
    ["POST", "backupSchedule:update", '{"cron":"every night"}', 400, "values.cron must have five fields"],
    ["POST", "backupSchedule:update", '{"timezone":"Mars"}', 400, "values.timezone must be a name"],
    ["POST", "backupSchedule:update", '{"notifyOnFailure":"ftp://x"}', 400, "values.notifyOnFailure: url must"],
    ["POST", "backupSchedule:update", '{"retention":0}', 400, "values.retention is 0"],
    ["POST", "backupSchedule:update", '{"maxBackups":1.5}', 400, "values.maxBackups is 1.5"],
    ["POST", "backupSchedule:update", '{"enabled":"yes"}', 400, "it must be true or false"],
    ["POST", "backupSchedule:update", '{"notifyOnFailure":7}', 400, "values.notifyOnFailure is 7"],
    ["POST", "backupDestinations:create", '{"name":"x"}', 400, "values.type is missing"],
    ["POST", "backupDestinations:create", '{"type":"local"}', 400, "values.name is missing"],
    ["POST", "backupDestinations:create", '{"type":"s3","name":"x"}', 400, "values.config.region is missing"],
    [
      "POST",
      "backupDestinations:create",
      '{"type":"local","name":"x","config":{"bucket":"b"}}',
      400,
      'values.config has "bucket"',
    ],
    [
      "POST",
      "backupDestinations:create",
      '{"type":"local","name":"x","config":{"directory":"a/../b"}}',
      400,
      'has a part "." or ".."',
    ],
    [
      "POST",
      "backupDestinations:create",
      '{"type":"s3","name":"x","config":{"region":"auto","bucket":"bucket","endpoint":"http://169.254.169.254","accessKeyId":"a","secretAccessKey":"b"}}',
      400,
      "reserved for a machine's own metadata",
    ],
    ["POST", "backupDestinations:update/x", '{"config":{}}', 400, "a changed config is sent whole"],
    ["POST", "backups:upload", "", 400, "The body is empty"],
  ])("%s %s %s", async (method, path, body, status, says) => {
    const answer = await database.ask(method, path, body === undefined ? {} : { body });
    expect(detailOf(answer)).toEqual([status, expect.stringContaining(says)]);
    expect(answer.json.detail).toMatch(/[.!]$/);
    expect(answer.json.errors).toEqual([{ code: answer.json.code, message: answer.json.detail }]);
  });

  const part = (head: string, end: string) => `--b\r\n${head}\r\n\r\nno archive${end}`;
  test.each([
    ["multipart/form-data", "x", "names no boundary"],
    ["multipart/form-data; boundary=b", "nonsense", "breaks off"],
    ["multipart/form-data; boundary=b", part("content-disposition: form-data", ""), "breaks off"],
    [
      "multipart/form-data; boundary=b",
      part("content-disposition: form-data", "\r\n--b\r\n\r\n\r\nmore\r\n--b--"),
      "more than one part",
    ],
    ["multipart/form-data; boundary=b", `x${part("a: b", "\r\n--b--\r\n")}`, "does not begin with its boundary"],
    ["multipart/form-data; boundary=b", part(`a: ${"x".repeat(5000)}`, "\r\n--b--"), "more than 4096 bytes"],
  ])("a form of type %s: %s", async (type, body, says) => {
    const answer = await database.ask("POST", "backups:upload", { body, headers: { "content-type": type } });
    expect(detailOf(answer)).toEqual([400, expect.stringContaining(says)]);
  });
});

describe("one at a time", () => {
  test("a second archive is a conflict that names the job, and a running one can be cancelled (Z15)", async () => {
    const other = await database.another();
    for (let i = 0; i < 60; i++) await other.put(`k${i}`, "x".repeat(60_000));
    const first = await other.ask("POST", "backups", { body: "{}" });
    expect([first.status, first.headers.get("location")]).toEqual([
      202,
      `/api/databases/${other.id}/backups/${first.json.id}`,
    ]);
    const second = await other.ask("POST", "backups:create", { body: "{}" });
    expect(detailOf(second)).toEqual([409, expect.stringContaining(first.json.jobId)]);
    const cancelled = await other.ask("POST", `backups/${first.json.id}:cancel`);
    expect(cancelled.json).toMatchObject({ status: "failed", error: expect.stringContaining("cancel") });
  });
});

test("half of the pages of a list are no other list's (Z17)", async () => {
  const { json } = await database.ask("GET", 'backups:list?filter={"origin":{"$eq":"schedule"},"type.$eq":"full"}');
  expect(json).toEqual({ data: [], meta: { count: 0, page: 1, pageSize: 20, totalPage: 0 } });
});

test("another tenant who has the file of an archive cannot have it decrypted by the deployment's key (Z35)", async () => {
  const [own, other] = [await database.another(), await RestDatabase.make()];
  const download = await worker.fetch(
    new Request(`${SERVER}/api/databases/${database.id}/backups/${id}:download`, {
      headers: { authorization: `Bearer ${database.token}` },
    }),
    configured,
  );
  const file = await download.arrayBuffer();
  const statuses: string[] = [];
  for (const target of [own, other]) {
    const { json } = await target.ask("POST", "backups:upload", { body: file });
    // Its job is found as every other is.
    const job = await send("GET", `/api/jobs/${json.data.jobId}`, { token: target.token });
    expect(job.json).toMatchObject({ id: json.data.jobId, kind: "archive.create", databaseId: target.id });
    for (let i = 0; i < 400; i++) {
      const { json: now } = await target.ask("GET", `backups/${json.data.id}`);
      if (now.status !== "running") {
        statuses.push(now.error ?? now.status);
        break;
      }
      await scheduler.wait(25);
    }
  }
  expect(statuses).toEqual(["completed", expect.stringContaining("another organization's of this deployment")]);
});

test("an archive in the deployment's own place is found and destroyed also after its destination moved or was removed (Z40)", async () => {
  const owner = await RestDatabase.make();
  await owner.put("a", 1);
  const destination = { type: "r2", name: "nightly", config: { directory: "Old place/x" } };
  const { json: place } = await owner.ask("POST", "backupDestinations", { body: JSON.stringify(destination) });
  const ids = [await made(owner), await made(owner)];
  const stored = async () =>
    (await configured.BACKUPS?.list({ prefix: `${owner.organizationId}/` }))?.objects.map(({ key }) => key) ?? [];
  expect(await stored()).toEqual(ids.map(() => expect.stringContaining("/Old place/x/")));
  const verified = async (archive: string) => {
    const begun = await owner.ask("POST", `backups/${archive}:verify`);
    for (let i = 0; i < 400; i++) {
      const { json } = await send("GET", `/api/jobs/${begun.json.id}`, { token: owner.token });
      if (json.status !== "running") return json;
      await scheduler.wait(25);
    }
    throw new Error("the verification never ends");
  };
  const [first = "", second = ""] = ids;
  const readAndDestroyed = async (archive: string) => {
    const { size } = (await owner.ask("GET", `backups/${archive}`)).json;
    const file = await owner.ask("GET", `backups/${archive}:download`);
    expect([file.status, file.headers.get("content-length")]).toEqual([200, String(size)]);
    expect(await verified(archive)).toMatchObject({ status: "completed", error: null });
    expect((await owner.ask("DELETE", `backups/${archive}`)).status).toBe(204);
  };
  const moved = JSON.stringify({ type: "r2", config: { directory: "new" } });
  expect((await owner.ask("PATCH", `backupDestinations/${place.id}`, { body: moved })).status).toBe(200);
  await readAndDestroyed(first);
  expect(await stored()).toHaveLength(1);
  expect((await owner.ask("DELETE", `backupDestinations/${place.id}`)).status).toBe(204);
  await readAndDestroyed(second);
  expect(await stored()).toEqual([]);
});
