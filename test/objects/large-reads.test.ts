import { isFailure } from "../../src/core/errors.ts";
import { beforeEach, expect, test } from "vitest";
import {
  ANSWER_MEMORY_POLL_MS,
  MAX_PROCESS_ANSWER_BYTES,
  MAX_READ_ANSWER_BYTES,
  MAX_READ_WAIT_MS,
  MAX_WAITING_READS,
  MIN_READER_BYTES_PER_SECOND,
  READER_GRACE_MS,
} from "../../src/core/limits.ts";
import type { ReadRange, StoredEntry } from "../../src/core/operations.ts";
import { asVersion } from "../../src/core/versionstamp.ts";
import { ProcessMemory } from "../../src/core/process-memory.ts";
import { LargeReads } from "../../src/objects/large-reads.ts";
import { FakeTimers, turns } from "../support/fake-timers.ts";
import { freeTurns } from "../support/free-turns.ts";

const MIB = 1024 * 1024;

let time: FakeTimers;
beforeEach(() => void (time = new FakeTimers()));

/** A read of as many values of 1 MiB as the range's limit says. */
function reads(
  onRead: (ranges: readonly ReadRange[]) => void = () => undefined,
  memory = new ProcessMemory(MAX_PROCESS_ANSWER_BYTES, time),
  owner = "",
): LargeReads {
  const sum = (ranges: readonly ReadRange[]) => ranges.reduce((bytes, { limit }) => bytes + limit * MIB, 0);
  const database = {
    readBytes: sum,
    read: (ranges: readonly ReadRange[], maxBytes: number) => {
      onRead(ranges);
      if (sum(ranges) > maxBytes) return null;
      return ranges.map(({ limit }) => Array.from({ length: limit }, () => entryOf(MIB - 1)));
    },
  };
  return new LargeReads({ database, clock: time, timers: time, turns: freeTurns(), memory, owner });
}

function entryOf(bytes: number): StoredEntry {
  return { key: Uint8Array.of(2), value: new Uint8Array(bytes), encoding: 3, version: asVersion(1), expiresAt: null };
}

const mebibytes = (limit: number): ReadRange[] => [
  { start: Uint8Array.of(2), end: Uint8Array.of(3), limit, reverse: false },
];

type Answer = Awaited<ReturnType<LargeReads["answer"]>>;

function streamOf(answer: Answer): ReadableStream<Uint8Array> {
  if (isFailure(answer)) throw new Error(answer.message);
  return answer;
}

/** How many MiB come out of it until its end. */
async function drain(answer: Answer): Promise<number> {
  let bytes = 0;
  for await (const chunk of streamOf(answer)) bytes += chunk.length;
  return Math.floor(bytes / (MIB - 100));
}

/** Reads at least this much. */
async function take(reader: ReadableStreamDefaultReader<Uint8Array>, bytes: number): Promise<void> {
  for (let taken = 0; taken < bytes;) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the end, after ${taken} bytes`);
    taken += value.length;
  }
}

/** Whether it has settled by the time that everything which could happen at once has happened. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let yes = false;
  void promise.then(() => (yes = true));
  await turns();
  return yes;
}

test("answers that are within the limit together leave beside each other, however slow one is", async () => {
  const large = reads();
  const stuck = await large.answer(mebibytes(30));
  const others = [large.answer(mebibytes(20)), large.answer(mebibytes(20))];
  expect(await Promise.all(others.map(async (answer) => drain(await answer)))).toEqual([20, 20]);
  expect(await drain(stuck)).toBe(30);
});

test("what does not fit waits in order of arrival, and only for as much as is still to be sent (R18)", async () => {
  const large = reads();
  const first = streamOf(await large.answer(mebibytes(60)));
  const second = large.answer(mebibytes(30));
  const third = large.answer(mebibytes(5));
  expect(await settled(second)).toBe(false);
  expect(await settled(third)).toBe(false);
  await take(first.getReader(), 30 * MIB);
  expect(await drain(await second)).toBe(30);
  expect(await drain(await third)).toBe(5);
});

test("a read of more than fits at all names its size, and what waits behind it is answered", async () => {
  const large = reads();
  const [refused, answered] = await Promise.all([large.answer(mebibytes(73)), large.answer(mebibytes(72))]);
  expect(refused).toMatchObject({ ok: false, code: "limit", message: expect.stringContaining(`${73 * MIB} bytes`) });
  expect(MAX_READ_ANSWER_BYTES).toBe(72 * MIB);
  expect(await drain(answered)).toBe(72);
});

test("a read that fails fails alone, and keeps nobody's place", async () => {
  let readsLeft = 1;
  const large = reads(() => {
    if (readsLeft-- === 0) throw new Error("the disk is broken");
  });
  const first = await large.answer(mebibytes(72));
  const [second, third] = [large.answer(mebibytes(1)), large.answer(mebibytes(2))];
  const outcomes = await Promise.allSettled([drain(first), second]);
  expect(outcomes).toMatchObject([{ value: 72 }, { reason: new Error("the disk is broken") }]);
  expect(await drain(await third)).toBe(2);
  await time.pass(MAX_READ_WAIT_MS);
  expect(await drain(await large.answer(mebibytes(3)))).toBe(3);
});

test("a reader that takes nothing is given up, and its place is free", async () => {
  const large = reads();
  const stuck = streamOf(await large.answer(mebibytes(72)));
  const waiting = large.answer(mebibytes(72));
  await time.pass(READER_GRACE_MS - 1);
  expect(await settled(waiting)).toBe(false);
  await time.pass((MIB / MIN_READER_BYTES_PER_SECOND) * 1000);
  expect(await drain(await waiting)).toBe(72);
  await expect(drain(stuck)).rejects.toThrow("connection lost");
});

test("a reader that stops is given up as soon as one that never began, before the next has waited too long", async () => {
  const large = reads();
  const slow = streamOf(await large.answer(mebibytes(72))).getReader();
  await take(slow, 20 * MIB);
  const waiting = large.answer(mebibytes(72));
  await time.pass(MAX_READ_WAIT_MS - 1);
  expect(await drain(await waiting)).toBe(72);
});

test("a reader that takes something now and then is given up when it falls below the least rate (R19)", async () => {
  const large = reads();
  const trickle = streamOf(await large.answer(mebibytes(72))).getReader();
  const pauseMs = (1.5 * 1000 * MIB) / MIN_READER_BYTES_PER_SECOND;
  let ms = 0;
  const readOn = async () => {
    for (; ms < 20 * pauseMs; ms += pauseMs) {
      await take(trickle, MIB);
      await time.pass(pauseMs);
    }
  };
  await expect(readOn()).rejects.toThrow("connection lost");
  expect(ms).toBeGreaterThan(READER_GRACE_MS);
  expect(await drain(await large.answer(mebibytes(72)))).toBe(72);
});

test("a reader that keeps the least rate gets all of it (R19)", async () => {
  const reader = streamOf(await reads().answer(mebibytes(20))).getReader();
  for (let i = 0; i < 20; i++) {
    await take(reader, MIB - 1);
    await time.pass((MIB / MIN_READER_BYTES_PER_SECOND) * 1000);
  }
  await expect(take(reader, 10 * MIB)).rejects.toThrow("the end");
});

test("reads past what may wait are refused at once, and those that wait too long then (R18)", async () => {
  const large = reads();
  const slow = streamOf(await large.answer(mebibytes(72))).getReader();
  const waiting = Array.from({ length: MAX_WAITING_READS }, () => large.answer(mebibytes(72)));
  expect(await large.answer(mebibytes(72))).toMatchObject({ ok: false, code: "unavailable" });
  for (const ms of [MAX_READ_WAIT_MS / 2, MAX_READ_WAIT_MS / 2 - 1]) {
    await take(slow, 3 * MIB);
    await time.pass(ms);
  }
  expect(await settled(Promise.race(waiting))).toBe(false);
  await time.pass(1);
  for (const answer of await Promise.all(waiting)) expect(answer).toMatchObject({ ok: false, code: "unavailable" });
  await slow.cancel();
  expect(await drain(await large.answer(mebibytes(72)))).toBe(72);
});

test("a read that waits keeps nothing of its request", async () => {
  let asked: readonly ReadRange[] = [];
  const large = reads((ranges) => (asked = ranges));
  const stuck = streamOf(await large.answer(mebibytes(72)));
  const body = new Uint8Array(9 * MIB);
  body.set([2, 3]);
  const range = { start: body.subarray(0, 1), end: body.subarray(1, 2), limit: 1, reverse: false };
  const waiting = large.answer([range]);
  body.fill(0);
  await stuck.cancel();
  expect(await drain(await waiting)).toBe(1);
  expect(asked).toEqual([{ start: Uint8Array.of(2), end: Uint8Array.of(3), limit: 1, reverse: false }]);
  expect([asked[0]?.start.buffer.byteLength, asked[0]?.end.buffer.byteLength]).toEqual([1, 1]);
});

test("when the database goes, those who wait are told so at once, and nothing is read any more", async () => {
  let count = 0;
  const large = reads(() => (count += 1));
  const first = await large.answer(mebibytes(60));
  const waiting = [large.answer(mebibytes(60)), large.answer(mebibytes(60))];
  const gone = { ok: false, code: "not-found", message: "There is no such database" } as const;
  large.close(gone);
  expect(await Promise.all([...waiting, large.answer(mebibytes(1))])).toEqual([gone, gone, gone]);
  expect(await drain(first)).toBe(60);
  expect(count).toBe(1);
});

test("objects of one process share its memory: an organization waits, or is refused, when it has as much as it leaves (R20)", async () => {
  const memory = new ProcessMemory(MAX_PROCESS_ANSWER_BYTES, time);
  const began: Answer[] = [];
  for (let i = 0; i < 40; i++) {
    const object = reads(undefined, memory, "attacker");
    void object.answer(mebibytes(70)).then((answer) => began.push(answer));
  }
  await turns();
  expect(began).toHaveLength(2);
  // Another organization is answered meanwhile.
  expect(await drain(await reads(undefined, memory, "other").answer(mebibytes(70)))).toBe(70);
  await Promise.all(began.map((answer) => drain(answer)));
  await time.pass(ANSWER_MEMORY_POLL_MS);
  expect(began).toHaveLength(4);
});

test("memory of an object that ended in the middle of an answer is free when that answer would have been over", async () => {
  const memory = new ProcessMemory(100 * MIB, time);
  memory.take("a", 60 * MIB, 30_000);
  const waiting = reads(undefined, memory, "b").answer(mebibytes(60));
  expect(await settled(waiting)).toBe(false);
  for (let ms = 0; ms < MAX_READ_WAIT_MS - ANSWER_MEMORY_POLL_MS; ms += ANSWER_MEMORY_POLL_MS)
    time.advance(ANSWER_MEMORY_POLL_MS);
  expect(await settled(waiting)).toBe(false);
  time.advance(ANSWER_MEMORY_POLL_MS);
  expect(await waiting).toMatchObject({ ok: false, code: "unavailable" });
  time.advance(15_000);
  expect(await drain(await reads(undefined, memory, "b").answer(mebibytes(60)))).toBe(60);
});

test("a read that waits for the process is measured again only when there may be room, and a closed one asks no more", async () => {
  let measured = 0;
  const memory = new ProcessMemory(100 * MIB, time);
  const held = memory.take("a", 60 * MIB, 300_000);
  const database = { readBytes: () => (measured++, 40 * MIB), read: () => [[entryOf(40 * MIB)]] };
  const object = new LargeReads({ database, clock: time, timers: time, turns: freeTurns(), memory, owner: "b" });
  const waiting = object.answer(mebibytes(40));
  for (let i = 0; i < 10; i++) await time.pass(ANSWER_MEMORY_POLL_MS);
  expect(measured).toBe(1);
  held?.giveBack(40 * MIB);
  await time.pass(ANSWER_MEMORY_POLL_MS);
  expect(streamOf(await waiting)).toBeDefined();
  expect(measured).toBe(2);

  void object.answer(mebibytes(40));
  object.close({ ok: false, code: "not-found", message: "There is no such database" });
  for (let i = 0; i < 10; i++) await time.pass(ANSWER_MEMORY_POLL_MS);
  expect(measured).toBeLessThan(5);
});
