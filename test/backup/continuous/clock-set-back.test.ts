/** A clock that was ahead and is set back, under a database with a backup: which times are certain, and what is said of the others. */
import { describe, expect, test } from "vitest";
import { clockAt, spansOf } from "../../../src/core/clock-spans.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { CLOCK_BEHIND_MS } from "../../../src/core/limits.ts";
import type { RestorePointInfo } from "../../../src/contracts/restore-commands.ts";
import {
  asVersion,
  timeOfVersion,
  type Version,
  versionAtTime,
  versionstampHex,
} from "../../../src/core/versionstamp.ts";
import { s3Destination, TestBackup } from "../../support/workerd/backup.ts";
import { key, set, text, withStorage } from "../../support/workerd/engine.ts";
import { Restorable } from "../../support/workerd/restorable.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

interface History {
  readonly backup: TestBackup;
  readonly subject: Restorable;
  /** By the clock as it should have been: when each was made, and its version. */
  readonly right: Version;
  readonly ahead: readonly [Version, Version];
  readonly behind: readonly [Version, Version, Version];
  /** When the clock was right last, when it was set ahead, and when it was set back. */
  readonly at: { readonly right: number; readonly ahead: number; readonly back: number };
}

/** At 0: a commit. At 10 minutes the clock is set ahead by 5 hours, at 20 back. Commits at 11, 19; 21, 51, 81 minutes. */
async function setAheadAndBack(storage: DurableObjectStorage): Promise<History> {
  const backup = new TestBackup(storage);
  const { clock } = backup;
  await backup.enable();
  await backup.settle();
  const commit = (): Version => backup.commit(set(key("x"), text(`${clock.time}`)));
  const right = commit();
  const at = { right: clock.time, ahead: clock.time + 10 * MINUTE, back: clock.time + 20 * MINUTE };
  await backup.pass(11 * MINUTE);
  clock.time += 5 * HOUR;
  const first = commit();
  await backup.pass(8 * MINUTE);
  const second = commit();
  await backup.pass(MINUTE);
  clock.time -= 5 * HOUR;
  await backup.pass(MINUTE);
  const behind: [Version, Version, Version] = [commit(), asVersion(0), asVersion(0)];
  for (const i of [1, 2]) {
    await backup.pass(30 * MINUTE);
    behind[i] = commit();
  }
  await backup.settle();
  await backup.pass(10 * MINUTE);
  return { backup, subject: new Restorable(backup), right, ahead: [first, second], behind, at };
}

function time(at: number): string {
  return new Date(at).toISOString();
}

async function resolve({ subject }: Pick<History, "subject">, at: string): Promise<Version | string> {
  const answer = await subject.service.run({ command: "resolve", at, generation: null });
  if (!answer.ok) return `${answer.code}: ${answer.message}`;
  return answer.kind === "points" ? (answer.points[0]?.version ?? asVersion(0)) : "no point";
}

/** The versionstamps that a sentence names. */
function named(sentence: Version | string): string[] {
  return String(sentence).match(/\b[0-9a-f]{16}0000\b/g) ?? [];
}

describe("after a clock was set back, a time", () => {
  test("when the clock was right is unambiguous, and so is one after the clock has caught up (G5)", async () => {
    await withStorage(async (storage) => {
      const history = await setAheadAndBack(storage);
      const { backup, right, behind, at } = history;
      expect(await resolve(history, time(at.right))).toBe(right);
      await backup.pass(5 * HOUR);
      const caughtUp = backup.commit(set(key("x"), text("caught up")));
      await backup.settle();
      await backup.pass(MINUTE);
      expect(await resolve(history, time(timeOfVersion(caughtUp)))).toBe(caughtUp);
      expect(await resolve(history, time(timeOfVersion(caughtUp) - 1))).toBeGreaterThanOrEqual(behind[2]);
    });
  });

  test("while it was ahead is ambiguous: the commits before and after are named, and each can be asked for (G5)", async () => {
    await withStorage(async (storage) => {
      const history = await setAheadAndBack(storage);
      const { right, ahead, at } = history;
      const said = await resolve(history, time(at.ahead + 5 * MINUTE));
      expect(said).toMatch(
        /^conflict: .* is ambiguous: the server's clock was ahead and was set back, at the latest at /,
      );
      expect(named(said)).toEqual([right, ahead[1]].map(versionstampHex));
      for (const versionstamp of named(said)) {
        expect(await resolve(history, versionstamp)).toBe(asVersion(Number.parseInt(versionstamp.slice(0, 16), 16)));
      }
    });
  });

  test("since then is ambiguous: the commits of that time by the clock as it was are among those that are named", async () => {
    await withStorage(async (storage) => {
      const history = await setAheadAndBack(storage);
      const { right, ahead, behind, at } = history;
      const said = await resolve(history, time(at.back + 35 * MINUTE));
      expect(named(said)).toEqual([right, ahead[1], behind[1]].map(versionstampHex));
      expect(said).toContain(`${versionstampHex(right)}, the last one whose versionstamp is of that time or before`);
      expect(said).toContain(`${versionstampHex(ahead[1])}, the last one before that was noticed`);
      expect(said).toContain(`made when the clock, set back, said ${time(at.back + 31 * MINUTE)}`);
      expect(
        await history.subject.service.run({ command: "past", at: "-5m", eviction: "least-recently-used" }),
      ).toMatchObject({
        code: "conflict",
      });
      expect(
        await history.subject.service.run({ command: "restore", jobId: "a", at: time(at.back + 35 * MINUTE) }),
      ).toMatchObject({ code: "conflict", message: String(said).slice("conflict: ".length) });
    });
  });

  test("is ambiguous before anything is written by the clock as it is now, too: in the database and from the bucket alone", async () => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      const { clock, databaseId } = backup;
      await backup.enable();
      await backup.settle();
      const right = backup.commit(set(key("x"), text("right")));
      await backup.settle();
      await backup.pass(MINUTE);
      clock.time += 5 * HOUR;
      backup.commit(set(key("x"), text("ahead")));
      await backup.pass(MINUTE);
      const meanwhile = clock.time - 5 * HOUR;
      const ahead = backup.commit(set(key("x"), text("not stored yet")));
      await backup.pass(100);
      clock.time -= 5 * HOUR;
      const subject = new Restorable(backup);
      const said = await resolve({ subject }, time(meanwhile));
      expect(said).toMatch(/^conflict: .* is ambiguous/);
      expect(named(said)).toEqual([right, ahead].map(versionstampHex));
      expect(await resolve({ subject }, time(timeOfVersion(right)))).toBe(right);
      await backup.settle();
      await withStorage(async (other) => {
        const target = new Restorable(new TestBackup(other));
        target.backup.clock.time = clock.time;
        const from = { databaseId, destination: s3Destination(), at: time(meanwhile), withoutManifest: false };
        const answer = await target.service.run({ command: "restore from", jobId: "a", ...from });
        expect(answer).toMatchObject({ ok: false, code: "conflict" });
        expect(named(answer.ok ? "" : answer.message)).toEqual(named(said));
      });
    });
  });

  test("does not matter for the latest state", async () => {
    await withStorage(async (storage) => {
      const history = await setAheadAndBack(storage);
      expect(await resolve(history, "latest")).toBeGreaterThanOrEqual(history.behind[2]);
    });
  });

  test("is as ambiguous for a restore from the bucket alone", async () => {
    await withStorage(async (storage) => {
      const history = await setAheadAndBack(storage);
      const { backup, at } = history;
      await backup.pass(5 * MINUTE);
      const moment = time(at.back + 35 * MINUTE);
      const said = await resolve(history, moment);
      await withStorage(async (other) => {
        const target = new Restorable(new TestBackup(other));
        target.backup.clock.time = backup.clock.time;
        const answer = await target.service.run({
          command: "restore from",
          jobId: "a",
          databaseId: backup.databaseId,
          destination: s3Destination(),
          at: moment,
          withoutManifest: false,
        });
        expect(answer).toEqual({ ok: false, code: "conflict", message: String(said).slice("conflict: ".length) });
      });
    });
  });

  test("is told with each point: what the clock said, beside the time of the versionstamp", async () => {
    await withStorage(async (storage) => {
      const { subject, right, ahead, behind, at } = await setAheadAndBack(storage);
      const answer = await subject.service.run({
        command: "points",
        at: "latest",
        direction: "before",
        limit: 100,
        keys: false,
      });
      const points = new Map<Version, RestorePointInfo>();
      for (const point of answer.ok && answer.kind === "points" ? answer.points : []) points.set(point.version, point);
      const clocks = [right, ...ahead, ...behind].map((version) => points.get(version)?.clock ?? null);
      const said = [1, 31, 61].map((minutes) => asUnixMs(at.back + minutes * MINUTE));
      expect(clocks).toEqual([null, null, null, ...said]);
    });
  });
});

describe("readings of the clock", () => {
  test("cost nothing in a database whose clock goes on, and a few rows an hour in one whose clock is behind", async () => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable();
      await backup.settle();
      const commit = () => backup.commit(set(key("x"), text("x")));
      for (let i = 0; i < 200; i++) {
        commit();
        backup.clock.time += 1_000;
      }
      // As much as a start may be ahead, and what a time server mends.
      backup.restart();
      commit();
      backup.clock.time += 20_000;
      commit();
      backup.clock.time -= CLOCK_BEHIND_MS - 1_000;
      commit();
      expect(backup.database.clockReadings()).toEqual([]);
      backup.clock.time -= 24 * HOUR;
      for (let i = 0; i < 24 * 60; i++) {
        commit();
        backup.clock.time += MINUTE;
      }
      const readings = backup.database.clockReadings();
      expect(readings.length).toBeGreaterThan(100);
      expect(readings.length).toBeLessThan(500);
      expect(spansOf(readings)).toHaveLength(1);
      // It has caught up.
      backup.clock.time += HOUR;
      const later = commit();
      expect(backup.database.clockReadings()).toEqual(readings);
      expect(clockAt(readings, later)).toBeNull();
    });
  });

  test("of a clock that is set back again and again are kept up to a bound, and the newest are the ones that stay", async () => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable();
      await backup.settle();
      for (let i = 0; i < 1_200; i++) {
        backup.commit(set(key("x"), text("x")));
        backup.clock.time += i % 2 === 0 ? HOUR : -2 * HOUR;
      }
      const readings = backup.database.clockReadings();
      expect(readings.length).toBeLessThanOrEqual(1_000);
      expect(readings.at(-1)?.version).toBeGreaterThan(backup.database.lastVersion - 10);
    });
  });

  test("that were lost with an undone commit are kept with the next commit", async () => {
    await withStorage(async (storage) => {
      const backup = new TestBackup(storage);
      await backup.enable();
      await backup.settle();
      backup.commit(set(key("x"), text("x")));
      backup.clock.time -= HOUR;
      expect(() =>
        storage.transactionSync(() => {
          backup.commit(set(key("x"), text("undone")));
          throw new Error("undone");
        }),
      ).toThrow("undone");
      backup.reopen();
      backup.commit(set(key("x"), text("x")));
      expect(backup.database.clockReadings()).toHaveLength(1);
      expect(versionAtTime(asUnixMs(backup.clock.time))).toBeLessThan(backup.database.lastVersion);
    });
  });
});
