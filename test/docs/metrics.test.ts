/** The table of metrics in docs/monitoring.md, held against what the endpoint gives. */
import { expect, test } from "vitest";
import type { BackupHealth } from "../../src/contracts/backup-health.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { metricsText } from "../../src/doors/management/api/metrics.ts";
import { readPage, tableRows } from "./markdown.ts";

const at = asUnixMs(1_800_000_000_000);
const health: BackupHealth = {
  status: "active",
  paused: false,
  failing: { since: at, error: "down" },
  behindSince: at,
  backlogBytes: 1,
  lastSuccessAt: at,
  generations: 1,
  verification: { finishedAt: at, good: true, error: null, damagedObject: null },
};
const counters = { reads: 1, writes: 1, readUnits: 1, writeUnits: 1, bytes: 1 };
const text = metricsText({
  now: at,
  totals: counters,
  databases: 1,
  perDatabase: [{ id: "id", ...counters }],
  backups: {
    totals: { backups: 1, failing: 1, behind: 1, paused: 0, unverified: 0 },
    perDatabase: [{ id: "id", reportedAt: at, health }],
  },
  webhooks: { webhooks: 1, pending: 1, delivered: 1, failed: 1 },
});

test("the page names every metric with its labels, and none that is not there", () => {
  const rows = tableRows(readPage("docs/monitoring.md")).filter(([first = ""]) => first.startsWith("`cairn_"));
  const named = rows.flatMap(([names = "", labels = ""]) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, name]) => `${name} ${labels.replaceAll(/[`,]/g, "")}`.trim()),
  );
  const given = text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) =>
      `${/^\w+/.exec(line)?.[0]} ${[...line.matchAll(/(\w+)="/g)].map(([, label]) => label).join(" ")}`.trim(),
    )
    // One stands for the usage of a database, which is that of the organization under another name.
    .filter((name) => !name.startsWith("cairn_database_") || name.startsWith("cairn_database_reads_total"));
  expect(named.toSorted()).toEqual([...new Set(given)].toSorted());
});
