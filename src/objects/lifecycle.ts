/**
 * The life of a database's object, as a state machine. What is stored says which state an object is in, so a state survives a restart. A
 * move is one transaction, or a step that can be repeated. A kill leaves the object in one of these states, and the caller that asked
 * for the move asks again.
 *
 * | state               | what is stored                                  | what the object is                                         |
 * |---------------------|-------------------------------------------------|------------------------------------------------------------|
 * | `empty`             | nothing                                         | an object that was never used, or was erased               |
 * | `open`              | `identity`                                      | an organization's database                                 |
 * | `restoring`         | `identity`, that mode                           | an organization's database, being filled from a backup     |
 * | `check`             | entries, that mode or none, and no `identity`   | a trial of a backup, or a copy before its first order      |
 * | `past, restoring`   | entries, that mode, and no `identity`           | a state of the past, being built                           |
 * | `past`              | entries, that mode, and no `identity`           | a state of the past that can be read                       |
 * | `deletion`          | the tables of a backup, and no entries          | the object that deletes the backup of a deleted database   |
 * | `wiping`            | `tombstone`, and data that is not deleted yet   | a database that refuses every request while it is wiped    |
 * | `deleted`           | `tombstone`                                     | a deleted database, whose id is never used again           |
 */
import { hasBackupTables } from "../backup/backup-schema.ts";
import { deletionOrder } from "../backup/continuous/deletion.ts";
import { discardCopies } from "../backup/recovery/past-states.ts";
import type { RestoreService } from "../backup/recovery/restore-service.ts";
import type { ArchiveForkOrder } from "../contracts/archive-commands.ts";
import type { BackupDeletionOrder, DeletionStub } from "../contracts/backup-commands.ts";
import { NO_DATABASE } from "../contracts/database.ts";
import type { DatabaseSetup } from "../contracts/management.ts";
import type { Jurisdiction } from "../contracts/placement.ts";
import {
  deletionName,
  type ReceiveOrder,
  type RestoreAnswer,
  type RestoreCommand,
  type BackupJob,
  type RestoreStub,
} from "../contracts/restore-commands.ts";
import type { Clock } from "../core/clock.ts";
import { type Failure, failure } from "../core/errors.ts";
import type { SyncStorage } from "../core/storage.ts";
import { isInitialized } from "../engine/engine-schema.ts";
import { bury, claim, setupOf, wasSending } from "./identity.ts";
import { type Mode, storedMode } from "./object-mode.ts";
import { ObjectTables } from "./object-tables.ts";
import type { Revocations } from "./revocations.ts";

export type State = "empty" | Mode | "deletion" | "wiping" | "deleted";

/** From which states each move may be made, and to which state it leads. In any other state the move is refused and changes nothing. */
export const MOVES = {
  /** The organization makes a database: `initialize`. */
  claim: { empty: "open" },
  /** Another object of ours orders a copy: `receive`. */
  prepare: { empty: "check" },
  /** The job that brings a backup here has been stored: `fill`, `receive`. */
  "begin fork": { open: "restoring", restoring: "restoring" },
  "begin past": { check: "past, restoring", "past, restoring": "past, restoring", past: "past, restoring" },
  "begin check": { check: "check", "past, restoring": "check", past: "check" },
  /** The job has brought the backup, and its state replaces the present one. */
  "adopt fork": { restoring: "open" },
  "adopt past": { "past, restoring": "past" },
  /** A database that is being wiped hands its backup over: `deleteBackup`. */
  "take deletion": { empty: "deletion", deletion: "deletion" },
  /** A copy or a deletion is not needed any more: `discard`, `erase`. */
  erase: { empty: "empty", check: "empty", "past, restoring": "empty", past: "empty", deletion: "empty" },
  /** The organization deletes a database: `wipe`. That is `bury`, then what must be done while the data still exists, then `clear`. */
  bury: {
    empty: "deleted",
    open: "wiping",
    restoring: "wiping",
    check: "wiping",
    "past, restoring": "wiping",
    past: "wiping",
    deletion: "wiping",
    wiping: "wiping",
    deleted: "deleted",
  },
  clear: { wiping: "deleted", deleted: "deleted" },
} as const satisfies Record<string, Partial<Record<State, State>>>;

export type Move = keyof typeof MOVES;

/** The moves that only change the purpose of an object with entries. */
export type ModeMove = Extract<Move, `begin ${string}` | `adopt ${string}`>;

/** null: the move is not allowed. */
export function modeAfter(move: ModeMove, from: Mode): Mode | null {
  const moves: Partial<Record<Mode, Mode>> = MOVES[move];
  return moves[from] ?? null;
}

/** The state by the stored tables. Reads SQLite's own schema, and at most one row. */
export function stateOf(tables: ObjectTables): State {
  const { storage } = tables;
  const isClaimed = tables.has("identity");
  if (tables.has("tombstone")) {
    return isClaimed || isInitialized(storage) || hasBackupTables(storage) ? "wiping" : "deleted";
  }
  if (isClaimed) return storedMode(tables)?.mode ?? "open";
  // An object that no organization has claimed is never open: it holds nothing until a backup was brought there.
  if (isInitialized(storage)) return storedMode(tables)?.mode ?? "check";
  return hasBackupTables(storage) ? "deletion" : "empty";
}

/** An object with entries that is in use. */
export interface HeldDatabase {
  readonly restores: Pick<RestoreService, "knows" | "run" | "receive" | "closePast">;
  readonly revocations: Pick<Revocations, "add">;
  /** Has another database's archive restored here. */
  receiveArchive(order: ArchiveForkOrder): Promise<{ readonly ok: true; readonly job: BackupJob } | Failure>;
  /** Why no job may bring a backup here for this purpose. null: a job may. */
  refusalToFill(purpose: ReceiveOrder["purpose"]): Failure | null;
  /**
   * From now on nothing is served, run or stored, and waiting requests fail with this reason. `isSending`: something is on its way to a
   * backup.
   */
  close(why: Failure): { readonly isSending: boolean };
}

/** An object that deletes a backup. */
export interface HeldDeletion {
  take(order: BackupDeletionOrder): void;
  close(): void;
}

export interface LifecycleStorage extends SyncStorage {
  deleteAlarm(): Promise<void>;
  deleteAll(): Promise<void>;
  sync(): Promise<void>;
}

export interface LifecycleParts<Database extends HeldDatabase, Deletion extends HeldDeletion> {
  readonly storage: LifecycleStorage;
  readonly clock: Clock;
  /** While the work runs, the object does nothing else. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>;
  /** Makes or migrates what the object needs, and sets its alarm. `setup` null: the object is not an organization's database. */
  readonly openDatabase: (tables: ObjectTables, setup: DatabaseSetup | null) => Promise<Database>;
  readonly openDeletion: (tables: ObjectTables) => Promise<Deletion>;
  /** Ends every open socket with this reason. */
  readonly endSockets: (why: Failure) => void;
  /** Another object of the same class. */
  readonly object: (jurisdiction: Jurisdiction | null, name: string) => RestoreStub & DeletionStub;
  /** The object's name in the server's log. */
  readonly name: string;
}

type Filled<T> = Promise<T | Failure>;

export class Lifecycle<Database extends HeldDatabase, Deletion extends HeldDeletion> {
  readonly #parts: LifecycleParts<Database, Deletion>;
  #tables: ObjectTables;
  #database: Database | null = null;
  #deletion: Deletion | null = null;
  /** Settles when the last filling has begun or was refused, and never rejects. The same order may come again meanwhile. */
  #filling: Promise<unknown> = Promise.resolve();

  /** Continues as what the stored state says. */
  constructor(parts: LifecycleParts<Database, Deletion>) {
    this.#parts = parts;
    this.#tables = new ObjectTables(parts.storage);
    const state = this.#state;
    if (isDatabase(state) || isCopy(state)) void parts.alone(() => this.#restart());
    else if (state === "deletion") void parts.alone(() => this.#openDeletion());
  }

  get #state(): State {
    return stateOf(this.#tables);
  }

  /** null: the object has no entries, or they must not be served any more. */
  get database(): Database | null {
    return this.#database;
  }

  /** null: the object deletes no backup. */
  get deletion(): Deletion | null {
    return this.#deletion;
  }

  /** Makes this object that database. The same setup again changes nothing. */
  async initialize(setup: DatabaseSetup): Promise<{ readonly initialized: true } | Failure> {
    return this.#parts.alone(async () => {
      const state = this.#state;
      if (state === "wiping" || state === "deleted") return WAS_DELETED;
      if (isDatabase(state)) {
        return JSON.stringify(setupOf(this.#tables)) === JSON.stringify(setup) ? { initialized: true } : IS_ANOTHERS;
      }
      if (!mayMove("claim", state)) return IS_SOMETHING_ELSE;
      this.#parts.storage.transactionSync(() => claim(this.#tables, setup));
      await this.#open();
      return { initialized: true };
    });
  }

  /** Has a backup brought here that another object names. The same order again gets the same answer. */
  async receive(order: ReceiveOrder): Filled<{ readonly ok: true; readonly job: BackupJob }> {
    let isNew = false;
    // A fork is brought into a database that the directory has made, everything else into an unclaimed object.
    if (this.#database === null && order.purpose !== "fork") {
      await this.#parts.alone(async () => {
        if (this.#database !== null || !mayMove("prepare", this.#state)) return;
        isNew = true;
        await this.#open();
      });
    }
    const database = this.#database;
    if (database === null) return NO_DATABASE;
    for (const { tokenId, until } of order.purpose === "past" ? order.revoked : []) {
      database.revocations.add(tokenId, until, this.#parts.clock.now());
    }
    const begun = await this.#fill(database, order, (restores) => restores.receive(order));
    if (!begun.ok && isNew) await this.erase();
    return begun;
  }

  /** Fills an empty database from the backup that the command names. */
  async fill(command: Extract<RestoreCommand, { command: "restore from" }>): Filled<RestoreAnswer> {
    if (this.#database === null) return NO_DATABASE;
    const { jobId } = command;
    return this.#fill(this.#database, { jobId, purpose: "fork" }, (restores) => restores.run(command));
  }

  /** Fills an empty database from another one's archive. The same order again gets the same answer. */
  async receiveArchive(order: ArchiveForkOrder): Filled<{ readonly ok: true; readonly job: BackupJob }> {
    const database = this.#database;
    if (database === null) return NO_DATABASE;
    return this.#fill(database, { jobId: order.jobId, purpose: "fork" }, () => database.receiveArchive(order));
  }

  /** From here on this object deletes that backup. The same order again changes nothing. */
  async deleteBackup(order: BackupDeletionOrder): Promise<{ readonly ok: true } | Failure> {
    if (!mayMove("take deletion", this.#state)) return IS_SOMETHING_ELSE;
    const deletion = this.#deletion ?? (await this.#parts.alone(() => this.#openDeletion()));
    deletion.take(order);
    return { ok: true };
  }

  /** Removes everything from a copy or a deletion. Its readers are told to ask again. */
  async discard(): Promise<{ readonly ok: true } | Failure> {
    if (!mayMove("erase", this.#state))
      return failure("conflict", "This object holds a database, which is deleted in another way");
    await this.erase();
    return { ok: true };
  }

  /** Returns the object to its first state. Does nothing to a database. */
  async erase(): Promise<void> {
    await this.#parts.alone(async () => {
      if (!mayMove("erase", this.#state)) return;
      this.#close(STATE_IS_GONE);
      await this.#deleteEverything();
    });
  }

  /**
   * Removes everything of a database except its tombstone. `deleteBackups`: its backup is handed over to be deleted. After a failure in
   * the middle, the same call continues.
   */
  async wipe({ deleteBackups }: { readonly deleteBackups: boolean }): Promise<void> {
    const { storage } = this.#parts;
    const setup = setupOf(this.#tables);
    const database = this.#database;
    const { isSending } = this.#close(NO_DATABASE);
    storage.transactionSync(() => bury(this.#tables, { isSending }));
    // The copies go first, because only this object knows where they are.
    if (database !== null) await database.restores.closePast();
    else if (setup !== null) await discardCopies(storage, (name) => this.#object(setup, name), setup.databaseId);
    if (deleteBackups && setup !== null) await this.#leaveBackup(setup);
    await this.#deleteEverything({ butTombstone: true });
    await storage.sync();
  }

  /** Hands the backup over to the object that deletes it, before the data goes. So it will be deleted, whatever happens after that. */
  async #leaveBackup(setup: DatabaseSetup): Promise<void> {
    const { storage, clock } = this.#parts;
    const order = deletionOrder(storage, wasSending(this.#tables), clock.now());
    if (order === null) return;
    const taken = await this.#object(setup, deletionName(setup.databaseId)).deleteBackup(order);
    if (!taken.ok) throw new Error(taken.message);
  }

  /**
   * Removes what is stored and what is in memory. A tombstone is stored again in the same moment. A kill between the two leaves nothing
   * at all.
   */
  async #deleteEverything({ butTombstone } = { butTombstone: false }): Promise<void> {
    const { storage } = this.#parts;
    await storage.deleteAlarm();
    const deleted = storage.deleteAll();
    this.#tables = new ObjectTables(storage);
    if (butTombstone) bury(this.#tables);
    await deleted;
  }

  /**
   * Has the object filled, unless a job with this id has begun to. When the job is stored, it makes the move: see `restore-wiring.ts`.
   */
  async #fill<T extends { readonly ok: true }>(
    database: Database,
    { jobId, purpose }: Pick<ReceiveOrder, "jobId" | "purpose">,
    begin: (restores: Database["restores"]) => Filled<T>,
  ): Filled<T> {
    const begun = this.#filling.then(async () => {
      if (this.#database !== database) return NO_DATABASE;
      const { restores } = database;
      const refused = restores.knows(jobId) ? null : database.refusalToFill(purpose);
      return refused ?? begin(restores);
    });
    this.#filling = begun.catch(() => undefined);
    return begun;
  }

  /** Stops everything that the object does in memory. */
  #close(why: Failure): { readonly isSending: boolean } {
    const closed = this.#database?.close(why) ?? { isSending: false };
    this.#database = null;
    this.#deletion?.close();
    this.#deletion = null;
    this.#parts.endSockets(why);
    return closed;
  }

  /** When this throws, the platform starts the object again at the next request, and the client learns only that. */
  async #restart(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      console.error(`the database ${setupOf(this.#tables)?.databaseId ?? this.#parts.name} does not start`, error);
      throw error;
    }
  }

  async #open(): Promise<void> {
    this.#database = await this.#parts.openDatabase(this.#tables, setupOf(this.#tables));
  }

  async #openDeletion(): Promise<Deletion> {
    this.#deletion ??= await this.#parts.openDeletion(this.#tables);
    return this.#deletion;
  }

  #object({ jurisdiction }: DatabaseSetup, name: string): RestoreStub & DeletionStub {
    return this.#parts.object(jurisdiction, name);
  }
}

function mayMove(move: Move, from: State): boolean {
  return from in MOVES[move];
}

/** An organization's database. */
function isDatabase(state: State): boolean {
  return state === "open" || state === "restoring";
}

/** The object has entries and is no organization's database: a state of the past or a trial. */
function isCopy(state: State): boolean {
  return state === "check" || state === "past, restoring" || state === "past";
}

const WAS_DELETED = failure("conflict", "This database was deleted, and its id is not used again");
const IS_ANOTHERS = failure("conflict", "There is another database with this id");
const IS_SOMETHING_ELSE = failure("conflict", "This object is something else");
const STATE_IS_GONE = failure("unavailable", "This state of the past is being wiped: try again");
