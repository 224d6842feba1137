/** Keeps `manifest.json` in the bucket: when a generation has changed at once, else at most once a minute while objects are added. */
import { asUnixMs, type Clock, type UnixMs } from "../core/clock.ts";
import { timeOfVersion, type Version } from "../core/versionstamp.ts";
import type { Configuration, ConfigurationTable } from "./configuration.ts";
import type { Destination, DestinationFailure } from "./destinations/destination.ts";
import { encodeManifest, type Manifest, type ManifestGeneration, type RestorePoint } from "./format/manifest.ts";
import { manifestName } from "./format/object-names.ts";
import { type Generation, type Generations, lastPointOf } from "./generations.ts";
import type { BackupPolicy } from "./policy.ts";

export interface ManifestWriterOptions {
  readonly configurations: ConfigurationTable;
  readonly generations: Generations;
  readonly clock: Clock;
  readonly policy: BackupPolicy;
}

export class ManifestWriter {
  readonly #options: ManifestWriterOptions;

  constructor(options: ManifestWriterOptions) {
    this.#options = options;
  }

  dueAt({ manifestAt, manifestChanges }: Configuration): UnixMs | null {
    const { generations, clock, policy } = this.#options;
    if (manifestChanges > 0) return clock.now();
    const newest = Math.max(0, ...generations.all().map(({ exportedAt }) => exportedAt ?? 0));
    return newest >= manifestAt && newest > 0 ? asUnixMs(manifestAt + policy.manifestEveryMs) : null;
  }

  /** What is known of the backup now. `endsBecause`: nothing more will be stored, for this reason. */
  current({ databaseId }: Pick<Configuration, "databaseId">, endsBecause: string | null = null): Manifest {
    const { generations, clock } = this.#options;
    const all = endsBecause === null ? generations.all() : generations.allAsEnded(endsBecause);
    const shown = all.filter(({ state }) => state !== "deleting");
    return { databaseId, writtenAt: clock.now(), generations: shown.map(describe) };
  }

  async run(
    destination: Destination,
    configuration: Configuration,
    endsBecause: string | null = null,
  ): Promise<DestinationFailure | null> {
    const { configurations } = this.#options;
    const now = configurations.get() ?? configuration;
    const manifest = this.current(now, endsBecause);
    const outcome = await destination.put(manifestName(manifest.databaseId), encodeManifest(manifest));
    if (!outcome.ok) return outcome;
    configurations.manifestWritten(manifest.writtenAt, now.manifestChanges);
    return null;
  }
}

function describe(generation: Generation): ManifestGeneration {
  const { start, state, consistentFrom, firstPoint, log, snapshot, gap } = generation;
  return {
    start,
    state: state === "snapshotting" || state === "ended" ? state : "complete",
    // Decided before it is stored: until then the generation is not readable.
    consistentFrom: state === "snapshotting" ? null : consistentFrom,
    firstPoint: pointOf(firstPoint),
    lastPoint: pointOf(lastPointOf(generation)),
    log,
    snapshot,
    gaps: gap === null ? [] : [gap],
  };
}

function pointOf(version: Version | null): RestorePoint | null {
  return version === null ? null : { versionstamp: version, time: timeOfVersion(version) };
}
