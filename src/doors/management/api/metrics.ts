/** An organization's metrics in the text format of Prometheus, version 0.0.4. */
import type { OrganizationMetrics, UsageCounters } from "../../../core/management.ts";

const FAMILIES: readonly { name: string; type: "counter" | "gauge"; help: string; member: keyof UsageCounters }[] = [
  { name: "cairn_kv_reads_total", type: "counter", help: "Reads.", member: "reads" },
  { name: "cairn_kv_writes_total", type: "counter", help: "Writes.", member: "writes" },
  { name: "cairn_kv_read_units_total", type: "counter", help: "Read units.", member: "readUnits" },
  { name: "cairn_kv_write_units_total", type: "counter", help: "Write units.", member: "writeUnits" },
  { name: "cairn_kv_storage_bytes", type: "gauge", help: "Bytes stored.", member: "bytes" },
];

/** Sums over the organization, and under names with `_database` in them the same for each database that reported lately. */
export function metricsText({ totals, databases, perDatabase }: OrganizationMetrics): string {
  const lines = ["# HELP cairn_databases Databases.", "# TYPE cairn_databases gauge", `cairn_databases ${databases}`];
  for (const { name, type, help, member } of FAMILIES) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${totals[member]}`);
    if (perDatabase.length === 0) continue;
    const each = name.replace("cairn_kv_", "cairn_database_");
    lines.push(`# HELP ${each} ${help}`, `# TYPE ${each} ${type}`);
    for (const database of perDatabase) lines.push(`${each}{database="${database.id}"} ${database[member]}`);
  }
  return `${lines.join("\n")}\n`;
}
