/**
 * The 12-byte stamp of a log entry: the versionstamp of its commit, and its order in the commit as 2 bytes big endian. The last entry has
 * the order ffff.
 */
import { toHex } from "../../core/bytes.ts";
import {
  LAST_ORDER,
  LOG_STAMP_BYTES,
  type Version,
  VERSIONSTAMP_BYTES,
  versionOfBytes,
  versionOfHex,
  versionstampHex,
} from "../../core/versionstamp.ts";

export interface LogStamp {
  readonly version: Version;
  readonly order: number;
}

/** undefined for bytes that no commit of ours can have. */
export function logStampOfBytes(bytes: Uint8Array): LogStamp | undefined {
  if (bytes.length !== LOG_STAMP_BYTES) return undefined;
  const version = versionOfBytes(bytes.subarray(0, VERSIONSTAMP_BYTES));
  if (version === undefined || version === 0) return undefined;
  return { version, order: Number.parseInt(toHex(bytes.subarray(VERSIONSTAMP_BYTES)), 16) };
}

/** 24 lower-case hex digits. */
export function logStampHex(stamp: LogStamp): string {
  return versionstampHex(stamp.version) + stamp.order.toString(16).padStart(4, "0");
}

export function logStampOfHex(text: string): LogStamp | undefined {
  if (!/^[0-9a-f]{24}$/.test(text)) return undefined;
  const version = versionOfHex(text.slice(0, 20));
  return version === undefined || version === 0 ? undefined : { version, order: Number.parseInt(text.slice(20), 16) };
}

export function isLastOfCommit(stamp: LogStamp): boolean {
  return stamp.order === LAST_ORDER;
}
