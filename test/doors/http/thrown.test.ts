/** What is answered when a call of an object throws: by the platform's marks, and by SQLite's words where the disk takes no more. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { asUnixMs } from "../../../src/core/clock.ts";
import { diskIsFull } from "../../../src/core/storage-room.ts";
import { thrownCalls } from "../../../src/doors/http/thrown.ts";

let lines: string[];

beforeEach(() => {
  lines = [];
  vi.spyOn(console, "error").mockImplementation((...line) => void lines.push(line.map(String).join(" ")));
});
afterEach(() => vi.restoreAllMocks());

const thrown = (marks: object, message = "secret") => Object.assign(new Error(message), marks);

let now = asUnixMs(5e12);

const plentiful = thrownCalls({ clock: { now: () => now }, noRoom: async () => null });

test.each([
  ["retryable", { retryable: true }, /^The organization was restarted or moved while it answered\./],
  ["durableObjectReset", { durableObjectReset: true }, /was restarted or moved/],
  [
    "both, through another object",
    { retryable: true, durableObjectReset: true, remote: true },
    /was restarted or moved/,
  ],
  ["overloaded", { overloaded: true }, /^The organization has more requests than it can answer\./],
  ["overloaded, which may be tried again too", { retryable: true, overloaded: true }, /more requests than it can/],
])("marked %s: unavailable, and what was thrown is not shown", async (_, marks, message) => {
  const answer = await plentiful(thrown(marks), "organization", "write");
  expect(answer).toEqual({ ok: false, code: "unavailable", message: expect.stringMatching(message) });
  expect(answer.message).not.toContain("secret");
});

test.each([
  [thrown({})],
  [thrown({ retryable: false, remote: true })],
  [thrown({ durableObjectReset: "yes" })],
  // Of a statement of ours, in an object that goes on.
  [thrown({ remote: true }, "database or disk is full: SQLITE_FULL")],
  [thrown({}, "internal error; reference = a1")],
  ["secret"],
  [null],
  [undefined],
])("without a mark it is a bug of ours, logged and not shown: %s", async (error) => {
  const answer = await plentiful(error, "database", "write");
  expect(answer).toEqual({
    ok: false,
    code: "internal",
    message: "The request failed because of an error in this server.",
  });
  expect(lines).toEqual([`a call of the database's object failed ${String(error)}`]);
});

describe("a disk that takes no more", () => {
  /** As workerd 1.20261117 throws them: seen with a disk that is full, and with a limit on the size of files. */
  const full = thrown({ durableObjectReset: true }, "database or disk is full: SQLITE_FULL");
  const refused = thrown(
    { durableObjectReset: true, remote: true },
    "disk I/O error: SQLITE_IOERR (extended: SQLITE_IOERR_WRITE)",
  );
  const unmarked = thrown({}, "internal error; reference = ro10onf51ithjhr1mgffncrj");
  const figures = { free: 100_000, reserve: 64 * 2 ** 20 };
  const known = thrownCalls({ clock: { now: () => now }, noRoom: async () => diskIsFull(figures) });

  test.each([full, refused, unmarked])(
    "refuses writes with the disk's own figures, where they are known: %s",
    async (error) => {
      expect(await known(error, "database", "write")).toEqual(diskIsFull(figures));
      expect(lines, "the disk's keeper has said it").toEqual([]);
    },
  );

  test("refuses writes with what SQLite says, where nobody knows more", async () => {
    const code = "insufficient-storage";
    expect(await plentiful(full, "database", "write")).toMatchObject({
      code,
      message: expect.stringMatching(/disk is full, or the database has the size that its platform allows/),
    });
    expect(await plentiful(refused, "database", "write")).toMatchObject({
      code,
      message: expect.stringContaining("The disk refused the write (SQLITE_IOERR_WRITE), as it does when a quota"),
    });
  });

  test.each([full, refused, unmarked])("lets reads be sent again, which were only in the way: %s", async (error) => {
    const message = "The database was interrupted: the disk takes nothing more. Reads go on: try again.";
    expect(await known(error, "database", "read")).toEqual({ ok: false, code: "unavailable", message });
  });
});

test("lost calls are logged at most once in ten seconds, with their number and the latest error", async () => {
  const failureOfThrown = thrownCalls({ clock: { now: () => now }, noRoom: async () => null });
  const lose = async (ms: number, marks: object, message = `lost at ${ms}`) => {
    now = asUnixMs(5e12 + ms);
    await failureOfThrown(thrown(marks, message), "database", "write");
  };
  await lose(100_000, { retryable: true });
  for (let ms = 1; ms <= 100; ms++) await lose(100_000 + ms, { durableObjectReset: true });
  await lose(109_998, { durableObjectReset: true }, "SQLITE_FULL");
  await lose(109_999, { overloaded: true });
  await lose(110_000, { overloaded: true });
  await lose(-60_000, { retryable: true });
  expect(lines).toEqual([
    "calls of objects that were lost: 1, the latest Error: lost at 100000",
    "calls of objects that were lost: 103, the latest Error: lost at 110000",
    "calls of objects that were lost: 1, the latest Error: lost at -60000",
  ]);
});
