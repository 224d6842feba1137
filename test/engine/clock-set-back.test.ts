/** By which clock an expiry is judged, when the clock is set ahead and back. */
import { expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import type { Version } from "../../src/core/versionstamp.ts";
import { Database } from "../../src/engine/database.ts";
import { key, MovableClock, point, set, text, versionOf, withStorage, write } from "../support/workerd/engine.ts";

const HOUR = 3_600_000;
const brief = key("brief");

async function withDatabase(work: (parts: { clock: MovableClock; database: Database }) => void): Promise<void> {
  await withStorage((storage) => {
    const clock = new MovableClock();
    work({ clock, database: new Database({ storage, clock }) });
  });
}

function isThere(database: Database): boolean {
  return database.read([point(brief)], 1e6)?.[0]?.length === 1;
}

function put(database: Database, expiresAt: number): Version {
  return versionOf(database.commit([write([set(brief, text("x"), { expiresAt })])])[0]);
}

test("an entry is gone while the clock is past its expiry, and there again when the clock is set back, until it was deleted (S9)", () =>
  withDatabase(({ clock, database }) => {
    put(database, clock.time + HOUR);
    clock.time += 2 * HOUR;
    expect(isThere(database)).toBe(false);
    clock.time -= 2 * HOUR;
    expect(isThere(database)).toBe(true);
    clock.time += 2 * HOUR;
    expect(database.deleteExpired(10)).toBe(1);
    clock.time -= 2 * HOUR;
    expect(isThere(database)).toBe(false);
  }));

test("an expiry is judged by the clock, and not by versions that are ahead of it (S9)", () =>
  withDatabase(({ clock, database }) => {
    clock.time += 5 * HOUR;
    put(database, clock.time + HOUR);
    clock.time -= 5 * HOUR;
    const expiresAt = clock.time + HOUR;
    const version = put(database, expiresAt);
    expect(version / 1000).toBeGreaterThan(expiresAt);
    expect(isThere(database)).toBe(true);
    expect(database.nextExpiry()).toBe(asUnixMs(expiresAt));
    expect(database.deleteExpired(10)).toBe(0);
    clock.time = expiresAt;
    expect(isThere(database)).toBe(false);
  }));

test("while there is a log, the clock is read with the first commit behind it, and at most once a minute after that", () =>
  withDatabase(({ clock, database }) => {
    const commit = () => put(database, clock.time + HOUR);
    commit();
    clock.time -= HOUR;
    commit();
    expect(database.clockReadings(), "without a log").toEqual([]);
    database.log.register("reader", database.lastVersion);
    const first = { version: commit(), time: clock.time };
    clock.time += 59_999;
    commit();
    expect(database.clockReadings()).toEqual([first]);
    clock.time += 1;
    const second = { version: commit(), time: clock.time };
    commit();
    expect(database.clockReadings()).toEqual([first, second]);
    clock.time += HOUR;
    commit();
    expect(database.clockReadings(), "the clock has caught up").toEqual([first, second]);
  }));
