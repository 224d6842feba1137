/**
 * Sends a file that lies in the spool to each of its destinations, and reads it back from there. What is under way is stored with the job
 * before and after each request, so a job that was killed continues its uploads. A destination that cannot be reached is tried again for
 * a while and holds up no other; one that refuses is given up at once. What a destination that was given up may have is noted as left over.
 */
import type { ArchivePlace } from "../../contracts/archive-commands.ts";
import { MAX_ARCHIVE_SENDING_MS } from "../../core/archive-limits.ts";
import { backoffMs } from "../../core/backoff.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import { asSentence, isFailure } from "../../core/errors.ts";
import type { Destination, DestinationFailure, UploadedPart } from "../destinations/destination.ts";
import { RunningSha256 } from "../format/running-hash.ts";
import { HASHED_AT_ONCE } from "./archive-maker.ts";
import type { ArchiveStores } from "./archive-service.ts";
import type { Spool } from "./spool.ts";

/** A file of at most so many bytes is sent by one request. */
const MAX_SINGLE_PUT_BYTES = 5 * 1024 * 1024;

const MIB = 1024 * 1024;
const PART_BYTES = 8 * MIB;

/** S3 and R2 take 10,000 parts. */
const MOST_PARTS = 9_000;

/** Bytes that are read back by one request. */
const READ_BYTES = 4 * MIB;

/** Bytes that are read from the spool without a pause: about half a millisecond. */
const READ_AT_ONCE = MIB / 4;

/** A slice ends after this much time. */
const SLICE_MS = 1_000;

const LONGEST_WAIT_MS = 30_000;

/** What a job stores of one destination. */
export interface Sending {
  readonly destinationId: string;
  readonly status: "sending" | "checking" | "stored" | "failed";
  /** "starting": asked for, and not answered yet. */
  readonly upload: string | null;
  readonly parts: readonly UploadedPart[];
  /** Since when it cannot be reached. */
  readonly failingSince: number | null;
  readonly attempts: number;
  readonly retryAt: number;
  readonly error: string | null;
}

/** An object, or an upload of one, that may be at a destination and is to be removed. */
export interface Leftover {
  readonly destinationId: string;
  readonly object: string;
  readonly upload: string | null;
}

export interface SenderOptions {
  readonly spool: Spool;
  readonly stores: ArchiveStores;
  readonly clock: Clock;
  readonly breathe: () => Promise<void>;
  readonly rest: () => Promise<void>;
}

export interface SenderJob {
  readonly object: string;
  readonly size: number;
  readonly checksum: string;
  /** Whether a restore waits for the archive. Then a destination that fails is given up as soon as another one has the archive. */
  readonly isUrgent: boolean;
  readonly isRunning: () => boolean;
  /** Stores the state. `leftovers`: what is to be removed, noted in the same transaction. */
  readonly keep: (sendings: readonly Sending[], leftovers: readonly Leftover[]) => void;
}

/** The upload that was asked for and whose id is not known yet. */
export const STARTING = "starting";

export function newSending(destinationId: string): Sending {
  return {
    destinationId,
    status: "sending",
    upload: null,
    parts: [],
    failingSince: null,
    attempts: 0,
    retryAt: 0,
    error: null,
  };
}

export function isOver({ status }: Sending): boolean {
  return status === "stored" || status === "failed";
}

/** How many bytes have been sent and read back, over all destinations; each counts twice. */
export function sentBytes(sendings: readonly Sending[], size: number): number {
  return sendings.reduce((sum, { status, parts }) => {
    if (status === "failed" || status === "stored") return sum + 2 * size;
    if (status === "checking") return sum + size;
    return sum + parts.reduce((bytes, part) => bytes + part.size, 0);
  }, 0);
}

/** What the place of an archive shows while and after it is sent. */
export function placeOf(place: ArchivePlace, { status, error }: Sending): ArchivePlace {
  const shown = status === "stored" || status === "failed" ? status : "pending";
  return { ...place, status: shown, error: status === "stored" ? null : error };
}

/** What a destination may have of an archive that is not wanted any more. */
export function leftoversOf(sendings: readonly Sending[], object: string): Leftover[] {
  return sendings
    .filter(({ status }) => status !== "failed")
    .map(({ destinationId, upload }) => ({ destinationId, object, upload }));
}

export class ArchiveSender {
  readonly #options: SenderOptions;
  #checking: { readonly object: string; readonly destinationId: string; readonly hash: RunningSha256 } | null = null;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Does one slice. Returns when the next one is wanted. null: every destination has it or was given up. */
  async slice(job: SenderJob, from: readonly Sending[]): Promise<UnixMs | null> {
    const { clock, rest } = this.#options;
    const until = clock.now() + SLICE_MS;
    let sendings = from;
    for (;;) {
      const open = sendings.filter((one) => !isOver(one));
      if (open.length === 0) return null;
      const isEnough = job.isUrgent && sendings.some(({ status }) => status === "stored");
      const failing = isEnough ? open.find(({ failingSince }) => failingSince !== null) : undefined;
      if (failing !== undefined) {
        const { next, leftovers } = given(failing, job, failing.error ?? "It could not be reached.");
        sendings = sendings.map((one) => (one === failing ? next : one));
        job.keep(sendings, leftovers);
        continue;
      }
      const now = clock.now();
      // When it is further away than any wait, the clock was set back.
      const due = open.find(({ retryAt }) => retryAt <= now || retryAt > now + LONGEST_WAIT_MS);
      if (due === undefined) return asUnixMs(Math.min(...open.map(({ retryAt }) => retryAt)));
      if (now >= until) return now;
      const step = await this.#step(job, due);
      if (!job.isRunning()) return null;
      sendings = sendings.map((one) => (one.destinationId === due.destinationId ? step.next : one));
      job.keep(sendings, step.leftovers);
      await rest();
      if (!job.isRunning()) return null;
    }
  }

  async #step(job: SenderJob, sending: Sending): Promise<Step> {
    const store = await this.#options.stores.open(sending.destinationId);
    if (isFailure(store)) return given(sending, job, store.message);
    const { destination } = store;
    if (sending.status === "checking") return this.#check(job, destination, sending);
    return job.size <= MAX_SINGLE_PUT_BYTES
      ? this.#put(job, destination, sending)
      : this.#upload(job, destination, sending);
  }

  async #put(job: SenderJob, destination: Destination, sending: Sending): Promise<Step> {
    const put = await destination.put(job.object, this.#options.spool.read(0, job.size));
    return put.ok ? advanced(sending, { status: "checking" }) : this.#failed(job, sending, put);
  }

  async #upload(job: SenderJob, destination: Destination, sending: Sending): Promise<Step> {
    const { object, size } = job;
    if (sending.upload === null) return { next: { ...sending, upload: STARTING }, leftovers: [] };
    if (sending.upload === STARTING) {
      // An earlier try may have begun an upload whose id was lost with the process.
      const cleared = await destination.abortUploads?.(object);
      if (cleared !== undefined && !cleared.ok) return this.#failed(job, sending, cleared);
      const started = await destination.startUpload(object);
      if (!started.ok) return this.#failed(job, sending, started);
      return advanced(sending, { upload: started.uploadId, parts: [] });
    }
    const partBytes = Math.max(PART_BYTES, Math.ceil(size / MOST_PARTS / MIB) * MIB);
    const offset = sending.parts.length * partBytes;
    if (offset < size) {
      const bytes = await this.#part(offset, Math.min(partBytes, size - offset));
      const put = await destination.putPart(object, sending.upload, sending.parts.length + 1, bytes);
      if (put.ok) return advanced(sending, { parts: [...sending.parts, put.part] });
      return put.class === "not-found" ? this.#restarted(job, sending, put) : this.#failed(job, sending, put);
    }
    const completed = await destination.completeUpload(object, sending.upload, sending.parts);
    if (completed.ok) return advanced(sending, { status: "checking" });
    return completed.class === "not-found"
      ? this.#restarted(job, sending, completed)
      : this.#failed(job, sending, completed);
  }

  async #part(offset: number, length: number): Promise<Uint8Array> {
    const { spool, breathe } = this.#options;
    const part = new Uint8Array(length);
    for (let at = 0; at < length; at += READ_AT_ONCE) {
      part.set(spool.read(offset + at, Math.min(READ_AT_ONCE, length - at)), at);
      await breathe();
    }
    return part;
  }

  /** Reads a part of the object back. After a restart it begins with the first byte. */
  async #check(job: SenderJob, destination: Destination, sending: Sending): Promise<Step> {
    const { object, size, checksum } = job;
    const { destinationId } = sending;
    if (this.#checking?.object !== object || this.#checking.destinationId !== destinationId) {
      this.#checking = { object, destinationId, hash: new RunningSha256() };
    }
    const { hash } = this.#checking;
    const got = await destination.get(object, { offset: hash.size, length: Math.min(READ_BYTES, size - hash.size) });
    if (!got.ok) {
      this.#checking = null;
      return this.#failed(job, sending, got);
    }
    for (let at = 0; at < got.bytes.length; at += HASHED_AT_ONCE) {
      hash.add(got.bytes.subarray(at, at + HASHED_AT_ONCE));
      await this.#options.breathe();
    }
    if (got.size === size && hash.size < size) return { next: sending, leftovers: [] };
    this.#checking = null;
    if (got.size === size && hash.hex() === checksum) return advanced(sending, { status: "stored" });
    return given(sending, job, "What was read back from there is not what was sent.");
  }

  /** The destination has forgotten the upload. */
  #restarted(job: SenderJob, sending: Sending, failure: DestinationFailure): Step {
    return this.#failed(job, { ...sending, upload: STARTING, parts: [] }, { ...failure, class: "retry" });
  }

  #failed(job: SenderJob, sending: Sending, failure: DestinationFailure): Step {
    const now = this.#options.clock.now();
    const failingSince = sending.failingSince ?? now;
    if (failure.class !== "retry" || now - failingSince >= MAX_ARCHIVE_SENDING_MS)
      return given(sending, job, failure.message);
    const wait = Math.min(failure.retryAfterMs ?? backoffMs(sending.attempts, LONGEST_WAIT_MS), LONGEST_WAIT_MS);
    const { message } = failure;
    const next = { ...sending, failingSince, attempts: sending.attempts + 1, retryAt: now + wait, error: message };
    return { next, leftovers: [] };
  }
}

interface Step {
  readonly next: Sending;
  readonly leftovers: readonly Leftover[];
}

function advanced(sending: Sending, change: Partial<Sending>): Step {
  const next = { ...sending, failingSince: null, attempts: 0, retryAt: 0, error: null, ...change };
  return { next, leftovers: [] };
}

function given(sending: Sending, { object }: SenderJob, why: string): Step {
  const next: Sending = { ...sending, status: "failed", error: asSentence(why) };
  return { next, leftovers: leftoversOf([sending], object) };
}
