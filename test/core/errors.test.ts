import fc from "fast-check";
import { expect, test } from "vitest";
import { asSentence, failure } from "../../src/core/errors.ts";

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
