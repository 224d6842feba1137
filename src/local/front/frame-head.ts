/** The head of a WebSocket frame (RFC 6455, section 5.2): two bytes, then a length of up to eight, then a mask of four if the sender is a client. */

/** Of the second byte. */
export const MASKED = 0x80;
const LENGTH = 0x7f;

/** These lengths say that the length follows, in two or in eight bytes. */
export const SHORT = 126;
export const LONG = 127;

export const MASK_BYTES = 4;

/** `second`: the second byte of the head. */
export function headBytes(second: number): number {
  const length = second & LENGTH;
  const following = length === LONG ? 8 : length === SHORT ? 2 : 0;
  return 2 + following + ((second & MASKED) === 0 ? 0 : MASK_BYTES);
}

/** `bytes`: begin with a whole head. */
export function payloadBytes(bytes: Buffer): number {
  const length = (bytes[1] ?? 0) & LENGTH;
  if (length === LONG) return Number(bytes.readBigUInt64BE(2));
  return length === SHORT ? bytes.readUInt16BE(2) : length;
}
