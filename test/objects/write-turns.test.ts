/** Writes that wait for their turn at a key: who waits for whom, and what becomes of them in the object. */
import { describe, expect, test } from "vitest";
import { encodeAtomicWrite } from "../../src/codec/datapath-requests.ts";
import type { AgeCondition } from "../../src/codec/record.ts";
import type { TurnOutcome } from "../../src/contracts/record-commands.ts";
import { failure, type Failure } from "../../src/core/errors.ts";
import { MAX_TURN_WAIT_MS, MAX_WAITING_WRITE_BYTES, TURN_QUIET_MS } from "../../src/core/limits.ts";
import { Database } from "../../src/engine/database.ts";
import { CommitQueue } from "../../src/objects/commit-queue.ts";
import { WriteTurns } from "../../src/objects/write-turns.ts";
import { FakeTimers, turns } from "../support/fake-timers.ts";
import { commit, everything, newDatabase, read, type Stub } from "../support/workerd/database-object.ts";
import { key, point, set, withStorage, write } from "../support/workerd/engine.ts";
import { freeTurns } from "../support/free-turns.ts";

const a = key("kvs", "a");
const value = new Uint8Array(60).fill(7);
const always: AgeCondition = { operator: ">=", unixtimeMs: 0 };
const never: AgeCondition = { operator: "<", unixtimeMs: 0 };

const OVERTAKEN = { ok: true, written: null, why: "overtaken" };
const CONDITION = { ok: true, written: null, why: "condition" };
const WRITTEN = { ok: true, written: expect.any(Number) };

/** Writes at their turn over a database, with a clock, a disk and a room that the test has in hand. */
class Place {
  readonly timers = new FakeTimers();
  readonly database: Database;
  readonly #turns: WriteTurns;
  /** Writes for which room was asked. */
  asked = 0;
  refused: Failure | null = null;
  noRoom: Failure | null = null;
  #flushed: (() => void) | null = null;
  holdsFlushes = false;

  constructor(storage: DurableObjectStorage) {
    this.database = new Database({ storage, clock: this.timers });
    const flushed = async (): Promise<void> => {
      if (this.holdsFlushes) await new Promise<void>((resolve) => (this.#flushed = resolve));
    };
    const commits = new CommitQueue({
      derivedChanges: () => 0,
      commit: (writes) => this.database.commit(writes),
      flushed: async () => undefined,
      turns: freeTurns(),
      breathe: async () => undefined,
      onError: (error) => {
        throw error;
      },
    });
    const refusal = (): Failure | null => {
      this.asked += 1;
      return this.noRoom;
    };
    const room = { refusal };
    this.#turns = new WriteTurns({ database: this.database, commits, room, flushed, timers: this.timers });
  }

  /** Its outcome, in a list that is empty until it is there. */
  ask(condition = always, { bytes = 100, target = a } = {}): (TurnOutcome | Failure)[] {
    const outcomes: (TurnOutcome | Failure)[] = [];
    void this.#turns
      .write(write([set(target, value)]), bytes, condition, () => this.refused)
      .then((outcome) => outcomes.push(outcome));
    return outcomes;
  }

  flush(): void {
    this.#flushed?.();
  }
}

const withPlace = (work: (place: Place) => Promise<void>) => withStorage((storage) => work(new Place(storage)));

describe("those that come together (A12)", () => {
  test("have one of them write, which waits until nobody has come for a moment (A13)", async () => {
    await withPlace(async (place) => {
      const first = place.ask();
      await place.timers.pass(TURN_QUIET_MS - 1);
      const others = Array.from({ length: 49 }, (_, i) => place.ask(i % 2 ? never : always));
      await place.timers.pass(1);
      expect(first).toEqual([]);
      await place.timers.pass(TURN_QUIET_MS);
      expect(first).toEqual([WRITTEN]);
      expect(others).toEqual(Array.from({ length: 49 }, () => [OVERTAKEN]));
      expect(place.asked).toBe(1);
    });
  });

  test("do not hold it up for ever (A13)", async () => {
    await withPlace(async (place) => {
      const all = [place.ask()];
      for (let waited = 0; waited < MAX_TURN_WAIT_MS; waited += TURN_QUIET_MS) {
        expect(all[0]).toEqual([]);
        all.push(place.ask());
        await place.timers.pass(TURN_QUIET_MS);
      }
      expect(all[0]).toEqual([WRITTEN]);
    });
  });

  test("include those that come while the write is not on disk yet", async () => {
    await withPlace(async (place) => {
      place.holdsFlushes = true;
      const first = place.ask();
      await place.timers.pass(TURN_QUIET_MS);
      const second = place.ask();
      await turns();
      expect([first, second]).toEqual([[], [OVERTAKEN]]);
      place.flush();
      await turns();
      expect(first).toEqual([WRITTEN]);
      const third = place.ask();
      await place.timers.pass(TURN_QUIET_MS);
      place.flush();
      await turns();
      expect(third).toEqual([WRITTEN]);
    });
  });

  test("are those of one key: another key's do not wait with them", async () => {
    await withPlace(async (place) => {
      const [one, other] = [place.ask(), place.ask(always, { target: key("kvs", "b") })];
      await place.timers.pass(TURN_QUIET_MS);
      expect([one, other]).toEqual([[WRITTEN], [WRITTEN]]);
    });
  });
});

test("one whose condition does not hold is answered at once, where nobody waits (A13)", async () => {
  await withPlace(async (place) => {
    place.database.commit([write([set(a, value)])]);
    const alone = place.ask(never);
    await turns();
    expect(alone).toEqual([CONDITION]);
    const first = place.ask(always);
    const second = place.ask(never);
    await turns();
    expect([first, second]).toEqual([[], []]);
    await place.timers.pass(2 * TURN_QUIET_MS);
    await place.timers.pass(2 * TURN_QUIET_MS);
    expect([first, second]).toEqual([[WRITTEN], [OVERTAKEN]]);
  });
});

test("where the first one is refused at its turn, the next one writes (A12)", async () => {
  await withPlace(async (place) => {
    const first = place.ask();
    place.noRoom = failure("insufficient-storage", "The disk is full");
    await place.timers.pass(TURN_QUIET_MS);
    expect(first).toEqual([place.noRoom]);
    place.noRoom = null;
    const second = place.ask();
    await place.timers.pass(TURN_QUIET_MS);
    expect(second).toEqual([WRITTEN]);
  });
});

test("a token that is revoked while its write waits writes nothing", async () => {
  await withPlace(async (place) => {
    const asked = place.ask();
    place.refused = failure("unauthenticated", "The token was revoked");
    await place.timers.pass(TURN_QUIET_MS);
    expect(asked).toEqual([place.refused]);
    expect(place.database.countEntries()).toBe(0);
  });
});

test("what waits is bounded, and its room is given back", async () => {
  await withPlace(async (place) => {
    const all = [place.ask(always, { bytes: MAX_WAITING_WRITE_BYTES })];
    all.push(place.ask(always, { bytes: 1 }));
    await turns();
    expect(all[1]).toMatchObject([{ code: "unavailable" }]);
    await place.timers.pass(TURN_QUIET_MS);
    expect(all[0]).toEqual([WRITTEN]);
    const next = place.ask(always, { bytes: MAX_WAITING_WRITE_BYTES });
    await place.timers.pass(TURN_QUIET_MS);
    expect(next).toEqual([WRITTEN]);
  });
});

describe("in the object", () => {
  const request = encodeAtomicWrite(write([set(a, value)]));
  const ask = (stub: Stub, condition: AgeCondition) => stub.writeAtTurn(everything, request, condition);

  test.each<[string, AgeCondition]>([
    ["always holds", always],
    ["holds for an old record", { operator: "<", unixtimeMs: Date.now() - 300_000 }],
  ])(
    "of fifty sent together whose condition %s, one writes and the others are overtaken (A12)",
    async (_, condition) => {
      const stub = await newDatabase();
      const outcomes = await Promise.all(Array.from({ length: 50 }, () => ask(stub, condition)));
      const written = outcomes.filter((outcome) => "written" in outcome && outcome.written !== null);
      expect(written).toHaveLength(1);
      const others = outcomes.filter((outcome) => !("written" in outcome) || outcome.written === null);
      expect(others).toEqual(Array.from({ length: 49 }, () => OVERTAKEN));
      const [[entry] = []] = await read(stub, [point(a)]);
      expect(entry?.value).toEqual(value);
    },
  );

  test("one after the other, none is overtaken by the one before (A12)", async () => {
    const stub = await newDatabase();
    for (let i = 0; i < 5; i++) expect(await ask(stub, always)).toEqual(WRITTEN);
    expect(await ask(stub, never)).toEqual(CONDITION);
    await commit(stub, write([set(a, value)]));
    expect(await ask(stub, always)).toEqual(WRITTEN);
  });
});
