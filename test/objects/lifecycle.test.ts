/** The life of a database's object, move by move: from each state, and ended before each write. */
import { isFailure } from "../../src/core/errors.ts";
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { deletionName } from "../../src/contracts/restore-commands.ts";
import { encodeAtomicWrite } from "../../src/codec/datapath-requests.ts";
import type { DatabaseObject } from "../../src/objects/database-object.ts";
import type { Env } from "../../src/objects/env.ts";
import { MOVES, type Move, type State, stateOf } from "../../src/objects/lifecycle.ts";
import { ObjectTables } from "../../src/objects/object-tables.ts";
import { everything, read } from "../support/workerd/database-object.ts";
import { key, point, set, text, write } from "../support/workerd/engine.ts";
import { deletion, endedBeforeEachWrite, LivingObject, orderFor, setupFor } from "../support/workerd/lifecycle.ts";

// The plugin's environment is the deployment's.
const { DATABASES } = env as unknown as Env;

const STATES: readonly State[] = [
  "empty",
  "open",
  "restoring",
  "check",
  "past, restoring",
  "past",
  "deletion",
  "wiping",
  "deleted",
];

/** [what is asked, of which moves it consists, how it is asked] */
const requests: [string, Move[], (object: LivingObject) => Promise<unknown>][] = [
  ["initialize", ["claim"], ({ name, stub }) => stub.initialize(setupFor(name))],
  ["receive a fork", ["begin fork"], ({ stub }) => stub.receive(orderFor("fork"))],
  ["receive a past", ["prepare", "begin past"], ({ stub }) => stub.receive(orderFor("past"))],
  ["receive a check", ["prepare", "begin check"], ({ stub }) => stub.receive(orderFor("check"))],
  ["delete a backup", ["take deletion"], ({ stub }) => stub.deleteBackup(deletion)],
  ["discard", ["erase"], ({ stub }) => stub.discard()],
  ["wipe", ["bury", "clear"], ({ stub }) => stub.wipe({ deleteBackups: true })],
];

/** Where the moves lead, one after the other, those that may be made; null: none of them may. */
function after(moves: readonly Move[], from: State): State | null {
  let state: State | null = null;
  for (const move of moves) {
    const next: Partial<Record<State, State>> = MOVES[move];
    state = next[state ?? from] ?? state;
  }
  return state;
}

describe.each(STATES)("an object that is: %s", (state) => {
  test.each(requests)("%s: as the table of moves says, also after a sleep", async (name, moves, ask) => {
    const object = await LivingObject.in(state);
    const before = await object.stored();
    const answer = await ask(object);
    const to = after(moves, state);
    expect(await object.state()).toBe(to ?? state);
    // The same setup again is no error.
    const isKnown = name === "initialize" && (state === "open" || state === "restoring");
    expect(isFailure(answer)).toBe(to === null && !isKnown);
    // What is refused changes nothing.
    expect(to !== null || (await object.stored()) === before).toBe(true);
    await evictDurableObject(object.stub);
    expect(await object.state()).toBe(to ?? state);
  });

  test("serves data exactly where the table of states says so", async () => {
    const { stub } = await LivingObject.in(state);
    const reads = await read(stub, [point(key("a"))]).then(
      () => "read",
      (error: Error) => /not-found|unavailable|conflict/.exec(error.message)?.[0],
    );
    const isBeingFilled = state === "restoring" || state === "past, restoring";
    const isRead = state === "open" || state === "past";
    // The job of a new database that is being filled may have failed by then.
    const refused = state === "restoring" ? ["unavailable", "conflict"] : [isBeingFilled ? "unavailable" : "not-found"];
    expect(isRead ? ["read"] : refused).toContain(reads);
    const stats = await stub.stats();
    expect(isFailure(stats)).toBe(["empty", "deletion", "wiping", "deleted"].includes(state));
  });
});

/** Every move that a request makes, from each state that it is made from. */
const killed = requests.flatMap(([name, moves, ask]) =>
  // A state of the past is stored as one that is being built.
  STATES.filter((state) => state !== "past").flatMap((state): [string, State, State, Move[], typeof ask][] => {
    const to = after(moves, state);
    return to === null ? [] : [[name, state, to, moves, ask]];
  }),
);

test.each(killed)(
  "%s of an object that is %s, ended before each write: what is asked again is done",
  async (...row) => {
    const [, from, to, moves, ask] = row;
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    // Every state on the way. What is deleted whole is stored again as a tombstone in the next moment.
    const onTheWay = new Set<State>([from, to, ...moves.flatMap((_, i) => after(moves.slice(0, i + 1), from) ?? [])]);
    if (moves.includes("clear")) onTheWay.add("empty");
    const [found, again, settled, jobless]: [State[], boolean[], State[], State[]] = [[], [], [], []];
    for await (const object of endedBeforeEachWrite(() => LivingObject.in(from), ask)) {
      const state = await object.state();
      found.push(state);
      const job = await object.stub.restore({ command: "job", jobId: "job" });
      if (state !== from && state.endsWith("restoring") && !job.ok) jobless.push(state);
      again.push(isFailure(await ask(object)));
      settled.push(await object.state());
    }
    vi.restoreAllMocks();
    expect(found.filter((state) => !onTheWay.has(state))).toEqual([]);
    // Nothing is being filled without a job that fills it.
    expect(jobless).toEqual([]);
    expect(again).not.toContain(true);
    expect(new Set([to, ...settled])).toEqual(new Set([to]));
    // The same again may need no write.
    expect(found.length > 0 || from === to).toBe(true);
  },
);

test("a database that is wiped with its backup and killed before each write: there is always an object that will delete the backup", async () => {
  const stateOfDeleter = (object: LivingObject) =>
    runInDurableObject(DATABASES.getByName(deletionName(object.name)), (_, { storage }) =>
      stateOf(new ObjectTables(storage)),
    );
  const times = { intervalMs: 60_000, retentionDays: 7 };
  const destination = { kind: "r2", prefix: "" } as const;
  const backedUp = async () => {
    const object = await LivingObject.in("open");
    const id = crypto.randomUUID();
    const enabled = await object.stub.backup({ command: "enable", id, databaseId: object.name, destination, ...times });
    if (!enabled.ok) throw new Error(enabled.message);
    await runInDurableObject(object.stub, (_, { storage }) => storage.deleteAlarm());
    return object;
  };
  const wipe = ({ stub }: LivingObject) => stub.wipe({ deleteBackups: true });
  const [found, settled]: [string[], unknown[]] = [[], []];
  for await (const object of endedBeforeEachWrite(backedUp, wipe)) {
    found.push(`${await object.state()}, ${await stateOfDeleter(object)}`);
    await wipe(object);
    settled.push([await object.state(), await stateOfDeleter(object), await object.tables()]);
  }
  // Its data is never gone before its backup is the other's.
  const allowed = ["open, empty", "wiping, empty", "wiping, deletion", "empty, deletion", "deleted, deletion"];
  expect(found.filter((one) => !allowed.includes(one))).toEqual([]);
  expect(found).toContain("wiping, deletion");
  expect(settled).toEqual(found.map(() => ["deleted", "deletion", ["tombstone"]]));
});

/** What the object waits for, in its own context, until the test lets it go on. */
function held(object: object, method: string) {
  const [begun, mayGoOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const real = Reflect.get(object, method);
  const spy = vi.spyOn(object as Record<string, (...input: unknown[]) => unknown>, method);
  spy.mockImplementation(async (...input) => {
    begun.resolve();
    await mayGoOn.promise;
    return Reflect.apply(real, object, input);
  });
  const goOn = (): void => {
    spy.mockRestore();
    mayGoOn.resolve();
  };
  return { begun: begun.promise, goOn };
}

test("a database that is written to while it is about to be filled keeps what it has", async () => {
  const object = await LivingObject.in("open");
  const answer = await runInDurableObject(object.stub, async (instance: DatabaseObject) => {
    const { begun, goOn } = held(crypto.subtle, "encrypt");
    const filled = instance.receive(orderFor("fork"));
    await begun;
    await instance.atomicWrite(everything, encodeAtomicWrite(write([set(key("a"), text("mine"))])));
    goOn();
    return filled;
  });
  expect(answer).toMatchObject({ ok: false, code: "conflict" });
  expect(await object.state()).toBe("open");
  expect((await read(object.stub, [point(key("a"))]))[0]?.[0]?.value).toEqual(text("mine"));
});

test("a database that is wiped while a job is about to begin stores nothing", async () => {
  const object = await LivingObject.in("open");
  const answer = await runInDurableObject(object.stub, async (instance: DatabaseObject) => {
    const { begun, goOn } = held(crypto.subtle, "encrypt");
    const filled = instance.receive(orderFor("fork"));
    await begun;
    await instance.wipe({ deleteBackups: false });
    goOn();
    return filled;
  });
  expect(answer).toMatchObject({ ok: false, code: "not-found" });
  expect(await object.tables()).toEqual(["tombstone"]);
});
