/**
 * Writes the file of an archive into the spool: the state of one versionstamp, while commits go on. The state is frozen in the transaction
 * in which the job notes its version, and each chunk is kept in the transaction in which the job notes how far it is. So a kill at any
 * moment loses at most the chunk that was under way.
 */
import type { ArchiveType } from "../../contracts/archive-commands.ts";
import {
  FIRST_POSITION,
  ARCHIVE_CHUNK_BYTES,
  ArchiveWriter,
  newArchiveHeader,
  type WriterPosition,
} from "../../codec/archive/archive-writer.ts";
import { MAX_ARCHIVE_CHUNK_ENTRIES, MAX_ARCHIVE_SETTINGS_BYTES } from "../../core/archive-format-limits.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import type { Entropy } from "../../core/entropy.ts";
import { type Failure, failure, isFailure } from "../../core/errors.ts";
import type { KeyList } from "../../core/key-list.ts";
import type { StoredEntry } from "../../core/operations.ts";
import type { SyncStorage } from "../../core/storage.ts";
import { asVersion, type Version } from "../../core/versionstamp.ts";
import { RunningSha256 } from "../format/running-hash.ts";
import type { JobRoom } from "../recovery/restore.ts";
import type { ArchiveSettings } from "./archive-service.ts";
import type { Spool } from "./spool.ts";

/** The engine's `Database` has this type. */
export interface ArchivableDatabase {
  freeze(): Version;
  readonly frozen: {
    readonly version: Version | null;
    scan(
      after: Uint8Array | null,
      bounds: { readonly maxBytes: number; readonly maxEntries: number },
    ): { readonly entries: readonly StoredEntry[]; readonly upTo: Uint8Array | null };
    end(): void;
  };
}

export interface MakerOptions {
  readonly storage: SyncStorage;
  readonly database: ArchivableDatabase;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** null: archives are not encrypted. */
  readonly keys: KeyList | null;
  readonly settings: ArchiveSettings;
  readonly room: JobRoom;
  readonly databaseId: string;
  /** The organization whose database it is. */
  readonly owner: string;
  /** Lets requests have their turn. */
  readonly breathe: () => Promise<void>;
  /** The same after a transaction that stores much: see `courtesy.ts`. */
  readonly rest: () => Promise<void>;
}

/** What a job stores of an archive that is being written. */
export interface MakerState {
  readonly version: number;
  /** The header and its salt, in hexadecimal. */
  readonly header: string;
  readonly salt: string;
  readonly position: WriterPosition;
  /** Keys up to this one are in the file. null: none. */
  readonly after: string | null;
  /** Whether all entries are in the file. */
  readonly ended: boolean;
}

/** The file is whole. */
export interface MadeFile {
  readonly version: Version;
  readonly entries: number;
  readonly bytes: number;
  readonly size: number;
  readonly checksum: string;
}

export type MakerStep =
  | { readonly step: "more" }
  /** The settings cannot be read now. */
  | { readonly step: "wait"; readonly why: string }
  | { readonly step: "made"; readonly made: MadeFile }
  | { readonly step: "failed"; readonly failure: Failure };

/** What is read without a pause: about a millisecond. */
const READ_AT_ONCE = { maxBytes: 64 * 1024, maxEntries: 200 };

/** A slice ends after this much time. */
const SLICE_MS = 1_000;

/** The most that one step writes: a chunk, twice, and pages around it. */
const STEP_ROOM_BYTES = 4 * 1024 * 1024;

/** Bytes that are hashed without a pause. */
export const HASHED_AT_ONCE = 256 * 1024;

export class ArchiveMaker {
  readonly #options: MakerOptions;
  /** The parts of the running job that are only in memory. */
  #active: { readonly job: string; readonly writer: ArchiveWriter; readonly hash: RunningSha256 } | null = null;

  constructor(options: MakerOptions) {
    this.#options = options;
  }

  /**
   * Does one slice. `keep` stores the state with the job, in the transaction of the step. `isRunning`: whether the job still is.
   * `state` null: the job has not begun.
   */
  async slice(
    job: string,
    type: ArchiveType,
    state: MakerState | null,
    keep: (state: MakerState) => void,
    isRunning: () => boolean,
  ): Promise<MakerStep> {
    const { clock, rest, room } = this.#options;
    let at = state ?? (await this.#begin(type, keep, isRunning));
    if (at === null) return { step: "more" };
    const until = clock.now() + SLICE_MS;
    for (;;) {
      const noRoom = room.takeForJob(STEP_ROOM_BYTES);
      if (noRoom !== null) return { step: "failed", failure: noRoom };
      const { writer, hash } = await this.#open(job, at);
      if (at.ended) return this.#finish(at, hash);
      const next = await this.#step(type, at, writer);
      if (isFailure(next)) {
        return next.code === "unavailable" ? { step: "wait", why: next.message } : { step: "failed", failure: next };
      }
      if (!isRunning()) return { step: "more" };
      const { spool, storage } = this.#options;
      const size = spool.size;
      storage.transactionSync(() => {
        spool.append(size, next.frame);
        keep(next.state);
        if (next.state.ended) this.#options.database.frozen.end();
      });
      if (hash.size === size) hash.add(next.frame);
      at = next.state;
      await rest();
      if (!isRunning() || clock.now() >= until) return { step: "more" };
    }
  }

  /** Drops what a job that ended has left. In the caller's transaction. */
  abandon(): void {
    this.#active = null;
    this.#options.database.frozen.end();
  }

  async #begin(
    type: ArchiveType,
    keep: (state: MakerState) => void,
    isRunning: () => boolean,
  ): Promise<MakerState | null> {
    const { storage, database, spool, entropy, clock, keys, databaseId, owner } = this.#options;
    const salt = entropy.bytes(32);
    const { frozen } = database;
    // After a kill between the two transactions, the state is frozen already.
    const version = frozen.version ?? database.freeze();
    const createdAt = clock.now();
    const header = await newArchiveHeader({ databaseId, owner, version, type, createdAt, salt }, keys?.[0] ?? null);
    if (!isRunning()) return null;
    const state: MakerState = {
      version,
      header: toHex(header),
      salt: toHex(salt),
      position: FIRST_POSITION,
      after: null,
      ended: false,
    };
    await spool.empty(this.#options.rest, isRunning);
    if (!isRunning()) return null;
    storage.transactionSync(() => {
      spool.append(0, header);
      keep(state);
    });
    return state;
  }

  /** The next frame, and the state after it. */
  async #step(
    type: ArchiveType,
    state: MakerState,
    writer: ArchiveWriter,
  ): Promise<{ readonly ok: true; readonly frame: Uint8Array; readonly state: MakerState } | Failure> {
    const { settings } = this.#options;
    if (type === "full" && writer.position.frames === 0) {
      const text = await readSettings(settings);
      if (typeof text !== "string") return text;
      const frame = await writer.settings(text);
      return { ok: true, frame, state: { ...state, position: writer.position } };
    }
    const { entries, reached } = await this.#read(state.after === null ? null : fromHex(state.after));
    if (entries.length === 0) {
      const frame = await writer.end();
      return { ok: true, frame, state: { ...state, position: writer.position, ended: true } };
    }
    const frame = await writer.entries(entries);
    return { ok: true, frame, state: { ...state, position: writer.position, after: toHex(reached) } };
  }

  /** The entries of the next chunk, and the key up to which everything was read. No entry: the end was reached. */
  async #read(
    from: Uint8Array | null,
  ): Promise<{ readonly entries: readonly StoredEntry[]; readonly reached: Uint8Array }> {
    const { database, breathe } = this.#options;
    const entries: StoredEntry[] = [];
    let bytes = 0;
    let after = from;
    while (bytes < ARCHIVE_CHUNK_BYTES && entries.length < MAX_ARCHIVE_CHUNK_ENTRIES) {
      const left = MAX_ARCHIVE_CHUNK_ENTRIES - entries.length;
      const { maxBytes, maxEntries } = READ_AT_ONCE;
      const page = database.frozen.scan(after, { maxBytes, maxEntries: Math.min(maxEntries, left) });
      entries.push(...page.entries);
      for (const { key, value } of page.entries) bytes += key.length + value.length;
      // The next chunk finds the end.
      if (page.upTo === null) return { entries, reached: page.entries.at(-1)?.key ?? after ?? new Uint8Array() };
      after = page.upTo;
      await breathe();
    }
    return { entries, reached: after ?? new Uint8Array() };
  }

  async #open(
    job: string,
    state: MakerState,
  ): Promise<{ readonly writer: ArchiveWriter; readonly hash: RunningSha256 }> {
    if (this.#active?.job === job) return this.#active;
    const { keys, breathe, spool } = this.#options;
    const isNew = state.position.frames === 0;
    const position = isNew ? state.position : { ...state.position, epoch: state.position.epoch + 1 };
    const header = fromHex(state.header);
    const writer = await ArchiveWriter.open(header, fromHex(state.salt), keys?.[0] ?? null, position, breathe);
    const hash = new RunningSha256();
    if (spool.size === header.length) hash.add(header);
    this.#active = { job, writer, hash };
    return this.#active;
  }

  async #finish({ version, position }: MakerState, hash: RunningSha256): Promise<MakerStep> {
    const { spool } = this.#options;
    const size = spool.size;
    const checksum = hash.size === size ? hash.hex() : await checksumOf(spool, this.#options.breathe);
    this.#active = null;
    const { entries, bytes } = position;
    return { step: "made", made: { version: asVersion(version), entries, bytes, size, checksum } };
  }
}

async function readSettings(settings: ArchiveSettings): Promise<string | Failure> {
  try {
    const text = await settings.read();
    if (new TextEncoder().encode(text).length <= MAX_ARCHIVE_SETTINGS_BYTES) return text;
    return failure(
      "limit",
      `The settings of a full archive have more than ${MAX_ARCHIVE_SETTINGS_BYTES} bytes: make one of type "database"`,
    );
  } catch (error) {
    // The organization, which knows the tokens, cannot be reached.
    return failure(
      "unavailable",
      `The settings of the database could not be read (${String(error)}). It is tried again`,
    );
  }
}

/** 64 hex digits. */
export async function checksumOf(spool: Spool, breathe: () => Promise<void>): Promise<string> {
  const hash = new RunningSha256();
  for (let bytes = spool.read(0, HASHED_AT_ONCE); bytes.length > 0; bytes = spool.read(hash.size, HASHED_AT_ONCE)) {
    hash.add(bytes);
    await breathe();
  }
  return hash.hex();
}
