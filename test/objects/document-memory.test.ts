/** What requests for documents hold in memory. */
import { expect, test } from "vitest";
import {
  MAX_DOCUMENT_READS,
  MAX_DOCUMENT_REQUEST_BYTES,
  MAX_PROCESS_DOCUMENT_REQUEST_BYTES,
  MAX_WAITING_DOCUMENT_READS,
} from "../../src/core/document-limits.ts";
import { ProcessMemory } from "../../src/core/process-memory.ts";
import { DocumentMemory } from "../../src/objects/document-memory.ts";
import { MovableClock } from "../support/workerd/engine.ts";

const processMemory = () => new ProcessMemory(MAX_PROCESS_DOCUMENT_REQUEST_BYTES, new MovableClock());
const memoryOf = (memory = processMemory(), owner = "mine") => new DocumentMemory({ memory, owner });

/** A piece of work that ends when the test says so. */
class Work {
  isRunning = false;
  readonly done = Promise.withResolvers<string>();
  readonly run = (): Promise<string> => {
    this.isRunning = true;
    return this.done.promise;
  };
}

const some = (count: number): Work[] => Array.from({ length: count }, () => new Work());
const running = (works: readonly Work[]) => works.map(({ isRunning }) => isRunning);

test("requests that would pass the limit of an object are refused, until others have ended; one alone may be larger", async () => {
  const memory = memoryOf();
  const [large, second, third] = [new Work(), new Work(), new Work()];
  const first = memory.use(2 * MAX_DOCUMENT_REQUEST_BYTES, false, large.run);
  const refused = await memory.use(1, false, second.run);
  expect(refused).toMatchObject({ code: "unavailable" });
  expect(second.isRunning).toBe(false);
  large.done.resolve("large");
  expect(await first).toBe("large");
  const half = MAX_DOCUMENT_REQUEST_BYTES / 2;
  const both = [memory.use(half, false, second.run), memory.use(half, false, third.run)];
  expect(await memory.use(1, false, new Work().run)).toEqual({
    ok: false,
    code: "unavailable",
    message: `Requests for documents of ${MAX_DOCUMENT_REQUEST_BYTES} bytes are under way: try again.`,
  });
  second.done.reject(new Error("broken"));
  third.done.resolve("third");
  expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
  const after = new Work();
  after.done.resolve("after");
  expect(await memory.use(MAX_DOCUMENT_REQUEST_BYTES, false, after.run)).toBe("after");
});

test("an organization takes at most half of the memory of the process", async () => {
  const shared = processMemory();
  const works = some(5);
  const bytes = MAX_DOCUMENT_REQUEST_BYTES / 2 + 1;
  // Each in a database of its own.
  const mine = works.map((work) => memoryOf(shared).use(bytes, false, work.run));
  expect(running(works)).toEqual([true, true, true, false, false]);
  const theirs = new Work();
  const other = memoryOf(shared, "theirs").use(bytes, false, theirs.run);
  expect(theirs.isRunning).toBe(true);
  for (const work of [...works, theirs]) work.done.resolve("done");
  expect((await Promise.all(mine)).filter((answer) => answer === "done")).toHaveLength(3);
  expect(await other).toBe("done");
});

test("reads wait for their turn in the order in which they came, and only so many", async () => {
  const memory = memoryOf();
  const works = some(MAX_DOCUMENT_READS + MAX_WAITING_DOCUMENT_READS);
  const answers = works.map((work) => memory.use(1, true, work.run));
  expect(running(works).filter(Boolean)).toHaveLength(MAX_DOCUMENT_READS);
  expect(await memory.use(1, true, new Work().run)).toMatchObject({
    message: `${MAX_WAITING_DOCUMENT_READS} reads of documents are waiting: try again.`,
  });
  // A write does not wait for reads.
  const write = new Work();
  write.done.resolve("written");
  expect(await memory.use(1, false, write.run)).toBe("written");
  works[3]?.done.reject(new Error("broken"));
  await Promise.allSettled([answers[3]]);
  expect(works.findIndex(({ isRunning }) => !isRunning)).toBe(MAX_DOCUMENT_READS + 1);
  for (const work of works) work.done.resolve("read");
  expect((await Promise.allSettled(answers)).filter(({ status }) => status === "rejected")).toHaveLength(1);
  const later = new Work();
  later.done.resolve("later");
  expect(await memory.use(1, true, later.run)).toBe("later");
});
