/**
 * Writes `manifest.json` in the bucket: at once when a generation has changed, at most once a minute while objects are added. Other
 * writers with copies of this database may write it too. What they have put there is left unchanged.
 */
import { toHex } from "../../core/bytes.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import type { ClockReading } from "../../core/clock-spans.ts";
import type { Entropy } from "../../core/entropy.ts";
import { MAX_BACKUP_GENERATIONS, MAX_OTHER_GENERATIONS } from "../../core/limits.ts";
import { LAST_VERSION, timeOfVersion, type Version } from "../../core/versionstamp.ts";
import type { Configuration, ConfigurationTable } from "./configuration.ts";
import { type Destination, type DestinationFailure, destinationFailure } from "../destinations/destination.ts";
import {
  encodeManifest,
  type Manifest,
  manifestDigest,
  type ManifestGeneration,
  type RestorePoint,
} from "../format/manifest.ts";
import { manifestName } from "../format/object-names.ts";
import { type Generation, lastPointOf } from "./generation-row.ts";
import type { Generations } from "./generations.ts";
import type { BackupPolicy } from "./policy.ts";
import { BackupBucket, isDamage, problemText } from "../recovery/replay/backup-bucket.ts";

export interface ManifestWriterOptions {
  readonly configurations: ConfigurationTable;
  readonly generations: Generations;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly policy: BackupPolicy;
  readonly clockReadings: () => readonly ClockReading[];
}

/** How often the manifest is read again because another writer was faster. */
const TRIES = 3;

export class ManifestWriter {
  readonly #options: ManifestWriterOptions;

  constructor(options: ManifestWriterOptions) {
    this.#options = options;
  }

  dueAt({ manifestAt, manifestChanges }: Configuration): UnixMs | null {
    const { generations, clock, policy } = this.#options;
    if (manifestChanges > 0) return clock.now();
    // After the clock was set back, the manifest must not wait until it has caught up.
    if (manifestAt > clock.now()) return clock.now();
    const newest = Math.max(0, ...generations.all().map(({ exportedAt }) => exportedAt ?? 0));
    return newest >= manifestAt && newest > 0 ? asUnixMs(manifestAt + policy.manifestEveryMs) : null;
  }

  /** What is known of this database's history now, including the part that it shares with other writers. */
  current({ databaseId, line }: Pick<Configuration, "databaseId" | "line">): Manifest {
    const { generations, clock } = this.#options;
    return { databaseId, writtenAt: clock.now(), generations: this.#describe(generations.all(), line) };
  }

  /** `endsBecause`: nothing more will be stored, for this reason. */
  async run(
    destination: Destination,
    configuration: Configuration,
    endsBecause: string | null = null,
  ): Promise<DestinationFailure | null> {
    const { configurations, generations, clock } = this.#options;
    const { databaseId } = configuration;
    const bucket = new BackupBucket(destination, databaseId);
    for (let tries = 0; tries < TRIES; tries++) {
      const read = await bucket.manifest();
      if (!read.ok && !isDamage(read)) return read;
      const now = configurations.get();
      if (now === null) return null;
      const line = now.line ?? this.#newLine();
      const all = endsBecause === null ? generations.all() : generations.allAsEnded(endsBecause);
      const own = all.filter(({ owned }) => owned);
      const found = read.ok ? (read.manifest?.generations ?? []) : [];
      const others = othersAmong(found, line, own);
      const ours = this.#describe(own, line);
      const described = [...others, ...ours].toSorted((a, b) => a.start - b.start);
      const writtenAt = clock.now();
      const bytes = encodeManifest({ databaseId, writtenAt, generations: described });
      const etag = read.ok && read.manifest !== null ? read.etag : null;
      const put = await destination.putIfUnchanged(manifestName(databaseId), bytes, etag);
      if (put.ok) {
        configurations.manifestWritten(writtenAt, now.manifestChanges, manifestDigest(ours));
        return null;
      }
      if (put.class !== "conflict") return put;
    }
    return destinationFailure("retry", "Another writer replaces the manifest of this backup again and again.");
  }

  /**
   * Checks whether the manifest in the bucket is the one that was written last. `problem`: what is wrong with it. It is null while the
   * manifest is being changed.
   */
  async inspect(
    destination: Destination,
    { databaseId }: Pick<Configuration, "databaseId">,
  ): Promise<{ readonly ok: true; readonly problem: string | null } | DestinationFailure> {
    const { configurations } = this.#options;
    const before = configurations.get();
    const fine = { ok: true, problem: null } as const;
    if (before === null || before.manifestSha256 === null) return fine;
    const read = await new BackupBucket(destination, databaseId).manifest();
    const now = configurations.get();
    // The manifest was written meanwhile, or is about to be.
    if (now === null || now.manifestAt !== before.manifestAt || now.manifestChanges > 0) return fine;
    if (!read.ok && !isDamage(read)) return read;
    const problem = !read.ok ? problemText(read) : this.#problemOf(read.manifest, now);
    if (problem !== null) configurations.markManifestStale();
    return { ok: true, problem };
  }

  #problemOf(found: Manifest | null, { databaseId, line, manifestSha256 }: Configuration): string | null {
    const name = manifestName(databaseId);
    if (found === null) return `The object ${name} is gone from the bucket`;
    if (manifestDigest(found.generations.filter((one) => one.line === line)) === manifestSha256) return null;
    const written = new Date(found.writtenAt).toISOString();
    return `The object ${name} is not the one that was written last: it is an outdated one, or another writer's, of ${written}`;
  }

  #newLine(): string {
    const { configurations, entropy } = this.#options;
    const line = toHex(entropy.bytes(16));
    configurations.setLine(line);
    return line;
  }

  #describe(all: readonly Generation[], line: string | null): ManifestGeneration[] {
    const readings = this.#options.clockReadings();
    return all
      .filter(({ state }) => state !== "deleting")
      .map((generation) => this.#describeOne(generation, generation.owned ? line : null, readings));
  }

  #describeOne(generation: Generation, line: string | null, readings: readonly ClockReading[]): ManifestGeneration {
    const { start, state, consistentFrom, firstPoint, log, snapshot, gap, endsAt, exported } = generation;
    const last = gap?.after ?? endsAt ?? (state === "retired" ? exported : LAST_VERSION);
    const hasEnded = state === "ended" || state === "damaged";
    return {
      start,
      line,
      follows: this.#options.generations.predecessorOf(start),
      state: hasEnded ? "ended" : state === "snapshotting" ? state : "complete",
      // The value is decided before it is stored. Until it is stored, the generation cannot be read.
      consistentFrom: state === "snapshotting" ? null : consistentFrom,
      firstPoint: pointOf(firstPoint),
      lastPoint: pointOf(lastPointOf(generation)),
      log,
      snapshot,
      gaps: gap === null ? [] : [gap],
      clock: readings.filter(({ version }) => version > start && version <= last),
    };
  }
}

/**
 * The generations of other writers, the newest ones when there are too many. Generations with our name that are not in `own` have been
 * deleted.
 */
function othersAmong(
  found: readonly ManifestGeneration[],
  line: string,
  own: readonly Generation[],
): ManifestGeneration[] {
  const starts = new Set<number>(own.map(({ start }) => start));
  const others = found.filter((one) => one.line !== line && !starts.has(one.start));
  const room = Math.min(MAX_OTHER_GENERATIONS, Math.max(0, MAX_BACKUP_GENERATIONS - own.length));
  return room === 0 ? [] : others.slice(-room);
}

function pointOf(version: Version | null): RestorePoint | null {
  return version === null ? null : { versionstamp: version, time: timeOfVersion(version) };
}
