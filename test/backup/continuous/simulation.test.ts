/**
 * Everything at once, from a seed: writes of every kind while requests fail, hang and are lost, the object is killed and evicted,
 * the clock jumps, the alarm is late, the backup is paused, and logs outgrow their bounds. In every third seed the bucket is emptied, objects vanish from
 * it and outdated manifests come back; in every third a server on a copy of the database writes to the same place. In the end the
 * destination is well. Then every moment of every generation is what the database held, and a commit that none of them has lies in a gap
 * that is told.
 *
 * A few seeds run always; CAIRN_SIMULATION_SEEDS says how many, CAIRN_SIMULATION_FROM from which on.
 */
import { expect, inject, test } from "vitest";
import { parseManifest } from "../../../src/backup/format/manifest.ts";
import { manifestName } from "../../../src/backup/format/object-names.ts";
import { type Version, versionstampHex } from "../../../src/core/versionstamp.ts";
import { MemoryDestination } from "../../support/memory-destination.ts";
import { type ReadGeneration, readGeneration } from "../../support/reference-reader.ts";
import { History } from "../../support/workerd/backup-history.ts";
import { TestBackup } from "../../support/workerd/backup.ts";
import { CopiedServer, copyOf } from "../../support/workerd/copied-storage.ts";
import { withStorage } from "../../support/workerd/engine.ts";
import { TestRestore } from "../../support/workerd/restore.ts";
import { Side, stateOf } from "../../support/workerd/two-histories.ts";
import { Killed, randomOf, Weather } from "../../support/workerd/weather.ts";

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
  readonly #storage: DurableObjectStorage;
  readonly #kind: "alone" | "vanishing" | "beside another";
  /** Manifests as they were. */
  readonly #manifests: Uint8Array[] = [];
  #other: Side | null = null;

  constructor(storage: DurableObjectStorage, seed: number) {
    const random = randomOf(seed);
    this.#random = random;
    this.#storage = storage;
    this.#kind = (["alone", "vanishing", "beside another"] as const)[seed % 3] ?? "alone";
    this.weather = new Weather({
      random,
      now: () => this.tested.clock.time,
      meanwhile: async () => {
        this.tested.clock.time += random(3_000);
        this.history.writeAtOnce(1 + random(4));
        await this.#otherActs();
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
    await this.#other?.do((tested) => tested.ask({ command: "resume" }));
    await this.tested.pass(31_000);
    if (this.#kind === "alone") {
      await this.tested.settle();
      await this.tested.pass(61_000);
      await this.tested.settle();
      return;
    }
    // What vanished is noticed, what had been on its way is looked at, and what has to wait for an hour has.
    for (let minutes = 0; minutes < 130; minutes += 10) {
      await this.history.write(1);
      await this.tested.pass(10 * 60_000);
      await this.#otherActs();
    }
    await this.tested.settle();
    await this.#other?.settle();
  }

  /** Compares every moment; the commits that are missing without a word. */
  async check(): Promise<Version[]> {
    const { tested, history } = this;
    const { databaseId } = tested;
    const info = await tested.info();
    const read: ReadGeneration[] = [];
    let points = 0;
    for (const { prefix, state, after, upTo } of info.generations) {
      if (after === null || upTo === null || state === "snapshotting") continue;
      const folder = prefix.split("/").at(-2) ?? "";
      const generation = await readGeneration(this.#store, databaseId, folder, upTo);
      points += history.checkGeneration(generation);
      read.push(generation);
    }
    expect(points).toBeGreaterThan(0);
    expect(await this.#other?.missing(this.#store)).not.toBeNull();
    if (this.#kind === "alone") {
      expect(info.lastError).toBeNull();
      expect(info.generations.filter(({ foreign, state }) => foreign || state === "damaged")).toEqual([]);
    }
    await this.#expectRestored();
    const gaps = (await tested.manifest()).generations.flatMap((generation) => generation.gaps);
    const first = Math.min(...read.map(({ consistentFrom }) => consistentFrom ?? Infinity));
    const bytes = this.#store.objects.get(manifestName(databaseId));
    const manifest = parseManifest(databaseId, bytes ?? new Uint8Array());
    if (!manifest.ok) throw new Error(JSON.stringify(manifest));
    return history
      .missing(read)
      .filter((version) => version > first)
      .filter((version) => !gaps.some(({ after, upTo }) => version > after && upTo !== null && version <= upTo));
  }

  /** What our own restore makes of it is the database: of the bucket alone, where nobody else writes. */
  async #expectRestored(): Promise<void> {
    const { databaseId, database } = this.tested;
    const live = stateOf(this.tested);
    const { lastVersion } = database;
    const manifest = await this.tested.manifest();
    await withStorage(async (storage) => {
      const target = new TestRestore({ storage, destination: this.#store, databaseId, manifest: () => manifest });
      const at = versionstampHex(lastVersion);
      target.database.closeNow();
      const answer =
        this.#kind === "beside another"
          ? await target.service.run({ command: "restore", jobId: "last", at })
          : await target.fork("last", lastVersion);
      expect(answer).toMatchObject({ ok: true });
      expect(await target.finish("last")).toMatchObject({ status: "completed", error: null });
      expect(target.stored()).toBe(live);
    });
  }

  /** A server on a copy of the folder as it is now. */
  async #copy(): Promise<void> {
    const { databaseId, clock } = this.tested;
    const server = await CopiedServer.start(copyOf(this.#storage), { store: this.#store, databaseId }, clock.time);
    const states = [...this.history.states].at(-1);
    this.#other = new Side("copy", (work) => server.do(work), new Map());
    expect(states).toBeDefined();
  }

  async #otherActs(): Promise<void> {
    const other = this.#other;
    if (other === null) return;
    if (this.#random(12) === 0) await other.do((tested) => tested.restart());
    if (this.#random(2) === 0) await other.write();
    await other.pass(this.#random(4_000));
  }

  /** Something goes from the bucket, or comes back to it, that nobody here has done. What the looks find, that is: ends, and all of it. */
  #vanishes(): void {
    const { objects, names } = this.#store;
    const last = (pattern: RegExp): string | undefined => names.findLast((name) => pattern.test(name));
    const whole = names.filter((name) => /\/(differential|manifest\.json)$/.test(name));
    const ends = [...whole, last(/\/logs\//), last(/\/snapshots\//), last(/\/generation\.json$/)];
    const manifest = manifestName(this.tested.databaseId);
    const before = this.#manifests[this.#random(Math.max(1, this.#manifests.length))];
    switch (this.#random(6)) {
      case 0:
        objects.clear();
        return;
      case 1:
        if (before !== undefined) objects.set(manifest, before);
        return;
      default:
        objects.delete(ends[this.#random(ends.length)] ?? "");
    }
  }

  async #happens(): Promise<void> {
    const { tested, weather } = this;
    const { clock } = tested;
    const manifest = this.#store.objects.get(manifestName(tested.databaseId));
    if (manifest !== undefined) this.#manifests.push(manifest);
    if (this.#kind === "vanishing" && this.#random(25) === 0) this.#vanishes();
    if (this.#kind === "beside another" && this.#other === null && this.#random(20) === 0) await this.#copy();
    await this.#otherActs();
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
