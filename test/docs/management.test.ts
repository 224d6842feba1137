/** docs/management-api.md and docs/monitoring.md: their commands typed into a shell; their tables and that of docs/tokens.md held against the code. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { failure, type ErrorCode } from "../../src/core/errors.ts";
import { POLICY, type Rule } from "../../src/directory/policy.ts";
import { problem } from "../../src/doors/http/problem.ts";
import { API_ROUTES } from "../../src/doors/management/api/routes.ts";
import { V1_ROUTES } from "../../src/doors/management/v1/routes.ts";
import { errorResponse } from "../../src/doors/management/v1/wire.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { blockWith, chapter, codeBlocks, readPage, repository, tableRows } from "./markdown.ts";
import { startWithShell, typed } from "./server-shell.ts";

const management = readPage("docs/management-api.md");
const monitoring = readPage("docs/monitoring.md");
const operations = readPage("docs/operations.md");
const tokensPage = readPage("docs/tokens.md");

test("every command of the management page works, and so does its program", async () => {
  const folder = temporaryFolder();
  // In the checkout, where the SDK is.
  const { shell } = await startWithShell(folder, {}, repository);
  const [variables, ...blocks] = codeBlocks(management);
  // It only says which variables the others need.
  expect(variables?.text).toContain("export CAIRN_URL=");
  const program = join(folder, "databases.mjs");
  writeFileSync(program, blockWith(management, "js", "Subhosting"));
  const seen: string[] = [];
  for (const { text } of blocks.filter(({ language }) => language === "sh")) {
    // A program elsewhere would not find the SDK of the checkout.
    const command = text.replace("node databases.mjs", `node --input-type=module < ${program}`);
    const output = await typed(shell, command);
    expect(output).not.toMatch(/"code":|curl:|undefined|Error/);
    seen.push(output);
  }
  expect(seen.at(-1)).toContain(blockWith(management, "text", "made with"));
  const [list, created, minted, tokens, stats, deleted] = seen;
  expect(list).toContain('"items":[{"id":');
  expect(created).toContain('"name":"logs","description":"of the web site","locationHint":"weur"');
  expect(minted).toMatch(
    /"keyPrefix":\["users","alice"\],"expiresAt":"2031-01-01T00:00:00.000Z","allowedOrigins":\["https:\/\/app\.example\.com"\].*"token":"cairn_/,
  );
  expect(tokens).toContain('"name":"alice"');
  expect(tokens).not.toContain('"token":');
  expect(stats).toContain('"watchers":0');
  expect(deleted).toContain('"kind":"database.delete"');
  expect(deleted).toContain('"status":"completed"');
});

test("every command of the monitoring page works", async () => {
  const { shell } = await startWithShell(temporaryFolder());
  const outputs: string[] = [];
  const commands = codeBlocks(monitoring).filter(({ language }) => language === "sh");
  for (const { text } of commands) outputs.push(await typed(shell, text));
  expect(outputs).toEqual([expect.stringContaining("\ncairn_databases 1\n")]);
});

test("every command of the operations page is in a chapter that operations-backups.test.ts types", () => {
  const elsewhere = ["A copied folder", "An emptied bucket"].map((heading) => chapter(operations, heading));
  const rest = elsewhere.reduce((page, text) => page.replace(text, ""), operations);
  expect(codeBlocks(rest).filter(({ language }) => language === "sh")).toEqual([]);
});

test("what each permission allows is on the page as the policy has it (T5)", () => {
  const reach = { organization: "all databases", database: "that database", covered: "any" } as const;
  const rowOf = ({ does, needs, reach: covers, deployment }: Rule): string =>
    `${does}: ${needs.map((permission) => `\`${permission}\``).join(" or ")}, ${reach[covers]}, ${deployment ? "yes" : "no"}`;
  const rows = tableRows(tokensPage).filter((cells) => cells.length === 4 && /^(yes|no)$/.test(cells[3] ?? ""));
  expect(rows.map(([does, ...cells]) => `${does}: ${cells.join(", ")}`)).toEqual(Object.values(POLICY).map(rowOf));
});

test("every route is on the page, and no other", () => {
  const rows = tableRows(management).filter(([first = ""]) => /^`[A-Z]+ \//.test(first));
  const api = API_ROUTES.map(({ method, path, summary, success, idempotent }) => [
    `\`${method.toUpperCase()} ${path.replace("[:]", ":")}\``,
    summary,
    String(success.status),
    idempotent ? "yes" : "",
  ]);
  expect(rows.filter((cells) => cells.length === 4)).toEqual(api);
  const v1 = V1_ROUTES.map(({ method, path }) => `\`${method} ${path}\``);
  const shown = rows.filter((cells) => cells.length === 2).map(([request]) => request);
  expect(shown).toHaveLength(v1.length);
  expect(shown).toEqual(expect.arrayContaining(v1));
});

test("the table of errors has the status of each code, and /v1 differs where the page says so", () => {
  const shown = tableRows(management).flatMap(([status = "", code = ""]) =>
    /^\d{3}$/.test(status) ? [[code.replaceAll("`", ""), Number(status)]] : [],
  );
  expect(shown.length).toBe(13);
  for (const [code, status] of shown) {
    // The page's codes are checked by their statuses: another word would be none.
    const example = failure(code as ErrorCode, "");
    expect([code, problem(example).status]).toEqual([code, status]);
    expect([code, errorResponse(example).status]).toEqual([code, status === 501 ? 400 : status]);
  }
});
