/** A server's clock that is set back: what an object in use does about its own time, which stands still then. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { asUnixMs, type UnixMs } from "../../src/core/clock.ts";
import { encodeAtomicWrite, encodeSnapshotRead } from "../../src/codec/datapath-requests.ts";
import { ClockWatch } from "../../src/objects/clock-watch.ts";
import { DatabaseAccess } from "../../src/objects/database-access.ts";
import type { Env } from "../../src/objects/env.ts";
import { everything } from "../support/workerd/database-object.ts";
import { key, MovableClock, point, set, text, write } from "../support/workerd/engine.ts";

const { DATABASES } = env as unknown as Env;

describe("calls that another object made", () => {
  const NOW = 1_800_000_000_000;

  function watch() {
    const clock = new MovableClock(NOW);
    const anew: number[] = [];
    const subject = new ClockWatch(clock, () => anew.push(clock.time));
    return {
      clock,
      anew,
      goesOn: (at: number) => subject.goesOn(asUnixMs(at)),
      isRight: (at: number) => subject.isRight(asUnixMs(at)),
    };
  }

  test("at a time before the one at which the object's clock stands still make the object start anew, at once", () => {
    const { goesOn, anew } = watch();
    expect(goesOn(NOW - 3_600_000)).toBe(true);
    expect(goesOn(NOW - 3_600_000 + 249)).toBe(true);
    expect(goesOn(NOW - 3_600_000 + 250)).toBe(false);
    expect(anew).toHaveLength(1);
  });

  test("at a time that is behind do not make it start anew while its own clock goes on: the caller is another machine", () => {
    const { clock, goesOn, anew } = watch();
    for (let i = 0; i < 100; i++) {
      expect(goesOn(clock.time - 3_600_000)).toBe(true);
      clock.time += 700;
    }
    expect(anew).toEqual([]);
  });

  test("that depend on the object's time are not answered until it is known whether its clock moves", () => {
    const { clock, isRight, anew } = watch();
    expect(isRight(NOW - 4_999)).toBe(true);
    const long = NOW - 3_600_000;
    expect([isRight(long), isRight(long + 10)]).toEqual([false, false]);
    clock.time += 20;
    expect(isRight(long + 20)).toBe(true);
    expect(isRight(long + 21)).toBe(false);
    expect(anew).toEqual([]);
    expect(isRight(long + 270)).toBe(false);
    expect(anew).toHaveLength(1);
  });

  test("at a time a little before its own, or after it, do not make it start anew", () => {
    const { clock, goesOn } = watch();
    for (let at = NOW - 4_999; at < NOW + 60_000; at += 500) expect(goesOn(at)).toBe(true);
    // It stood still for a while, and not long enough.
    clock.time = NOW + 100_000;
    expect(goesOn(NOW + 60_000)).toBe(true);
    clock.time = NOW + 100_001;
    expect(goesOn(NOW + 62_000)).toBe(true);
    expect(goesOn(NOW + 62_249)).toBe(true);
  });
});

test("requests that were made long ago and have waited since do not make the object start anew", () => {
  const made = 1_800_000_000_000;
  const clock = new MovableClock(made);
  const anew: number[] = [];
  const clockWatch = new ClockWatch(clock, () => anew.push(clock.time));
  const access = new DatabaseAccess({ database: () => null, clock, clockWatch });
  // Two long batches, a second apart, are judged again at the same time.
  clock.time += 20_000;
  expect(access.refusal(everything, "read", asUnixMs(made))).toMatchObject({ code: "not-found" });
  expect(access.refusal(everything, "read", asUnixMs(made + 1_000))).toMatchObject({ code: "not-found" });
  expect(anew).toEqual([]);
});

describe("a database in use", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test("judges a token by the clock of the machine that verified it, and starts anew when its own clock stands still", async () => {
    const id = crypto.randomUUID();
    const stub = DATABASES.getByName(id);
    await stub.initialize({ organizationId: "nobody", databaseId: id, jurisdiction: null });
    const read = (askedAt: number, expiresAt: number) =>
      stub.snapshotRead(
        { ...everything, expiresAt: asUnixMs(expiresAt) },
        encodeSnapshotRead([point(key("x"))]),
        asUnixMs(askedAt),
      );
    const put = (askedAt: UnixMs) =>
      stub.atomicWrite(everything, encodeAtomicWrite(write([set(key("x"), text("kept"))])), askedAt);

    const real = Date.now();
    expect(await put(asUnixMs(real))).toBeInstanceOf(Uint8Array);
    const first = await runInDurableObject(stub, (instance) => instance);
    // As workerd has it when the clock is set back by an hour: in here the time stands still.
    vi.spyOn(Date, "now").mockReturnValue(real + 3_600_000);
    expect(await read(real, real + 600_000)).toBeInstanceOf(Uint8Array);
    expect(await read(real, real)).toMatchObject({ code: "unauthenticated" });
    expect(await read(real + 1_500, real + 600_000)).toMatchObject({ code: "unavailable" });
    vi.restoreAllMocks();

    await expect
      .poll(() =>
        DATABASES.getByName(id)
          .snapshotRead(everything, encodeSnapshotRead([point(key("x"))]))
          .catch(String),
      )
      .toBeInstanceOf(Uint8Array);
    expect(await runInDurableObject(DATABASES.getByName(id), (instance) => instance === first)).toBe(false);
  });
});
