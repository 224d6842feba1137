/** What a full archive holds besides entries: it comes back, and a text that somebody made up changes nothing. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { settingsOf, settingsText } from "../../../src/backup/archives/full-settings.ts";
import type { ArchiveDestinationInfo, ArchiveScheduleSetting } from "../../../src/contracts/archive-commands.ts";
import { asUnixMs } from "../../../src/core/clock.ts";

const schedule: ArchiveScheduleSetting = {
  enabled: true,
  cron: "0 3 * * *",
  timezone: "Europe/Berlin",
  type: "full",
  retentionDays: 30,
  maxBackups: null,
  notifyOnFailure: { url: "https://example.com/hook" },
};

const destination: ArchiveDestinationInfo = {
  id: "a",
  name: "Frankfurt",
  enabled: true,
  maxBackups: 7,
  config: {
    type: "s3",
    endpoint: "https://s3.example",
    bucket: "b",
    region: "auto",
    addressing: "path",
    prefix: "",
    accessKeyId: "id",
  },
  lastResult: null,
  createdAt: asUnixMs(1),
  updatedAt: asUnixMs(1),
};

test("the schedule and the destinations come back", () => {
  const local: ArchiveDestinationInfo = { ...destination, name: "here", config: { type: "local", directory: "x" } };
  expect(settingsOf(settingsText(schedule, [destination, local], []))).toEqual({
    schedule,
    destinations: [destination, local].map(({ name, maxBackups, config }) => ({ name, maxBackups, config })),
  });
  expect(settingsOf(settingsText(null, [], []))).toEqual({ schedule: null, destinations: [] });
});

test.each([
  ["no JSON", "{"],
  ["another form", '{"form":2,"schedule":null,"destinations":[]}'],
  ["no object", "[]"],
])("%s is nothing", (_, text) => {
  expect(settingsOf(text)).toBeNull();
});

test.each([
  { enabled: "yes" },
  { cron: 7 },
  { timezone: null },
  { type: "half" },
  { retentionDays: 0 },
  { maxBackups: 1.5 },
  { cron: "x".repeat(5_000) },
])("a schedule with %j is none", (change) => {
  expect(
    settingsOf(JSON.stringify({ form: 1, schedule: { ...schedule, ...change }, destinations: [] }))?.schedule,
  ).toBeNull();
});

test("whatever the text is, what comes out has the known form", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      const found = settingsOf(
        JSON.stringify({ form: 1, schedule: one, destinations: [other, { ...destination, config: one }] }),
      );
      for (const { name, config } of found?.destinations ?? []) {
        expect([typeof name, ["s3", "r2", "local"].includes(config.type)]).toEqual(["string", true]);
      }
      expect(found?.schedule ?? null).toBeNull();
    }),
  );
});
