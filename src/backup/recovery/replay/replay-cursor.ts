/** How far a replay has come, in the form that is kept between slices and over restarts: plain JSON. */
import { toHex } from "../../../core/bytes.ts";
import { NO_VERSION, type Version } from "../../../core/versionstamp.ts";
import { NO_OBJECT_BEFORE } from "../../format/fields.ts";

/** The order: first `differential`, then the sizes of everything to be read, then the snapshot, then the log. */
export type ReplayPart = "differential" | "size of the snapshot" | "size of the log" | "snapshot" | "log" | "end";

export interface ReplayCursor {
  readonly part: ReplayPart;
  /** The last object of the part's folder that was read completely. null: none yet. */
  readonly object: string | null;
  /** Its SHA-256, 64 hex digits; zeroes before the first. */
  readonly sha256: string;
  /** For an object of a snapshot: the hash that it carries, and the greatest keys (hex) of it and of the objects before it. */
  readonly previousSha256: string;
  readonly lastKey: string;
  readonly lastKeyBefore: string;
  /** The last commit of the log object that was read last. */
  readonly lastVersion: Version;
  /** Whether the commit that `differential` names was met. It is not when its log object is missing. */
  readonly metConsistentFrom: boolean;
  /** How many entries of the next object are already applied. */
  readonly applied: number;
  readonly objects: number;
  /** How many entries were read, and how many the sink holds after them. */
  readonly entries: number;
  readonly stored: number;
  /** Bytes of the objects that were read, and of those to be read. */
  readonly bytes: number;
  readonly snapshotBytes: number;
  readonly logBytes: number;
  /** Objects of the part's folder that were listed to find its size. */
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

/** The cursor at the beginning of a part. */
export function enter(cursor: ReplayCursor, part: ReplayPart): ReplayCursor {
  const { objects, entries, stored, bytes, snapshotBytes, logBytes } = cursor;
  return { ...START, part, objects, entries, stored, bytes, snapshotBytes, logBytes };
}
