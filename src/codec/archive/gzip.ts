/** gzip by the web's streams, which workerd, Node, Deno and browsers have. */
import { concatBytes, unshared } from "../../core/bytes.ts";

/** Compressing this much takes half a millisecond. */
const PIECE_BYTES = 16 * 1024;

/** `breathe` is awaited between pieces, so that others get their turn. */
export async function gzip(bytes: Uint8Array, breathe?: () => Promise<void>): Promise<Uint8Array> {
  const piped = await through(new CompressionStream("gzip"), bytes, Number.POSITIVE_INFINITY, breathe);
  if (piped === null) throw new Error("gzip without a limit has passed it");
  return piped;
}

/** null: the bytes are no gzip stream, have something behind it, or would come to more than `limit` bytes. */
export async function gunzip(
  bytes: Uint8Array,
  limit: number,
  breathe?: () => Promise<void>,
): Promise<Uint8Array | null> {
  try {
    return await through(new DecompressionStream("gzip"), bytes, limit, breathe);
  } catch {
    // The stream's errors only say that the bytes are not what it takes.
    return null;
  }
}

async function through(
  stream: { readonly readable: ReadableStream<Uint8Array>; readonly writable: WritableStream<Uint8Array<ArrayBuffer>> },
  bytes: Uint8Array,
  limit: number,
  breathe: () => Promise<void> = async () => undefined,
): Promise<Uint8Array | null> {
  const writer = stream.writable.getWriter();
  const write = async (): Promise<void> => {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      await writer.write(unshared(bytes.subarray(at, at + PIECE_BYTES)));
      await breathe();
    }
    await writer.close();
  };
  const collected = collect(stream.readable, limit);
  const [written, result] = await Promise.allSettled([write(), collected]);
  if (result.status === "rejected") throw result.reason;
  // When the limit is passed, the reader stops, and the rest of the writes fails.
  if (written.status === "rejected" && result.value !== null) throw written.reason;
  return result.value;
}

async function collect(readable: ReadableStream<Uint8Array>, limit: number): Promise<Uint8Array | null> {
  const reader = readable.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return concatBytes(pieces);
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      return null;
    }
    pieces.push(value);
  }
}
