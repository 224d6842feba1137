/** The memory that answers with JSON share: who gets it, who waits, and who is sent away. */
import { beforeEach, describe, expect, test } from "vitest";
import type { DatabaseStub } from "../../../src/contracts/database.ts";
import type { EntryCommand } from "../../../src/contracts/entry-commands.ts";
import type { Grant } from "../../../src/contracts/grant.ts";
import { asUnixMs } from "../../../src/core/clock.ts";
import { failure, type Failure } from "../../../src/core/errors.ts";
import {
  JSON_MEMORY_WAIT_MS,
  MAX_PROCESS_EXPORT_BYTES,
  MAX_PROCESS_JSON_BYTES,
  MAX_RPC_ANSWER_BYTES,
  MAX_SMALL_JSON_BYTES,
  MAX_WAITING_FOR_JSON,
} from "../../../src/core/limits.ts";
import { type Ration, Rations, type Readable } from "../../../src/doors/http/ration.ts";
import { FakeTimers, turns } from "../../support/fake-timers.ts";
import { freeTurns } from "../../support/free-turns.ts";

const grant: Grant = { tokenId: "t", read: true, write: true, expiresAt: asUnixMs(8e15) };
const PAGE = {
  command: "page",
  start: Uint8Array.of(2),
  end: Uint8Array.of(3),
  limit: 9,
  reverse: false,
  keysOnly: false,
} as const;
const OK = Uint8Array.of(1);

/** How many of the largest pages one organization, and all together, may have at a time. */
const [OF_ONE, OF_ALL] = [4, 8];

let time: FakeTimers;
let rations: Rations;
beforeEach(() => {
  time = new FakeTimers();
  rations = new Rations({ clock: time, timers: time, turns: { of: () => freeTurns() } });
});

/** A database of an organization. `isLarge`: its pages are more than little. It notes what it is asked. */
class FakeDatabase {
  readonly asked: (number | undefined)[] = [];
  owners = 0;
  readonly readable: Readable;
  readonly #id: string;

  constructor(organizationId: string, isLarge = true, id = organizationId) {
    this.#id = id;
    // What a ration asks of a database, and no more.
    const stub = {
      owner: async () => {
        this.owners += 1;
        return { ok: true, organizationId };
      },
      entries: async (_: Grant, { maxBytes }: Extract<EntryCommand, { command: "page" }>) => {
        this.asked.push(maxBytes);
        return isLarge && maxBytes === MAX_SMALL_JSON_BYTES ? failure("limit", "It has more.") : OK;
      },
    } as unknown as DatabaseStub;
    this.readable = { stub, grant };
  }

  begin(): Ration {
    return rations.begin(this.#id, this.readable);
  }

  /** A request for a page, which is under way until its ration ends. */
  request(): { ration: Ration; answer: () => Uint8Array | Failure | "waits" } {
    const ration = this.begin();
    let answer: Uint8Array | Failure | "waits" = "waits";
    void ration.entries(this.readable, PAGE).then((settled) => (answer = settled));
    return { ration, answer: () => answer };
  }
}

const busy = expect.objectContaining({ code: "unavailable" });

test("little is answered at once, without asking whose it is, however much others hold (H39)", async () => {
  const large = new FakeDatabase("large");
  for (let i = 0; i < 20; i++) large.request();
  await turns();
  const small = new FakeDatabase("small", false);
  const request = small.request();
  await turns();
  expect([request.answer(), small.asked, small.owners]).toEqual([OK, [MAX_SMALL_JSON_BYTES], 0]);
});

test("an organization has a few large answers at a time, and the next one waits until one is made (H39)", async () => {
  const database = new FakeDatabase("o");
  const requests = Array.from({ length: OF_ONE + 2 }, () => database.request());
  const waiting = () => requests.filter(({ answer }) => answer() === "waits").length;
  await time.pass(1_000);
  expect([waiting(), database.owners]).toEqual([2, expect.any(Number)]);
  const first = requests.find(({ answer }) => answer() !== "waits");
  first?.ration.end();
  first?.ration.end();
  await time.pass(1_000);
  expect(waiting()).toBe(1);
  for (const { ration } of requests) ration.end();
  await time.pass(1_000);
  expect(waiting()).toBe(0);
});

test("others do not wait for an organization that asks for much, whatever number of databases it has (H39)", async () => {
  for (let i = 0; i < 100; i++) new FakeDatabase("greedy", true, `database ${i % 10}`).request();
  await time.pass(100);
  const other = new FakeDatabase("other").request();
  await turns();
  expect(other.answer()).toBe(OK);
});

test("what waits too long is told to try again, and so is at once what comes when many wait (H39)", async () => {
  const database = new FakeDatabase("o");
  const requests = Array.from({ length: OF_ONE + MAX_WAITING_FOR_JSON }, () => database.request());
  await turns();
  const refused = () => requests.filter(({ answer }) => answer() !== "waits" && answer() !== OK).length;
  expect(refused()).toBe(MAX_WAITING_FOR_JSON / 2);
  for (let ms = 0; ms <= JSON_MEMORY_WAIT_MS; ms += 1_000) await time.pass(1_000);
  expect(refused()).toBe(MAX_WAITING_FOR_JSON);
  expect(requests.at(-1)?.answer()).toEqual(busy);
});

test("the numbers fit: a batch of pages for each organization, and for all (H39)", () => {
  expect(OF_ALL * MAX_RPC_ANSWER_BYTES).toBe(MAX_PROCESS_JSON_BYTES);
  expect(OF_ONE).toBe(OF_ALL / 2);
  expect(MAX_PROCESS_EXPORT_BYTES % MAX_RPC_ANSWER_BYTES).toBe(0);
});

test("a request that asks for several large pages takes room once, until its answer is made (H39)", async () => {
  const database = new FakeDatabase("o");
  const several = database.request();
  await turns();
  await several.ration.entries(database.readable, PAGE);
  expect(database.asked).toEqual([MAX_SMALL_JSON_BYTES, undefined, undefined]);
  const others = Array.from({ length: OF_ONE - 1 }, () => database.request());
  await turns();
  expect(others.map(({ answer }) => answer())).toEqual(others.map(() => OK));
});

describe("an export", () => {
  test("holds its room while it is read, and gives it back at its end (H39)", async () => {
    const database = new FakeDatabase("o");
    const most = MAX_PROCESS_EXPORT_BYTES / MAX_RPC_ANSWER_BYTES / 2;
    const open = [];
    for (let i = 0; i < most; i++) {
      const room = await database.begin().beginExport();
      if ("code" in room) throw new Error(room.message);
      open.push(room);
    }
    const next = database.begin().beginExport();
    await time.pass(1_000);
    const other = await new FakeDatabase("other").begin().beginExport();
    expect("code" in other).toBe(false);
    // The more others hold, the less an organization may.
    expect(open[0]?.isWanted).toBe(true);
    for (const room of open.slice(0, 2)) room.end();
    await time.pass(1_000);
    expect("code" in (await next)).toBe(false);
    expect(open[0]?.isWanted).toBe(false);
  });
});

test("large batches are made one at a time for an organization, and two for all (H39)", async () => {
  const [one, other] = [new FakeDatabase("one"), new FakeDatabase("other")];
  const [first, second, third] = [one.begin(), one.begin(), other.begin()];
  expect(await first.beginBatch()).toBeNull();
  const waits = second.beginBatch();
  expect(await third.beginBatch()).toBeNull();
  third.end();
  first.end();
  await time.pass(1_000);
  expect(await waits).toBeNull();
});
