/** The commands of docs/backups.md that are about denokv, and the program of docs/backup-format.md over what it has checked out. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { openKv } from "@deno/kv";
import { expect, onTestFinished, test } from "vitest";
import { blockWith, codeBlocks, readPage } from "../docs/markdown.ts";
import { bucketVariables, startWithShell, typed } from "../docs/server-shell.ts";
import { denokvProgram, eventually, freePort } from "./denokv.ts";

const guide = readPage("docs/backups.md");
const format = readPage("docs/backup-format.md");

test("sync, list, checkout, digest and a standby, as the pages say", { timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-guide-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { shell } = await startWithShell(folder, await bucketVariables());
  if (denokvProgram.includes("/")) await shell.type(`export PATH="${dirname(denokvProgram)}:$PATH"`);
  writeFileSync(join(folder, "orders.ts"), blockWith(guide, "ts", "orders"));
  writeFileSync(join(folder, "digest.mjs"), blockWith(format, "js", "node:sqlite"));
  const from = (words: string): Promise<string> =>
    typed(shell, blockWith(guide, "sh", words).replaceAll("npx deno", "deno"));
  for (const words of ["api() {", 'backup -d "', '"code":"active"', "orders make"]) await from(words);
  const job = JSON.parse((await from("backup:verify -X")).match(/^\{.*$/gm)?.at(-1) ?? "");
  const { versionstamp, verification } = job.result;
  expect(verification).toMatchObject({ good: true, live: { count: 10 } });

  const synced = await from("pitr sync");
  const points = synced.match(/^[0-9a-f]{20}/gm) ?? [];
  // Thirty commits of the orders and the backup's marker; the newest is the one that the verification compared.
  expect(points).toHaveLength(31);
  expect(points[0]).toBe(versionstamp);
  await from("pitr checkout");
  expect(await typed(shell, blockWith(format, "sh", "digest.mjs"))).toContain(
    `count 10, sum ${verification.live.sum}\n`,
  );

  const port = await freePort();
  const serve = blockWith(guide, "sh", "--sync-from-s3").trim().replace("127.0.0.1:4600", `127.0.0.1:${port}`);
  await shell.type(`${serve} &`);
  process.env["DENO_KV_ACCESS_TOKEN"] = "choose-a-long-one";
  const last = await eventually(async () => {
    const kv = await openKv(`http://127.0.0.1:${port}`);
    const { value } = await kv.get(["orders", 19]);
    kv.close();
    return value ?? undefined;
  });
  expect(last).toBe("order 19");
  expect(codeBlocks(guide).filter(({ text }) => text.includes("denokv "))).toHaveLength(3);
});
