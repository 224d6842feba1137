/** What events say of each database that they concern. `docs/webhooks.md` shows it. */
import { unreachable } from "../core/assert.ts";
import type { BackupHealth } from "../contracts/backup-health.ts";
import type { BackupEvent } from "../contracts/webhooks.ts";
import type { Incident } from "./incidents.ts";

export interface DatabaseInEvent {
  readonly id: string;
  readonly name: string;
}

/** `health`: the present health of its backup. null: not known. */
export function aboutDatabase(
  event: BackupEvent,
  database: DatabaseInEvent,
  { since, resolved, resolvedAt }: Incident,
  health: BackupHealth | null,
): DatabaseInEvent & Readonly<Record<string, string | number | null>> {
  const { id, name } = database;
  switch (event) {
    case "backup.failed":
      return {
        id,
        name,
        failingSince: timeText(since),
        error: health?.failing?.error ?? null,
        behindSince: timeText(health?.behindSince ?? null),
        backlogBytes: health?.backlogBytes ?? null,
        lastSuccessAt: timeText(health?.lastSuccessAt ?? null),
      };
    case "backup.recovered":
      return { id, name, failingSince: timeText(since), recoveredAt: timeText(resolvedAt), reason: resolved };
    case "backup.verification_failed":
      return {
        id,
        name,
        verifiedAt: timeText(since),
        error: health?.verification?.error ?? null,
        damagedObject: health?.verification?.damagedObject ?? null,
      };
    case "backup.verification_recovered":
      return { id, name, failedAt: timeText(since), recoveredAt: timeText(resolvedAt), reason: resolved };
    default:
      return unreachable(event);
  }
}

/** As RFC 3339. */
export function timeText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
