/**
 * Checks in the bucket now and then whether everything is there: every few minutes while something is stored, otherwise every hour, and
 * soon after this process has begun to write. So it is noticed when objects vanish (deleted by hand, by a lifecycle rule or with their
 * bucket), when the manifest is outdated, and when somebody else writes there. A check is a bounded number of requests for the headers of
 * objects. Where something is gone, more may be gone: then every older generation is checked right away.
 */
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import type { Configuration, ConfigurationTable } from "./configuration.ts";
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import { asVersion, type Version } from "../../core/versionstamp.ts";
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

/** How many older generations a slice checks after something was gone: at most three requests each. */
const MOST_SWEPT = 10;

/** `lost`: what an older generation lacks, and what follows from that, as sentences. */
interface Looked {
  readonly ok: true;
  readonly lost: string | null;
}

const isThere: Looked = { ok: true, lost: null };

export class Inspection {
  readonly #options: InspectionOptions;
  /** Something was gone. The older generations up to and including this one have been checked since then. null: nothing was gone. */
  #sweptUpTo: Version | null = null;

  constructor(options: InspectionOptions) {
    this.#options = options;
  }

  dueAt(configuration: Configuration): UnixMs | null {
    const { generations, clock, policy } = this.#options;
    if (this.#sweptUpTo !== null) return clock.now();
    const { inspectedAt, renewAt } = configuration;
    const all = generations.all();
    // Until a generation may replace one that is gone, no other task would begin it.
    if (!all.some(isLive) && inspectedAt < renewAt) {
      return mayRenew(configuration, policy, clock.now()) ? clock.now() : renewAt;
    }
    const hasStored = all.some(({ exportedAt }) => exportedAt !== null && exportedAt > inspectedAt);
    const every = hasStored ? policy.inspectionMs : policy.idleInspectionMs;
    // The clock was set back.
    return asUnixMs(Math.min(inspectedAt, clock.now()) + every);
  }

  /** This process has begun to write to a generation. An earlier writer may have had something on its way. */
  noteBeginning(): void {
    const { configurations, clock, policy } = this.#options;
    configurations.setInspected(asUnixMs(clock.now() + policy.firstInspectionMs - policy.inspectionMs));
  }

  /** Objects of a generation are gone. */
  noteLoss(): void {
    this.#sweptUpTo = asVersion(0);
  }

  async run(destination: Destination, configuration: Configuration): Promise<DestinationFailure | null> {
    const { databaseId, id } = configuration;
    if (this.#sweptUpTo !== null) return this.#sweep(destination, databaseId, this.#sweptUpTo);
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

  /** Checks one of the generations that are not written to any more, another one each time. */
  async #inspectOlder(destination: Destination, databaseId: string): Promise<DestinationFailure | null> {
    const { clock, policy } = this.#options;
    const older = this.#older();
    const turn = Math.floor(clock.now() / policy.inspectionMs) % Math.max(1, older.length);
    const one = older[turn];
    if (one === undefined) return null;
    const looked = await this.#look(destination, databaseId, one);
    if (!looked.ok) return looked;
    if (looked.lost === null) return null;
    this.#options.configurations.setNotice(looked.lost, clock.now(), true);
    this.noteLoss();
    return null;
  }

  async #sweep(destination: Destination, databaseId: string, after: Version): Promise<DestinationFailure | null> {
    const left = this.#older().filter(({ start }) => start > after);
    for (const one of left.slice(0, MOST_SWEPT)) {
      const looked = await this.#look(destination, databaseId, one);
      if (!looked.ok) return looked;
      this.#sweptUpTo = one.start;
    }
    if (left.length <= MOST_SWEPT) this.#sweptUpTo = null;
    return null;
  }

  #older(): Generation[] {
    return this.#options.generations.all().filter(({ state }) => state === "retired" || state === "ended");
  }

  /** Checks one generation, and marks it when something is missing. */
  async #look(destination: Destination, databaseId: string, one: Generation): Promise<Looked | DestinationFailure> {
    const { generations } = this.#options;
    const place = { databaseId, start: one.start };
    for (const name of [differentialName(place), ...endName(place, one.snapshot), ...endName(place, one.log)]) {
      const there = await destination.head(name);
      if (there.ok) continue;
      if (there.class !== "not-found") return there;
      return isSame(one, generations.get(one.start)) ? this.#lostOlder(one, place, name) : isThere;
    }
    return isThere;
  }

  #lostOlder({ start, owned }: Generation, place: GenerationPlace, name: string): Looked {
    const { configurations, generations } = this.#options;
    configurations.markManifestStale();
    const what = `The object ${name} is gone from the bucket.`;
    const log = parseLogObjectName(place, name);
    if (!owned && name === differentialName(place)) {
      // The owner of the bucket has deleted the generation.
      generations.forget(start);
      return isThere;
    }
    generations.lose(start, what, log.ok ? asVersion(log.first.version - 1) : null);
    return { ok: true, lost: `${what} The states that it held cannot be restored any more.` };
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
