/**
 * The names of a backup's objects, below the destination's prefix. All numbers have a fixed width, so the order of a listing is the order
 * of replay. A generation's folders must hold nothing else: other readers of the format fail on any other name.
 */
import { assert } from "../../core/assert.ts";
import { type Version, versionOfHex, versionstampHex } from "../../core/versionstamp.ts";
import { type Damage, damage } from "./damage.ts";
import { isLastOfCommit, type LogStamp, logStampHex, logStampOfHex } from "./log-stamp.ts";

const FORMAT = "0001";
const logName = /^0001_([0-9a-f]{16})_([0-9a-f]{24})_([0-9a-f]{24})\.bin$/;
const snapshotName = /^0001_([0-9a-f]{16})_([0-9a-f]{16})\.bin$/;

/** One generation of one database: everything under `{databaseId}/{start}/`. */
export interface GenerationPlace {
  readonly databaseId: string;
  /** The version at which the generation started. */
  readonly start: Version;
}

export interface LogObjectName {
  readonly first: LogStamp;
  /** The stamp of the last entry of a commit. */
  readonly last: LogStamp;
}

export interface SnapshotObjectName {
  /** Both increase in the order of writing. */
  readonly series: number;
  readonly sequence: number;
}

/** Ends in "/". With the destination's prefix before it, this is the value for `denokv pitr sync --s3-prefix`. */
export function generationPrefix(place: GenerationPlace): string {
  return `${databasePrefix(place.databaseId)}${hex16(place.start)}/`;
}

/** 16 hex digits: the name of a generation. */
export function generationFolder({ start }: Pick<GenerationPlace, "start">): string {
  return hex16(start);
}

export function databasePrefix(databaseId: string): string {
  assert(/^[0-9a-z-]+$/.test(databaseId), `a database's id, got ${JSON.stringify(databaseId)}`);
  return `${databaseId}/`;
}

export function manifestName(databaseId: string): string {
  return `${databasePrefix(databaseId)}manifest.json`;
}

/** The object that says who writes the generation, and which one it follows. */
export function generationRecordName(place: GenerationPlace): string {
  return `${generationPrefix(place)}generation.json`;
}

export function logsPrefix(place: GenerationPlace): string {
  return `${generationPrefix(place)}logs/`;
}

export function snapshotsPrefix(place: GenerationPlace): string {
  return `${generationPrefix(place)}snapshots/`;
}

export function differentialName(place: GenerationPlace): string {
  return `${generationPrefix(place)}differential`;
}

/** Greater than every name in the generation, and less than every name in a later generation. For listing. */
export function afterGeneration(place: GenerationPlace): string {
  return `${generationPrefix(place)}~`;
}

/** Just less than the name of every log object that begins with this version or a later one. For listing. */
export function beforeLogObjects(place: GenerationPlace, version: Version): string {
  return `${logsPrefix(place)}${FORMAT}_${hex16(version)}`;
}

export function logObjectName(place: GenerationPlace, name: LogObjectName): string {
  const { first, last } = name;
  assert(isLastOfCommit(last), "a log object to end with a commit's last entry");
  return `${logsPrefix(place)}${FORMAT}_${hex16(first.version)}_${logStampHex(first)}_${logStampHex(last)}.bin`;
}

export function snapshotObjectName(place: GenerationPlace, name: SnapshotObjectName): string {
  return `${snapshotsPrefix(place)}${FORMAT}_${hex16(name.series)}_${hex16(name.sequence)}.bin`;
}

export function parseLogObjectName(
  place: GenerationPlace,
  object: string,
): ({ readonly ok: true } & LogObjectName) | Damage {
  const [, series = "", firstHex = "", lastHex = ""] = logName.exec(below(logsPrefix(place), object)) ?? [];
  const first = logStampOfHex(firstHex);
  const last = logStampOfHex(lastHex);
  if (first === undefined || last === undefined) return damage(object, "is not the name of a log object");
  if (series !== hex16(first.version)) return damage(object, "is numbered otherwise than by its first commit");
  if (!isLastOfCommit(last)) return damage(object, "does not end with the last entry of a commit");
  if (firstHex > lastHex) return damage(object, "ends before it begins");
  return { ok: true, first, last };
}

export function parseSnapshotObjectName(
  place: GenerationPlace,
  object: string,
): ({ readonly ok: true } & SnapshotObjectName) | Damage {
  const [, series = "", sequence = ""] = snapshotName.exec(below(snapshotsPrefix(place), object)) ?? [];
  const parsed = { series: Number.parseInt(series, 16), sequence: Number.parseInt(sequence, 16) };
  if (Number.isSafeInteger(parsed.series) && Number.isSafeInteger(parsed.sequence)) return { ok: true, ...parsed };
  return damage(object, "is not the name of a snapshot object");
}

/** The start of the generation that an object lies in. undefined when it lies in no generation of this database. */
export function generationOf(databaseId: string, object: string): Version | undefined {
  const prefix = databasePrefix(databaseId);
  const [, digits] = /^([0-9a-f]{16})\//.exec(below(prefix, object)) ?? [];
  return digits === undefined ? undefined : versionOfHex(`${digits}0000`);
}

/** The object that makes a generation readable. It holds the versionstamp from which on the generation is consistent: 20 hex digits. */
export function encodeDifferential(consistentFrom: Version): Uint8Array {
  return new TextEncoder().encode(versionstampHex(consistentFrom));
}

export function parseDifferential(
  place: GenerationPlace,
  bytes: Uint8Array,
): { readonly ok: true; readonly consistentFrom: Version } | Damage {
  const consistentFrom = versionOfHex(new TextDecoder().decode(bytes));
  if (consistentFrom !== undefined && consistentFrom > 0) return { ok: true, consistentFrom };
  return damage(differentialName(place), "does not hold a versionstamp of 20 hex digits");
}

/** The name below the prefix. Empty, which is no name, for an object that lies elsewhere. */
function below(prefix: string, object: string): string {
  return object.startsWith(prefix) ? object.slice(prefix.length) : "";
}

function hex16(value: number): string {
  assert(Number.isSafeInteger(value) && value >= 0, `an integer in 0..2^53-1, got ${value}`);
  return value.toString(16).padStart(16, "0");
}
