/** docs/deploying.md: its sums worked out again from its own tables, and its configuration taken by wrangler. */
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { DAILY_VERIFICATION } from "../../src/backup/recovery/verification-schedule.ts";
import { encryptionKeys } from "../../src/core/encryption-keys.ts";
import { deploymentOf } from "../../src/directory/deployment.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { blockWith, readPage, repository, tableRows } from "./markdown.ts";

const page = readPage("docs/deploying.md");
const environment = {
  ...process.env,
  PATH: `${join(repository, "node_modules/.bin")}:${process.env["PATH"]}`,
  NO_COLOR: "1",
  WRANGLER_SEND_METRICS: "false",
};

async function shell(command: string, variables: Readonly<Record<string, string>> = {}): Promise<string> {
  const run = promisify(execFile);
  return (await run("/bin/sh", ["-c", command], { cwd: repository, env: { ...environment, ...variables } })).stdout;
}

/** The rows of the table whose first heading is this, by their first cell. */
function table(heading: string): Map<string, string[]> {
  const rows = tableRows(page.slice(page.indexOf(`\n| ${heading} |`)).split("\n\n")[0] ?? "").slice(2);
  return new Map(rows.map(([name = "", ...cells]) => [name.replaceAll("*", ""), cells]));
}

const number = (text = ""): number => Number(text.replaceAll(",", ""));
const prices = table("price of");
const sizes = table("a month of");

/** What an amount above the included one costs; amounts in the price's own unit. */
function priceOf(name: string, amount: number): number {
  const [, included, dollars] = prices.get(name) ?? [];
  if (dollars === undefined) throw new Error(`the page has no price of ${name}`);
  return Math.max(0, amount - number(included)) * number(dollars);
}

const HOURS = 720;
const DAYS = 30;
/** A value of 1,000 bytes is large: the value and the entry are a row each. */
const ROWS_OF_ENTRY = 2;
/** A value of 1,000 bytes with its key, in the database and in the log. */
const ENTRY_GB = 1.07e-6;
const LOGGED_GB = 1.1e-6;
const MIB_GB = 1024 ** 2 / 1e9;

interface Usage {
  readonly databases: number;
  readonly entries: number;
  readonly reads: number;
  readonly writes: number;
  readonly hours: number;
  readonly programs: number;
}

function usageOf(column: number): Usage {
  const cell = (name: string): number => {
    const found = number(sizes.get(name)?.[column]);
    if (!(found > 0)) throw new Error(`the page does not say ${name}`);
    return found;
  };
  return {
    databases: cell("databases"),
    entries: cell("entries in all, million") * 1e6,
    reads: cell("reads, million") * 1e6,
    writes: cell("writes, million") * 1e6,
    hours: cell("hours in which each database is written to"),
    programs: cell("Deno programs that stay open"),
  };
}

/** What backups add to what is billed, for all databases together. */
interface BackupUsage {
  readonly ranges: number;
  readonly rowsWritten: number;
  /** Written in the places where verifications try backups out. */
  readonly rowsVerified: number;
  readonly rowsRead: number;
  readonly puts: number;
  readonly gets: number;
  readonly gigabytes: number;
}

/** A backup that sends its log every so many seconds, and verifies itself as often as a day's share pays for. */
function backupOf({ databases, entries, writes, hours }: Usage, everySeconds: number): BackupUsage {
  const one = { entries: entries / databases, writes: writes / databases };
  const ranges = Math.min((hours * 3600) / everySeconds, one.writes);
  const [snapshotGb, logGb] = [one.entries * ENTRY_GB, one.writes * LOGGED_GB];
  const generations = Math.max(DAYS / 7, ranges / 10_000, logGb / Math.max(64 * MIB_GB, snapshotGb));
  const snapshotObjects = Math.ceil(Math.max(snapshotGb / (8 * MIB_GB), one.entries / 20_000));

  // Beside the generation that is written to, an older one is read.
  const read = {
    rows: (one.entries + one.writes / generations) * ROWS_OF_ENTRY,
    objects: 2 * (snapshotObjects + ranges / generations),
    gigabytes: 2 * (snapshotGb + logGb / generations),
  };
  const daily = DAILY_VERIFICATION;
  const share = Math.max(1, read.rows / daily.rows, read.objects / daily.objects, (read.gigabytes * 1e9) / daily.bytes);
  const verifications = DAYS / Math.min(92, share);

  const snapshots = generations * snapshotObjects;
  const looks = hours * 12;
  const idleLooks = (HOURS - hours) * 8;
  return {
    ranges: databases * ranges,
    rowsWritten: databases * (one.writes * 1.002 + ranges * 4),
    rowsVerified: databases * verifications * read.rows,
    rowsRead: databases * (2 * one.writes + generations * one.entries * ROWS_OF_ENTRY),
    puts: databases * (ranges + snapshots + hours * 60 + looks),
    gets: databases * (ranges + snapshots + hours * 60 + looks * 7 + idleLooks + verifications * read.objects),
    gigabytes: databases * ((generations + 1) * snapshotGb + logGb),
  };
}

const noBackup: BackupUsage = {
  ranges: 0,
  rowsWritten: 0,
  rowsVerified: 0,
  rowsRead: 0,
  puts: 0,
  gets: 0,
  gigabytes: 0,
};

function billOf(usage: Usage, backup: BackupUsage) {
  const { databases, entries, reads, writes, hours, programs } = usage;
  const requests = reads + writes + programs * HOURS * 60;
  const marks = (databases * hours * 3600) / 5;
  const seconds = requests * 0.01 + backup.ranges * 0.5;
  return {
    "the plan": number(prices.get("the plan")?.[2]),
    "requests and CPU time":
      priceOf("requests to the Worker", requests / 1e6) +
      priceOf("CPU time of the Worker", (requests * 2) / 1e6) +
      priceOf("requests to objects", (requests + backup.ranges) / 1e6),
    "time of objects": priceOf("time of objects", (seconds * 0.128) / 1e6),
    rows:
      priceOf("rows written", (writes * ROWS_OF_ENTRY + marks + backup.rowsWritten + backup.rowsVerified) / 1e6) +
      priceOf("rows read", ((reads + writes) * ROWS_OF_ENTRY + backup.rowsRead) / 1e6),
    "data of objects": priceOf("data of objects", entries * ENTRY_GB),
    bucket:
      priceOf("R2: writes and lists", backup.puts / 1e6) +
      priceOf("R2: reads", backup.gets / 1e6) +
      priceOf("R2: data", backup.gigabytes),
  };
}

const sum = (bill: Readonly<Record<string, number>>): number => Object.values(bill).reduce((a, b) => a + b, 0);

test("the sums are those of the prices and the sizes", () => {
  const columns = [0, 1, 2].map((column) => {
    const usage = usageOf(column);
    const { bucket: _, ...bill } = billOf(usage, noBackup);
    const without = sum(bill);
    const usual = backupOf(usage, 2);
    const thrifty = backupOf(usage, 60);
    const unverified = sum(billOf(usage, { ...usual, rowsVerified: 0 }));
    return {
      ...bill,
      "without backups": without,
      "a backup of each, sent every 2 seconds": unverified - without,
      "rows of the verifications that it makes by itself": sum(billOf(usage, usual)) - unverified,
      "with backups": sum(billOf(usage, usual)),
      "with backups sent every 60 seconds": sum(billOf(usage, thrifty)),
    };
  });
  const shown = (dollars: number): string =>
    dollars < 10 ? dollars.toFixed(2) : Math.round(dollars).toLocaleString("en-US");
  const expected = Object.keys(columns[0] ?? {}).map((name) => [
    name,
    columns.map((column) => shown(column[name as keyof typeof column])), // A key of the first column is one of each.
  ]);
  const onPage = [...table("cost of")].map(([name, cells]) => [name, cells.map((cell) => cell.replaceAll("*", ""))]);
  expect(onPage).toEqual(expected);
});

test("the price of a database that is written to all day is that of its PUTs", () => {
  const putsOf = (seconds: number): number => (HOURS * (3600 / seconds + 60) * 4.5) / 1e6;
  expect(page).toContain("6 $ a month for their PUTs");
  expect(Math.round(putsOf(2))).toBe(6);
  expect(page).toContain("0.39 $");
  expect(putsOf(60).toFixed(2)).toBe("0.39");
});

test("what a verification may cost is that of a day's share", () => {
  const monthly = (DAILY_VERIFICATION.rows * DAYS * number(prices.get("rows written")?.[2])) / 1e6;
  expect(page).toContain(`at most ${monthly.toFixed(2)} $ a month for each database`);
  expect(page).toContain(`${(DAILY_VERIFICATION.rows * 92).toLocaleString("en-US")} rows`);
  expect(page).toContain(
    `${((DAYS / 92) * number(prices.get("rows written")?.[2])).toFixed(2)} $ a month for each million rows`,
  );
});

test("the commands that make secrets make good ones", async () => {
  const commands = blockWith(page, "sh", "SIGNING_KEYS=$(");
  const print = `printf '%s\\n' "$DEPLOYMENT_TOKEN" "$SIGNING_KEYS" "$ENCRYPTION_KEYS"`;
  const made = await shell(`${commands}\n${print}`);
  const [CAIRN_DEPLOYMENT_TOKEN = "", CAIRN_SIGNING_KEYS = "", keys = ""] = made.split("\n");
  expect(CAIRN_DEPLOYMENT_TOKEN).toMatch(/^cairn_deployment_[\w-]{43}$/);
  expect(deploymentOf({ CAIRN_DEPLOYMENT_TOKEN, CAIRN_SIGNING_KEYS })).toMatchObject({ keys: [{ kid: "k1" }] });
  expect(encryptionKeys(keys)).toMatchObject([{ kid: "k1" }]);
});

const bindings = ["DATABASES (DatabaseObject)", "ORGANIZATIONS (OrganizationObject)", "INDEX (IndexObject)"];

test("wrangler builds what would be deployed, with its bindings", async () => {
  const command = blockWith(page, "sh", "deploy --dry-run").trim();
  const printed = await shell(`${command} --outdir "$OUT"`, { OUT: temporaryFolder() });
  for (const binding of bindings) expect(printed).toContain(`env.${binding}`);
});

test("wrangler takes the configuration with a domain, and without the old address", async () => {
  const folder = temporaryFolder();
  const configuration = readFileSync(join(repository, "wrangler.toml"), "utf8").replaceAll(
    /"(\.\/)?(src\/[\w./-]+)"/g,
    (_, _dot, path: string) => JSON.stringify(join(repository, path)),
  );
  const file = join(folder, "wrangler.toml");
  writeFileSync(file, `workers_dev = false\n${configuration}\n${blockWith(page, "toml", "custom_domain")}`);
  const printed = await shell('npx wrangler deploy --dry-run --config "$FILE" --outdir "$OUT" 2>&1', {
    FILE: file,
    OUT: join(folder, "built"),
  });
  for (const binding of bindings) expect(printed).toContain(`env.${binding}`);
  expect(printed).not.toContain("WARNING");
});
