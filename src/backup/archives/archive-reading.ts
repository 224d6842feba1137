/**
 * Reads an archive from one destination in slices, and continues after a restart at the chunk at which it was. The file as a whole counts
 * only when its SHA-256 is the one that the archive was made with, if that is known: what was not hashed because of a restart is read a
 * second time.
 */
import {
  type ArchivePart,
  continueArchive,
  type OpenedArchive,
  openArchive,
  type ReaderPosition,
} from "../../codec/archive/archive-reader.ts";
import { encodeArchiveHeader, type ArchiveHeader } from "../../codec/archive/archive-header.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import type { KeyList } from "../../core/key-list.ts";
import type { DestinationFailure } from "../destinations/destination.ts";
import { RunningSha256 } from "../format/running-hash.ts";
import { type ArchiveObject, bytesAt, hashing, UnreadableArchive } from "./archive-bytes.ts";

/** What a job stores of the archive that it reads. */
export interface ReadingState {
  /** The header, in hexadecimal. null: nothing has been read. */
  readonly header: string | null;
  readonly position: ReaderPosition | null;
  /** Whether the end was reached, and only the hash of the file is missing. */
  readonly isRead: boolean;
}

export const UNREAD: ReadingState = { header: null, position: null, isRead: false };

export type ReadingStep =
  | { readonly step: "more" }
  /** The file is whole, and the one that was made. */
  | { readonly step: "whole"; readonly header: ArchiveHeader }
  /** The archive is not there, damaged, or encrypted with another key. */
  | { readonly step: "problem"; readonly message: string }
  /** What takes the entries has no room for them. */
  | { readonly step: "refused"; readonly message: string }
  /** The destination cannot be reached now. */
  | { readonly step: "unreachable"; readonly failure: DestinationFailure };

type GoodPart = Extract<ArchivePart, { readonly ok: true }>;

export interface ReadingParts {
  readonly clock: Clock;
  readonly keys: KeyList | null;
  readonly breathe: () => Promise<void>;
  readonly rest: () => Promise<void>;
}

export interface ReadingJob {
  readonly id: string;
  readonly object: ArchiveObject;
  /** 64 hex digits. null: unknown. Then the file is whole when its chunks and its end are. */
  readonly checksum: string | null;
  readonly isRunning: () => boolean;
  /** Takes a part, and stores the state with the job in the same transaction. A text is why it cannot go on. */
  readonly take: (part: GoodPart, state: ReadingState) => string | null;
}

/** A slice ends after this much time. */
const SLICE_MS = 1_000;

export class ArchiveReading {
  readonly #parts: ReadingParts;
  /** The parts of the running job that are only in memory. */
  #active: { readonly id: string; readonly opened: OpenedArchive; readonly hash: RunningSha256 } | null = null;
  #rehash: { readonly id: string; readonly hash: RunningSha256; readonly pieces: AsyncGenerator<Uint8Array> } | null =
    null;

  constructor(parts: ReadingParts) {
    this.#parts = parts;
  }

  async slice(job: ReadingJob, state: ReadingState): Promise<ReadingStep> {
    try {
      const step = state.isRead ? await this.#check(job, state) : await this.#read(job, state);
      if (step.step !== "more") await this.forget();
      return step;
    } catch (error) {
      if (!(error instanceof UnreadableArchive)) throw error;
      await this.forget();
      const { failure } = error;
      return failure.class === "retry"
        ? { step: "unreachable", failure }
        : { step: "problem", message: failure.message };
    }
  }

  /** Whatever was read is not continued. */
  async forget(): Promise<void> {
    const [active, rehash] = [this.#active, this.#rehash];
    this.#active = null;
    this.#rehash = null;
    await active?.opened.reader.close();
    await rehash?.pieces.return(undefined);
  }

  async #read(job: ReadingJob, from: ReadingState): Promise<ReadingStep> {
    const { clock, rest } = this.#parts;
    const opened = await this.#open(job, from);
    if (!opened.ok) return { step: "problem", message: opened.message };
    const { header, reader } = opened;
    const headerText = from.header ?? toHex(await encodeArchiveHeader(header));
    const until = clock.now() + SLICE_MS;
    for (;;) {
      const part = await reader.next();
      if (!job.isRunning()) return { step: "more" };
      if (!part.ok) return { step: "problem", message: part.message };
      const state = { header: headerText, position: reader.position, isRead: part.part === "end" };
      const why = job.take(part, state);
      if (why !== null) return { step: "refused", message: why };
      if (state.isRead) return this.#check(job, state);
      await rest();
      if (!job.isRunning() || clock.now() >= until) return { step: "more" };
    }
  }

  async #open(job: ReadingJob, { header, position }: ReadingState): ReturnType<typeof openArchive> {
    if (this.#active?.id === job.id) return this.#active.opened;
    const { keys } = this.#parts;
    const hash = new RunningSha256();
    const opened =
      header === null || position === null
        ? await openArchive(hashing(bytesAt(job.object, 0), hash), keys)
        : await continueArchive(bytesAt(job.object, position.offset), fromHex(header), keys, position);
    if (opened.ok) this.#active = { id: job.id, opened, hash };
    return opened;
  }

  /** Compares the hash of the whole file, and reads the file once more when a restart has lost the hash. */
  async #check(job: ReadingJob, { header }: ReadingState): Promise<ReadingStep> {
    const { object, checksum } = job;
    const { size } = object;
    if (checksum === null) return this.#asOpened(header);
    if (this.#active?.id === job.id && this.#active.hash.size === size) {
      return this.#compared(this.#active.hash, checksum, this.#active.opened.header);
    }
    if (this.#rehash?.id !== job.id) {
      const hash = new RunningSha256();
      this.#rehash = { id: job.id, hash, pieces: hashing(bytesAt(object, 0), hash) };
    }
    const { hash, pieces } = this.#rehash;
    const until = this.#parts.clock.now() + SLICE_MS;
    while (hash.size < size) {
      await pieces.next();
      if (!job.isRunning() || this.#parts.clock.now() >= until) return { step: "more" };
    }
    // The header is as it was when the reading began, or the hash is another one.
    const opened = await this.#asOpened(header);
    return opened.step === "whole" ? this.#compared(hash, checksum, opened.header) : opened;
  }

  /** The header as it was when the reading began. */
  async #asOpened(header: string | null): Promise<Extract<ReadingStep, { readonly step: "whole" | "problem" }>> {
    const opened = await continueArchive([], fromHex(header ?? ""), this.#parts.keys, NOWHERE);
    return opened.ok ? { step: "whole", header: opened.header } : { step: "problem", message: opened.message };
  }

  #compared(hash: RunningSha256, checksum: string, header: ArchiveHeader): ReadingStep {
    if (hash.hex() === checksum) return { step: "whole", header };
    const message = `The file was replaced: its SHA-256 is ${hash.hex()}, and the archive was made with ${checksum}.`;
    return { step: "problem", message };
  }
}

const NOWHERE: ReaderPosition = { offset: 0, frames: 0, epoch: 0, entries: 0, bytes: 0, last: null };
