/** Names and numbers of HTTP/2 (RFC 9113). */

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const FRAME_HEAD_BYTES = 9;

/** The largest payload that each side must take (section 4.2). We allow no larger one, and send none. */
export const MAX_FRAME_BYTES = 16_384;

/** A window before any setting or update (section 6.9.2). */
export const FIRST_WINDOW = 65_535;
export const MAX_WINDOW = 0x7fff_ffff;

/** Section 6. */
export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

/** Section 6.5.2. */
export const Setting = {
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** Section 7. */
export const ErrorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  compressionError: 9,
  enhanceYourCalm: 11,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** Section 4.1. */
export function writeFrameHead(
  target: Buffer,
  at: number,
  type: number,
  flags: number,
  stream: number,
  length: number,
): void {
  target[at] = length >>> 16;
  target[at + 1] = length >>> 8;
  target[at + 2] = length;
  target[at + 3] = type;
  target[at + 4] = flags;
  target[at + 5] = stream >>> 24;
  target[at + 6] = stream >>> 16;
  target[at + 7] = stream >>> 8;
  target[at + 8] = stream;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The payload of SETTINGS. */
export function settingsOf(values: readonly (readonly [setting: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(values.length * 6);
  for (const [i, [setting, value]] of values.entries()) {
    payload.writeUInt16BE(setting, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  }
  return payload;
}

/** The priority in a HEADERS or PRIORITY frame (section 6.3). */
export const PRIORITY_BYTES = 5;

export function dependsOnItself(stream: number, priority: Buffer): boolean {
  return (priority.readUInt32BE() & 0x7fff_ffff) === stream;
}

/** The payload of a DATA or HEADERS frame. undefined: there is more padding than payload (section 6.1). */
export function withoutPadding(flags: number, payload: Buffer): Buffer | undefined {
  if ((flags & Flag.padded) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) return undefined;
  return payload.subarray(1, payload.length - padding);
}

/** The payload of GOAWAY. */
export function goawayOf(lastStream: number, code: ErrorCode): Buffer {
  return Buffer.concat([uint32(lastStream), uint32(code)]);
}
