/** docs/backups.md: its commands typed into a shell, against npm start and a bucket on this machine; its tables held against the code. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DEFAULT_BACKUP_TIMES } from "../../src/contracts/backup-commands.ts";
import { automaticHours, DAILY_VERIFICATION } from "../../src/backup/recovery/verification-schedule.ts";
import { parseEndpoint, parseRegion } from "../../src/backup/destinations/destination-url.ts";
import { backup } from "../../src/doors/management/api/backup-schemas.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { blockWith, codeBlocks, readPage, tableRows } from "./markdown.ts";
import { bucketVariables, startWithShell, typed } from "./server-shell.ts";

const page = readPage("docs/backups.md");
/** The rows below the heading whose first cell is this. */
function rowsBelow(heading: string): string[][] {
  const rows = tableRows(page.slice(page.indexOf(`\n| \`${heading}\` |`)).split("\n\n")[0] ?? "");
  return rows.slice(2);
}
const [variables, ...blocks] = codeBlocks(page.slice(0, page.indexOf("\n## Reading it with denokv")));

test("half the data is deleted by mistake, found, forked, compared, restored and verified as the page says", async () => {
  const folder = temporaryFolder();
  const bucket = await bucketVariables();
  expect(variables?.text.match(/(?<=export )\w+/g)).toEqual([
    "CAIRN_URL",
    "ORGANIZATION_ID",
    "ADMIN_TOKEN",
    "DATABASE_ID",
    ...Object.keys(bucket),
  ]);
  const { shell } = await startWithShell(folder, bucket);
  writeFileSync(join(folder, "orders.ts"), blockWith(page, "ts", "orders"));
  const outputs: string[] = [];
  for (const { text } of blocks.filter(({ language }) => language === "sh")) {
    // As `npx` would find it in the checkout, where a reader is.
    outputs.push(await typed(shell, text.replaceAll("npx deno", "deno")));
  }
  const [
    ,
    enabled,
    watched,
    changed,
    orders,
    points,
    ,
    forked,
    compared,
    restored,
    verified,
    scheduled,
    fromBucket,
    partRestored,
    past,
    ...rest
  ] = outputs;
  expect(rest).toEqual([]);
  expect(enabled).toMatch(/^\{"id":.*"intervalMs":2000,"retentionDays":30,.*"status":\{"code":"pending"\}/);
  expect(enabled).not.toContain(bucket.S3_SECRET_ACCESS_KEY);
  expect(watched).toContain('"status":{"code":"active"}');
  expect(changed?.match(/"paused":\w+/g)).toEqual(['"paused":true', '"paused":false', '"paused":false']);
  const made = Array.from({ length: 20 }, (_, n) => `order ${n}`);
  expect(orders?.match(/^order \d+$/gm)).toEqual([...made, ...made.slice(10)]);
  const changes = points?.match(/(?<=^[0-9a-f]{20} 20.*Z )\w+ orders \d+$/gm);
  const numbers = Array.from({ length: 10 }, (_, n) => n);
  expect(changes).toEqual([
    ...numbers.map((n) => `delete orders ${9 - n}`),
    ...numbers.map((n) => `set orders ${19 - n}`),
  ]);
  expect(forked).toMatch(/"kind":"database.fork".*"status":"completed"/);
  expect(compared?.match(/^[<>].*$/gm)).toEqual(made.slice(0, 10).map((order) => `< ${order}`));
  expect(compared).toContain(blockWith(page, "text", "< order").trim());
  expect(restored).toMatch(/"kind":"database.restore".*"status":"completed"/);
  expect(restored?.match(/^order \d+$/gm)).toEqual(made);
  expect(verified).toMatch(/"kind":"backup.verify".*"status":"completed".*"verification":\{"good":true/);
  const { done, total, result } = JSON.parse(verified?.match(/^\{.*$/gm)?.at(-1) ?? "");
  expect([done, result.phase]).toEqual([total, "compared"]);
  expect(total).toBe(result.verification.bytes);
  expect(scheduled).toMatch(/"verification":\{"everyHours":24,.*"last":\{"good":true/);
  expect(fromBucket).toMatch(/"status":"completed"/);
  expect(partRestored).toMatch(/"kind":"database.restore".*"status":"completed"/);
  const partJob = /^\{"id":"([^"]+)"/m.exec(partRestored ?? "")?.[1];
  // The backup holds the moment before the restore a little later.
  const fork = /"before":\{.*"stored":true,"fork":\{.*"prefix":\[\{"type":"string","value":"orders"\}\]/;
  await expect.poll(() => typed(shell, `api jobs/${partJob}`)).toMatch(fork);
  expect(partRestored?.match(/^order \d+$/gm)).toEqual([...made.slice(10), ...made]);
  expect(past?.match(/^order \d+$/gm)).toEqual(made.slice(10));
  expect(shell.output()).not.toMatch(/curl:|"code":"(invalid|conflict|unavailable)"/);
});

test("a loop that asks for a job ends on an error, a failure and a cancellation, and shows which", async () => {
  const { shell } = await startWithShell(temporaryFolder(), await bucketVariables());
  await typed(shell, blockWith(page, "sh", "follow() {"));
  const ended = async (commands: string): Promise<string> => typed(shell, `${commands}; echo "it ended with $?"`);
  const active = blockWith(page, "sh", '"code":"active"').trim();
  expect(await ended(active)).toMatch(/"code":"not-found".*\n.*it ended with 1/s);
  expect(await ended(`(ADMIN_TOKEN=wrong; ${active})`)).toMatch(/"code":"unauthenticated".*it ended with 1/s);
  expect(await ended(`(CAIRN_URL=http://127.0.0.1:9; ${active})`)).toMatch(/curl: .*it ended with 1/s);
  expect(await ended("follow")).toMatch(/"code":"not-found".*it ended with 1/s);
  for (const status of ["failed", "cancelled"]) {
    const answer = `{"status":"${status}","finishedAt":"2026-11-22T14:03:07.000Z"}`;
    expect(await ended(`(api() { echo '${answer}'; }; follow 1)`)).toMatch(
      new RegExp(`^${answer}\nit ended with 1$`, "m"),
    );
  }
});

test("what is to be entered for each store is an endpoint and a region that a deployment takes", () => {
  const stores = tableRows(page).filter((cells) => cells.length === 4 && cells[0] !== "store");
  const literals = stores.flatMap(([, endpoint = "", region = ""]) =>
    endpoint.startsWith("`https") ? [[endpoint, region].map((cell) => cell.replaceAll("`", ""))] : [],
  );
  expect(literals).toHaveLength(4);
  for (const [endpoint = "", region = ""] of literals) {
    const literal = endpoint.replace("ACCOUNT_ID", "0123456789abcdef0123456789abcdef");
    expect(parseEndpoint(literal, { strict: true })).toEqual({ ok: true, endpoint: literal });
    expect(parseRegion(region)).toMatchObject({ ok: true });
  }
});

test("every state of a generation is listed, in the order in which it has them", () => {
  const states = rowsBelow("state").map(([state = ""]) => state.replaceAll("`", ""));
  expect(states).toEqual(backup.shape.generations.element.shape.state.options);
});

test("the defaults are those of the code", () => {
  expect(page).toContain(`\`"intervalMs"\` (${DEFAULT_BACKUP_TIMES.intervalMs}, if it is not given)`);
  expect(page).toContain(`\`"retentionDays"\` (${DEFAULT_BACKUP_TIMES.retentionDays})`);
});

test("the table of verifications has the interval and the cost that the rule gives", () => {
  const unit: Readonly<Record<string, number>> = { MiB: 1024 ** 2, GiB: 1024 ** 3 };
  const shape = /^([\d,]+) entries in (\d+) (MiB|GiB), ([\d,]+) objects$/;
  const count = (text = ""): number => Number(text.replaceAll(",", ""));
  const rows = tableRows(page).filter(([backed = ""]) => shape.test(backed));
  expect(rows.length).toBeGreaterThan(3);
  for (const [backed = "", interval, dollars] of rows) {
    const [, entries, size, of = "", objects] = shape.exec(backed) ?? [];
    const bytes = count(size) * (unit[of] ?? NaN);
    // A second row for each value that is large.
    const written = count(entries) + Math.min(count(entries), bytes / 1_000);
    const days = Math.floor(automaticHours({ bytes, objects: count(objects), rows: written }) / 24);
    expect(interval).toBe(days === 1 ? "every day" : `every ${days} days`);
    expect(dollars).toBe(`${((written + 0.36 * count(objects)) / 1e6).toFixed(2)} $`);
  }
  const { bytes, objects, rows: written } = DAILY_VERIFICATION;
  expect(page).toContain(
    `at most ${bytes / 1024 ** 2} MiB and ${objects.toLocaleString("en-US")} objects and writes at most ${written.toLocaleString("en-US")} rows`,
  );
  expect(page).toContain(`until it has ${(92 * written).toLocaleString("en-US")} rows`);
  const [ofRows, ofReads, ofBytes] = [written, objects * 0.36, (bytes / 1000) * 0.09].map((cost) => (30 * cost) / 1e6);
  expect(page).toContain(`${ofRows?.toFixed(2)} $ for rows and ${ofReads?.toFixed(2)} $ for reads`);
  expect(page).toContain(`at most ${ofBytes?.toFixed(2)} $ a month. `);
});
