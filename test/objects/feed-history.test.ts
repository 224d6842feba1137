/** The change feed from further back than the log: out of the backup's objects, joined to the log. */
import { describe, expect, test } from "vitest";
import { destinationFailure } from "../../src/backup/destinations/destination.ts";
import type { BackupPolicy } from "../../src/backup/continuous/policy.ts";
import type { FeedStart } from "../../src/core/feed.ts";
import { NO_VERSION, type Version, versionstampHex } from "../../src/core/versionstamp.ts";
import { Feeds } from "../../src/objects/feeds.ts";
import { said, type ToldCommit } from "../support/feed-receiver.ts";
import { MemoryDestination } from "../support/memory-destination.ts";
import { TestBackup } from "../support/workerd/backup.ts";
import { key, remove, set, text, withStorage } from "../support/workerd/engine.ts";
import { Restorable } from "../support/workerd/restorable.ts";

const ALL = new Uint8Array();
const HOUR_MS = 3_600_000;

/** A database whose log is kept for an hour, with a backup in memory. */
class Fed {
  readonly bucket = new MemoryDestination();
  readonly backup: TestBackup;
  readonly subject: Restorable;
  readonly feeds: Feeds;
  readonly written: ToldCommit[] = [];

  constructor(storage: DurableObjectStorage, policy: Partial<BackupPolicy> = {}) {
    this.backup = new TestBackup(storage, { store: this.bucket, policy });
    this.subject = new Restorable(this.backup, () => this.bucket);
    const { database, clock } = this.backup;
    this.feeds = new Feeds({ database, history: this.subject.service.feedHistory, clock, dueBy: () => undefined });
    this.feeds.keep({ retentionHours: 1, prefix: null });
  }

  /** Some commits, now and then, and what is too old is let go of. */
  async write(count: number, everyMs: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const number = this.written.length;
      const target = key("k", number % 7);
      const version =
        number % 5 === 4
          ? this.backup.commit(remove(target), set(key("users", number), text(`${number}`)))
          : this.backup.commit(set(target, text(`${number}`)));
      this.written.push({ version, changes: [] });
      await this.backup.pass(everyMs);
      this.trim();
    }
  }

  trim(): void {
    for (let i = 0; i < 10; i++) {
      const at = this.feeds.task.dueAt();
      if (at === null || at > this.backup.clock.time) return;
      void this.feeds.task.run();
    }
  }

  /** Everything from there on: commits, and resets as the version at which they were. */
  async read(
    from: FeedStart,
    prefix: Uint8Array = ALL,
  ): Promise<{ commits: ToldCommit[]; resets: Version[]; pages: number }> {
    const commits: ToldCommit[] = [];
    const resets: Version[] = [];
    let place = from;
    for (let pages = 1; ; pages++) {
      expect(pages, "pages to come to an end").toBeLessThan(1_000);
      const answer = await this.feeds.page({ prefix, from: place });
      if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
      const { page } = answer;
      for (const { version, changes } of page.commits) commits.push({ version, changes: changes.map(said) });
      if (page.reset !== null) resets.push(page.reset);
      if (typeof place === "number") expect(page.upTo).toBeGreaterThanOrEqual(place);
      if (page.isLast) return { commits, resets, pages };
      place = page.upTo;
    }
  }

  get versions(): Version[] {
    return this.written.map(({ version }) => version);
  }
}

describe("a feed whose log does not reach back far enough", () => {
  test("goes on out of the backup's objects, and joins the log without a gap or a repeat (F9, F11)", async () => {
    await withStorage(async (storage) => {
      const fed = new Fed(storage);
      await fed.backup.enable();
      await fed.backup.settle();
      const start = fed.backup.database.lastVersion;
      await fed.write(120, 90_000);
      const kept = fed.feeds.task.dueAt() === null ? NO_VERSION : (fed.backup.database.feed.keptAfter ?? NO_VERSION);
      expect(fed.versions.filter((version) => version <= kept).length).toBeGreaterThan(60);
      expect(fed.versions.filter((version) => version > kept).length).toBeGreaterThan(20);
      const { commits, resets } = await fed.read("oldest");
      expect(commits.map(({ version }) => version)).toEqual(fed.versions);
      expect(resets).toEqual([]);
      for (const place of [start, ...fed.versions.filter((_, i) => i % 11 === 0)]) {
        const { commits: later } = await fed.read(place);
        expect(later.map(({ version }) => version)).toEqual(fed.versions.filter((version) => version > place));
      }
      const { commits: ofUsers } = await fed.read(start, key("users"));
      expect(ofUsers).toHaveLength(24);
      // A backup does not say whether a key was new.
      expect(new Set(ofUsers.slice(0, 5).map(({ changes }) => changes[0]?.split(" ")[0]))).toEqual(new Set(["update"]));
      expect(new Set(ofUsers.slice(-3).map(({ changes }) => changes[0]?.split(" ")[0]))).toEqual(new Set(["insert"]));
    });
  });

  test("goes on over generations, and over objects that are larger than a page (F9)", async () => {
    await withStorage(async (storage) => {
      const fed = new Fed(storage, { compactionBytes: 400_000 });
      await fed.backup.enable();
      await fed.backup.settle();
      const start = fed.backup.database.lastVersion;
      for (let i = 0; i < 12; i++) {
        for (let j = 0; j < 8; j++) {
          const version = fed.backup.commit(set(key("large", j), new Uint8Array(150_000).fill(i)));
          fed.written.push({ version, changes: [] });
        }
        await fed.backup.settle();
        await fed.backup.pass(HOUR_MS / 4);
        fed.trim();
      }
      expect((await fed.backup.info()).generations.length).toBeGreaterThan(1);
      const { commits, resets } = await fed.read(start);
      expect(commits.map(({ version }) => version)).toEqual(fed.versions);
      expect(resets).toEqual([]);
    });
  });

  test("tells what the backup has a gap for as a reset, and goes on behind it (F10)", async () => {
    await withStorage(async (storage) => {
      const fed = new Fed(storage);
      await fed.backup.enable();
      await fed.backup.settle();
      const start = fed.backup.database.lastVersion;
      await fed.write(10, 60_000);
      await fed.backup.settle();
      const back = fed.versions[4] ?? NO_VERSION;
      const job = await fed.subject.restore("a", back, () => undefined);
      expect(job.status).toBe("completed");
      const restored = fed.backup.database.lastVersion;
      await fed.backup.settle();
      await fed.write(80, 90_000);
      expect(fed.backup.database.feed.keptAfter).toBeGreaterThan(restored);
      const { commits, resets } = await fed.read(start);
      expect(resets).toHaveLength(1);
      expect(resets[0]).toBeGreaterThanOrEqual(restored);
      const told = commits.map(({ version }) => version);
      // All before the restore, then all behind the place that the reset names.
      expect(told).toEqual(fed.versions.filter((version) => version < restored || version > (resets[0] ?? NO_VERSION)));
      expect(told.length).toBeGreaterThanOrEqual(89);
    });
  });

  test("never passes over an object that is gone from the bucket, or altered (F10)", async () => {
    await withStorage(async (storage) => {
      const fed = new Fed(storage);
      await fed.backup.enable();
      await fed.backup.settle();
      const start = fed.backup.database.lastVersion;
      await fed.write(60, 180_000);
      const logs = fed.bucket.names.filter((name) => name.includes("/logs/"));
      const [gone = ""] = logs.slice(10, 11);
      const bytes = fed.bucket.objects.get(gone) ?? new Uint8Array();
      fed.bucket.objects.delete(gone);
      await expect(fed.read(start)).rejects.toThrow(/^conflict: The backup is damaged\. .*one between them is missing/);
      fed.bucket.objects.set(
        gone,
        bytes.map((byte, i) => (i === 30 ? byte ^ 1 : byte)),
      );
      await expect(fed.read(start)).rejects.toThrow(/conflict: The backup is damaged/);
      fed.bucket.objects.set(gone, bytes);
      expect((await fed.read(start)).commits).toHaveLength(60);
      fed.bucket.fault = (method) => (method === "get" ? destinationFailure("retry", "The bucket is out.") : undefined);
      await expect(fed.read(start)).rejects.toThrow("unavailable");
    });
  });

  test("is too old where the backup does not reach back either, and says from where on it can be read (F5)", async () => {
    await withStorage(async (storage) => {
      const fed = new Fed(storage);
      await fed.write(50, 180_000);
      const [early = NO_VERSION] = fed.versions;
      const keptAfter = fed.backup.database.feed.keptAfter ?? NO_VERSION;
      expect(await fed.feeds.page({ prefix: ALL, from: early })).toMatchObject({
        code: "too-old",
        oldest: versionstampHex(keptAfter),
      });
      await fed.backup.enable();
      await fed.backup.settle();
      await fed.write(50, 180_000);
      const refused = await fed.feeds.page({ prefix: ALL, from: early });
      expect(refused).toMatchObject({ code: "too-old" });
      const oldest = await fed.feeds.oldest();
      if (refused.ok || !oldest.ok) throw new Error("refused");
      expect(refused.oldest).toBe(versionstampHex(oldest.version));
      expect(oldest.version).toBeLessThan(fed.backup.database.feed.keptAfter ?? NO_VERSION);
      const { commits } = await fed.read("oldest");
      expect(commits.map(({ version }) => version)).toEqual(fed.versions.slice(50));
    });
  });

  test("never jumps over what a backup that is behind has not stored yet (F9)", async () => {
    await withStorage(async (storage) => {
      const fed = new Fed(storage);
      await fed.backup.enable();
      await fed.backup.settle();
      const start = fed.backup.database.lastVersion;
      await fed.write(10, 180_000);
      fed.bucket.fault = (method) => (method === "put" ? destinationFailure("retry", "The bucket is out.") : undefined);
      await fed.write(60, 180_000);
      expect((await fed.read(start)).commits).toHaveLength(70);
      fed.bucket.fault = () => undefined;
      await fed.backup.pass(60_000);
      await fed.backup.settle();
      await fed.write(5, 180_000);
      expect((await fed.read(start)).commits).toHaveLength(75);
    });
  });
});
