/** docs/kv-connect.md, held against the code: the status of each error, the versions of protocol and clients. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { failure, type ErrorCode } from "../../src/core/errors.ts";
import { PROTOCOL_VERSIONS } from "../../src/doors/kv-connect/exchange.ts";
import { failureResponse } from "../../src/doors/kv-connect/responses.ts";
import { readPage, repository, tableRows } from "./markdown.ts";

const page = readPage("docs/kv-connect.md");

/** A new code is a type error here until it has a row. */
const codes: Readonly<Record<ErrorCode, true>> = {
  invalid: true,
  limit: true,
  "type-mismatch": true,
  unauthenticated: true,
  forbidden: true,
  "not-found": true,
  conflict: true,
  unavailable: true,
  unsupported: true,
  internal: true,
};

test("the table of errors has each code with the status that it is answered with", () => {
  const shown = tableRows(page).flatMap(([status = "", , code = ""]) =>
    /^\d{3}$/.test(status) ? [[code.replaceAll("`", ""), Number(status)]] : [],
  );
  const answered = Object.keys(codes).map((code) => {
    // The keys of `codes` are the codes.
    return [code, failureResponse(failure(code as ErrorCode, "")).status];
  });
  expect(Object.fromEntries(shown)).toEqual(Object.fromEntries(answered));
  expect(shown.length).toBe(answered.length);
});

test("the versions of the protocol are those of the door", () => {
  expect(PROTOCOL_VERSIONS).toEqual([1, 2, 3]);
  expect(page).toContain("in versions 1, 2 and 3");
});

test("the clients are those of the tests, in their versions", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  expect(page).toContain(`| Deno ${devDependencies["deno"]}, `);
  expect(page).toContain(
    `| \`@deno/kv\` ${devDependencies["@deno/kv"]} on Node ${devDependencies["node"]?.split(".")[0]} |`,
  );
});
