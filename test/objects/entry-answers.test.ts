/** Answers that may have few bytes: they come whole, or are refused, so that their caller asks again when it has room for more. */
import { beforeAll, expect, test } from "vitest";
import type { EntryCommand } from "../../src/contracts/entry-commands.ts";
import { decodeEntryList } from "../../src/codec/entry-list.ts";
import { isFailure } from "../../src/core/errors.ts";
import { commit, everything, newDatabase, type Stub } from "../support/workerd/database-object.ts";
import { key, set, write } from "../support/workerd/engine.ts";

const VALUE = 1_000;
const ENTRIES = 10;

let stub: Stub;

beforeAll(async () => {
  stub = await newDatabase();
  const sets = Array.from({ length: ENTRIES }, (_, n) => set(key("small", n), new Uint8Array(VALUE)));
  await commit(stub, write([...sets, set(key("large", 1), new Uint8Array(60_000))]));
});

/** How many entries the answer has, or the code with which it is refused. */
async function answerTo(command: EntryCommand): Promise<number | string> {
  const answer = await stub.entries(everything, command);
  if (!(answer instanceof Uint8Array)) return answer.code;
  const list = decodeEntryList(answer);
  if (isFailure(list)) throw new Error(list.message);
  return list.entries.length;
}

const range = (prefix: string) => ({ start: key(prefix), end: Uint8Array.of(...key(prefix), 0xff) });
const page = { command: "page", reverse: false, keysOnly: false } as const;
const level = { command: "level", parent: key("small"), ...range("small") } as const;
const enough = ENTRIES * (VALUE + 20);

test.each<[string, EntryCommand, number | string]>([
  ["a page that fits", { ...page, ...range("small"), limit: 100, maxBytes: enough }, ENTRIES],
  ["a page that does not", { ...page, ...range("small"), limit: 100, maxBytes: 5 * VALUE }, "limit"],
  ["a page that its limit ends before", { ...page, ...range("small"), limit: 3, maxBytes: 5 * VALUE }, 3],
  ["a page of one entry that is larger", { ...page, ...range("large"), limit: 100, maxBytes: 5 * VALUE }, "limit"],
  ["the same without values", { ...page, ...range("large"), keysOnly: true, limit: 100, maxBytes: 5 * VALUE }, 1],
  ["a page without such a bound", { ...page, ...range("large"), limit: 100 }, 1],
  ["a level that fits", { ...level, limit: 100, maxBytes: enough }, ENTRIES],
  ["a level that does not", { ...level, limit: 100, maxBytes: 5 * VALUE }, "limit"],
  ["a level that its limit ends before", { ...level, limit: 3, maxBytes: 5 * VALUE }, 3],
  ["keys that fit", { command: "get", keys: [key("small", 1), key("none")], maxBytes: 2 * VALUE }, 2],
  ["keys that do not", { command: "get", keys: [key("large", 1)], maxBytes: 2 * VALUE }, "limit"],
])("%s", async (_, command, wanted) => {
  expect(await answerTo(command)).toBe(wanted);
});

test("the database says whose it is", async () => {
  expect(await stub.owner(everything)).toEqual({ ok: true, organizationId: "nobody" });
  expect(await stub.owner({ ...everything, read: false })).toMatchObject({ ok: true });
});
