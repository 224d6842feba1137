/**
 * Makes an archive and sends it, as a part of a job: writes the file into the spool, or takes it from there when somebody has uploaded it
 * and checks it; then sends it to each destination. An archive is completed when one destination has it, and says of each whether it has it.
 */
import type { ArchiveHeader } from "../../codec/archive/archive-header.ts";
import type { ArchiveProblem } from "../../codec/archive/archive-problem.ts";
import { type ArchivePart, type ArchiveReader, openArchive } from "../../codec/archive/archive-reader.ts";
import type { ArchivePlace } from "../../contracts/archive-commands.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { type Failure, failure } from "../../core/errors.ts";
import { asVersion } from "../../core/versionstamp.ts";
import type { SyncStorage } from "../../core/storage.ts";
import type { Progress } from "../jobs.ts";
import { bytesOfSpool } from "./archive-bytes.ts";
import { ArchiveMaker, checksumOf, type MakerOptions, type MakerState } from "./archive-maker.ts";
import type { ArchiveRows, MadeArchive, StoredArchive } from "./archive-rows.ts";
import { ArchiveSender, isOver, leftoversOf, newSending, placeOf, type Sending, sentBytes } from "./archive-sender.ts";
import type { ArchiveStores } from "./archive-service.ts";
import type { Leftovers } from "./leftovers.ts";

export interface BuildOptions extends MakerOptions {
  /** Whether there is or was such an organization on this deployment. */
  readonly isTenant: (organizationId: string) => Promise<boolean>;
  readonly rows: ArchiveRows;
  readonly stores: ArchiveStores;
  readonly leftovers: Leftovers;
}

/** What a job stores of an archive that is being built. */
export interface BuildState {
  readonly making: MakerState | null;
  /** null: the file is not whole yet. */
  readonly sendings: readonly Sending[] | null;
}

/** After the organization could not be asked. */
const SETTINGS_WAIT_MS = 5_000;

export const NOT_BUILT: BuildState = { making: null, sendings: null };

export interface BuildJob {
  readonly id: string;
  readonly archive: StoredArchive;
  readonly isUpload: boolean;
  /** Whether a restore waits for it. */
  readonly isUrgent: boolean;
  readonly isRunning: () => boolean;
  /** Stores the state with the job. In the caller's transaction. */
  readonly keep: (state: BuildState, progress: Progress) => void;
}

export type BuildStep =
  | { readonly step: "more" }
  | { readonly step: "wait"; readonly until: UnixMs; readonly why: string | null }
  /** `error` null: at least one destination has it. */
  | { readonly step: "over"; readonly error: string | null };

export class ArchiveBuild {
  readonly #options: BuildOptions;
  readonly #storage: SyncStorage;
  readonly #maker: ArchiveMaker;
  readonly #sender: ArchiveSender;

  constructor(options: BuildOptions) {
    this.#options = options;
    this.#storage = options.storage;
    this.#maker = new ArchiveMaker(options);
    this.#sender = new ArchiveSender(options);
  }

  async slice(job: BuildJob, state: BuildState): Promise<BuildStep> {
    if (state.sendings !== null) return this.#send(job, state.making, state.sendings);
    const made = job.isUpload ? await this.#checked(job.isRunning) : await this.#made(job, state);
    if (made !== null && "step" in made) return made;
    if (made === null || !job.isRunning()) return { step: "more" };
    if ("ok" in made) return { step: "over", error: made.message };
    const { places, id } = job.archive;
    const sendings = places.map((place) =>
      place.status === "failed"
        ? { ...newSending(place.destinationId), status: "failed" as const, error: place.error }
        : newSending(place.destinationId),
    );
    this.#storage.transactionSync(() => {
      this.#options.rows.setMade(id, made);
      job.keep({ making: state.making, sendings }, sendingProgress(sendings, made.size));
    });
    return { step: "more" };
  }

  /** Ends the archive of a job. In the caller's transaction. `error` null: it is completed. */
  end({ archive }: Pick<BuildJob, "archive">, state: BuildState, error: string | null): void {
    const { rows, leftovers, clock } = this.#options;
    const status = error === null ? "completed" : "failed";
    if (error !== null) {
      for (const one of leftoversOf(state.sendings ?? [], archive.object)) leftovers.add(one);
      rows.setPlaces(
        archive.id,
        archive.places.map((place) => withoutObject(place, error)),
      );
    }
    rows.end(archive.id, status, error, clock.now());
    this.#maker.abandon();
  }

  async #made(
    job: BuildJob,
    state: BuildState,
  ): Promise<MadeArchive | Failure | Extract<BuildStep, { readonly step: "wait" }> | null> {
    const { archive } = job;
    const { rows, databaseId, keys, storage } = this.#options;
    const step = await this.#maker.slice(
      job.id,
      archive.type,
      state.making,
      (making) => {
        if (state.making === null) rows.setVersion(archive.id, asVersion(making.version));
        const total = Math.max(storage.sql.databaseSize, making.position.bytes);
        job.keep({ making, sendings: null }, { phase: "reading entries", done: making.position.bytes, total });
      },
      job.isRunning,
    );
    if (step.step === "more") return null;
    if (step.step === "wait") {
      return { step: "wait", until: asUnixMs(this.#options.clock.now() + SETTINGS_WAIT_MS), why: step.why };
    }
    if (step.step === "failed") return step.failure;
    return { ...step.made, type: archive.type, databaseId, encrypted: keys !== null };
  }

  /** An uploaded file, which lies in the spool. null: the job was ended. */
  async #checked(isRunning: () => boolean): Promise<MadeArchive | Failure | null> {
    const { spool, keys, breathe, rest } = this.#options;
    const opened = await openArchive(bytesOfSpool(spool, 0), keys);
    if (!opened.ok) return opened;
    const { header, reader } = opened;
    for (;;) {
      const read = await totalsOf(reader);
      if (read !== null && !read.ok) return read;
      await rest();
      if (!isRunning()) return null;
      if (read === null) continue;
      const refused = await this.#refusedOwner(header);
      if (refused !== null) return refused;
      const { entries, bytes } = read.totals;
      return {
        type: header.type,
        databaseId: header.databaseId,
        encrypted: header.encryption !== null,
        version: header.version,
        entries,
        bytes,
        size: spool.size,
        checksum: await checksumOf(spool, breathe),
      };
    }
  }

  /**
   * All tenants of a deployment share its key. So a tenant who has the encrypted file of another one must not have it decrypted here. The
   * header cannot be altered without the key. An archive from another deployment, whose key was given to this one, is nobody's here.
   */
  async #refusedOwner({ owner, encryption }: ArchiveHeader): Promise<Failure | null> {
    if (encryption === null || owner === null || owner === this.#options.owner) return null;
    if (!(await this.#options.isTenant(owner))) return null;
    return failure(
      "forbidden",
      "The archive is another organization's of this deployment: only that organization restores it",
    );
  }

  async #send(job: BuildJob, making: MakerState | null, from: readonly Sending[]): Promise<BuildStep> {
    const { archive } = job;
    const { object, size, checksum } = archive;
    if (size === null || checksum === null) return { step: "over", error: "The archive's file was lost." };
    let sendings = from;
    const until = await this.#sender.slice(
      {
        object,
        size,
        checksum,
        isUrgent: job.isUrgent,
        isRunning: job.isRunning,
        keep: (next, left) => {
          this.#storage.transactionSync(() => {
            this.#noteNews(archive, sendings, next);
            for (const one of left) this.#options.leftovers.add(one);
            job.keep({ making, sendings: next }, sendingProgress(next, size));
          });
          sendings = next;
        },
      },
      from,
    );
    if (!job.isRunning()) return { step: "more" };
    const waiting = sendings.find((one) => !isOver(one) && one.error !== null);
    if (until !== null) {
      const isLater = until > this.#options.clock.now();
      return isLater ? { step: "wait", until, why: waiting?.error ?? null } : { step: "more" };
    }
    if (sendings.some(({ status }) => status === "stored")) return { step: "over", error: null };
    const reasons = archive.places.map((place) => {
      const error = sendings.find(({ destinationId }) => destinationId === place.destinationId)?.error;
      return `${place.name}: ${error ?? "unknown"}`;
    });
    return { step: "over", error: `No destination took the archive. ${reasons.join(" ")}` };
  }

  /** Shows with the archive what has become of a destination, and tells the destination. */
  #noteNews({ id, places }: StoredArchive, before: readonly Sending[], after: readonly Sending[]): void {
    const { rows, stores } = this.#options;
    for (const one of after) {
      const earlier = before.find(({ destinationId }) => destinationId === one.destinationId);
      if (isOver(one) && (earlier === undefined || !isOver(earlier))) stores.noted(one.destinationId, one.error);
    }
    const shown = places.map((place) => {
      const sending = after.find(({ destinationId }) => destinationId === place.destinationId);
      return sending === undefined ? place : placeOf(place, sending);
    });
    rows.setPlaces(id, shown);
  }
}

function sendingProgress(sendings: readonly Sending[], size: number): Progress {
  return { phase: "sending", done: sentBytes(sendings, size), total: 2 * size * sendings.length };
}

function withoutObject(place: ArchivePlace, error: string): ArchivePlace {
  return { ...place, status: "failed", error: place.error ?? error };
}

/** Reads the next part, and keeps nothing of it: what many jobs hold while they rest adds up. null: it is not the end. */
async function totalsOf(
  reader: ArchiveReader,
): Promise<Extract<ArchivePart, { readonly part: "end" }> | ArchiveProblem | null> {
  const part = await reader.next();
  return part.ok && part.part !== "end" ? null : part;
}
