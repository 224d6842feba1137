/**
 * An archive, byte by byte (docs/archive-format.md): the header, then frames. All numbers outside of protobuf are big endian.
 *
 *     header:  magic (8)  format (2)  length (4)  protobuf (length)  SHA-256 of all bytes before it (32)
 *     frame:   length of the body (4)  kind (1)  epoch (4)  body (length)  tag (16)
 *
 * The n-th frame has the index n, from 0. A body is a gzip stream of the chunk, encrypted if the header says so. The tag covers the
 * header's hash, the frame's index and its first 9 bytes. So a frame fits at one place of one archive.
 */
export const MAGIC = Uint8Array.of(0x89, 0x43, 0x41, 0x49, 0x52, 0x4e, 0x0d, 0x0a);
export const FORMAT = 1;

/** Magic, format and the length of the protobuf. */
export const PREAMBLE_BYTES = 14;
export const HASH_BYTES = 32;
export const FRAME_HEAD_BYTES = 9;
export const TAG_BYTES = 16;
export const NONCE_BYTES = 12;
export const SALT_BYTES = 32;
export const KEY_CHECK_BYTES = 16;

export const FrameKind = { entries: 1, settings: 2, end: 3 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

export interface FrameHead {
  readonly length: number;
  readonly kind: number;
  readonly epoch: number;
}

export function writeFrameHead({ length, kind, epoch }: FrameHead): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  const view = new DataView(head.buffer);
  view.setUint32(0, length);
  view.setUint8(4, kind);
  view.setUint32(5, epoch);
  return head;
}

export function readFrameHead(head: Uint8Array): FrameHead {
  const view = new DataView(head.buffer, head.byteOffset, FRAME_HEAD_BYTES);
  return { length: view.getUint32(0), kind: view.getUint8(4), epoch: view.getUint32(5) };
}

/** The epoch and the index: never the same for two bodies under one key. */
export function nonceOf(epoch: number, index: number): Uint8Array<ArrayBuffer> {
  const nonce = new Uint8Array(NONCE_BYTES);
  const view = new DataView(nonce.buffer);
  view.setUint32(0, epoch);
  view.setBigUint64(4, BigInt(index));
  return nonce;
}

/** What the tag covers besides the body. */
export function boundTo(headerHash: Uint8Array, nonce: Uint8Array, head: Uint8Array): Uint8Array<ArrayBuffer> {
  const bound = new Uint8Array(HASH_BYTES + NONCE_BYTES + FRAME_HEAD_BYTES);
  bound.set(headerHash);
  bound.set(nonce, HASH_BYTES);
  bound.set(head, HASH_BYTES + NONCE_BYTES);
  return bound;
}
