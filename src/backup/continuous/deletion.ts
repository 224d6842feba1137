/**
 * Deletes the backup of a deleted database, in an object of its own. It deletes everything below `{prefix}{databaseId}/` and nothing
 * else: the manifest first, so that a half-deleted backup is no backup any more. Generations that another server with a copy of the
 * database continues stay (`own-objects.ts`). The deletion is one job, done in slices. A failing destination is tried again for a week,
 * less and less often. The secret is deleted when the job ends, however it ends. The job itself is kept for a month. After that, nothing
 * is left of the object.
 */
import { NO_DATABASE } from "../../contracts/database.ts";
import type { BackupDeletionOrder, OwnGeneration } from "../../contracts/backup-commands.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_BACKUP_DELETION_OUTAGE_MS } from "../../core/limits.ts";
import { DELETION_JOB, type RestoreAnswer, type RestoreCommand } from "../../contracts/restore-commands.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { ConfigurationTable } from "./configuration.ts";
import { openCredentials } from "../credentials.ts";
import { destinationFailure, type Destination, type DestinationFailure } from "../destinations/destination.ts";
import { knownPrefix } from "../destinations/object-name.ts";
import { encodeManifest } from "../format/manifest.ts";
import { databasePrefix, manifestName } from "../format/object-names.ts";
import { generationOf, isLive, type Row } from "./generation-row.ts";
import { BackupJobs, type RunningJob } from "../jobs.ts";
import { deleteOwn, type OwnObjects, splitManifest } from "./own-objects.ts";
import type { SecretBox } from "../secrets.ts";
import type { BackupTask, OpenDestination } from "../sources.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Longer than an organization keeps a job whose end it has not seen. */
const FORGOTTEN_AFTER_MS = 31 * DAY_MS;

/** No request to a destination lasts longer, with the retries of its driver. */
const LONGEST_REQUEST_MS = 5 * 60 * 1000;

/** The longer a destination has been failing, the longer the next try waits. The wait is between these two. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15 * 60 * 1000;

export interface BackupDeletionOptions {
  readonly storage: SyncStorage;
  readonly clock: Clock;
  /** Or why the deployment cannot encrypt secrets. */
  readonly secrets: SecretBox | Failure;
  readonly openDestination: OpenDestination;
  readonly dueBy: (at: UnixMs) => void;
  /** Removes everything from the object. */
  readonly erase: () => Promise<void>;
}

interface State extends OwnObjects {
  readonly deleted: number;
  /** When the destination last did what it was asked to do. */
  readonly wellAt: UnixMs;
}

/**
 * What there is to delete of the backup of the database in `storage`. null: it has no backup. `isBusy`: something was being sent just
 * now. It also counts as busy when a range was chosen and not stored, because the object may have been stopped in between.
 */
export function deletionOrder(storage: SyncStorage, isBusy: boolean, now: UnixMs): BackupDeletionOrder | null {
  const configuration = new ConfigurationTable(storage).get();
  if (configuration === null) return null;
  const { id, databaseId, destination, secret } = configuration;
  const counted = `SELECT coalesce(sum(log_objects + snapshot_objects + 2), 0) AS n,
    count(coalesce(pending_up_to, snapshot_pending)) AS pending FROM backup_generations`;
  const { n, pending } = storage.sql.exec<{ n: number; pending: number }>(counted).one();
  const rows = storage.sql.exec<Row>("SELECT * FROM backup_generations WHERE owned = 1 ORDER BY start").toArray();
  const own = rows.map(generationOf).map((generation): OwnGeneration => {
    const { start, claim, claiming, exported, pendingUpTo, log } = generation;
    const isWritten = isLive(generation) && (log.objects > 0 || pendingUpTo !== null);
    const writers = claim === null ? claiming : [claim, ...claiming];
    return { start, writers, sentUpTo: isWritten ? (pendingUpTo ?? exported) : null };
  });
  const objects = 1 + n;
  const arrivalsUntil = asUnixMs(isBusy || pending > 0 ? now + LONGEST_REQUEST_MS : now);
  return { id, databaseId, destination, secret, objects, arrivalsUntil, own };
}

export class BackupDeletion {
  readonly tasks: readonly BackupTask[];
  readonly #options: BackupDeletionOptions;
  readonly #jobs: BackupJobs;

  constructor(options: BackupDeletionOptions) {
    const { storage, clock, erase } = options;
    this.#options = options;
    this.#jobs = new BackupJobs(storage, clock, () => false);
    this.tasks = [
      {
        name: "backup deletion",
        keepsOwnRecord: true,
        dueAt: () => this.#jobs.dueAt(),
        run: () =>
          this.#jobs.slice(
            (job) => this.#slice(job),
            // This class wrote it, from a value of this type.
            (job, why) => this.#giveUp(job, JSON.parse(job.input) as BackupDeletionOrder, why),
          ),
      },
      { name: "backup deletion's end", dueAt: () => this.#forgottenAt(), run: erase },
    ];
  }

  /** From here on the backup will be deleted. The same order again changes nothing. */
  take(order: BackupDeletionOrder): void {
    if (!isFailure(this.#jobs.get(DELETION_JOB))) return;
    this.#jobs.start(DELETION_JOB, "deletion", order, null);
    this.#options.dueBy(this.#options.clock.now());
  }

  run(command: RestoreCommand): RestoreAnswer | Failure {
    if (command.command !== "job" && command.command !== "cancel") {
      return NO_DATABASE;
    }
    const job = command.command === "job" ? this.#jobs.get(command.jobId) : this.#jobs.cancel(command.jobId);
    return isFailure(job) ? job : { ok: true, kind: "job", job };
  }

  #forgottenAt(): UnixMs | null {
    const job = this.#jobs.get(DELETION_JOB);
    return isFailure(job) ? null : asUnixMs(job.createdAt + FORGOTTEN_AFTER_MS);
  }

  async #slice(job: RunningJob): Promise<void> {
    // This class wrote both, from values of these types.
    const order = JSON.parse(job.input) as BackupDeletionOrder;
    const state = job.state === null ? null : (JSON.parse(job.state) as State);
    const opened = await this.#open(order);
    const outcome = isFailure(opened) ? opened : await this.#deleteSome(opened, order, state);
    if (!outcome.ok) return this.#attemptFailed(job, order, state, outcome);
    const { clock } = this.#options;
    const now = clock.now();
    const { after, theirs, ours } = outcome.objects;
    const isThrough = after === null;
    const deleted = (state?.deleted ?? 0) + outcome.deleted;
    const awaits = isThrough && now < order.arrivalsUntil;
    const total = isThrough ? deleted : Math.max(order.objects, deleted);
    const phase = awaits ? "waiting for what may still arrive" : `deleting the backup${stays(theirs.length)}`;
    const next: State = { deleted, wellAt: now, after, theirs, ours };
    this.#jobs.progress(job.id, next, { phase, done: deleted, total });
    if (awaits) this.#jobs.wait(job.id, null, order.arrivalsUntil - now);
    else if (isThrough) this.#jobs.complete(job.id);
  }

  async #open(order: BackupDeletionOrder): Promise<Destination | Failure> {
    const { secrets, openDestination } = this.#options;
    const opened = await openCredentials(secrets, order);
    return opened.ok ? openDestination(order.destination, opened.credentials) : opened;
  }

  /** Writes the manifest first, and again when late objects may have arrived. Then it deletes everything else, in the order of names. */
  async #deleteSome(
    destination: Destination,
    { databaseId, own }: BackupDeletionOrder,
    state: State | null,
  ): Promise<{ readonly ok: true; readonly deleted: number; readonly objects: OwnObjects } | DestinationFailure> {
    // An earlier version did not store this.
    if (typeof state?.after === "string") return deleteOwn(destination, databaseId, state, own ?? null);
    const split = await splitManifest(destination, databaseId, own ?? null);
    if (!split.ok) return split;
    const name = manifestName(databaseId);
    const { theirs, manifest, etag } = split;
    const written =
      manifest === null
        ? await destination.delete(name)
        : await destination.putIfUnchanged(name, encodeManifest(manifest), etag);
    const objects = { after: databasePrefix(databaseId), theirs, ours: null };
    if (written.ok) return { ok: true, deleted: manifest === null ? 1 : 0, objects };
    return written.class === "conflict" ? destinationFailure("retry", `The object ${name} was just written.`) : written;
  }

  #attemptFailed(
    job: RunningJob,
    order: BackupDeletionOrder,
    state: State | null,
    failed: DestinationFailure | Failure,
  ): void {
    const failingMs = this.#options.clock.now() - (state?.wellAt ?? job.createdAt);
    if (failingMs >= MAX_BACKUP_DELETION_OUTAGE_MS) {
      const days = MAX_BACKUP_DELETION_OUTAGE_MS / DAY_MS;
      return this.#giveUp(job, order, `Given up after ${days} days. ${failed.message}`);
    }
    const asked = "class" in failed ? (failed.retryAfterMs ?? 0) : 0;
    const wait = Math.max(FIRST_WAIT_MS, failingMs / 2, asked);
    this.#jobs.wait(job.id, failed.message, Math.min(wait, LONGEST_WAIT_MS));
  }

  #giveUp(job: RunningJob, order: BackupDeletionOrder, why: string): void {
    // This class wrote it, from a value of this type.
    const state = job.state === null ? null : (JSON.parse(job.state) as State);
    const left = `The rest of the backup lies in ${placeOf(order)} (objects deleted: ${state?.deleted ?? 0}).`;
    this.#jobs.fail(job.id, `${why} ${left}`);
  }
}

function stays(theirs: number): string {
  if (theirs === 0) return "";
  return theirs === 1 ? ", but one generation of another server" : `, but ${theirs} generations of another server`;
}

/** For people who have to delete the rest by hand. */
function placeOf({ destination, databaseId }: BackupDeletionOrder): string {
  const below = knownPrefix(destination.prefix) + databasePrefix(databaseId);
  switch (destination.kind) {
    case "r2":
      return `the deployment's bucket below ${below}`;
    case "s3":
      return `bucket ${destination.bucketName} of ${destination.endpoint} below ${below}`;
  }
}
