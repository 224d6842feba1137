/** Keeps the log that waits for the destination within its limit, whether or not the destination answers. */
import type { Clock } from "../../core/clock.ts";
import type { ConfigurationTable } from "./configuration.ts";
import type { Exporter } from "./exporter.ts";
import type { Generations } from "./generations.ts";
import type { BackupPolicy } from "./policy.ts";
import type { BackupTask, DatabaseSource } from "../sources.ts";

export interface BacklogTaskOptions {
  readonly database: DatabaseSource;
  readonly clock: Clock;
  readonly policy: BackupPolicy;
  readonly configurations: ConfigurationTable;
  readonly generations: Generations;
  readonly exporter: Exporter;
}

export function backlogTask(options: BacklogTaskOptions): BackupTask {
  const { database, clock, policy, configurations, generations, exporter } = options;
  const isDue = () =>
    configurations.get() !== null && (exporter.overBound().length > 0 || exporter.uncounted().length > 0);
  return {
    name: "backup backlog",
    dueAt: () => (isDue() ? clock.now() : null),
    run: async () => {
      if (!isDue()) return;
      exporter.keepCount();
      if (exporter.overBound().length === 0) return;
      const cause = `The destination took nothing until ${policy.backlogBytes} bytes of log were waiting.`;
      for (const { start } of exporter.overBound()) generations.breakOff(start, cause);
      configurations.markManifestStale();
      database.log.trim();
    },
  };
}
