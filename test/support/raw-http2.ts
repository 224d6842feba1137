/**
 * HTTP/2 frames made by hand (RFC 9113), for what no client library sends: broken ones, ones out of order, and several in one segment.
 * Header blocks are literals without indexing and without Huffman codes (RFC 7541, section 6.2.2).
 */

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const frameTypes = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

export const frameFlags = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** The frames that are complete, and the bytes after them. */
export function framesIn(bytes: Buffer): { readonly frames: Frame[]; readonly rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  while (at + 9 <= bytes.length) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    const [type = -1, flags = -1] = [bytes[at + 3], bytes[at + 4]];
    frames.push({ type, flags, stream: bytes.readUInt32BE(at + 5), payload: bytes.subarray(at + 9, end) });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

export type HeaderList = readonly (readonly [name: string, value: string])[];

export function headerBlock(headers: HeaderList): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.of(0), literal(name), literal(value)]));
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push(128 + (rest % 128));
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The initial window of streams and others, by their numbers (RFC 9113, section 6.5.2). */
export function settings(values: Readonly<Record<number, number>> = {}): Buffer {
  const entries = Object.entries(values).map(([id, value]) => Buffer.concat([Buffer.of(0, Number(id)), uint32(value)]));
  return frame(frameTypes.SETTINGS, 0, 0, Buffer.concat(entries));
}

/** A request in one frame. */
export function request(stream: number, headers: HeaderList, flags: number = frameFlags.END_STREAM): Buffer {
  return frame(frameTypes.HEADERS, frameFlags.END_HEADERS | flags, stream, headerBlock(headers));
}

export function get(path: string): HeaderList {
  return [
    [":method", "GET"],
    [":path", path],
    [":scheme", "http"],
    [":authority", "localhost"],
  ];
}
