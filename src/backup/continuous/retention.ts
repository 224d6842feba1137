/**
 * Which generations are still needed, and the deletion of the others: they are removed from the manifest first, then their `differential`
 * is deleted, without which nobody reads them, then everything else. A generation is deleted only when a newer one is complete and holds
 * every moment that the retention promises. A generation that another writer with a copy of this database continues is forgotten and not
 * deleted.
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

/** When a generation may be deleted, or forgotten if it is another writer's. null: not before something else happens. */
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

/** The generations that will be deleted by themselves, and when. When there are more than are kept, the oldest are deleted at once. */
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
  /** The manifest must be written without a generation. */
  readonly markManifestStale: () => void;
}

export class Retention {
  readonly #options: RetentionOptions;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** When the time of the next generation ends. null: not before something else happens. */
  expiresAt(configuration: Configuration): UnixMs | null {
    if (!this.#isSetUp(configuration)) return null;
    return earliest(this.#departures(configuration).map(({ at }) => at));
  }

  /** Removes generations whose time has ended from the manifest. It must be known which writer owns each. */
  expire(configuration: Configuration): void {
    const { generations, clock, markManifestStale } = this.#options;
    const gone = this.#departures(configuration).filter(({ at }) => at <= clock.now());
    for (const { generation } of gone) {
      if (generation.owned) generations.delete(generation.start);
      else generations.forget(generation.start);
    }
    if (gone.length > 0) markManifestStale();
  }

  /** Whether there is something to delete, now or after the manifest was written. */
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
    // Where a bucket locks its objects, one generation may be free while another is locked. So each try takes the next generation.
    const doomed = all[failures % all.length];
    if (doomed === undefined || configuration.manifestChanges > 0) return null;
    return this.#deleteSome(doomed, destination, configuration.databaseId);
  }

  /** Whether old generations belong to this database is known only after its own generation is set up. So that comes first. */
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
      return { ...outcome, message: `Generations older than the retention stay in the bucket. ${outcome.message}` };
    }
    if (outcome.isEmpty) this.#options.generations.forget(start);
    return null;
  }
}
