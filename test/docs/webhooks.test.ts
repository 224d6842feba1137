/** docs/webhooks.md: its commands typed into a shell against a real endpoint, its program and its tables held against the code. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { BackupHealth } from "../../src/contracts/backup-health.ts";
import { asUnixMs } from "../../src/core/clock.ts";
import { ARCHIVE_EVENT, type BackupEvent, TEST_EVENT, WEBHOOK_EVENTS } from "../../src/contracts/webhooks.ts";
import { aboutDatabase } from "../../src/directory/webhook-events.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import { startEventReceiver } from "../support/event-receiver.ts";
import { blockWith, codeBlocks, readPage, tableRows } from "./markdown.ts";
import { startWithShell, typed } from "./server-shell.ts";

const page = readPage("docs/webhooks.md");
const receiver = await startEventReceiver();
afterAll(() => receiver.close());

type IsGenuine = (secret: string, headers: object, body: string) => boolean;

test("every command works, what arrives is genuine to the page's own program, and nothing else is", async () => {
  const folder = temporaryFolder();
  const { shell } = await startWithShell(folder);
  const seen: string[] = [];
  for (const { text } of codeBlocks(page).filter(({ language }) => language === "sh")) {
    seen.push(await typed(shell, text.replace("https://example.com/cairn-events", receiver.url)));
  }
  const secret = (await typed(shell, 'echo "$WEBHOOK_SECRET"')).trim();
  expect(secret).toMatch(/^whsec_/);
  const [, tried, shown = ""] = seen;
  expect(tried).toContain('"state":"delivered"');
  expect(shown).toContain('"deliveries":{"pending":0,"delivered":1,"failed":0}');
  expect(shown).not.toContain(secret);

  const program = join(folder, "genuine.mjs");
  writeFileSync(program, blockWith(page, "js", "isGenuine"));
  // As the page has it.
  const { isGenuine } = (await import(program)) as { isGenuine: IsGenuine };
  const [event, ...more] = receiver.received;
  expect(more).toEqual([]);
  const { headers = {}, body = "" } = event ?? {};
  expect(event).toMatchObject({ method: "POST", path: "/events", headers: { "content-type": "application/json" } });
  expect(JSON.parse(body)).toMatchObject({ type: "webhook.test", data: { webhookId: expect.any(String) } });
  expect(isGenuine(secret, headers, body)).toBe(true);
  expect(isGenuine(secret, headers, `${body} `)).toBe(false);
  expect(isGenuine(`whsec_${btoa("x".repeat(32))}`, headers, body)).toBe(false);
  expect(isGenuine(secret, { ...headers, "webhook-timestamp": "1614265330" }, body)).toBe(false);
});

test("the table has every event with its members, and the example is one of them", () => {
  const rows = tableRows(page).filter(([first = ""]) => /^`(backup|webhook|archive)\./.test(first));
  expect(rows.map(([type]) => type)).toEqual([...WEBHOOK_EVENTS, TEST_EVENT].map((type) => `\`${type}\``));
  const now = asUnixMs(1);
  const incident = { databaseId: "id", since: now, resolved: "working", resolvedAt: now } as const;
  const health = { failing: { since: now, error: "e" }, verification: null } as BackupHealth;
  const membersOf = (event: BackupEvent) =>
    Object.keys(aboutDatabase(event, { id: "id", name: "n" }, incident, health));
  const ofBackups = WEBHOOK_EVENTS.filter((event) => event !== ARCHIVE_EVENT);
  for (const [i, event] of ofBackups.entries()) {
    const named = [...(rows[i]?.[2] ?? "").matchAll(/`(\w+)`/g)].map(([, member]) => member);
    expect([event, named]).toEqual([event, membersOf(event)]);
  }
  const example = JSON.parse(blockWith(page, "json", "databases")) as { data: { databases: object[] } };
  expect(Object.keys(example.data.databases[0] ?? {})).toEqual(membersOf("backup.failed"));
});
