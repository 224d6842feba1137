/** Builds what deletes a backup, in an object that is used only for that: it has the tables of jobs, and none of a database. */
import { BackupDeletion } from "../backup/continuous/deletion.ts";
import type { Clock } from "../core/clock.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { openDestination, secretBox, timingBy } from "./backup-wiring.ts";
import type { Env } from "./env.ts";
import type { HeldDeletion } from "./lifecycle.ts";
import type { ObjectTables } from "./object-tables.ts";
import { alarmParts } from "./system.ts";

export interface OpenDeletion extends HeldDeletion {
  readonly deletion: BackupDeletion;
  readonly alarms: AlarmClock;
}

export interface DeletionParts {
  readonly ctx: DurableObjectState;
  readonly tables: ObjectTables;
  readonly clock: Clock;
  readonly env: Env;
  readonly erase: () => Promise<void>;
}

export async function openDeletion({ ctx, tables, clock, env, erase }: DeletionParts): Promise<OpenDeletion> {
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
  const alarms = new AlarmClock(storage, tables, alarmParts(ctx.id), deletion.tasks);
  await alarms.start();
  return { deletion, alarms, take: (order) => deletion.take(order), close: () => alarms.stop() };
}
