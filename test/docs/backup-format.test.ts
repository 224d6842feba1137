/** docs/backup-format.md, held against the code that writes the objects and the schema that its tests read them with. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { DescField } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { asUnixMs } from "../../src/core/clock.ts";
import { Encoding } from "../../src/core/operations.ts";
import { asVersion, LAST_ORDER } from "../../src/core/versionstamp.ts";
import {
  LogEntryField,
  MutationKind,
  MutationRangeField,
  PairField,
  SnapshotRangeField,
} from "../../src/backup/format/fields.ts";
import { encodeGenerationRecord, type GenerationRecord } from "../../src/backup/format/generation-record.ts";
import { encodeManifest, type ManifestGeneration } from "../../src/backup/format/manifest.ts";
import {
  differentialName,
  generationRecordName,
  logObjectName,
  manifestName,
  snapshotObjectName,
} from "../../src/backup/format/object-names.ts";
import { SEAL_BYTES } from "../../src/backup/format/seal.ts";
import { encodeSnapshotRange, type SnapshotEntry } from "../../src/backup/format/snapshot-range.ts";
import { StateDigest } from "../../src/backup/format/state-digest.ts";
import { temporaryFolder } from "../local/stand-in-server.ts";
import {
  BackupKvMutationKind,
  BackupKvPairSchema,
  BackupMutationRangeSchema,
  BackupReplicationLogEntrySchema,
  BackupSnapshotRangeSchema,
} from "../support/proto/generated/com/deno/kv/backup/backup_pb.js";
import { blockWith, codeWords, readPage, tableRows } from "./markdown.ts";

const page = readPage("docs/backup-format.md");
const schemas = [
  BackupMutationRangeSchema,
  BackupReplicationLogEntrySchema,
  BackupSnapshotRangeSchema,
  BackupKvPairSchema,
];

function typeOf(field: DescField): string {
  const { fieldKind } = field;
  if (fieldKind === "scalar") return `\`${ScalarType[field.scalar].toLowerCase()}\``;
  if (fieldKind === "enum") return `\`${field.enum.name}\``;
  return fieldKind === "list" && field.message !== undefined ? `repeated \`${field.message.name}\`` : fieldKind;
}

test("the messages are those of the schema, and the numbers those that are written (B13)", () => {
  const rows = tableRows(page).filter(([message = ""]) => message.startsWith("`Backup"));
  const fields = schemas.flatMap(({ name, fields: all }) =>
    all.map((field) => [`\`${name}\``, `\`${field.name}\``, String(field.number), typeOf(field)]),
  );
  expect(rows.filter((cells) => cells.length === 4)).toEqual(fields);
  const written = [MutationRangeField, LogEntryField, SnapshotRangeField, PairField];
  for (const [i, numbers] of written.entries()) {
    const known = Object.fromEntries(schemas[i]?.fields.map(({ localName, number }) => [localName, number]) ?? []);
    expect(numbers).toEqual(known);
  }
});

test("the enumerations are those that are written", () => {
  const rows = tableRows(page).filter((cells) => cells.length === 3 && /^\d$/.test(cells[1] ?? ""));
  const valuesOf = (name: string) =>
    rows.filter(([first]) => first === `\`${name}\``).map(([, value]) => Number(value));
  expect(valuesOf("BackupKvMutationKind")).toEqual(Object.values(MutationKind));
  expect(MutationKind).toEqual({ set: BackupKvMutationKind.SET, clear: BackupKvMutationKind.CLEAR });
  expect(valuesOf("value_encoding")).toEqual(Object.values(Encoding));
});

test("the names in the example are names that the code makes, in the order of a listing", () => {
  const place = { databaseId: "0190f3c2-5b1e-4d6f-9a53-6c1f4b7f2a10", start: asVersion(0x6444c9be62a40) };
  const first = { version: asVersion(place.start + 1), order: 0 };
  const last = { version: asVersion(0x6444c9c04aec4), order: LAST_ORDER };
  const names = [
    manifestName(place.databaseId),
    differentialName(place),
    generationRecordName(place),
    logObjectName(place, { first, last }),
    snapshotObjectName(place, { series: 1, sequence: 1 }),
  ].join("\n");
  expect(blockWith(page, "text", "manifest.json")).toBe(`${names}\n`);
});

const generation: ManifestGeneration = {
  start: asVersion(1_000),
  line: "0".repeat(32),
  follows: { start: asVersion(500), leftAt: { lastPoint: asVersion(600), heldUpTo: asVersion(700) } },
  state: "complete",
  consistentFrom: asVersion(2_000),
  firstPoint: { versionstamp: asVersion(3_000), time: asUnixMs(3) },
  lastPoint: { versionstamp: asVersion(4_000), time: asUnixMs(4) },
  log: { objects: 1, bytes: 10, head: { object: "logs/x", sha256: "0".repeat(64) } },
  snapshot: { objects: 1, bytes: 10, head: { object: "snapshots/x", sha256: "0".repeat(64) } },
  gaps: [{ after: asVersion(5_000), upTo: null, cause: "a test" }],
  clock: [{ version: asVersion(4_000), time: asUnixMs(1) }],
};
const manifest = encodeManifest({ databaseId: "a", writtenAt: asUnixMs(5), generations: [generation] });

test("the record of a generation has the members that the page lists, and no other", () => {
  const listed = tableRows(page)
    .filter(([first]) => /^`(format|writer|follows|snapshot)`/.test(first ?? ""))
    .slice(0, 4)
    .flatMap(([members = ""]) => codeWords(members));
  const record: GenerationRecord = { writer: "0".repeat(32), since: asUnixMs(5), follows: null, snapshot: null };
  const bytes = encodeGenerationRecord({ databaseId: "a", start: generation.start }, record);
  expect([...listed, "sha256"]).toEqual(Object.keys(JSON.parse(new TextDecoder().decode(bytes))));
});

test("the manifest has the members that the page lists, and no other (B19)", () => {
  const listed = tableRows(page.slice(page.indexOf("\n## The manifest\n")))
    .map(([member = ""]) => codeWords(member))
    .filter(([first = ""]) => /^(generations\[\]\.[\w.[\]]+|format|databaseId|writtenAt|sha256)$/.test(first))
    .flatMap(([first = "", ...others]) => [first, ...others.map((other) => first.replace(/\.\w+$/, other))]);
  const paths: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (Array.isArray(value)) for (const item of value) walk(item, `${path}[]`);
    else if (typeof value !== "object" || value === null) paths.push(path);
    else for (const [name, inner] of Object.entries(value)) walk(inner, path === "" ? name : `${path}.${name}`);
  };
  walk(JSON.parse(new TextDecoder().decode(manifest)), "");
  expect(listed).toEqual(paths);
});

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

test("the manifest and an object carry the hash of what the page says (B17)", () => {
  const text = new TextDecoder().decode(manifest);
  const [before = "", hash = ""] = text.split(/,\s*"sha256": "([0-9a-f]{64})"\n}\n$/);
  expect(sha256(new TextEncoder().encode(before))).toBe(hash);

  const object = encodeSnapshotRange(entries, new Uint8Array(32));
  const content = object.subarray(0, object.length - SEAL_BYTES);
  const end = Buffer.from(object.subarray(content.length));
  const head = end.subarray(0, end.length - 32).toString("hex");
  expect(end.toString("hex")).toBe(`${head}${sha256(content)}`);
  expect(page).toContain(`\`${head.replaceAll(/..(?=.)/g, "$& ")}\``);
  expect(page).toContain(`It is ${SEAL_BYTES} bytes long`);
});

const entries: readonly SnapshotEntry[] = [
  { key: Uint8Array.of(2, 0x61, 0), value: Uint8Array.of(), encoding: Encoding.bytes },
  { key: Uint8Array.of(2, 0x62, 0), value: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), encoding: Encoding.le64 },
  { key: Uint8Array.of(2, 0x63, 0), value: new Uint8Array(70_000).fill(0xff), encoding: Encoding.v8 },
].map((entry, i) => ({ ...entry, version: asVersion(0x6444c9be62a40 + i), expiresAt: i === 2 ? asUnixMs(9) : null }));

test("the program of the page computes the digest that a verification shows (B20)", () => {
  const folder = temporaryFolder();
  const file = join(folder, "copy.sqlite");
  const program = join(folder, "digest.mjs");
  writeFileSync(program, blockWith(page, "js", "node:sqlite"));
  const database = new DatabaseSync(file);
  // The columns of `denokv` that matter here; `npm run test:denokv` takes its own files.
  database.exec("CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB, v_encoding INTEGER, version INTEGER) WITHOUT ROWID");
  const insert = database.prepare("INSERT INTO kv VALUES (?, ?, ?, ?)");
  const digest = new StateDigest();
  for (const entry of entries) {
    insert.run(entry.key, entry.value, entry.encoding, entry.version);
    digest.add(entry);
  }
  database.close();
  const { stdout, stderr } = spawnSync(process.execPath, [program, file], { encoding: "utf8" });
  const { count, sum } = digest.value();
  expect(`${stderr}${stdout}`).toBe(`count ${count}, sum ${sum}\n`);
});
