/**
 * A body that says where it ends. Between two objects of the platform a body that breaks off, because its sender failed or went away, looks
 * like one that has ended. So each piece goes in a frame, behind its length as four bytes (big endian), and a frame of length 0 ends the
 * body. Without that frame it has broken off.
 */
import { concatBytes } from "../core/bytes.ts";

const HEAD_BYTES = 4;

/** `next` gives the pieces, and null at their end. When it throws, the body breaks off. `failed` is told why. */
export function framed(
  next: () => Promise<Uint8Array | null>,
  failed: (error: unknown) => void,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const piece = await next();
          // An empty piece would be the end.
          if (piece?.length === 0) return controller.enqueue(piece);
          controller.enqueue(headOf(piece?.length ?? 0));
          if (piece !== null) return controller.enqueue(piece);
        } catch (error) {
          failed(error);
        }
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** The bytes of the body, whose stream errors when the body has broken off. */
export function unframed(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let held: Uint8Array = new Uint8Array();
  /** Bytes that the present frame still has. */
  let left = 0;
  const more = async (): Promise<void> => {
    const { done, value } = await reader.read();
    if (done) throw new Error("The body has broken off.");
    held = held.length === 0 ? value : concatBytes([held, value]);
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (left === 0) {
          while (held.length < HEAD_BYTES) await more();
          left = new DataView(held.buffer, held.byteOffset, HEAD_BYTES).getUint32(0);
          held = held.subarray(HEAD_BYTES);
          if (left === 0) return controller.close();
        }
        while (held.length === 0) await more();
        const piece = held.subarray(0, left);
        held = held.subarray(piece.length);
        left -= piece.length;
        controller.enqueue(piece);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

function headOf(length: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  new DataView(head.buffer).setUint32(0, length);
  return head;
}
