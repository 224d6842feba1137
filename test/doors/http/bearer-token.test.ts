import { expect, test } from "vitest";
import { bearerToken } from "../../../src/doors/http/bearer-token.ts";

const tokenIn = (authorization: string) => bearerToken(new Headers({ authorization }));

test.each([
  ["Bearer abc", "abc"],
  ["bearer abc", "abc"],
  ["BEARER   abc", "abc"],
  ["Bearer abc ", "abc"],
  ["Bearer cairn_0a.-~+/=", "cairn_0a.-~+/="],
])("%j shows a token", (header, token) => {
  expect(tokenIn(header)).toBe(token);
});

const missing = {
  code: "unauthenticated",
  message: "The token is missing or malformed: send the header Authorization: Bearer <token>.",
};

test.each(["", "Bearer", "Bearer ", "abc", "Basic abc", "Bearer a b", "Bearerabc", "Bearer a\tb"])(
  "%j shows none",
  (header) => {
    expect(tokenIn(header)).toMatchObject(missing);
  },
);

test("no header shows none", () => {
  expect(bearerToken(new Headers())).toMatchObject(missing);
});
