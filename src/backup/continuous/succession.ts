/** What follows for the generations from what is known now: which of them end, which one takes over, and whether a new one begins. */
import { assert } from "../../core/assert.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import type { ConfigurationTable } from "./configuration.ts";
import type { Generations } from "./generations.ts";
import { type BackupPolicy, isOutgrown, mayRenew } from "./policy.ts";

export class Succession {
  readonly #configurations: ConfigurationTable;
  readonly #generations: Generations;
  readonly #policy: BackupPolicy;

  constructor(configurations: ConfigurationTable, generations: Generations, policy: BackupPolicy) {
    this.#configurations = configurations;
    this.#generations = generations;
    this.#policy = policy;
  }

  /** To be called after each slice of a task. Calling it again changes nothing. */
  advance(now: UnixMs): void {
    const configuration = this.#configurations.get();
    if (configuration === null || configuration.failed !== null) return;
    this.#endThoseThatAreDone();
    const live = this.#generations.live();
    const newest = live.at(-1);
    if (newest !== undefined && newest.endsAt !== null) return this.#begin(now);
    if (newest === undefined) {
      // After a gap. The destination has just stored the manifest with the gap, so it works.
      if (configuration.manifestChanges === 0 && mayRenew(configuration, this.#policy, now)) {
        this.#begin(now);
        const isRenewal = configuration.notice?.over === false;
        if (isRenewal) this.#configurations.setRenewAt(asUnixMs(now + this.#policy.renewalMs));
      }
      return;
    }
    if (newest.state !== "complete") return;
    for (const { start, exported } of live.slice(0, -1)) {
      assert(newest.consistentFrom !== null, "a complete generation to be consistent from somewhere");
      if (exported < newest.consistentFrom) continue;
      this.#generations.retire(start);
      this.#configurations.markManifestStale();
    }
    // Generations that a lock keeps from being deleted do not count.
    const kept = this.#generations.all().filter(({ state }) => state !== "deleting").length;
    if (live.length === 1 && isOutgrown(newest, kept, this.#policy, now)) this.#begin(now);
  }

  #endThoseThatAreDone(): void {
    for (const generation of this.#generations.live()) {
      const { start, endsAt } = generation;
      if (endsAt === null || !this.#generations.hasStored(generation, endsAt)) continue;
      this.#generations.breakOff(start, "The database was restored in place.");
      this.#configurations.markManifestStale();
    }
  }

  #begin(now: UnixMs): void {
    this.#generations.begin(now);
    this.#configurations.markManifestStale();
  }
}
