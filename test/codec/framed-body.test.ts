/** A body in frames: it comes back whole however its bytes are cut, and one that breaks off at any byte is known by that. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { framed, unframed } from "../../src/codec/framed-body.ts";
import { concatBytes } from "../../src/core/bytes.ts";

async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return concatBytes(pieces);
}

function streamOf(pieces: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  const left = [...pieces];
  return new ReadableStream({
    pull(controller) {
      const piece = left.shift();
      if (piece === undefined) controller.close();
      else controller.enqueue(piece);
    },
  });
}

function sent(pieces: readonly Uint8Array[], fails = false, told: unknown[] = []): ReadableStream<Uint8Array> {
  const left = [...pieces];
  const next = async (): Promise<Uint8Array | null> => {
    const piece = left.shift();
    if (piece === undefined && fails) throw new Error("gone");
    return piece ?? null;
  };
  return framed(next, (error) => told.push(error));
}

const anyPieces = fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 6 });

test("it comes back as it was sent, however it is cut on its way", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyPieces,
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 }),
      async (pieces, cuts) => {
        const wire = await bytesOf(sent(pieces));
        const arriving: Uint8Array[] = [];
        for (let at = 0, i = 0; at < wire.length; i++) {
          const length = cuts[i % cuts.length] ?? 1;
          arriving.push(wire.subarray(at, at + length));
          at += length;
        }
        expect(await bytesOf(unframed(streamOf(arriving)))).toEqual(concatBytes(pieces));
      },
    ),
  );
});

test("one that ends at any byte before its end has broken off", async () => {
  const wire = await bytesOf(sent([Uint8Array.of(1, 2, 3), Uint8Array.of(), Uint8Array.of(4)]));
  for (let length = 0; length < wire.length; length++) {
    await expect(bytesOf(unframed(streamOf([wire.subarray(0, length)])))).rejects.toThrow("broken off");
  }
});

test("one whose sender fails breaks off, and the reason is told where it was sent", async () => {
  const told: unknown[] = [];
  await expect(bytesOf(unframed(sent([Uint8Array.of(1)], true, told)))).rejects.toThrow("broken off");
  expect(told).toEqual([new Error("gone")]);
});
