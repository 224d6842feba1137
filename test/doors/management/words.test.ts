/** What /api says of what it does not take: the member, what is wanted, an example, in words of its own. */
import { beforeAll, describe, expect, test } from "vitest";
import { fromHex } from "../../../src/core/bytes.ts";
import { newDatabase, newTenant, send, type Tenant } from "../../support/workerd/directory.ts";

/** Compressed with gzip: {"name":"x"}. */
const gzipped = fromHex("1f8b0800000000000003ab56ca4bcc4d55b252aa50aa050069b3819e0c000000");

let tenant: Tenant;
let databaseId: string;

beforeAll(async () => {
  tenant = await newTenant();
  databaseId = await newDatabase(tenant);
});

const pathOf = (what: string): string =>
  what.startsWith("databases/")
    ? `/api/${what.replace("databases/", `databases/${databaseId}/`)}`
    : `/api/organizations/${tenant.organizationId}/${what}`;

const token = { name: "t", permissions: ["read"], databases: "all" };
const s3 = { kind: "s3", endpoint: "https://s3.example", bucketName: "b", bucketRegion: "r", accessKeyId: "a" };
const destination = { ...s3, secretAccessKey: "s" };

describe("in a body", () => {
  test.each<[string, unknown, string]>([
    ["databases", [], "In the body: must be an object."],
    ["databases", { name: 5 }, 'In the body, name: must be a string, such as "orders".'],
    ["databases", { name: "" }, "In the body, name: must not be empty."],
    ["databases", { name: "x".repeat(101) }, "In the body, name: has 101 characters, at most 100 are allowed."],
    ["databases", { name: "a\nb" }, "In the body, name: must be one line without control characters."],
    [
      "databases",
      { nam: "x" },
      'In the body: "nam" is not known here. It takes name, description, locationHint, jurisdiction.',
    ],
    ["databases", { jurisdiction: "moon" }, 'In the body, jurisdiction: must be "eu", "us" or "fedramp".'],
    ["tokens", {}, 'In the body, name: is missing. It must be a string, such as "orders".'],
    [
      "tokens",
      { ...token, permissions: ["root"] },
      'In the body, permissions[0]: must be "read", "write", "admin", "backup" or "metrics".',
    ],
    [
      "tokens",
      { ...token, permissions: "read" },
      'In the body, permissions: must be an array of permissions, such as ["read","write"].',
    ],
    [
      "tokens",
      { ...token, databases: 5 },
      'In the body, databases: must be "all" or an array of ids of databases, such as ["0190f3c2-5b1e-4d6f-9a53-6c1f4b7f2a10"].',
    ],
    [
      "tokens",
      { ...token, databases: ["x"] },
      'In the body, databases[0]: must be a UUID, such as "0190f3c2-5b1e-4d6f-9a53-6c1f4b7f2a10".',
    ],
    [
      "tokens",
      { ...token, databases: Array.from({ length: 101 }, () => crypto.randomUUID()) },
      "In the body, databases: has 101 items, at most 100 are allowed.",
    ],
    [
      "tokens",
      { ...token, keyPrefix: [null] },
      'In the body, keyPrefix[0]: must be a string, a number, true, false, or {"type":"bigint"|"bytes","value":"…"}.',
    ],
    [
      "tokens",
      { ...token, keyPrefix: [{ type: "date", value: "1" }] },
      'In the body, keyPrefix[0].type: must be "bigint" or "bytes".',
    ],
    [
      "tokens",
      { ...token, keyPrefix: [{ type: "bigint", value: "1.5" }] },
      'In the body, keyPrefix[0].value: must be a whole number in at most 640 decimal digits, in quotes, such as "-12".',
    ],
    [
      "tokens",
      { ...token, keyPrefix: [{ type: "bytes", value: "*" }] },
      'In the body, keyPrefix[0].value: must be base64, such as "AQI=".',
    ],
    [
      "tokens",
      { ...token, expiresAt: "soon" },
      'In the body, expiresAt: must be a time as in RFC 3339, such as "2031-01-01T00:00:00Z".',
    ],
    [
      "tokens",
      { ...token, expiresAt: "2031-01-01T00:00Z" },
      'In the body, expiresAt: must be a time as in RFC 3339, such as "2031-01-01T00:00:00Z".',
    ],
    [
      "tokens",
      { ...token, expiresAt: "2031-02-31T00:00:00Z" },
      'In the body, expiresAt: must be a time as in RFC 3339, such as "2031-01-01T00:00:00Z": month 02 of 2031 has 28 days.',
    ],
    [
      "tokens",
      { ...token, allowedOrigins: "*" },
      'In the body, allowedOrigins: must be an array of origins, such as ["https://app.example.com"].',
    ],
    ["databases/backup", {}, 'In the body, destination: is missing. It must be an object whose kind is "s3" or "r2".'],
    ["databases/backup", { destination: {} }, 'In the body, destination.kind: is missing. It must be "s3" or "r2".'],
    ["databases/backup", { destination: { kind: "gcs" } }, 'In the body, destination.kind: must be "s3" or "r2".'],
    [
      "databases/backup",
      { destination: s3 },
      "In the body, destination.secretAccessKey: is missing. It must be a string.",
    ],
    [
      "databases/backup",
      { destination: { ...destination, endpoint: 1 } },
      'In the body, destination.endpoint: must be a URL without the bucket, such as "https://s3.eu-central-1.amazonaws.com".',
    ],
    ["databases/backup", { destination, intervalMs: 5 }, "In the body, intervalMs: must be at least 500, not 5."],
    [
      "databases/backup",
      { destination, intervalMs: 1e9 },
      "In the body, intervalMs: must be at most 60000, not 1000000000.",
    ],
    ["databases/backup", { destination, retentionDays: 1.5 }, "In the body, retentionDays: must be a whole number."],
    ["webhooks", { url: 5 }, 'In the body, url: must be a URL, such as "https://example.com/cairn-events".'],
    ["webhooks", { url: "http://example.com/" }, "url must begin with https://."],
    [
      "webhooks",
      { url: "https://example.com/", events: "all" },
      'In the body, events: must be an array of events, such as ["backup.failed","backup.recovered"].',
    ],
    [
      "webhooks",
      { url: "https://example.com/", events: ["backup"] },
      'In the body, events[0]: must be "backup.failed", "backup.recovered", "backup.verification_failed", "backup.verification_recovered" or "archive.failed".',
    ],
    [
      "databases/backup:verifyEvery",
      { hours: "24" },
      'In the body, hours: must be a number of hours, "automatic", or null for never.',
    ],
    [
      "databases/restores",
      { at: "2026-01-01T00:00:00Z" },
      "In the body, confirm: must be true, because what was written since that moment is undone.",
    ],
    [
      "databases/restores",
      { at: "2026-01-01T00:00:00Z", confirm: true, prefix: "users" },
      'In the body, prefix is "users"; a key is an array of its parts, for example ["users", 1].',
    ],
    [
      "databases/restores",
      { at: "2026-01-01T00:00:00Z", confirm: true, prefix: [] },
      "In the body, prefix has no parts; a key needs at least one.",
    ],
    [
      "databases/forks",
      { prefix: ["users", null] },
      'In the body, prefix[1] is null; a part is a string, a number, a boolean, or an object like {"type":"bigint","value":"12"}.',
    ],
    [
      "databases/forks",
      { prefix: ["x".repeat(2048)] },
      "In the body, prefix has 2050 bytes as it is stored; the limit is 2048.",
    ],
    [
      "restores",
      { destination, databaseId: "0190f3c2-5b1e-4d6f-9a53-6c1f4b7f2a10", prefix: [{ type: "bytes", value: "AQI=" }] },
      'In the body, prefix[0].type is "bytes"; the type of a part is "string", "number", "boolean", "bigint" or "Uint8Array".',
    ],
  ])("of %s, %j", async (what, body, sentence) => {
    const answer = await send("POST", pathOf(what), { ...tenant, body });
    expect([answer.status, answer.body.detail]).toEqual([400, sentence]);
  });

  test.each<[string, Uint8Array | string, Record<string, string>, string]>([
    ["what is no JSON", "{name:'x'}", {}, "The body is not JSON: "],
    ["what ends too early", '{"name":', {}, "The body is not JSON: Unexpected end of JSON input."],
    [
      "gzip that says so",
      gzipped,
      { "content-encoding": "gzip" },
      "The body is compressed with gzip, which is not taken here: send it as it is.",
    ],
    ["gzip that does not", gzipped, {}, "The body is compressed with gzip, which is not taken here: send it as it is."],
    [
      "another compression",
      new Uint8Array([0x0b, 0xff]),
      { "content-encoding": "br" },
      "The body is compressed with br, ",
    ],
    ["another encoding of characters", new Uint8Array([0x7b, 0xe9, 0x7d]), {}, "The body is not text in UTF-8."],
  ])("%s is called that", async (_, body, headers, sentence) => {
    const answer = await send("POST", pathOf("databases"), { ...tenant, body, headers });
    expect([answer.status, answer.body.detail]).toEqual([400, expect.stringContaining(sentence)]);
  });
});

test.each([
  ["databases?sort=name", 'In the query, sort: must be "createdAt" or "updatedAt".'],
  ["databases?cursor=", "In the query, cursor: must not be empty."],
  ["databases?limit=1&limit=2", "In the query, limit: must be a whole number from 1 to 100, in decimal digits."],
  ["databases?order=up&order=down", 'In the query, order: must be "asc" or "desc".'],
  ["databases/backup/points?keys=yes", 'In the query, keys: must be "true" or "false".'],
  [
    "databases/backup/points?prefix=users",
    `In the query, prefix is not JSON: Unexpected token 'u', "users" is not valid JSON. A key is an array in JSON, like ["users",1].`,
  ],
  [
    "databases/backup/points?prefix=[null]",
    'In the query, prefix[0] is null; a part is a string, a number, a boolean, or an object like {"type":"bigint","value":"12"}.',
  ],
  ["databases?page=1", 'In the query: "page" is not known here. It takes limit, cursor, q, sort, order.'],
])("in the query of %s", async (what, sentence) => {
  const answer = await send("GET", pathOf(what), tenant);
  expect([answer.status, answer.body.detail]).toEqual([400, sentence]);
});
