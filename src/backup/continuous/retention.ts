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

  dueAt(configuration: Configuration): UnixMs | null {
    const { clock, policy, generations } = this.#options;
    const all = generations.all();
    // Whether what is old is this database's shows in what it writes to. That is set up first, whatever becomes of the old.
    if (!configuration.active || !all.some(isLive)) return null;
    const deletable = configuration.manifestChanges === 0 && all.some(({ state }) => state === "deleting");
    const departing = departures(all, configuration, policy.generations).map(({ at }) => at);
    return earliest(deletable ? [clock.now(), ...departing] : departing);
  }

  /** `failures`: how often in a row it has failed before. */
  async run(
    destination: Destination,
    configuration: Configuration,
    failures: number,
  ): Promise<DestinationFailure | null> {
    const { generations, clock, policy, markManifestStale } = this.#options;
    const all = generations.all();
    const gone = departures(all, configuration, policy.generations).find(({ at }) => at <= clock.now());
    if (gone !== undefined) {
      const { start, owned } = gone.generation;
      if (owned) generations.delete(start);
      else generations.forget(start);
      markManifestStale();
      return null;
    }
    const deleting = all.filter(({ state }) => state === "deleting");
    // Where a bucket locks its objects, one generation may be free while another is not: each try takes the next one.
    const doomed = deleting[failures % deleting.length];
    if (doomed === undefined || configuration.manifestChanges > 0) return null;
    return this.#deleteSome(doomed, destination, configuration.databaseId);
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
