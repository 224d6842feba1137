import fc from "fast-check";
import { expect, test } from "vitest";
import { asSentence, type Failure, failure, isFailure } from "../../src/core/errors.ts";

test.each([
  ["There is no such database", "There is no such database."],
  ["There is no such database.", "There is no such database."],
  ["It was damaged.. ", "It was damaged."],
  ["It says: Denied.\n", "It says: Denied."],
  ["Did you mean read?", "Did you mean read?"],
  ["Bearer cairn_…", "Bearer cairn_…"],
])("%j is said as %j", (text, said) => {
  expect(asSentence(text)).toBe(said);
  expect(failure("invalid", text).message).toBe(said);
});

test("a failure made of another's sentence ends with one full stop", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const once = failure("invalid", `a${text}`).message;
      expect(once).toMatch(/[^.\s][.]$|[?!…]$/);
      expect(failure("invalid", `The key: ${once}`).message).toBe(`The key: ${once}`);
    }),
  );
});

test("a failure is told from a value", () => {
  expect(isFailure(failure("invalid", "No."))).toBe(true);
  // A destination's has other members.
  expect(isFailure({ ok: false, class: "retry", message: "No." })).toBe(true);
  for (const value of [null, undefined, "no", 0, false, [], {}, { ok: true }, { text: "ok" }]) {
    expect(isFailure(value)).toBe(false);
  }
});

test.each([200, 301, 404, 503])("a response with status %i is no failure", (status) => {
  const answers: (Response | Failure)[] = [new Response(null, { status }), failure("unavailable", "No.")];
  expect(answers.map((answer) => (isFailure(answer) ? answer.code : answer.status))).toEqual([status, "unavailable"]);
});
