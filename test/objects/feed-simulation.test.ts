/**
 * The feed of a database with a backup, from places of long ago: generated histories of writes, sleeps, restarts, a destination that fails,
 * generations that follow each other and are deleted, trims, and restores in place. Whoever reads from a place gets every commit since, once and
 * in order; or is told where a restore made a gap; or that the place is too old, and then everything from the oldest on.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { destinationFailure } from "../../src/backup/destinations/destination.ts";
import { NO_VERSION, type Version, versionOfHex } from "../../src/core/versionstamp.ts";
import { Feeds } from "../../src/objects/feeds.ts";
import { MemoryDestination } from "../support/memory-destination.ts";
import { TestBackup } from "../support/workerd/backup.ts";
import { key, remove, set, text, withStorage } from "../support/workerd/engine.ts";
import { Restorable } from "../support/workerd/restorable.ts";

const ALL = new Uint8Array();
const HOUR_MS = 3_600_000;

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      count: fc.integer({ min: 1, max: 25 }),
      everyMs: fc.constantFrom(0, 500, 60_000, 300_000),
      bytes: fc.constantFrom(10, 1_000, 60_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(1_000, 600_000, HOUR_MS) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("sleep" as const, "restart" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("break" as const, "mend" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("read" as const), from: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("restore" as const), to: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
);
type Of<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never;

class Simulation {
  readonly #bucket = new MemoryDestination();
  readonly #backup: TestBackup;
  readonly #commits: Version[] = [];
  readonly #restores: Version[] = [];
  #isBroken = false;
  #number = 0;
  #subject!: Restorable;
  #feeds!: Feeds;

  constructor(storage: DurableObjectStorage) {
    this.#backup = new TestBackup(storage, { store: this.#bucket, policy: { compactionBytes: 300_000 } });
    this.#open();
    this.#feeds.keep({ retentionHours: 1, prefix: null });
  }

  async begin(): Promise<void> {
    await this.#backup.enable({ retentionDays: 7 });
    await this.#backup.settle();
  }

  async run(planned: Of<typeof step>): Promise<void> {
    switch (planned.do) {
      case "write":
        for (let i = 0; i < planned.count; i++) {
          this.#number += 1;
          const target = key("k", this.#number % 9);
          const value = text(`${this.#number} `.padEnd(planned.bytes, "x"));
          const version =
            this.#number % 6 === 0
              ? this.#backup.commit(remove(target), set(key("n"), value))
              : this.#backup.commit(set(target, value));
          this.#commits.push(version);
          await this.#pass(planned.everyMs);
        }
        return;
      case "pass":
        return this.#pass(planned.ms);
      case "sleep":
        this.#backup.reopen();
        this.#open();
        return;
      case "restart":
        this.#backup.restart();
        this.#open();
        return;
      case "break":
      case "mend":
        this.#isBroken = planned.do === "break";
        this.#bucket.fault = (method) =>
          this.#isBroken && (method === "put" || method === "delete")
            ? destinationFailure("retry", "The bucket is out.")
            : undefined;
        return;
      case "read":
        return this.#read(this.#commits[Math.floor(planned.from * this.#commits.length)] ?? NO_VERSION);
      case "restore":
        return this.#restore(planned.to);
    }
  }

  async finish(): Promise<void> {
    await this.run({ do: "mend" });
    await this.#pass(60_000);
    await this.#backup.settle();
    for (let i = 0; i < 8; i++) await this.run({ do: "read", from: i / 8 });
    const oldest = await this.#feeds.oldest();
    if (!oldest.ok) throw new Error(oldest.message);
    await this.#read(oldest.version);
  }

  #open(): void {
    this.#subject = new Restorable(this.#backup, () => this.#bucket);
    const { database, clock } = this.#backup;
    this.#feeds = new Feeds({ database, history: this.#subject.service.feedHistory, clock, dueBy: () => undefined });
  }

  async #pass(ms: number): Promise<void> {
    await this.#backup.pass(ms);
    for (let i = 0; i < 10; i++) {
      const at = this.#feeds.task.dueAt();
      if (at === null || at > this.#backup.clock.time) return;
      void this.#feeds.task.run();
    }
  }

  async #restore(to: number): Promise<void> {
    if (this.#isBroken) return;
    await this.#backup.settle();
    const moment = this.#commits[Math.floor(to * this.#commits.length)];
    if (moment === undefined) return;
    const job = await this.#subject.restore(`job ${this.#number}`, moment, () => undefined).catch(() => null);
    // A moment that the backup does not hold is refused.
    if (job?.status !== "completed") return;
    this.#restores.push(this.#backup.database.lastVersion);
    await this.#backup.settle();
  }

  async #read(start: Version): Promise<void> {
    let place = start;
    let told = start;
    const seen: Version[] = [];
    const missing: Version[] = [];
    for (let pages = 0; ; pages++) {
      expect(pages, "pages to come to an end").toBeLessThan(2_000);
      const answer = await this.#feeds.page({ prefix: ALL, from: place });
      if (!answer.ok) {
        expect([answer.code, pages, answer.message]).toEqual(["too-old", 0, expect.any(String)]);
        const oldest = versionOfHex(answer.oldest ?? "") ?? NO_VERSION;
        expect(oldest).toBeGreaterThan(start);
        return this.#read(oldest);
      }
      const { page } = answer;
      for (const { version } of page.commits) {
        seen.push(version);
        told = version;
      }
      if (page.reset !== null) {
        const { reset } = page;
        const lost = this.#commits.filter((version) => version > told && version <= reset);
        missing.push(...lost);
        // Until the generation after a restore is whole, commits are in the log alone.
        const because = this.#restores.some((version) => version <= reset);
        expect(because, `a restore before the reset at ${reset}`).toBe(true);
        told = reset;
      }
      expect(page.upTo).toBeGreaterThanOrEqual(place);
      place = page.upTo;
      if (page.isLast) break;
    }
    const expected = this.#commits.filter((version) => version > start && !missing.includes(version));
    expect(seen).toEqual(expected);
    expect(place).toBe(this.#backup.database.lastVersion);
  }
}

test("a feed of a database with a backup is whole from any place, whatever happens (F3, F9, F10)", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 25 }), async (steps) => {
      await withStorage(async (storage) => {
        const simulation = new Simulation(storage);
        await simulation.begin();
        for (const planned of steps) await simulation.run(planned);
        await simulation.finish();
      });
    }),
    { numRuns: 8 },
  );
});
