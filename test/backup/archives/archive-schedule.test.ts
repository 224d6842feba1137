/** The schedule at work, over archives that the test makes succeed and fail, and killed between any two steps. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  ArchiveSchedule,
  type ArchiveScheduleParts,
  type ScheduledArchives,
} from "../../../src/backup/archives/archive-schedule.ts";
import { FailureNotices, type Notice } from "../../../src/backup/archives/failure-notices.ts";
import type { ArchiveInfo, ArchivePlace } from "../../../src/contracts/archive-commands.ts";
import { MAX_ARCHIVE_NOTICES } from "../../../src/core/archive-limits.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { failure } from "../../../src/core/errors.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { MovableClock, withStorage } from "../../support/workerd/engine.ts";

/** The log says what failed. */
beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});

const DAY = 24 * 60 * 60 * 1000;
const NOON = Date.parse("2026-11-27T12:00:00Z");
const THREE = Date.parse("2026-11-28T03:00:00Z");

/** Archives that end when the test says so. The storage outlives an instance of everything else. */
class Harness implements Pick<ArchiveScheduleParts, "archives"> {
  readonly clock = new MovableClock(NOON);
  readonly made: ArchiveInfo[] = [];
  readonly jobs: string[] = [];
  readonly removed: string[] = [];
  readonly sent: Notice[] = [];
  busy = false;
  /** What the next archive is refused with. */
  refusal: string | null = null;
  /** What the next attempts to tell come to. */
  answers: ({ readonly error: string; readonly final: boolean } | null)[] = [];
  undeletable = false;
  due: number | null = null;
  schedule: ArchiveSchedule;
  notices: FailureNotices;

  readonly storage: SyncStorage;

  constructor(storage: SyncStorage) {
    this.storage = storage;
    [this.schedule, this.notices] = this.start();
  }

  readonly archives: ScheduledArchives = {
    isBusy: () => this.busy || this.made.some(({ status }) => status === "running"),
    begin: async (type, jobId) => {
      if (this.refusal !== null) return failure("conflict", this.refusal);
      const before = this.jobs.indexOf(jobId);
      const [known] = before === -1 ? [] : this.made.slice(before, before + 1);
      if (known !== undefined) return known;
      this.jobs.push(jobId);
      const archive = archiveOf(this.made.length + 1, this.clock.now(), { type });
      this.made.push(archive);
      return archive;
    },
    get: (id) => this.made.find((one) => one.id === id) ?? failure("not-found", "There is no such archive."),
    all: () => this.made,
    destroy: async (id) => {
      if (this.undeletable) return failure("unavailable", "The destination is down.");
      this.removed.push(id);
      this.made.splice(
        this.made.findIndex((one) => one.id === id),
        1,
      );
      return { ok: true };
    },
    removeCopy: async (id, destinationId) => {
      this.removed.push(`${id} at ${destinationId}`);
      this.end(id, { destinations: [] });
      return { ok: true };
    },
  };

  /** A new instance over the same storage, as after a kill. */
  restart(): void {
    [this.schedule, this.notices] = this.start();
  }

  start(): [ArchiveSchedule, FailureNotices] {
    const { storage, clock } = this;
    let secrets = 0;
    const notices = new FailureNotices({
      storage,
      clock,
      entropy: { bytes: (length) => new Uint8Array(length), uuid: () => crypto.randomUUID() },
      organizationId: "org",
      databaseId: "db",
      send: async (notice) => {
        this.sent.push(notice);
        return this.answers.shift() ?? null;
      },
    });
    const schedule = new ArchiveSchedule({
      storage,
      clock,
      databaseId: "db",
      archives: this.archives,
      notices,
      kept: () => new Map(),
      // Not the deployment's secrets: what is sealed can be read here.
      secrets: { seal: async (text: string) => `sealed ${text}` } as unknown as ArchiveScheduleParts["secrets"],
      checkUrl: (url) => (url.startsWith("https://") ? { ok: true, url } : failure("invalid", "url must be https.")),
      newSecret: () => `whsec_${++secrets}`,
      newJobId: () => crypto.randomUUID(),
      dueBy: (at) => (this.due = at),
    });
    return [schedule, notices];
  }

  end(id: string, changes: Partial<ArchiveInfo>): void {
    const at = this.made.findIndex((one) => one.id === id);
    const before = this.made[at];
    if (before !== undefined) this.made[at] = { ...before, ...changes };
  }

  /** What the alarm does until nothing is due at this time. */
  async alarm(at = this.clock.time): Promise<void> {
    this.clock.time = at;
    for (let i = 0; i < 20; i++) {
      const tasks = [this.schedule.task, this.notices.task];
      const due = tasks.filter((task) => (task.dueAt() ?? Number.POSITIVE_INFINITY) <= at);
      if (due.length === 0) return;
      for (const task of due) await task.run();
    }
    throw new Error("a task is due again and again");
  }
}

function archiveOf(id: number, createdAt: number, changes: Partial<ArchiveInfo> = {}): ArchiveInfo {
  return {
    id: String(id),
    type: "full",
    status: "running",
    origin: "schedule",
    description: "",
    progress: 0,
    done: 0,
    total: 0,
    rate: null,
    size: null,
    checksum: null,
    encrypted: true,
    destinations: [],
    databaseId: "db",
    versionstamp: null,
    jobId: null,
    createdAt: asUnixMs(createdAt),
    completedAt: null,
    error: null,
    ...changes,
  };
}

const place = (name: string, error: string | null): ArchivePlace => ({
  destinationId: name,
  name,
  type: "s3",
  status: error === null ? "stored" : "failed",
  object: "x",
  error,
});

const harness = (work: (h: Harness) => Promise<void>) => withStorage((storage) => work(new Harness(storage)));
const hook = { notifyOnFailure: { url: "https://example.com/hook" } };
const good = { status: "completed", destinations: [place("a", null)] } as const;

test("while nothing is set, nothing is stored or due", () =>
  harness(async (h) => {
    expect(h.schedule.get()).toMatchObject({
      enabled: false,
      cron: "0 3 * * *",
      nextRuns: { length: 3 },
      lastRun: null,
      updatedAt: null,
    });
    expect(h.schedule.task.dueAt()).toBeNull();
    expect(h.notices.task.dueAt()).toBeNull();
    expect(h.storage.sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE 'archive%'").toArray()).toEqual([]);
  }));

test("the alarm is set to the next run, and an archive begins then, once", () =>
  harness(async (h) => {
    const set = await h.schedule.set({ enabled: true });
    expect(set).toMatchObject({ ok: true, schedule: { nextRuns: [THREE, THREE + DAY, THREE + 2 * DAY] } });
    expect(h.due).toBe(THREE);
    await h.alarm(THREE - 1);
    expect(h.made).toEqual([]);
    await h.alarm(THREE);
    expect(h.made.map(({ id }) => id)).toEqual(["1"]);
    h.end("1", good);
    await h.alarm(THREE + 1);
    await h.alarm(THREE + DAY - 1);
    expect(h.made).toHaveLength(1);
    expect(h.schedule.get().lastRun).toEqual({ at: THREE, archiveId: "1", status: "completed", error: null });
  }));

test("runs that were missed are one, late (Z31)", () =>
  harness(async (h) => {
    await h.schedule.set({ enabled: true });
    await h.alarm(THREE + 5 * DAY + 7_000);
    h.end("1", good);
    await h.alarm(THREE + 5 * DAY + 8_000);
    expect(h.made).toHaveLength(1);
    expect(h.schedule.get().nextRuns[0]).toBe(THREE + 6 * DAY);
  }));

test("a run waits for another job, and an archive that takes longer than a day delays the next one", () =>
  harness(async (h) => {
    await h.schedule.set({ enabled: true });
    h.busy = true;
    await h.alarm(THREE);
    expect(h.made).toEqual([]);
    h.busy = false;
    await h.alarm(THREE + 30_000);
    expect(h.made).toHaveLength(1);
    await h.alarm(THREE + 2 * DAY);
    expect(h.made).toHaveLength(1);
    h.end("1", good);
    await h.alarm(THREE + 2 * DAY + 1);
    expect(h.made.map(({ id }) => id)).toEqual(["1", "2"]);
  }));

test("after a kill between the order and its note the same archive goes on", () =>
  harness(async (h) => {
    await h.schedule.set({ enabled: true });
    const { begin } = h.archives;
    let dies = true;
    Object.assign(h.archives, {
      begin: async (type: "full", jobId: string) => {
        const made = await begin(type, jobId);
        if (dies) throw new Error("killed");
        return made;
      },
    });
    await expect(h.alarm(THREE)).rejects.toThrow("killed");
    dies = false;
    h.restart();
    h.end("1", { status: "completed" });
    await h.alarm(THREE + 1000);
    expect(h.made.map(({ id }) => id)).toEqual(["1"]);
    expect(h.schedule.get().lastRun).toMatchObject({ archiveId: "1" });
  }));

describe("a clock that moves (Z31)", () => {
  test("back by minutes repeats nothing; by years, the next run is by its new time", () =>
    harness(async (h) => {
      await h.schedule.set({ enabled: true });
      await h.alarm(THREE);
      h.end("1", good);
      await h.alarm(THREE + 60_000);
      await h.alarm(THREE - 600_000);
      await h.alarm(THREE);
      expect(h.made).toHaveLength(1);
      h.clock.time = THREE - 900 * DAY;
      expect(h.schedule.task.dueAt()).toBe(THREE - 899 * DAY);
      await h.alarm(THREE - 899 * DAY);
      expect(h.made).toHaveLength(2);
    }));
});

describe("who is told (Z33)", () => {
  test("a URL that is new gets a secret, shown once; the same URL keeps it", () =>
    harness(async (h) => {
      expect(await h.schedule.set(hook)).toMatchObject({ secret: "whsec_1" });
      expect(await h.schedule.set(hook)).toMatchObject({ secret: null });
      expect(await h.schedule.set({ cron: "0 4 * * *" })).toMatchObject({ secret: null, schedule: hook });
      expect(await h.schedule.set({ notifyOnFailure: { url: "https://example.com/other" } })).toMatchObject({
        secret: "whsec_2",
      });
      expect(await h.schedule.set({ notifyOnFailure: { url: "ftp://x" } })).toMatchObject({ code: "invalid" });
      expect(h.schedule.get()).toMatchObject({ notifyOnFailure: { url: "https://example.com/other" } });
    }));

  test("of an archive that failed, of one that did not get everywhere, and of none that did", () =>
    harness(async (h) => {
      await h.schedule.set({ enabled: true, ...hook });
      const ends: Partial<ArchiveInfo>[] = [
        good,
        { status: "completed", destinations: [place("a", null), place("Frankfurt", "The bucket is gone.")] },
        { status: "failed", error: "No destination took it." },
      ];
      for (const [i, end] of ends.entries()) {
        await h.alarm(THREE + i * DAY);
        h.end(String(i + 1), end);
        await h.alarm(THREE + i * DAY + 1000);
      }
      const bodies = h.sent.map(({ body }) => JSON.parse(body) as object);
      expect(bodies).toMatchObject([
        {
          type: "archive.failed",
          data: {
            organizationId: "org",
            databaseId: "db",
            error: "The archive did not reach Frankfurt. The bucket is gone.",
            archive: { id: "2", status: "completed" },
          },
        },
        { data: { error: "No destination took it.", archive: { id: "3", status: "failed" } } },
      ]);
      expect(h.sent.every(({ url, secret }) => url === hook.notifyOnFailure.url && secret === "sealed whsec_1")).toBe(
        true,
      );
      expect(h.schedule.get().lastRun).toMatchObject({ status: "failed", error: "No destination took it." });
    }));

  test("of a run that could not begin; it is over, and the next one comes the next day", () =>
    harness(async (h) => {
      await h.schedule.set({ enabled: true, notifyOnFailure: "webhooks" });
      h.refusal = "There is no destination.";
      await h.alarm(THREE);
      expect(h.sent).toMatchObject([{ url: null, secret: null }]);
      expect(h.schedule.get().lastRun).toMatchObject({
        archiveId: null,
        status: "failed",
        error: "There is no destination.",
      });
      expect(h.schedule.task.dueAt()).toBe(THREE + DAY);
    }));

  test("again and again until somebody takes it, with the same id, also after a restart", () =>
    harness(async (h) => {
      await h.schedule.set({ enabled: true, ...hook });
      h.refusal = "no";
      h.answers = Array.from({ length: 3 }, () => ({ error: "The endpoint answered 500.", final: false }));
      await h.alarm(THREE);
      for (const wait of [5_000, 10_000, 20_000]) {
        h.restart();
        await h.alarm(h.clock.time + wait - 1);
        await h.alarm(h.clock.time + 1);
      }
      expect(new Set(h.sent.map(({ id }) => id)).size).toBe(1);
      expect(h.sent).toHaveLength(4);
      expect(h.notices.task.dueAt()).toBeNull();
    }));

  test("an endpoint that is gone is not told again, and one that is down keeps the last notices only", () =>
    harness(async (h) => {
      await h.schedule.set({ enabled: true, cron: "* * * * *", ...hook });
      h.refusal = "no";
      h.answers = [{ error: "The endpoint answered 410.", final: true }];
      await h.alarm(NOON + 60_000);
      expect(h.notices.task.dueAt()).toBeNull();
      h.answers = Array.from({ length: 1000 }, () => ({ error: "down", final: false }));
      for (let i = 2; i <= MAX_ARCHIVE_NOTICES + 10; i++) await h.alarm(NOON + i * 60_000);
      const { n } = h.storage.sql.exec<{ n: number }>("SELECT count(*) AS n FROM archive_notices").one();
      expect(n).toBe(MAX_ARCHIVE_NOTICES);
    }));
});

describe("retention (Z32)", () => {
  test("follows a good run, and no other", () =>
    harness(async (h) => {
      await h.schedule.set({ enabled: true, maxBackups: 2, retentionDays: null });
      const removed: string[] = [];
      for (const [i, end] of [good, good, { status: "failed", error: "x" } as const, good].entries()) {
        await h.alarm(THREE + i * DAY);
        h.end(String(i + 1), end);
        await h.alarm(THREE + i * DAY + 1000);
        removed.push(h.removed.join());
      }
      expect(removed).toEqual(["", "", "", "1"]);
    }));

  test("goes on when a destination deletes again, and keeps no run waiting meanwhile", () =>
    harness(async (h) => {
      await h.schedule.set({ enabled: true, maxBackups: 1, retentionDays: null });
      h.undeletable = true;
      for (let i = 0; i < 3; i++) {
        await h.alarm(THREE + i * DAY);
        h.end(String(i + 1), good);
        await h.alarm(THREE + i * DAY + 1000);
      }
      expect(h.made).toHaveLength(3);
      h.undeletable = false;
      await h.alarm(h.clock.time + 30_000);
      expect(h.removed).toEqual(["1", "2"]);
    }));
});

test("a changed schedule misses nothing that was before it", () =>
  harness(async (h) => {
    await h.schedule.set({ enabled: true });
    h.clock.time = THREE + 3 * DAY + DAY / 2;
    await h.schedule.set({ cron: "0 2 * * *" });
    expect(await h.schedule.set({ enabled: false })).toMatchObject({
      schedule: { enabled: false, nextRuns: { length: 3 } },
    });
    await h.schedule.set({ enabled: true });
    await h.alarm(h.clock.time);
    expect(h.made).toEqual([]);
  }));
