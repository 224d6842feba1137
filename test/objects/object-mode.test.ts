/** What an object is for, as it is kept: who may do what meanwhile, and when what nobody uses any more goes. */
import { expect, test } from "vitest";
import { PAST_STATE_IDLE_MS } from "../../src/core/limits.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { migrateDatabase } from "../../src/engine/engine-schema.ts";
import { type Mode, ObjectMode } from "../../src/objects/object-mode.ts";
import { ObjectTables } from "../../src/objects/object-tables.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { MovableClock, withStorage } from "../support/workerd/engine.ts";

const DAY = 24 * 60 * 60 * 1000;

interface Parts {
  readonly clock: MovableClock;
  readonly storage: CountingStorage;
  /** As after a restart. */
  readonly open: (initial?: "open" | "check", isBeingFilled?: boolean) => ObjectMode;
}

async function withObject(work: (parts: Parts) => void | Promise<void>): Promise<void> {
  await withStorage(async (inner) => {
    migrateDatabase(inner);
    const [storage, clock] = [new CountingStorage(inner), new MovableClock()];
    await work({
      storage,
      clock,
      open: (initial = "open", isBeingFilled = true) =>
        new ObjectMode(new ObjectTables(storage), clock, initial, () => isBeingFilled),
    });
  });
}

const idle: { mode: Mode; wipedAfter: number | null }[] = [
  { mode: "open", wipedAfter: null },
  { mode: "restoring", wipedAfter: null },
  { mode: "past", wipedAfter: PAST_STATE_IDLE_MS },
  { mode: "past, restoring", wipedAfter: DAY },
  { mode: "check", wipedAfter: DAY },
];

test.each(idle)("an object that is $mode is wiped after $wipedAfter ms without use", ({ mode: its, wipedAfter }) =>
  withObject(async ({ clock, open }) => {
    const mode = open();
    mode.become(its);
    let [isRead, wipes] = [true, 0];
    const task = mode.idleTask(
      () => isRead,
      async () => void (wipes += 1),
    );
    const dueAfter = (ms: number | null) => (ms === null ? null : asUnixMs(clock.time + ms));
    expect(task.dueAt()).toEqual(dueAfter(wipedAfter));
    clock.time += DAY;
    await task.run();
    expect(wipes, "somebody holds it open").toBe(0);
    expect(task.dueAt()).toEqual(dueAfter(wipedAfter));
    isRead = false;
    await task.run();
    expect(wipes).toBe(1);
  }),
);

test("a copy that nothing fills yet is wiped a day after it was made, however often it starts anew meanwhile", () =>
  withObject(({ clock, open }) => {
    const dueAt = (): number | null =>
      open("check")
        .idleTask(
          () => false,
          () => Promise.resolve(),
        )
        .dueAt();
    const due = asUnixMs(clock.time + DAY);
    expect(dueAt()).toBe(due);
    clock.time += DAY / 2;
    expect(dueAt()).toBe(due);
  }));

test("the use of a state of the past writes a row a minute at most, and survives a restart to the minute", () =>
  withObject(({ clock, storage, open }) => {
    const mode = open();
    mode.become("past", asUnixMs(1000));
    const began = clock.time;
    const use = (later: number) => {
      clock.time += later;
      return storage.count(() => expect(mode.refusal("read")).toBeNull()).written;
    };
    expect(use(59_999)).toBe(0);
    expect([mode.usedAt, open().usedAt]).toEqual([began + 59_999, began]);
    expect(use(1)).toBe(1);
    expect(use(59_999)).toBe(0);
    expect(use(1)).toBe(1);
    expect(open().usedAt).toBe(began + 120_000);
    // Also when the clock was set back: otherwise it would seem in use for too long.
    expect(use(-60_000)).toBe(1);
    expect(open().usedAt).toBe(began + 60_000);
    expect(open().now(), "expiry is judged by the state's own time").toBe(1000);
  }));

test("the mode says which operations are allowed: an open database takes all, a state of the past only reads", () =>
  withObject(({ open }) => {
    const mode = open();
    const outcomes = (its: Mode) => {
      mode.become(its);
      const codes = (["read", "write"] as const).map((access) => mode.refusal(access)?.code ?? "allowed");
      return [its, ...codes];
    };
    expect(idle.map((one) => outcomes(one.mode))).toEqual([
      ["open", "allowed", "allowed"],
      ["restoring", "unavailable", "unavailable"],
      ["past", "allowed", "forbidden"],
      ["past, restoring", "unavailable", "unavailable"],
      ["check", "not-found", "not-found"],
    ]);
  }));

test("a database whose job failed or was cancelled says so, instead of asking to try again", () =>
  withObject(({ open }) => {
    const mode = open("open", false);
    mode.become("restoring");
    for (const access of ["read", "write"] as const) {
      expect(mode.refusal(access)).toMatchObject({
        code: "conflict",
        message: expect.stringMatching(/^This database was to be filled .* Its job says why\./),
      });
    }
  }));
