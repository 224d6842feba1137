/**
 * Builds what brings a database back in time, from what its object provides, and says what the object becomes when a state is adopted.
 */
import type { Backup } from "../backup/continuous/backup.ts";
import { divide } from "../backup/credentials.ts";
import { RestoreService } from "../backup/recovery/restore-service.ts";
import type { ArchiveStub } from "../contracts/archive-commands.ts";
import type { DeletionStub } from "../contracts/backup-commands.ts";
import { assert } from "../core/assert.ts";
import type { Clock, UnixMs } from "../core/clock.ts";
import { type Failure, failure } from "../core/errors.ts";
import type { Jurisdiction } from "../contracts/placement.ts";
import type { ReceiveOrder, RestoreStub, RevokedToken } from "../contracts/restore-commands.ts";
import { NO_VERSION } from "../core/versionstamp.ts";
import type { SyncStorage } from "../core/storage.ts";
import type { Database } from "../engine/database.ts";
import type { SideState } from "../engine/side-state.ts";
import { openDestination, secretBox, timingBy } from "./backup-wiring.ts";
import type { Env } from "./env.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import { modeAfter, type ModeMove } from "./lifecycle.ts";
import type { ObjectMode } from "./object-mode.ts";
import type { Room } from "./room.ts";
import { withPlainAnswers } from "./plain-answers.ts";
import { within } from "./stubs.ts";
import { systemEntropy } from "./system.ts";

export interface RestoreParts {
  readonly storage: SyncStorage;
  readonly database: Database;
  /** The state that a job builds beside the live one. */
  readonly side: SideState;
  readonly backup: Backup;
  readonly mode: ObjectMode;
  readonly room: Room;
  readonly clock: Clock;
  readonly env: Env;
  readonly revoked: () => readonly RevokedToken[];
  readonly objectName: string;
  /** The jurisdiction in which the objects of this database are kept. */
  readonly jurisdiction: Jurisdiction | null;
  readonly dueBy: (at: UnixMs) => void;
  /** The turns of the organization's jobs in the process. */
  readonly background: Pick<WorkTurns, "stored" | "next">;
  /** Resolves when what was written is on disk. */
  readonly flushed: () => Promise<void>;
}

export function databaseRestores(parts: RestoreParts): RestoreService {
  const { storage, database, side, backup, mode, room, clock, env, revoked, objectName, jurisdiction, dueBy } = parts;
  const { background, flushed } = parts;
  const timing = timingBy(clock);
  return new RestoreService({
    storage,
    clock,
    entropy: systemEntropy,
    database,
    side,
    adopt: (adoption, also) => database.adopt(side, adoption, also),
    refusal: (purpose) => (purpose === "restore" ? null : refusalToFill(purpose, database, mode)),
    begun: (purpose) => {
      if (purpose !== "restore") becomeAfter(`begin ${purpose}`, mode);
    },
    adopted: (purpose, asOf) => {
      if (purpose !== "restore") becomeAfter(`adopt ${purpose}`, mode, purpose === "past" ? asOf : null);
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
    breathe: () => background.next(),
    atTurn: async (work) => {
      await background.next();
      return background.stored(work, flushed);
    },
  });
}

/** Another object of databases, in the jurisdiction of this one. */
export function objectIn(
  env: Pick<Env, "DATABASES">,
  jurisdiction: Jurisdiction | null,
  name: string,
): RestoreStub & DeletionStub & ArchiveStub {
  return withPlainAnswers(within(env.DATABASES, jurisdiction).getByName(name));
}

/** Why no job may bring a backup here. null: the object was never used, or has only what an earlier attempt left. */
export function refusalToFill(
  purpose: ReceiveOrder["purpose"],
  database: Database,
  { mode }: Pick<ObjectMode, "mode">,
): Failure | null {
  const mayBegin = modeAfter(`begin ${purpose}`, mode) !== null;
  return mayBegin && (mode !== "open" || isEmpty(database)) ? null : NOT_EMPTY;
}

function isEmpty(database: Database): boolean {
  const entries = database.scan(null, { maxBytes: 1, maxEntries: 1 });
  return entries.length === 0 && database.lastVersion === NO_VERSION;
}

/** Makes the move, which must be allowed now. `asOf`: the moment of the state that the object holds from now on. */
export function becomeAfter(move: ModeMove, mode: ObjectMode, asOf: UnixMs | null = null): void {
  const next = modeAfter(move, mode.mode);
  assert(next !== null, `an object in which "${move}" may be made, not one that is "${mode.mode}"`);
  mode.become(next, asOf);
}

const NOT_EMPTY = failure(
  "conflict",
  "This database is not empty: a backup is restored into a new one, or into its own in place",
);
