/**
 * Everything at once, from a seed: writes of every kind while requests fail, hang and are lost, the object is killed and evicted,
 * the clock jumps, the alarm is late, the backup is paused, and logs outgrow their bounds. In the end the destination is well. Then every moment of every
 * generation is what the database held, and a commit that none of them has lies in a gap that the manifest tells.
 *
 * A few seeds run always; CAIRN_SIMULATION_SEEDS says how many, CAIRN_SIMULATION_FROM from which on.
 */
import { expect, inject, test } from "vitest";
import { parseManifest } from "../../src/backup/format/manifest.ts";
import { manifestName } from "../../src/backup/format/object-names.ts";
import type { Version } from "../../src/core/versionstamp.ts";
import { MemoryDestination } from "../support/memory-destination.ts";
import { History } from "../support/workerd/backup-history.ts";
import { TestBackup } from "../support/workerd/backup.ts";
import { withStorage } from "../support/workerd/engine.ts";
import { describe as describeEntries, TestRestore } from "../support/workerd/restore.ts";
import { Killed, randomOf, Weather } from "../support/workerd/weather.ts";

const HOUR_MS = 3_600_000;
const COMMITS = 260;
const { from, count } = inject("simulation");

test.for(Array.from({ length: count }, (_, i) => from + i))("seed %i", { timeout: 120_000 }, async (seed) => {
  await withStorage(async (storage) => {
    const one = new Simulation(storage, seed);
    await one.run();
    const missing = await one.check();
    expect(missing, "commits that no generation has, outside of every gap that the manifest tells").toEqual([]);
  });
});

class Simulation {
  readonly tested: TestBackup;
  readonly history: History;
  readonly weather: Weather;
  readonly #store = new MemoryDestination();
  readonly #random: (below: number) => number;

  constructor(storage: DurableObjectStorage, seed: number) {
    const random = randomOf(seed);
    this.#random = random;
    this.weather = new Weather({
      random,
      now: () => this.tested.clock.time,
      meanwhile: () => {
        this.tested.clock.time += random(3_000);
        this.history.writeAtOnce(1 + random(4));
      },
    });
    this.tested = new TestBackup(storage, {
      store: this.#store,
      through: this.weather.through,
      beside: true,
      policy: {
        rangeBytes: 2_000 + random(6_000),
        snapshotRangeEntries: 3 + random(15),
        compactionBytes: 8_000 + random(40_000),
        backlogBytes: 15_000 + random(60_000),
        setUpGivesUpMs: Infinity,
      },
    });
    this.history = new History(this.tested, COMMITS, seed);
  }

  /** All writes, with whatever happens; in the end the destination is well and has everything. */
  async run(): Promise<void> {
    await this.history.write(this.#random(40));
    const badness = 10 + this.#random(50);
    for (let tries = 0; !(await this.#isEnabled()); tries++) {
      this.weather.badness = tries < 20 ? badness : 0;
      // A refusal is one of the things that happen.
      await this.#survive(async () => void (await this.tested.backup.run(this.tested.enabling())));
    }
    this.weather.badness = badness;
    while (this.history.left > 0) {
      await this.#survive(() => this.#happens());
      await this.#survive(() => this.history.write(1 + this.#random(6), this.#random(1_500)));
    }
    this.weather.clear();
    await this.#survive(() => this.tested.ask({ command: "resume" }));
    await this.tested.pass(31_000);
    await this.tested.settle();
    await this.tested.pass(61_000);
    await this.tested.settle();
  }

  /** Compares every moment; the commits that are missing without a word. */
  async check(): Promise<Version[]> {
    const { tested, history } = this;
    const { databaseId } = tested;
    const { points, generations } = await history.check();
    expect(points).toBeGreaterThan(0);
    expect((await tested.info()).lastError).toBeNull();
    const bytes = this.#store.objects.get(manifestName(databaseId));
    const read = parseManifest(databaseId, bytes ?? new Uint8Array());
    if (!read.ok) throw new Error(JSON.stringify(read));
    const gaps = read.manifest.generations.flatMap((generation) => generation.gaps);
    await this.#expectRestored();
    return history
      .missing(generations)
      .filter((version) => !gaps.some(({ after, upTo }) => version > after && upTo !== null && version <= upTo));
  }

  /** What our own restore makes of the bucket alone is the database. */
  async #expectRestored(): Promise<void> {
    const { databaseId, database } = this.tested;
    const live = describeEntries(database.scan(null, { maxBytes: Infinity, maxEntries: 1e9 }));
    const { lastVersion } = database;
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination: this.#store, databaseId });
      expect(await target.fork("fork", lastVersion)).toMatchObject({ ok: true });
      expect(await target.finish("fork")).toMatchObject({ status: "completed", error: null });
      expect(target.stored()).toBe(live);
    });
  }

  async #happens(): Promise<void> {
    const { tested, weather } = this;
    const { clock } = tested;
    switch (this.#random(14)) {
      case 0:
        weather.outage(clock.time + this.#random(120_000));
        return;
      case 1:
        this.#die();
        return;
      case 2:
        // The clock goes back, or far ahead.
        clock.time += this.#random(2) === 0 ? -HOUR_MS : HOUR_MS;
        return;
      case 3:
        tested.alarm = null;
        clock.time += this.#random(20_000);
        this.history.writeAtOnce(this.#random(10));
        // The alarm was lost; the next start finds that out.
        this.#die();
        return;
      case 4:
        // It is late.
        clock.time += this.#random(60_000);
        return;
      case 5:
        await tested.ask({ command: this.#random(3) === 0 ? "pause" : "resume" });
        return;
      case 6:
        await Promise.all([tested.ring(), tested.ring()]);
        return;
      case 7:
        this.history.writeAtOnce(this.#random(30));
        return;
      case 8:
        await tested.backup.run({
          command: "rotate",
          accessKeyId: "another",
          secretAccessKey: "another",
          sessionToken: null,
        });
        return;
      default:
    }
  }

  async #isEnabled(): Promise<boolean> {
    const answer = await this.tested.backup.run({ command: "status" });
    return answer.ok && answer.backup !== null;
  }

  /** As the work, but a death on the way forgets everything that is not stored. */
  async #survive(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      if (this.#random(2) === 0) this.tested.restart();
      else this.tested.reopen();
    }
  }

  /** The object alone, or the whole process with it. */
  #die(): void {
    this.weather.kill();
    if (this.#random(2) === 0) this.tested.restart();
    else this.tested.reopen();
  }
}
