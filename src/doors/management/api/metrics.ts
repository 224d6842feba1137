/** An organization's metrics in the text format of Prometheus, version 0.0.4. */
import type { BackupTotals, OrganizationMetrics, UsageCounters } from "../../../contracts/resources.ts";

type Kind = "counter" | "gauge";

const USAGE: readonly { name: string; kind: Kind; help: string; member: keyof UsageCounters }[] = [
  { name: "reads_total", kind: "counter", help: "Reads.", member: "reads" },
  { name: "writes_total", kind: "counter", help: "Writes.", member: "writes" },
  { name: "read_units_total", kind: "counter", help: "Read units.", member: "readUnits" },
  { name: "write_units_total", kind: "counter", help: "Write units.", member: "writeUnits" },
  { name: "storage_bytes", kind: "gauge", help: "Bytes stored.", member: "bytes" },
];

const BACKUP_TOTALS: readonly { name: string; help: string; member: keyof BackupTotals }[] = [
  { name: "cairn_backups", help: "Databases that have a backup.", member: "backups" },
  { name: "cairn_backups_failing", help: "Backups whose attempts fail.", member: "failing" },
  { name: "cairn_backups_behind", help: "Backups that lack commits older than a minute.", member: "behind" },
  { name: "cairn_backups_paused", help: "Backups that are paused.", member: "paused" },
  {
    name: "cairn_backups_unverified",
    help: "Backups that the last verification found bad or could not verify.",
    member: "unverified",
  },
];

type OneBackup = OrganizationMetrics["backups"]["perDatabase"][number];

/** The series of one database's backup. `value` null: the backup has none. Times are given in milliseconds and shown in seconds. */
const BACKUP: readonly {
  readonly name: string;
  readonly help: string;
  readonly value: (backup: OneBackup, now: number) => number | null;
  readonly labels?: (backup: OneBackup) => Readonly<Record<string, string>>;
}[] = [
  {
    name: "cairn_backup_lag_seconds",
    help: "For how long the oldest commit outside of the backup has been waiting; 0 below a minute.",
    value: ({ health: { behindSince } }, now) => (behindSince === null ? 0 : Math.max(0, now - behindSince) / 1000),
  },
  {
    name: "cairn_backup_backlog_bytes",
    help: "Bytes of log that wait to be backed up; 0 while cairn_backup_lag_seconds is 0.",
    value: ({ health }) => health.backlogBytes,
  },
  {
    name: "cairn_backup_last_success_timestamp_seconds",
    help: "When the backup last stored an object of the log.",
    value: ({ health }) => inSeconds(health.lastSuccessAt),
  },
  {
    name: "cairn_backup_failing",
    help: "Whether the backup's attempts have been failing for at least a minute: 1 or 0.",
    value: ({ health }) => (health.failing === null ? 0 : 1),
  },
  {
    name: "cairn_backup_failing_since_timestamp_seconds",
    help: "Since when the backup's attempts have been failing.",
    value: ({ health }) => inSeconds(health.failing?.since ?? null),
  },
  {
    name: "cairn_backup_last_error_info",
    help: "The error of the backup's failing attempts, as a label.",
    value: ({ health }) => (health.failing === null ? null : 1),
    labels: ({ health }) => ({ error: health.failing?.error ?? "" }),
  },
  {
    name: "cairn_backup_paused",
    help: "Whether the backup is paused: 1 or 0.",
    value: ({ health }) => (health.paused ? 1 : 0),
  },
  {
    name: "cairn_backup_generations",
    help: "Generations of the backup that can be restored.",
    value: ({ health }) => health.generations,
  },
  {
    name: "cairn_backup_last_verification_timestamp_seconds",
    help: "When the last verification of the backup ended.",
    value: ({ health }) => inSeconds(health.verification?.finishedAt ?? null),
  },
  {
    name: "cairn_backup_last_verification_success",
    help: "Whether the last verification found the backup good: 1 or 0.",
    value: ({ health: { verification } }) => (verification === null ? null : verification.good ? 1 : 0),
  },
  {
    name: "cairn_backup_report_timestamp_seconds",
    help: "When the database last reported a change of its backup's metrics.",
    value: ({ reportedAt }) => inSeconds(reportedAt),
  },
];

/** Sums over the organization; the same for each of some databases, with `_database` in the name; and their backups. */
export function metricsText(metrics: OrganizationMetrics): string {
  const { now, totals, databases, perDatabase, backups, webhooks } = metrics;
  const lines = family("cairn_databases", "gauge", "Databases.", [`cairn_databases ${databases}`]);
  for (const { name, kind, help, member } of USAGE) {
    const [all, each] = [`cairn_kv_${name}`, `cairn_database_${name}`];
    const ofEach = perDatabase.map((one) => `${each}{database="${one.id}"} ${one[member]}`);
    lines.push(...family(all, kind, help, [`${all} ${totals[member]}`]), ...family(each, kind, help, ofEach));
  }
  for (const { name, help, member } of BACKUP_TOTALS) {
    lines.push(...family(name, "gauge", help, [`${name} ${backups.totals[member]}`]));
  }
  for (const { name, help, value, labels } of BACKUP) {
    const samples = backups.perDatabase.flatMap((backup) => {
      const found = value(backup, now);
      return found === null ? [] : [`${name}${labelText({ database: backup.id, ...labels?.(backup) })} ${found}`];
    });
    lines.push(...family(name, "gauge", help, samples));
  }
  const { webhooks: count, pending, delivered, failed } = webhooks;
  const ended = "cairn_webhook_deliveries_total";
  lines.push(
    ...family("cairn_webhooks", "gauge", "Webhooks.", [`cairn_webhooks ${count}`]),
    ...family("cairn_webhook_deliveries_pending", "gauge", "Deliveries that wait for an attempt.", [
      `cairn_webhook_deliveries_pending ${pending}`,
    ]),
    ...family(
      ended,
      "counter",
      "Deliveries of the present webhooks that were accepted (delivered) or given up (failed).",
      [
        `${ended}${labelText({ outcome: "delivered" })} ${delivered}`,
        `${ended}${labelText({ outcome: "failed" })} ${failed}`,
      ],
    ),
  );
  return `${lines.join("\n")}\n`;
}

/** Empty for a series without samples. */
function family(name: string, kind: Kind, help: string, samples: readonly string[]): string[] {
  return samples.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...samples];
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const each = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${each.join(",")}}`;
}

/** The escaping that the format requires: of backslash, quote and line feed. */
function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function inSeconds(at: number | null): number | null {
  return at === null ? null : at / 1000;
}
