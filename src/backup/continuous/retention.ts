/**
 * Which generations are still wanted, and taking the others out of the bucket: first out of the manifest, then their
 * `differential`, without which nobody can read them, then everything else. One is deleted only when a newer one is complete and
 * holds every moment that the retention promises. What another writer goes on with, who has a copy of this database, is only
 * forgotten.
 */
import { asUnixMs, type Clock, earliest, type UnixMs } from "../../core/clock.ts";
import { timeOfVersion } from "../../core/versionstamp.ts";
import type { Configuration } from "./configuration.ts";
import { deleteSome } from "./delete-objects.ts";
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import { generationPrefix } from "../format/object-names.ts";
import { type Generation, isLive } from "./generation-row.ts";
import type { Generations } from "./generations.ts";
import type { BackupPolicy } from "./policy.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** When a generation may be deleted, or forgotten if it is another writer's; null: not before something else happens. */
export function deletedAfter(
  generation: Generation,
  all: readonly Generation[],
  { retentionDays }: Pick<Configuration, "retentionDays">,
): UnixMs | null {
  const { state: its } = generation;
  if (its !== "retired" && its !== "ended" && its !== "damaged") return null;
  const next = all.find(
    ({ start, state, consistentFrom }) =>
      start > generation.start && consistentFrom !== null && (state === "complete" || state === "retired"),
  );
  if (next === undefined || next.consistentFrom === null) return null;
  return asUnixMs(timeOfVersion(next.consistentFrom) + retentionDays * DAY_MS);
}

/** Those that will go by themselves, and when; the oldest at once where there are more than are kept. */
function departures(
  all: readonly Generation[],
  configuration: Configuration,
  most: number,
): readonly { readonly generation: Generation; readonly at: UnixMs }[] {
  let surplus = all.filter(({ state }) => state !== "deleting").length - most;
  return all.flatMap((generation) => {
    const at = deletedAfter(generation, all, configuration);
    if (at === null) return [];
    surplus -= 1;
    return [{ generation, at: surplus >= 0 ? generation.createdAt : at }];
  });
}

export interface RetentionOptions {
  readonly generations: Generations;
  readonly clock: Clock;
  readonly policy: BackupPolicy;
  /** A generation has gone from what the manifest has to say. */
  readonly markManifestStale: () => void;
}

export class Retention {
  readonly #options: RetentionOptions;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** When the next generation's time is over; null: not before something else happens. */
  expiresAt(configuration: Configuration): UnixMs | null {
    if (!this.#isSetUp(configuration)) return null;
    return earliest(this.#departures(configuration).map(({ at }) => at));
  }

  /** Takes those whose time is over from what the manifest has to say. It must be known whose they are. */
  expire(configuration: Configuration): void {
    const { generations, clock, markManifestStale } = this.#options;
    const gone = this.#departures(configuration).filter(({ at }) => at <= clock.now());
    for (const { generation } of gone) {
      if (generation.owned) generations.delete(generation.start);
      else generations.forget(generation.start);
    }
    if (gone.length > 0) markManifestStale();
  }

  /** There is something to delete, be it now or when the manifest was written. */
  get hasDoomed(): boolean {
    return this.#doomed().length > 0;
  }

  deletesAt(configuration: Configuration): UnixMs | null {
    if (configuration.manifestChanges > 0 || !this.#isSetUp(configuration)) return null;
    return this.hasDoomed ? this.#options.clock.now() : null;
  }

  /** `failures`: how often in a row it has failed before. */
  async delete(
    destination: Destination,
    configuration: Configuration,
    failures: number,
  ): Promise<DestinationFailure | null> {
    const all = this.#doomed();
    // Where a bucket locks its objects, one generation may be free while another is not: each try takes the next one.
    const doomed = all[failures % all.length];
    if (doomed === undefined || configuration.manifestChanges > 0) return null;
    return this.#deleteSome(doomed, destination, configuration.databaseId);
  }

  /** Whether what is old is this database's shows in what it writes to. That is set up first, whatever becomes of the old. */
  #isSetUp({ active }: Configuration): boolean {
    return active && this.#options.generations.all().some(isLive);
  }

  #departures(configuration: Configuration): ReturnType<typeof departures> {
    return departures(this.#options.generations.all(), configuration, this.#options.policy.generations);
  }

  #doomed(): readonly Generation[] {
    return this.#options.generations.all().filter(({ state }) => state === "deleting");
  }

  async #deleteSome(
    { start }: Generation,
    destination: Destination,
    databaseId: string,
  ): Promise<DestinationFailure | null> {
    const outcome = await deleteSome(destination, generationPrefix({ databaseId, start }));
    if (!outcome.ok) {
      return { ...outcome, message: `What is older than the retention stays in the bucket. ${outcome.message}` };
    }
    if (outcome.isEmpty) this.#options.generations.forget(start);
    return null;
  }
}
