/** docs/archives.md followed literally: every command typed into a shell against `npm start` and a bucket, and its program run. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { DEFAULT_ARCHIVE_SCHEDULE } from "../../src/contracts/archive-commands.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { blockWith, codeBlocks, readPage, tableRows } from "./markdown.ts";
import { bucketVariables, startWithShell, typed } from "./server-shell.ts";

const page = readPage("docs/archives.md");
const repository = join(import.meta.dirname, "../..");

test("its commands archive, restore, undo, upload elsewhere and verify (Z18, Z24, Z30)", async () => {
  const folder = temporaryFolder();
  const { shell } = await startWithShell(folder, await bucketVariables());
  const outputs: string[] = [];
  for (const { language, text } of codeBlocks(page)) if (language === "sh") outputs.push(await typed(shell, text));
  const all = outputs.join("\n");
  expect(all).not.toContain('"errors"');
  const values = outputs.map((output) => /"value":"Rome"/.test(output));
  // The restore brought the entry back, the fork has it, and so has the database of the uploaded file.
  expect(values.filter(Boolean)).toHaveLength(3);
  expect(all).toMatch(/"nextRuns":\["[^"]+","[^"]+","[^"]+"\]/);
  expect(all).toContain('{"data":{"id":"1","destroyed":true}}');

  await shell.type("echo variables: $CAIRN_URL $ADMIN_TOKEN $DATABASE_ID");
  const [, CAIRN_URL = "", ADMIN_TOKEN = "", DATABASE_ID = ""] =
    /variables: (http\S+) (\S+) (\S+)/.exec(shell.output()) ?? [];
  const program = blockWith(page, "js", "APIClient");
  const run = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], {
    cwd: repository,
    env: { ...process.env, CAIRN_URL, ADMIN_TOKEN, DATABASE_ID },
  });
  expect(run.stdout.trim()).toBe("running");
});

test("what holds at first is on the page as the code has it", () => {
  const { enabled, cron, timezone, type, retentionDays, maxBackups } = DEFAULT_ARCHIVE_SCHEDULE;
  const shown = new Map(
    tableRows(page).map((cells) => [(cells[0] ?? "").replaceAll("`", ""), (cells[2] ?? "").replaceAll("`", "")]),
  );
  const wanted = { enabled, cron, timezone, type, retention: retentionDays, maxBackups, notifyOnFailure: false };
  for (const [member, value] of Object.entries(wanted))
    expect([member, shown.get(member)]).toEqual([member, String(value)]);
});
