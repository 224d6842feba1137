/** How far a replay has come, as it is kept between slices and over restarts: plain JSON. */
import { toHex } from "../../../core/bytes.ts";
import { NO_VERSION, type Version } from "../../../core/versionstamp.ts";
import { NO_OBJECT_BEFORE } from "../../format/fields.ts";

/** First what the generation is known by, then the sizes of all that is to be read, then the snapshot, then the log. */
export type ReplayPart = "differential" | "size of the snapshot" | "size of the log" | "snapshot" | "log" | "end";

export interface ReplayCursor {
  readonly part: ReplayPart;
  /** The last object of the part's folder that was taken whole; null: none yet. */
  readonly object: string | null;
  /** Its SHA-256, 64 hex digits; zeroes before the first. */
  readonly sha256: string;
  /** Of a snapshot's object: the hash that it carries itself, and the greatest keys (hex) of it and of the objects before it. */
  readonly previousSha256: string;
  readonly lastKey: string;
  readonly lastKeyBefore: string;
  /** The last commit of the log object taken last. */
  readonly lastVersion: Version;
  /** Whether the commit that `differential` names was there; it is not when its log object is missing. */
  readonly metConsistentFrom: boolean;
  /** Entries of the object that comes next which are applied already. */
  readonly applied: number;
  readonly objects: number;
  /** Entries that were read, and how many the sink holds after them. */
  readonly entries: number;
  readonly stored: number;
  /** Bytes of the objects that were taken, and of those that are to be. */
  readonly bytes: number;
  readonly snapshotBytes: number;
  readonly logBytes: number;
  /** Objects of the part's folder that were listed for its size. */
  readonly listed: number;
}

const ZEROES = toHex(NO_OBJECT_BEFORE);

export const START: ReplayCursor = {
  part: "differential",
  object: null,
  sha256: ZEROES,
  previousSha256: ZEROES,
  lastKey: "",
  lastKeyBefore: "",
  lastVersion: NO_VERSION,
  metConsistentFrom: false,
  applied: 0,
  objects: 0,
  entries: 0,
  stored: 0,
  bytes: 0,
  snapshotBytes: 0,
  logBytes: 0,
  listed: 0,
};

/** The beginning of the next part. */
export function enter(cursor: ReplayCursor, part: ReplayPart): ReplayCursor {
  const { objects, entries, stored, bytes, snapshotBytes, logBytes } = cursor;
  return { ...START, part, objects, entries, stored, bytes, snapshotBytes, logBytes };
}
