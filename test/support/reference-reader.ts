/**
 * A backup read as its format page says, with generated protobuf code and nothing of the product's: what other readers see. It
 * throws at whatever a reader must never meet, so that loading a generation is a check of it.
 */
import { createHash } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import type { Destination } from "../../src/backup/destinations/destination.ts";
import { toHex } from "../../src/core/bytes.ts";
import {
  BackupKvMutationKind,
  type BackupMutationRange,
  BackupMutationRangeSchema,
  type BackupSnapshotRange,
  BackupSnapshotRangeSchema,
} from "./proto/generated/com/deno/kv/backup/backup_pb.js";

export interface ReadEntry {
  readonly value: Uint8Array;
  readonly encoding: number;
  readonly version: number;
  readonly expiresAt: number | null;
}

export interface ReadObject<Range> {
  readonly name: string;
  readonly sha256: string;
  readonly range: Range;
}

export class ReadGeneration {
  /** null: it is not stored yet, and a reader waits. */
  readonly consistentFrom: number | null;
  readonly snapshot: readonly ReadObject<BackupSnapshotRange>[];
  readonly logs: readonly ReadObject<BackupMutationRange>[];

  constructor(
    consistentFrom: number | null,
    snapshot: readonly ReadObject<BackupSnapshotRange>[],
    logs: readonly ReadObject<BackupMutationRange>[],
  ) {
    this.consistentFrom = consistentFrom;
    this.snapshot = snapshot;
    this.logs = logs;
  }

  /** Every commit in the log. */
  get commits(): number[] {
    return this.logs.flatMap(({ range }) => range.entries.filter(isLast).map(versionOf));
  }

  /** The commits that can be checked out, in order. */
  get points(): number[] {
    const { consistentFrom } = this;
    return consistentFrom === null ? [] : this.commits.filter((version) => version > consistentFrom);
  }

  /** The states at all points, in their order; each is the same map, changed. */
  *states(): Generator<{ readonly version: number; readonly entries: ReadonlyMap<string, ReadEntry> }> {
    const { consistentFrom } = this;
    if (consistentFrom === null) throw new Error("the generation is not consistent from anywhere");
    const entries = new Map<string, ReadEntry>();
    for (const { range } of this.snapshot) load(entries, range);
    for (const { range } of this.logs) {
      for (const entry of range.entries) {
        const version = versionOf(entry);
        const key = toHex(entry.key);
        if (entry.kind === BackupKvMutationKind.CLEAR) {
          entries.delete(key);
        } else {
          const expiresAt = entry.expireAtMs === 0n ? null : Number(entry.expireAtMs);
          entries.set(key, { value: entry.value, encoding: entry.valueEncoding, version, expiresAt });
        }
        if (isLast(entry) && version > consistentFrom) yield { version, entries };
      }
    }
  }
}

/** The names of the generations' folders, the oldest first. */
export async function listGenerations(destination: Destination, databaseId: string): Promise<string[]> {
  const names = await listAll(destination, `${databaseId}/`);
  // Beside them lie the manifest and what is left of a probe that was killed.
  const folders = names
    .map((name) => name.split("/")[1] ?? "")
    .filter((folder) => !/^(manifest\.json|probe)$/.test(folder));
  return [...new Set(folders)];
}

/** `upTo`: the log goes on behind this commit, and is another writer's there. */
export async function readGeneration(
  destination: Destination,
  databaseId: string,
  folder: string,
  upTo = Infinity,
): Promise<ReadGeneration> {
  if (!/^[0-9a-f]{16}$/.test(folder)) throw new Error(`${folder} is no generation`);
  const prefix = `${databaseId}/${folder}/`;
  const snapshot: ReadObject<BackupSnapshotRange>[] = [];
  const logs: ReadObject<BackupMutationRange>[] = [];
  let consistentFrom: number | null = null;
  for (const name of await listAll(destination, prefix)) {
    const path = name.slice(prefix.length);
    const bytes = await read(destination, name);
    const sha256 = toHex(createHash("sha256").update(bytes).digest());
    if (path === "differential") {
      const text = new TextDecoder().decode(bytes);
      if (!/^[0-9a-f]{16}0000$/.test(text)) throw new Error(`differential holds ${text}`);
      consistentFrom = Number.parseInt(text.slice(0, 16), 16);
    } else if (path === "generation.json") {
      // Who writes it: nobody else's concern.
    } else if (path.startsWith("snapshots/")) {
      if (!/^snapshots\/0001_[0-9a-f]{16}_[0-9a-f]{16}\.bin$/.test(path)) throw new Error(`${name} is no snapshot`);
      snapshot.push({ name, sha256, range: fromBinary(BackupSnapshotRangeSchema, bytes) });
    } else {
      const range = fromBinary(BackupMutationRangeSchema, bytes);
      checkLogName(path, range);
      const [first] = range.entries;
      if (first === undefined || versionOf(first) <= upTo) logs.push({ name, sha256, range });
    }
  }
  checkLog(logs);
  return new ReadGeneration(consistentFrom, snapshot, logs);
}

/** What the name says is what is inside, whole commits of it. */
function checkLogName(path: string, { entries, timestampMs }: BackupMutationRange): void {
  const [, monoseq, first, last] = /^logs\/0001_([0-9a-f]{16})_([0-9a-f]{24})_([0-9a-f]{24})\.bin$/.exec(path) ?? [];
  const [firstEntry] = entries;
  const lastEntry = entries.at(-1);
  if (firstEntry === undefined || lastEntry === undefined) throw new Error(`${path} is empty`);
  if (toHex(firstEntry.versionstamp) !== first || toHex(lastEntry.versionstamp) !== last) {
    throw new Error(`${path} holds other commits than it says`);
  }
  if (Number.parseInt(monoseq ?? "", 16) !== versionOf(firstEntry)) throw new Error(`${path} is numbered otherwise`);
  if (!isLast(lastEntry)) throw new Error(`${path} ends within a commit`);
  if (Number(timestampMs) !== Math.floor(versionOf(lastEntry) / 1000)) throw new Error(`${path} has another time`);
}

/** Stamps increase over all objects, no commit is in two, and each object carries the hash of the one before. */
function checkLog(logs: readonly ReadObject<BackupMutationRange>[]): void {
  let before = "";
  let hash = "0".repeat(64);
  let open: number | null = null;
  for (const { name, sha256, range } of logs) {
    if (toHex(range.previousSha256) !== hash) throw new Error(`${name} does not follow the object before it`);
    hash = sha256;
    for (const entry of range.entries) {
      const stamp = toHex(entry.versionstamp);
      if (stamp <= before) throw new Error(`${name}: ${stamp} comes after ${before}`);
      if (open !== null && versionOf(entry) !== open) throw new Error(`${name}: commit ${open} has no last entry`);
      open = isLast(entry) ? null : versionOf(entry);
      before = stamp;
    }
    if (open !== null) throw new Error(`${name} divides commit ${open}`);
  }
}

function load(entries: Map<string, ReadEntry>, { dataList, metadataList }: BackupSnapshotRange): void {
  if (dataList.length !== metadataList.length) throw new Error("a snapshot has data without metadata");
  for (const [i, { key, value }] of dataList.entries()) {
    const metadata = metadataList[i];
    if (metadata === undefined || key[0] !== 0x64 || metadata.key[0] !== 0x6d) throw new Error("not a pair of d and m");
    const name = toHex(key.subarray(1));
    if (toHex(metadata.key.subarray(1)) !== name || metadata.value.length !== 19) throw new Error("not one entry");
    const view = new DataView(metadata.value.buffer, metadata.value.byteOffset, 19);
    const expiry = Number(view.getBigInt64(11, true));
    entries.set(name, {
      value,
      version: Number(view.getBigUint64(0)),
      encoding: view.getUint8(10),
      expiresAt: expiry === -1 ? null : expiry,
    });
  }
}

interface Stamped {
  readonly versionstamp: Uint8Array;
}

function versionOf({ versionstamp }: Stamped): number {
  if (versionstamp.length !== 12) throw new Error(`a stamp of ${versionstamp.length} bytes`);
  return Number(new DataView(versionstamp.buffer, versionstamp.byteOffset, 12).getBigUint64(0));
}

function isLast({ versionstamp }: Stamped): boolean {
  return versionstamp[10] === 0xff && versionstamp[11] === 0xff;
}

async function listAll(destination: Destination, prefix: string): Promise<string[]> {
  const names: string[] = [];
  let after: string | null = "";
  while (after !== null) {
    const page = await destination.list(prefix, after === "" ? {} : { after });
    if (!page.ok) throw new Error(page.message);
    names.push(...page.objects.map(({ name }) => name));
    after = page.next;
  }
  return names;
}

async function read(destination: Destination, name: string): Promise<Uint8Array> {
  const got = await destination.get(name);
  if (!got.ok) throw new Error(got.message);
  return got.bytes;
}
