/**
 * Writes a backup to the letter of the format, from a model that knows the state after every commit: many commits of every kind,
 * snapshots in ranges while commits go on, ranges that were sent twice, generations that follow each other. Seeded.
 */
import type { Destination } from "../../src/backup/destinations/destination.ts";
import { NO_OBJECT_BEFORE } from "../../src/backup/format/fields.ts";
import {
  type ChainHead,
  encodeManifest,
  type Gap,
  type GenerationState,
  type Manifest,
  type ManifestGeneration,
} from "../../src/backup/format/manifest.ts";
import { type CommitInWireForm, encodeMutationRange } from "../../src/backup/format/mutation-range.ts";
import {
  differentialName,
  encodeDifferential,
  type GenerationPlace,
  generationPrefix,
  manifestName,
  snapshotObjectName,
} from "../../src/backup/format/object-names.ts";
import { sha256 } from "../../src/backup/format/sha256.ts";
import { encodeSnapshotRange, type SnapshotEntry } from "../../src/backup/format/snapshot-range.ts";
import { toHex } from "../../src/core/bytes.ts";
import { asUnixMs, type UnixMs } from "../../src/core/clock.ts";
import { encodeKey, type Key } from "../../src/codec/key-codec.ts";
import { MAX_LOG_ROW_BYTES } from "../../src/core/limits.ts";
import { type Effect, Encoding } from "../../src/core/operations.ts";
import { asVersion, timeOfVersion, type Version } from "../../src/core/versionstamp.ts";
import { encodeLogEntries } from "../../src/engine/log-entry.ts";

/** Everything stored, by the key in hex. */
export type ModelState = ReadonlyMap<string, SnapshotEntry>;

interface Folder {
  objects: number;
  bytes: number;
  head: ChainHead | null;
  hash: Uint8Array;
}

interface WrittenGeneration {
  readonly place: GenerationPlace;
  state: GenerationState;
  consistentFrom: Version | null;
  firstPoint: Version | null;
  lastPoint: Version | null;
  readonly log: Folder;
  readonly snapshot: Folder;
  gaps: Gap[];
  /** Commits that no object has yet. */
  waiting: CommitInWireForm[];
  /** Its log is still written. */
  live: boolean;
  sequence: number;
}

export class BackupWriter {
  readonly databaseId: string;
  /** The state after each commit. */
  readonly history = new Map<Version, ModelState>();
  /** Every commit that a listing of points must show, ascending. */
  readonly points = new Set<Version>();
  readonly generations: WrittenGeneration[] = [];
  /** Snapshot objects that the one after them replaces: nobody needs them. */
  readonly replaced = new Set<string>();
  state = new Map<string, SnapshotEntry>();
  lastVersion: Version;
  readonly #destination: Destination;
  readonly #keepHistory: boolean;
  #seed: number;

  constructor(
    destination: Destination,
    databaseId: string,
    seed: number,
    startMs = 1_800_000_000_000,
    { keepHistory }: { keepHistory: boolean } = { keepHistory: true },
  ) {
    this.#keepHistory = keepHistory;
    this.#destination = destination;
    this.databaseId = databaseId;
    this.#seed = seed;
    this.lastVersion = asVersion(startMs * 1000);
  }

  get now(): UnixMs {
    return timeOfVersion(this.lastVersion);
  }

  /** Uniform in 0..below-1. */
  random(below: number): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#seed / 2 ** 32) * below);
  }

  key(...parts: Key): Uint8Array {
    const encoded = encodeKey(parts);
    if (!encoded.ok) throw new Error(encoded.message);
    return encoded.bytes;
  }

  /** One commit of these effects, later than the last by up to `withinMs`. */
  commit(effects: readonly Effect[], withinMs = 20): Version {
    const version = asVersion(this.lastVersion + 1 + this.random(withinMs * 1000));
    this.lastVersion = version;
    for (const effect of effects) {
      if (effect.type === "delete") this.state.delete(toHex(effect.key));
      else this.state.set(toHex(effect.key), { ...effect, version });
    }
    if (this.#keepHistory) this.history.set(version, new Map(this.state));
    const parts = encodeLogEntries(version, effects, MAX_LOG_ROW_BYTES);
    for (const generation of this.generations) if (generation.live) generation.waiting.push({ version, parts });
    return version;
  }

  /** One commit of a random kind over about `keys` keys. */
  randomCommit(keys = 60): Version {
    const now = this.now;
    const one = (): Effect => {
      const key = this.key("k", this.random(keys));
      if (this.random(4) === 0) return { type: "delete", key };
      const large = this.random(12) === 0;
      const encoding = [Encoding.v8, Encoding.le64, Encoding.bytes][this.random(3)] ?? Encoding.bytes;
      const length = encoding === Encoding.le64 ? 8 : this.random(large ? 5000 : 40);
      const value = Uint8Array.from({ length }, () => this.random(256));
      const expiresAt = this.random(5) === 0 ? asUnixMs(now + 1 + this.random(100_000)) : null;
      return { type: "set", key, value, encoding, expiresAt };
    };
    const size = this.random(25) === 0 ? 1000 : 1 + this.random(6);
    return this.commit(Array.from({ length: size }, one));
  }

  /** From here on a log is written for a new generation. */
  begin(): WrittenGeneration {
    const start = asVersion(this.lastVersion + 1);
    this.lastVersion = start;
    const folder = (): Folder => ({ objects: 0, bytes: 0, head: null, hash: NO_OBJECT_BEFORE });
    const generation: WrittenGeneration = {
      place: { databaseId: this.databaseId, start },
      state: "snapshotting",
      consistentFrom: null,
      firstPoint: null,
      lastPoint: null,
      log: folder(),
      snapshot: folder(),
      gaps: [],
      waiting: [],
      live: true,
      sequence: 0,
    };
    this.generations.push(generation);
    return generation;
  }

  /** Ships what waits, in objects of up to `commits` commits. */
  async flush(commits = 40): Promise<void> {
    for (const generation of this.generations) {
      while (generation.waiting.length > 0) {
        const range = generation.waiting.splice(0, 1 + this.random(commits));
        const { name, bytes } = encodeMutationRange(generation.place, range, generation.log.hash);
        await this.#put(generation, generation.log, name, bytes);
        for (const { version } of range) this.#note(generation, version);
      }
    }
  }

  /**
   * Takes the generation's snapshot in ranges of up to `entries` entries, with `between` called after each, some of them put
   * twice; then completes it.
   */
  async snapshot(generation: WrittenGeneration, entries: number, between: () => Promise<void>): Promise<void> {
    let after = "";
    for (;;) {
      const range = this.#sortedAfter(after).slice(0, 1 + this.random(entries));
      const last = range.at(-1);
      if (last === undefined) break;
      const head = { ...generation.snapshot };
      await this.#putRange(
        generation,
        range.map(([, entry]) => entry),
      );
      if (this.random(4) === 0) {
        // Its answer was lost: what is there by then is put again under the next number, after the same object.
        await between();
        const again = this.#sortedAfter(after).filter(([key]) => key <= last[0]);
        if (again.length > 0) {
          this.replaced.add(generationPrefix(generation.place) + (generation.snapshot.head?.object ?? ""));
          Object.assign(generation.snapshot, { hash: head.hash });
          await this.#putRange(
            generation,
            again.map(([, entry]) => entry),
          );
        }
      }
      after = last[0];
      await between();
    }
    if (generation.log.objects === 0 && generation.waiting.length === 0) this.marker();
    await this.flush();
    generation.consistentFrom = this.lastVersion;
    this.points.add(this.lastVersion);
    await this.#mustPut(differentialName(generation.place), encodeDifferential(this.lastVersion));
    generation.state = "complete";
    for (const older of this.generations) if (older !== generation) older.live = false;
  }

  marker(): Version {
    return this.commit([{ type: "delete", key: new Uint8Array() }]);
  }

  manifest(): Manifest {
    const described = this.generations.map(
      ({ place, state, consistentFrom, firstPoint, lastPoint, log, snapshot, gaps }): ManifestGeneration => ({
        start: place.start,
        line: null,
        follows: null,
        state,
        consistentFrom,
        firstPoint: pointOf(firstPoint),
        lastPoint: pointOf(lastPoint),
        log,
        snapshot,
        gaps,
        clock: [],
      }),
    );
    return { databaseId: this.databaseId, writtenAt: this.now, generations: described };
  }

  async writeManifest(): Promise<void> {
    await this.#mustPut(manifestName(this.databaseId), encodeManifest(this.manifest()));
  }

  #sortedAfter(after: string): [string, SnapshotEntry][] {
    return [...this.state.entries()].filter(([key]) => key > after).toSorted(([a], [b]) => (a < b ? -1 : 1));
  }

  async #putRange(generation: WrittenGeneration, entries: readonly SnapshotEntry[]): Promise<void> {
    generation.sequence += 1;
    const { sequence, place, snapshot } = generation;
    const name = snapshotObjectName(place, { series: sequence, sequence });
    await this.#put(generation, snapshot, name, encodeSnapshotRange(entries, snapshot.hash));
  }

  async #put({ place }: WrittenGeneration, folder: Folder, name: string, bytes: Uint8Array): Promise<void> {
    await this.#mustPut(name, bytes);
    folder.hash = sha256(bytes);
    folder.objects += 1;
    folder.bytes += bytes.length;
    folder.head = { object: name.slice(generationPrefix(place).length), sha256: toHex(folder.hash) };
  }

  #note(generation: WrittenGeneration, version: Version): void {
    if (generation.consistentFrom === null) return;
    generation.firstPoint ??= version;
    generation.lastPoint = version;
    this.points.add(version);
  }

  async #mustPut(name: string, bytes: Uint8Array): Promise<void> {
    const put = await this.#destination.put(name, bytes);
    if (!put.ok) throw new Error(`${put.class}: ${put.message}`);
  }
}

function pointOf(version: Version | null) {
  return version === null ? null : { versionstamp: version, time: timeOfVersion(version) };
}

/** Two generations with about `commits` commits each, while which a snapshot in several ranges is taken. */
export async function writeBackup(
  destination: Destination,
  databaseId: string,
  seed: number,
  commits = 60,
): Promise<BackupWriter> {
  const writer = new BackupWriter(destination, databaseId, seed);
  for (let i = 0; i < 20; i++) writer.randomCommit();
  for (let round = 0; round < 2; round++) {
    const generation = writer.begin();
    const some = async (): Promise<void> => {
      for (let i = writer.random(4); i >= 0; i--) writer.randomCommit();
      if (writer.random(2) === 0) await writer.flush();
    };
    await some();
    await writer.snapshot(generation, 12, some);
    for (let i = 0; i < commits; i++) {
      writer.randomCommit();
      if (writer.random(10) === 0) await writer.flush(15);
    }
    await writer.flush(15);
  }
  await writer.writeManifest();
  return writer;
}
