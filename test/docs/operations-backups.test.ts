/** What docs/operations.md says of backups: the variables that they need, a copied folder, and an emptied bucket, with servers and a bucket. */
import { randomBytes } from "node:crypto";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseEndpoint } from "../../src/backup/destinations/destination-url.ts";
import { encryptionKeys } from "../../src/core/encryption-keys.ts";
import { announced, type Program, runScript } from "../local/program.ts";
import { openS3At } from "../support/open-s3.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { blockWith, chapter, codeBlocks, readPage, tableRows } from "./markdown.ts";
import { type BucketVariables, bucketVariables, startWithShell, typed } from "./server-shell.ts";

const page = readPage("docs/operations.md");
const key = (kid: string, bytes = 32): string => `${kid}:${randomBytes(bytes).toString("base64")}`;

type Send = (
  method: string,
  path: string,
  body?: unknown,
) => Promise<{ readonly status: number; readonly text: string }>;

/** A server on the folder, with these keys, until `work` is done. */
async function withServer<T>(
  folder: string,
  environment: Readonly<Record<string, string>>,
  work: (send: Send) => Promise<T>,
): Promise<T> {
  const program = runScript("start", ["--port=0", "--json", `--persist-to=${folder}`], environment);
  const { url, adminToken, databaseId } = await announced(program);
  const answer = await work(async (method, path, body) => {
    const response = await fetch(`${url}/api/databases/${databaseId}/${path}`, {
      method,
      headers: { authorization: `Bearer ${adminToken}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  });
  program.process.kill("SIGTERM");
  await program.exited;
  return answer;
}

const destinationOf = (bucket: BucketVariables) => ({
  kind: "s3",
  endpoint: bucket.S3_ENDPOINT,
  bucketName: bucket.S3_BUCKET,
  bucketRegion: bucket.S3_REGION,
  accessKeyId: bucket.S3_ACCESS_KEY_ID,
  secretAccessKey: bucket.S3_SECRET_ACCESS_KEY,
});

test("a copied folder and an emptied bucket: what the pages say happens when their commands are typed", async () => {
  const folder = temporaryFolder();
  const bucket = await bucketVariables();
  const { shell, server } = await startWithShell(folder, bucket);
  const { port } = new URL((await announced(server)).url);
  const copied = codeBlocks(chapter(page, "A copied folder")).filter(({ language }) => language === "sh");
  const [enable, write, noticed, newest, fromBucket, ...others] = copied.map(({ text }) => text);
  expect(others).toEqual([]);
  const type = (block = ""): Promise<string> => typed(shell, block.replaceAll("npx deno", "deno"));
  await type(blockWith(readPage("docs/backups.md"), "sh", "follow() {"));
  expect(await type(enable)).toMatch(/"code":"active".*"backlogBytes":0/);

  server.process.kill("SIGTERM");
  await server.exited;
  cpSync(join(folder, ".cairn"), join(folder, "copy"), { recursive: true });
  const start = (persistTo: string, at: string): Program =>
    runScript("start", [`--port=${at}`, "--json", `--persist-to=${join(folder, persistTo)}`]);
  await announced(start(".cairn", port));
  const { url: copyUrl } = await announced(start("copy", "0"));
  await type(write?.replace("http://127.0.0.1:4513", copyUrl));
  const [ofCopy = "", ofFirst = ""] = (await type(noticed)).match(/^\{.*$/gm)?.slice(-2) ?? [];
  expect(ofCopy).toMatch(/"lastError":\{"message":"Another server has been writing to this generation since 20/);
  expect(ofFirst).toContain('"lastError":null');
  expect(ofFirst).not.toContain('"foreign":true');
  expect((await type(newest)).match(/^the .*$/gm)).toEqual(["the first", "the copy"]);
  expect(await type(fromBucket)).toMatch(
    /"status":409,.* the newest generations are [0-9a-f]{16} .* and [0-9a-f]{16} /,
  );

  const emptied = codeBlocks(chapter(page, "An emptied bucket")).filter(({ language }) => language === "sh");
  const store = openS3At({
    endpoint: bucket.S3_ENDPOINT,
    region: bucket.S3_REGION,
    bucket: bucket.S3_BUCKET,
    accessKeyId: bucket.S3_ACCESS_KEY_ID,
    secretAccessKey: bucket.S3_SECRET_ACCESS_KEY,
  });
  const listed = await store.list("cairn/");
  if (!listed.ok) throw new Error(listed.message);
  for (const { name } of listed.objects) expect(await store.delete(name)).toMatchObject({ ok: true });
  const [lost, ...more] = emptied.map(({ text }) => text);
  expect(more).toEqual([]);
  const seen = await type(lost);
  expect(seen).toMatch(/"message":"[^"]+ gone from the bucket\. A new generation begins\."/);
  expect(seen, "the newest state comes back").toMatch(/^after the loss$/m);
}, 120_000);

test("an encryption key is replaced as the page says; dropped too early, it is named, and listed again it opens", async () => {
  const folder = temporaryFolder();
  const bucket = await bucketVariables();
  const [old, next] = [key("old"), key("new")];
  const rangeWith = (keys: string) =>
    withServer(folder, { CAIRN_ENCRYPTION_KEYS: keys }, (send) => send("GET", "backup/range"));
  await withServer(folder, { CAIRN_ENCRYPTION_KEYS: old }, async (send) => {
    expect((await send("POST", "backup", { destination: destinationOf(bucket) })).status).toBe(201);
    await expect.poll(async () => (await send("GET", "backup")).text).toContain('"status":{"code":"active"}');
    await expect.poll(async () => (await send("GET", "backup")).text).toContain('"backlogBytes":0');
    // Nothing is sent by itself any more: the secret is used by what asks for it alone.
    expect((await send("POST", "backup:pause")).status).toBe(200);
  });
  const tooEarly = await rangeWith(next);
  expect(tooEarly.status).toBe(500);
  expect(tooEarly.text).toContain("CAIRN_ENCRYPTION_KEYS does not list any more: list it again");
  expect((await rangeWith(`${next},${old}`)).status).toBe(200);
  expect((await rangeWith(next)).status).toBe(200);
  expect((await rangeWith(old)).text).toContain('encrypted under key \\"new\\"');
  await withServer(folder, { CAIRN_ENCRYPTION_KEYS: key("third") }, async (send) => {
    const { accessKeyId, secretAccessKey } = destinationOf(bucket);
    expect((await send("POST", "backup:rotateCredentials", { accessKeyId, secretAccessKey })).status).toBe(200);
    expect((await send("GET", "backup/range")).status).toBe(200);
  });
});

test("with CAIRN_DESTINATIONS=public npm start takes no bucket on its own machine", async () => {
  const destination = destinationOf(await bucketVariables());
  const refused = await withServer(temporaryFolder(), { CAIRN_DESTINATIONS: "public" }, (send) =>
    send("POST", "backup", { destination }),
  );
  expect(refused).toMatchObject({ status: 400, text: expect.stringContaining("must begin with https://") });
});

test("what endpoints are taken is on the page as the code has it", () => {
  const rows = tableRows(page).filter((cells) => cells.length === 3 && /^`https?:/.test(cells[0] ?? ""));
  expect(rows.length).toBeGreaterThan(5);
  const taken = (endpoint: string, strict: boolean): string => (parseEndpoint(endpoint, { strict }).ok ? "yes" : "no");
  for (const [cell = "", any, strict] of rows) {
    const endpoint = cell.replaceAll("`", "");
    expect([endpoint, any, strict]).toEqual([endpoint, taken(endpoint, false), taken(endpoint, true)]);
  }
});

test("a key has 32 bytes", () => {
  expect(encryptionKeys(key("k"))).toMatchObject([{ kid: "k" }]);
  expect(encryptionKeys(key("k", 31))).toMatchObject({ code: "invalid" });
  expect(encryptionKeys(key("k", 33))).toMatchObject({ code: "invalid" });
});
