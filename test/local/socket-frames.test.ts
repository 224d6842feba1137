/** What the front follows of the frames of a WebSocket, however they are cut into pieces. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SOCKET_PIECE_BYTES, SOCKET_PIECE_FRAMES } from "../../src/core/limits.ts";
import { SocketFrames } from "../../src/local/front/socket-frames.ts";

interface Frame {
  readonly opcode: number;
  readonly isLast: boolean;
  readonly isMasked: boolean;
  readonly length: number;
}

const frames = fc.array(
  fc.record({
    opcode: fc.constantFrom(0, 1, 2, 9, 10),
    isLast: fc.boolean(),
    isMasked: fc.boolean(),
    length: fc.oneof(fc.nat(130), fc.constantFrom(125, 126, 65_535, 65_536, 70_000)),
  }),
  { maxLength: 12 },
);

function bytesOf({ opcode, isLast, isMasked, length }: Frame): Buffer {
  const head = [(isLast ? 0x80 : 0) | opcode];
  const mask = isMasked ? 0x80 : 0;
  if (length < 126) head.push(mask | length);
  else if (length < 65_536) head.push(mask | 126, length >> 8, length & 0xff);
  else head.push(mask | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff);
  // What the payload holds must not matter: this would be a close frame.
  return Buffer.concat([Buffer.from(head), Buffer.alloc(isMasked ? 4 : 0, 0x88), Buffer.alloc(length, 0x88)]);
}

test("the message that has not ended is counted to the byte", () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 20 }), (all, cuts) => {
      const followed = new SocketFrames();
      const bytes = Buffer.concat(all.map(bytesOf));
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const next = Math.min(bytes.length, at + (cuts[i % cuts.length] ?? 1));
        followed.pass(bytes.subarray(at, next));
        at = next;
      }
      const data = all.filter(({ opcode }) => opcode < 8);
      const ended = data.findLastIndex(({ isLast }) => isLast);
      const begun = data.slice(ended + 1).map((frame) => bytesOf(frame).length);
      expect(followed.unfinished).toBe(begun.reduce((sum, length) => sum + length, 0));
      expect(followed.hasClosed).toBe(false);
    }),
  );
});

test("a close frame is seen when all of it has passed", () => {
  const followed = new SocketFrames();
  const close = Buffer.concat([
    bytesOf({ opcode: 2, isLast: true, isMasked: false, length: 300 }),
    Buffer.of(0x88, 2, 3, 232),
  ]);
  for (const byte of close.subarray(0, -1)) followed.pass(Buffer.of(byte));
  expect(followed.hasClosed).toBe(false);
  followed.pass(close.subarray(-1));
  expect(followed.hasClosed).toBe(true);
});

test("pieces end with a frame, and hold few frames", () => {
  fc.assert(
    fc.property(frames, (all) => {
      const followed = new SocketFrames();
      const ends = new Set<number>();
      for (const frame of all) ends.add((Math.max(0, ...ends) || 0) + bytesOf(frame).length);
      const bytes = Buffer.concat(all.map(bytesOf));
      for (let at = 0; at < bytes.length;) {
        const { length, part } = followed.passSome(bytes.subarray(at));
        const next = at + length;
        expect(part).toBeGreaterThanOrEqual(1 / SOCKET_PIECE_FRAMES);
        expect(part).toBeLessThanOrEqual(1);
        expect(ends.has(next)).toBe(true);
        const within = [...ends].filter((end) => end > at && end <= next);
        expect(within.length).toBeLessThanOrEqual(SOCKET_PIECE_FRAMES);
        // Without the last frame of several it has fewer bytes.
        expect((within.at(-2) ?? at) - at).toBeLessThan(SOCKET_PIECE_BYTES);
        at = next;
      }
    }),
  );
});
