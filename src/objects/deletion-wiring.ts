/** Builds what deletes a backup, in an object that is nothing else: it has the tables of jobs and none of a database. */
import { BackupDeletion } from "../backup/continuous/deletion.ts";
import { hasBackupTables } from "../backup/backup-schema.ts";
import type { Clock } from "../core/clock.ts";
import { isInitialized } from "../engine/engine-schema.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { openDestination, secretBox, timingBy } from "./backup-wiring.ts";
import type { Env } from "./env.ts";
import { alarmParts } from "./system.ts";

export interface OpenDeletion {
  readonly deletion: BackupDeletion;
  readonly alarms: AlarmClock;
}

export interface DeletionParts {
  readonly ctx: DurableObjectState;
  readonly clock: Clock;
  readonly env: Env;
  readonly erase: () => Promise<void>;
}

/** Whether the object was given a backup to delete. To be asked only of one that is no database's (`identityOf`: unknown). */
export function isDeletion(storage: DurableObjectStorage): boolean {
  return hasBackupTables(storage) && !isInitialized(storage);
}

export async function openDeletion({ ctx, clock, env, erase }: DeletionParts): Promise<OpenDeletion> {
  const { storage } = ctx;
  const timing = timingBy(clock);
  const deletion = new BackupDeletion({
    storage,
    clock,
    erase,
    secrets: secretBox(env),
    openDestination: (destination, credentials) => openDestination(destination, credentials, env, timing),
    dueBy: (at) => alarms.dueBy(at),
  });
  const alarms = new AlarmClock(storage, alarmParts(ctx.id), deletion.tasks);
  await alarms.start();
  return { deletion, alarms };
}
