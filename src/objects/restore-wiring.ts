/** Builds what brings a database back in time from what the object has, and says what an object becomes when a state is adopted. */
import type { Backup } from "../backup/continuous/backup.ts";
import { divide } from "../backup/credentials.ts";
import { RestoreService } from "../backup/recovery/restore-service.ts";
import type { DeletionStub } from "../contracts/backup-commands.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import type { Jurisdiction } from "../contracts/placement.ts";
import type { ReceiveOrder, RestoreStub, RevokedToken } from "../contracts/restore-commands.ts";
import { NO_VERSION } from "../core/versionstamp.ts";
import type { SyncStorage } from "../core/storage.ts";
import type { Database } from "../engine/database.ts";
import { SideState } from "../engine/side-state.ts";
import { openDestination, secretBox, timingBy } from "./backup-wiring.ts";
import type { Env } from "./env.ts";
import type { Mode, ObjectMode } from "./object-mode.ts";
import type { Room } from "./room.ts";
import { withPlainAnswers } from "./plain-answers.ts";
import { within } from "./stubs.ts";
import { systemEntropy, systemTurn } from "./system.ts";

export interface RestoreParts {
  readonly storage: SyncStorage;
  readonly database: Database;
  readonly backup: Backup;
  readonly mode: ObjectMode;
  readonly room: Room;
  readonly clock: Clock;
  readonly env: Env;
  readonly revoked: () => readonly RevokedToken[];
  readonly objectName: string;
  /** Where the objects of this database are kept. */
  readonly jurisdiction: Jurisdiction | null;
  readonly dueBy: (at: UnixMs) => void;
}

export function databaseRestores(parts: RestoreParts): RestoreService {
  const { storage, database, backup, mode, room, clock, env, revoked, objectName, jurisdiction, dueBy } = parts;
  const side = new SideState(storage, () => database.notePeak());
  const timing = timingBy(clock);
  return new RestoreService({
    storage,
    clock,
    entropy: systemEntropy,
    database,
    side,
    adopt: (adoption, also) => database.adopt(side, adoption, also),
    adopted: (purpose, asOf) => {
      if (purpose === "fork") mode.become("open");
      else if (purpose === "past") mode.become("past", asOf);
    },
    own: backup,
    connect: (given) => {
      const { destination, credentials } = divide(given);
      return openDestination(destination, credentials, env, timing);
    },
    secrets: secretBox(env),
    room,
    objectName,
    revoked,
    object: (name) => objectIn(env, jurisdiction, name),
    otherDatabase: (id, where) => objectIn(env, where, id),
    dueBy,
    breathe: systemTurn,
  });
}

/** Another object of databases, in the jurisdiction that this one is in. */
export function objectIn(
  env: Pick<Env, "DATABASES">,
  jurisdiction: Jurisdiction | null,
  name: string,
): RestoreStub & DeletionStub {
  return withPlainAnswers(within(env.DATABASES, jurisdiction).getByName(name));
}

/** What an object is while it is filled for this. */
export function modeFor(purpose: ReceiveOrder["purpose"]): Mode {
  switch (purpose) {
    case "fork":
      return "restoring";
    case "past":
      return "past, restoring";
    case "check":
      return "check";
  }
}

/** Whether a backup may be brought here: nothing was ever here, or only what an earlier try has left. */
export function isVacant(database: Database, mode: ObjectMode): boolean {
  if (mode.mode !== "open") return true;
  const isEmpty = database.scan(null, { maxBytes: 1, maxEntries: 1 }).length === 0;
  return isEmpty && database.lastVersion === NO_VERSION;
}
