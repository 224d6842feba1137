/** Seeded writes to a database with a backup, and what it held after each commit: what every point of the backup is compared with. */
import { equalBytes } from "../../../src/core/bytes.ts";
import { type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { type PlannedWrite, workload } from "../backup-workload.ts";
import { Model, type ModelEntry } from "../model.ts";
import { listGenerations, type ReadEntry, type ReadGeneration, readGeneration } from "../reference-reader.ts";
import type { TestBackup } from "./backup.ts";

export class History {
  readonly model = new Model();
  readonly states = new Map<Version, ReadonlyMap<string, ModelEntry>>();
  readonly #test: TestBackup;
  readonly #writes: PlannedWrite[];

  constructor(test: TestBackup, count: number, seed: number) {
    this.#test = test;
    this.#writes = workload(count, seed);
  }

  get left(): number {
    return this.#writes.length;
  }

  /** Commits the next writes, with a little time after each; expired entries are deleted now and then. */
  async write(count: number, msBetween = 40): Promise<void> {
    for (const plan of this.#writes.splice(0, count)) {
      this.#writeOne(plan);
      if (this.#writes.length % 7 === 0) this.expire();
      await this.#test.pass(msBetween);
    }
  }

  /** As `write`, in no time and without an alarm. */
  writeAtOnce(count: number): void {
    for (const plan of this.#writes.splice(0, count)) this.#writeOne(plan);
  }

  #writeOne(plan: PlannedWrite): void {
    const now = this.#test.clock.time;
    const write = plan(now);
    const version = this.#test.apply(write);
    this.model.apply(write, version, now);
    this.states.set(version, new Map(this.model.entries));
  }

  expire(): void {
    const now = this.#test.clock.time;
    if (this.#test.database.deleteExpired(10_000) === 0) return;
    for (const [name, { expiresAt }] of this.model.entries) {
      if (expiresAt !== null && expiresAt <= now) this.model.entries.delete(name);
    }
    this.states.set(this.#test.database.lastVersion, new Map(this.model.entries));
  }

  /** The state at this version, whether or not there is such a commit. */
  stateAt(version: number): ReadonlyMap<string, ModelEntry> {
    let found: ReadonlyMap<string, ModelEntry> = new Map();
    for (const [at, state] of this.states) {
      if (at > version) break;
      found = state;
    }
    return found;
  }

  /** The commits since the backup began that no generation gives back. */
  missing(generations: readonly ReadGeneration[]): Version[] {
    const since = generations.find(({ consistentFrom }) => consistentFrom !== null)?.consistentFrom ?? Infinity;
    const points = new Set(generations.flatMap((generation) => generation.points));
    return [...this.states.keys()].filter(
      (version) => version > since && !points.has(version) && this.#changed(version),
    );
  }

  /** Compares every point of every readable generation, and that all commits between are points. Returns how many there were. */
  async check(): Promise<{ readonly points: number; readonly generations: readonly ReadGeneration[] }> {
    const { databaseId, store } = this.#test;
    const generations: ReadGeneration[] = [];
    let points = 0;
    for (const folder of await listGenerations(store, databaseId)) {
      const generation = await readGeneration(store, databaseId, folder);
      generations.push(generation);
      if (generation.consistentFrom === null) continue;
      points += this.checkGeneration(generation);
    }
    return { points, generations };
  }

  checkGeneration(generation: ReadGeneration): number {
    let count = 0;
    for (const { version, entries } of generation.states()) {
      const difference = differenceOf(entries, this.stateAt(version));
      if (difference !== null) throw new Error(`at ${version}: ${difference}`);
      count += 1;
    }
    const { consistentFrom, points } = generation;
    const [last] = points.slice(-1);
    const listed = new Set(points);
    for (const version of this.states.keys()) {
      const within = consistentFrom !== null && version > consistentFrom && version <= (last ?? 0);
      if (within && !listed.has(version) && this.#changed(version)) {
        throw new Error(`commit ${versionstampHex(version)} is no point`);
      }
    }
    return count;
  }

  /** A commit whose deletes all met nothing leaves no trace. */
  #changed(version: Version): boolean {
    return differenceOf(this.stateAt(version), this.stateAt(version - 1)) !== null;
  }
}

function differenceOf(
  found: ReadonlyMap<string, Pick<ReadEntry, "value" | "encoding" | "version" | "expiresAt">>,
  expected: ReadonlyMap<string, Pick<ReadEntry, "value" | "encoding" | "version" | "expiresAt">>,
): string | null {
  for (const [key, want] of expected) {
    const got = found.get(key);
    if (got === undefined) return `${key} is missing`;
    if (got.version !== want.version) return `${key} is of ${got.version}, not ${want.version}`;
    const same = got.encoding === want.encoding && got.expiresAt === want.expiresAt;
    if (!same || !equalBytes(got.value, want.value)) return `${key} differs`;
  }
  for (const key of found.keys()) if (!expected.has(key)) return `${key} should be gone`;
  return null;
}
