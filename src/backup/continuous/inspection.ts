/**
 * Looks into the bucket now and then for what should be there: every few minutes while something is stored, every hour else, and soon
 * after this process has begun to write. Objects that vanish, by hand, by a lifecycle rule or with their bucket, are noticed so, and
 * an outdated manifest, and who else writes there. A look is a handful of requests for the headers of objects, and bounded.
 */
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import type { Configuration, ConfigurationTable } from "./configuration.ts";
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import { asVersion } from "../../core/versionstamp.ts";
import { differentialName, type GenerationPlace, parseLogObjectName } from "../format/object-names.ts";
import { type Generation, isLive } from "./generation-row.ts";
import type { Generations } from "./generations.ts";
import type { ManifestWriter } from "./manifest-writer.ts";
import { endName, type Ownership } from "./ownership.ts";
import { type BackupPolicy, mayRenew } from "./policy.ts";

export interface InspectionOptions {
  readonly configurations: ConfigurationTable;
  readonly generations: Generations;
  readonly ownership: Ownership;
  readonly manifests: ManifestWriter;
  readonly clock: Clock;
  readonly policy: BackupPolicy;
}

export class Inspection {
  readonly #options: InspectionOptions;

  constructor(options: InspectionOptions) {
    this.#options = options;
  }

  dueAt(configuration: Configuration): UnixMs | null {
    const { generations, clock, policy } = this.#options;
    const { inspectedAt, renewAt } = configuration;
    const all = generations.all();
    // Until a generation may begin in place of one that is gone, nothing else is due that would begin it.
    if (!all.some(isLive) && inspectedAt < renewAt) {
      return mayRenew(configuration, policy, clock.now()) ? clock.now() : renewAt;
    }
    const hasStored = all.some(({ exportedAt }) => exportedAt !== null && exportedAt > inspectedAt);
    const every = hasStored ? policy.inspectionMs : policy.idleInspectionMs;
    // A clock that was set back.
    return asUnixMs(Math.min(inspectedAt, clock.now()) + every);
  }

  /** This process has begun to write to a generation: whoever did so before may have had something on its way. */
  noteBeginning(): void {
    const { configurations, clock, policy } = this.#options;
    configurations.setInspected(asUnixMs(clock.now() + policy.firstInspectionMs - policy.inspectionMs));
  }

  async run(destination: Destination, configuration: Configuration): Promise<DestinationFailure | null> {
    const { databaseId, id } = configuration;
    const { configurations, generations, ownership, clock } = this.#options;
    for (const { start } of generations.live()) {
      const outcome = await ownership.inspect(destination, { databaseId, start });
      if (typeof outcome !== "string") return outcome;
    }
    const failed =
      (await this.#inspectOlder(destination, databaseId)) ?? (await this.#inspectManifest(destination, configuration));
    if (failed !== null) return failed;
    if (configurations.get()?.id === id) configurations.setInspected(clock.now());
    return null;
  }

  /** One of those that are not written to any more, another one each time. */
  async #inspectOlder(destination: Destination, databaseId: string): Promise<DestinationFailure | null> {
    const { generations, clock, policy } = this.#options;
    const older = generations.all().filter(({ state }) => state === "retired" || state === "ended");
    const turn = Math.floor(clock.now() / policy.inspectionMs) % Math.max(1, older.length);
    const one = older[turn];
    if (one === undefined) return null;
    const place = { databaseId, start: one.start };
    for (const name of [differentialName(place), ...endName(place, one.snapshot), ...endName(place, one.log)]) {
      const there = await destination.head(name);
      if (there.ok) continue;
      if (there.class !== "not-found") return there;
      if (!isSame(one, generations.get(one.start))) return null;
      this.#lostOlder(one, place, name);
      return null;
    }
    return null;
  }

  #lostOlder({ start, owned }: Generation, place: GenerationPlace, name: string): void {
    const { configurations, generations, clock } = this.#options;
    const what = `The object ${name} is gone from the bucket.`;
    const log = parseLogObjectName(place, name);
    if (!owned && name === differentialName(place)) {
      // Its owner has deleted it.
      generations.forget(start);
    } else {
      generations.lose(start, what, log.ok ? asVersion(log.first.version - 1) : null);
      configurations.setNotice(`${what} What was to be restored from it is lost.`, clock.now(), true);
    }
    configurations.markManifestStale();
  }

  async #inspectManifest(destination: Destination, configuration: Configuration): Promise<DestinationFailure | null> {
    const { configurations, manifests, clock } = this.#options;
    const inspected = await manifests.inspect(destination, configuration);
    if (!inspected.ok) return inspected;
    const { problem } = inspected;
    if (problem !== null) configurations.setNotice(`${problem}. It is written anew.`, clock.now(), true);
    return null;
  }
}

function isSame(before: Generation, now: Generation | null): boolean {
  return now !== null && now.state === before.state && now.owned === before.owned;
}
