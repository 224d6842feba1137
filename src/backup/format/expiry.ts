/** An expiry as the format writes it outside of protobuf: milliseconds since 1970 in 8 bytes, little endian; −1 for none. */
import { asUnixMs, type UnixMs } from "../../core/clock.ts";

export const EXPIRY_BYTES = 8;

export function writeExpiry(target: Uint8Array, offset: number, expiresAt: UnixMs | null): void {
  view(target, offset).setBigInt64(0, BigInt(expiresAt ?? -1), true);
}

/** undefined for a number that is neither −1 nor a time after 1970. */
export function readExpiry(source: Uint8Array, offset: number): UnixMs | null | undefined {
  const ms = Number(view(source, offset).getBigInt64(0, true));
  if (ms === -1) return null;
  return ms > 0 && Number.isSafeInteger(ms) ? asUnixMs(ms) : undefined;
}

function view(bytes: Uint8Array, offset: number): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, EXPIRY_BYTES);
}
