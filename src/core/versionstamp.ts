/**
 * A version is the number of a commit: the microseconds since 1970 of a hybrid logical clock. It is an exact integer in SQLite and in
 * JavaScript until the year 2255. A versionstamp is the version as programs see it: 10 bytes, the version as 8 bytes big endian and two
 * zero bytes, written as 20 hex digits. A stamp of the mutation log has 12 bytes: the first 10, and the entry's order in its commit.
 */
import { assert } from "./assert.ts";
import { asUnixMs, type UnixMs } from "./clock.ts";

declare const version: unique symbol;

/** A positive integer below 2^53; 0 stands for "before every commit". */
export type Version = number & { readonly [version]: true };

export const VERSIONSTAMP_BYTES = 10;

/** How many bytes longer a versionstamped key is than the key in its mutation: it has one more string part of 20 hex digits. */
export const VERSIONSTAMP_SUFFIX_BYTES = 22;
export const LOG_STAMP_BYTES = 12;

/** The order that the last log entry of a commit carries. It marks a point that can be restored. */
export const LAST_ORDER = 0xffff;

export const NO_VERSION = asVersion(0);

/** No commit has this version: it is in the year 2255. */
export const LAST_VERSION = asVersion(Number.MAX_SAFE_INTEGER - 1);

export function asVersion(value: number): Version {
  assert(Number.isSafeInteger(value) && value >= 0, `a version to be an integer in 0..2^53-1, got ${value}`);
  return value as Version;
}

/** Writes the 10 bytes at `offset`. */
export function writeVersionstamp(target: Uint8Array, offset: number, value: Version): void {
  let high = Math.floor(value / 0x1_0000_0000);
  let low = value % 0x1_0000_0000;
  for (let i = 3; i >= 0; i--) {
    target[offset + i] = high & 0xff;
    target[offset + 4 + i] = low & 0xff;
    high >>>= 8;
    low = Math.floor(low / 256);
  }
  target[offset + 8] = 0;
  target[offset + 9] = 0;
}

export function versionstampBytes(value: Version): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(VERSIONSTAMP_BYTES);
  writeVersionstamp(bytes, 0, value);
  return bytes;
}

/** 20 lower-case hex digits. */
export function versionstampHex(value: Version): string {
  return `${value.toString(16).padStart(16, "0")}0000`;
}

/**
 * The version of a 10-byte stamp. undefined when no commit of ours can carry the stamp (another length, trailing bytes, past 2^53): such
 * a stamp is well-formed for the protocol and never matches.
 */
export function versionOfBytes(bytes: Uint8Array): Version | undefined {
  if (bytes.length !== VERSIONSTAMP_BYTES || bytes[8] !== 0 || bytes[9] !== 0) return undefined;
  let value = 0;
  for (const byte of bytes.subarray(0, 8)) value = value * 256 + byte;
  return Number.isSafeInteger(value) ? asVersion(value) : undefined;
}

export function versionOfHex(text: string): Version | undefined {
  if (!/^[0-9a-f]{16}0000$/.test(text)) return undefined;
  const value = Number.parseInt(text.slice(0, 16), 16);
  return Number.isSafeInteger(value) ? asVersion(value) : undefined;
}

/** The time at which the commit was made, by the database's own clock. */
export function timeOfVersion(value: Version): UnixMs {
  return asUnixMs(Math.floor(value / 1000));
}

/** The least version that a commit at this millisecond gets. */
export function versionAtTime(time: UnixMs): Version {
  return asVersion(time * 1000);
}
