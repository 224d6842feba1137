/** What is answered when a call of an object throws: by the platform's marks, whichever of them there are. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { asUnixMs } from "../../../src/core/clock.ts";
import { failureOfThrown } from "../../../src/doors/http/thrown.ts";

let lines: string[];

beforeEach(() => {
  lines = [];
  vi.spyOn(console, "error").mockImplementation((...line) => void lines.push(line.map(String).join(" ")));
});
afterEach(() => vi.restoreAllMocks());

const thrown = (marks: object, message = "secret") => Object.assign(new Error(message), marks);

const at = (ms: number) => ({ now: () => asUnixMs(5e12 + ms) });

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
])("marked %s: unavailable, and what was thrown is not shown", (_, marks, message) => {
  const answer = failureOfThrown(thrown(marks), "organization", at(0));
  expect(answer).toEqual({ ok: false, code: "unavailable", message: expect.stringMatching(message) });
  expect(answer.message).not.toContain("secret");
});

test.each([
  [thrown({})],
  [thrown({ retryable: false, remote: true })],
  [thrown({ durableObjectReset: "yes" })],
  ["secret"],
  [null],
  [undefined],
])("without a mark it is a bug of ours, logged and not shown: %s", (error) => {
  const answer = failureOfThrown(error, "database", at(0));
  expect(answer).toEqual({
    ok: false,
    code: "internal",
    message: "The request failed because of an error in this server.",
  });
  expect(lines).toEqual([`a call of the database's object failed ${String(error)}`]);
});

test("lost calls are logged at most once in ten seconds, with their number and the latest error", () => {
  const lose = (ms: number, mark: string) => {
    const error = thrown({ [mark]: true }, `lost at ${ms}`);
    expect(failureOfThrown(error, "database", at(ms))).toMatchObject({ code: "unavailable" });
  };
  lose(100_000, "retryable");
  for (let ms = 1; ms <= 100; ms++) lose(100_000 + ms, "durableObjectReset");
  lose(109_999, "overloaded");
  lose(110_000, "overloaded");
  lose(-60_000, "retryable");
  expect(lines).toEqual([
    expect.stringMatching(/503: \d+, .* lost at 100000$/),
    expect.stringMatching(/503: 102, .* lost at 110000$/),
    expect.stringMatching(/503: 1, .* lost at -60000$/),
  ]);
});
