/** What an organization keeps of its databases' backups, what that costs, and how it is shown. */
import { expect, test } from "vitest";
import type { BackupHealth } from "../../src/contracts/backup-health.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { MAX_DATABASES_IN_METRICS } from "../../src/core/limits.ts";
import { metricsText } from "../../src/doors/management/api/metrics.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { withStorage } from "../support/workerd/directory.ts";
import { TestOrganization } from "../support/workerd/organization.ts";

const at = asUnixMs(1_800_000_000_000);

const well: BackupHealth = {
  status: "active",
  paused: false,
  failing: null,
  behindSince: null,
  backlogBytes: 0,
  lastSuccessAt: at,
  generations: 2,
  verification: null,
};

const failing: BackupHealth = {
  ...well,
  failing: { since: asUnixMs(at - 90_000), error: 'The bucket "b" is\ndown \\ gone.' },
  behindSince: asUnixMs(at - 120_000),
  backlogBytes: 4096,
  verification: { finishedAt: asUnixMs(at - 1_000), good: false, error: "An object is missing.", damagedObject: "x" },
};

async function withOrganization(run: (o: TestOrganization, storage: CountingStorage) => Promise<void>): Promise<void> {
  await withStorage(async (inner) => {
    const storage = new CountingStorage(inner);
    await run(await TestOrganization.make(storage), storage);
  });
}

const tablesOf = ({ sql }: CountingStorage) =>
  sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE 'backup\\_%' ESCAPE '\\'").toArray().length;

test("an organization without backups keeps nothing of this, also when it is told that there is none", async () => {
  await withOrganization(async (o, storage) => {
    const id = await o.newDatabase();
    o.service.reportBackup(id, null);
    expect(tablesOf(storage)).toBe(0);
    const { backups } = await o.run("metrics.get", null);
    expect(backups).toEqual({
      totals: { backups: 0, failing: 0, behind: 0, paused: 0, unverified: 0 },
      perDatabase: [],
    });
  });
});

test("a report is counted, replaced and taken back with its database; one that says nothing new writes nothing", async () => {
  await withOrganization(async (o, storage) => {
    const [a, b] = [await o.newDatabase(), await o.newDatabase()];
    o.service.reportBackup(a, failing);
    o.service.reportBackup(b, { ...well, paused: true });
    o.restart();
    const metrics = async () => (await o.run("metrics.get", null)).backups;
    expect(await metrics()).toMatchObject({
      totals: { backups: 2, failing: 1, behind: 1, paused: 1, unverified: 1 },
      perDatabase: [
        { id: a, health: failing },
        { id: b, health: { paused: true } },
      ],
    });
    expect(storage.count(() => o.service.reportBackup(a, failing)).written).toBe(0);
    const numbers = { ...failing, backlogBytes: 5000 };
    // The row, and its place in the order in which rows are shown.
    expect(storage.count(() => o.service.reportBackup(a, numbers)).written).toBeLessThanOrEqual(3);
    o.service.reportBackup(b, well);
    expect((await metrics()).totals).toEqual({ backups: 2, failing: 1, behind: 1, paused: 0, unverified: 1 });
    o.service.reportBackup(b, null);
    await o.run("databases.delete", { databaseId: a, deleteBackups: false });
    // A report that was under way when the database was deleted.
    o.service.reportBackup(a, failing);
    expect(await metrics()).toEqual({
      totals: { backups: 0, failing: 0, behind: 0, paused: 0, unverified: 0 },
      perDatabase: [],
    });
  });
});

test("metrics of ten thousand backups read and show a thousand, those that fail among them", async () => {
  await withOrganization(async (o, storage) => {
    const id = await o.newDatabase();
    o.service.reportBackup(id, failing);
    const many = 10_000;
    storage.sql.exec(
      `INSERT INTO backup_health SELECT 'd' || value, ?1, 0, ?2 + value FROM json_each(?3)`,
      JSON.stringify(well),
      at,
      JSON.stringify(Array.from({ length: many }, (_, i) => i)),
    );
    let text = "";
    const began = Date.now();
    const { read } = await storage.countAsync(async () => {
      text = metricsText(await o.run("metrics.get", null));
    });
    expect(read).toBeLessThan(2 * MAX_DATABASES_IN_METRICS + 100);
    expect(Date.now() - began).toBeLessThan(1_000);
    expect(text.match(/^cairn_backup_paused\{/gm)).toHaveLength(MAX_DATABASES_IN_METRICS);
    expect(text).toContain(`cairn_backup_failing{database="${id}"} 1\n`);
    expect(text).toContain(`cairn_backup_failing{database="d${many - 1}"} 0\n`);
    expect(text.length).toBeLessThan(1_000_000);
  });
});

test("each number is in the unit that its name says, and an error is quoted", async () => {
  await withOrganization(async (o) => {
    const [a, b] = [await o.newDatabase(), await o.newDatabase()];
    o.clock.time = at;
    o.service.reportBackup(a, failing);
    o.service.reportBackup(b, { ...well, lastSuccessAt: null });
    o.clock.pass(60_000);
    const lines = metricsText(await o.run("metrics.get", null)).split("\n");
    const of = (id: string) =>
      lines
        .filter((line) => line.startsWith("cairn_backup_") && line.includes(id))
        .map((line) => line.replace(`database="${id}"`, ""));
    expect(of(a)).toEqual([
      "cairn_backup_lag_seconds{} 180",
      "cairn_backup_backlog_bytes{} 4096",
      "cairn_backup_last_success_timestamp_seconds{} 1800000000",
      "cairn_backup_failing{} 1",
      "cairn_backup_failing_since_timestamp_seconds{} 1799999910",
      'cairn_backup_last_error_info{,error="The bucket \\"b\\" is\\ndown \\\\ gone."} 1',
      "cairn_backup_paused{} 0",
      "cairn_backup_generations{} 2",
      "cairn_backup_last_verification_timestamp_seconds{} 1799999999",
      "cairn_backup_last_verification_success{} 0",
      "cairn_backup_report_timestamp_seconds{} 1800000000",
    ]);
    expect(of(b)).toEqual([
      "cairn_backup_lag_seconds{} 0",
      "cairn_backup_backlog_bytes{} 0",
      "cairn_backup_failing{} 0",
      "cairn_backup_paused{} 0",
      "cairn_backup_generations{} 2",
      "cairn_backup_report_timestamp_seconds{} 1800000000",
    ]);
    for (const total of ["s 2", "s_failing 1", "s_behind 1", "s_paused 0", "s_unverified 1"]) {
      expect(lines).toContain(`cairn_backup${total}`);
    }
    // Each family is described once, before its samples, which follow each other.
    const families = lines
      .filter((line) => line !== "" && !line.startsWith("# HELP"))
      .map((line) => line.split(/[ {]/)[line.startsWith("#") ? 2 : 0]);
    const groups = families.filter((name, i) => name !== families[i - 1]);
    expect(new Set(groups).size).toBe(groups.length);
  });
});
