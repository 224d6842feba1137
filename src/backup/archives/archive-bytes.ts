/** The bytes of an archive from where it lies: a destination, read by ranges, or the spool. */
import type { RunningSha256 } from "../format/running-hash.ts";
import { MAX_ARCHIVE_RANGE_BYTES } from "../../core/archive-limits.ts";
import type { Destination, DestinationFailure } from "../destinations/destination.ts";
import type { Spool } from "./spool.ts";

const SPOOL_PIECE_BYTES = 512 * 1024;

/** Thrown out of the middle of a stream of bytes. */
export class UnreadableArchive extends Error {
  override readonly name = "UnreadableArchive";
  readonly failure: DestinationFailure;

  constructor(failure: DestinationFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

export interface ArchiveObject {
  readonly destination: Pick<Destination, "get">;
  /** Its name below the destination's prefix. */
  readonly object: string;
  readonly size: number;
}

/** The bytes from `first` to before `end`, one piece after the other. Throws `UnreadableArchive`. */
export async function* bytesAt(
  { destination, object, size }: ArchiveObject,
  first: number,
  end: number = size,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = first; at < end;) {
    const got = await destination.get(object, { offset: at, length: Math.min(MAX_ARCHIVE_RANGE_BYTES, end - at) });
    if (!got.ok) throw new UnreadableArchive(got);
    if (got.size !== size || got.bytes.length === 0) throw new UnreadableArchive(notAsStored(got.size, size));
    at += got.bytes.length;
    yield got.bytes;
  }
}

export async function* bytesOfSpool(spool: Spool, first: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = first; ;) {
    const bytes = spool.read(at, SPOOL_PIECE_BYTES);
    if (bytes.length === 0) return;
    at += bytes.length;
    yield bytes;
  }
}

/** The same pieces. The hash covers all that were taken. */
export async function* hashing(
  pieces: AsyncIterable<Uint8Array>,
  hash: RunningSha256,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) {
    hash.add(piece);
    yield piece;
  }
}

function notAsStored(found: number, size: number): DestinationFailure {
  return {
    ok: false,
    class: "bad",
    message: `The object has ${found} bytes, and the archive has ${size}: it was cut short or replaced.`,
  };
}
