/**
 * `generation.json` of each generation: which process writes it, which generation it follows in its history, and how its snapshot ends,
 * once that is complete. It decides between two servers that hold copies of one database. Each process of a server writes under a name of
 * its own, made when the process starts. A process that finds another name here has lost the generation. The record also makes a
 * generation readable that no manifest names.
 */
import type { UnixMs } from "../../core/clock.ts";
import { MAX_GENERATION_RECORD_BYTES } from "../../core/limits.ts";
import { type Version, versionstampHex } from "../../core/versionstamp.ts";
import { type Damage, damage, DamageFound } from "./damage.ts";
import {
  type FolderState,
  folderJson,
  followsJson,
  isSealed,
  JsonNode,
  type Predecessor,
  parseFolder,
  parseFollows,
  sealManifest,
} from "./manifest.ts";
import { type GenerationPlace, generationRecordName } from "./object-names.ts";

const RECORD_FORMAT = 1;

export interface GenerationRecord {
  /** The process that writes this generation: 32 hex digits. */
  readonly writer: string;
  /** Since when this process writes the generation. */
  readonly since: UnixMs;
  readonly follows: Predecessor | null;
  /** null until the snapshot is complete. */
  readonly snapshot: (FolderState & { readonly consistentFrom: Version }) | null;
}

export function encodeGenerationRecord({ databaseId, start }: GenerationPlace, record: GenerationRecord): Uint8Array {
  const { writer, since, follows, snapshot } = record;
  const json = {
    format: RECORD_FORMAT,
    databaseId,
    start: versionstampHex(start),
    writer,
    since: new Date(since).toISOString(),
    follows: followsJson(follows),
    snapshot:
      snapshot === null ? null : { consistentFrom: versionstampHex(snapshot.consistentFrom), ...folderJson(snapshot) },
  };
  return sealManifest(JSON.stringify(json, null, 2));
}

export function parseGenerationRecord(
  place: GenerationPlace,
  bytes: Uint8Array,
): { readonly ok: true; readonly record: GenerationRecord } | Damage {
  const object = generationRecordName(place);
  if (bytes.length > MAX_GENERATION_RECORD_BYTES)
    return damage(object, `is longer than ${MAX_GENERATION_RECORD_BYTES} bytes`);
  const text = new TextDecoder().decode(bytes);
  if (!isSealed(text)) return damage(object, "was altered or cut short: it does not end with the hash of its text");
  try {
    const root = new JsonNode(JSON.parse(text), "the record");
    const format = root.field("format").integer();
    if (format !== RECORD_FORMAT) return damage(object, `has format ${format}; this version reads ${RECORD_FORMAT}`);
    const isHere = root.field("databaseId").text() === place.databaseId && root.field("start").stamp() === place.start;
    if (!isHere) return damage(object, "is another generation's");
    const writer = root.field("writer").text();
    if (!/^[0-9a-f]{32}$/.test(writer)) return damage(object, "names no writer");
    const record: GenerationRecord = {
      writer,
      since: root.field("since").time(),
      follows: root.field("follows").orNull(parseFollows),
      snapshot: root.field("snapshot").orNull((snapshot) => ({
        ...parseFolder(snapshot),
        consistentFrom: snapshot.field("consistentFrom").stamp(),
      })),
    };
    return { ok: true, record };
  } catch (error) {
    if (error instanceof DamageFound) return damage(object, error.message);
    if (error instanceof SyntaxError) return damage(object, "is not JSON");
    throw error;
  }
}
