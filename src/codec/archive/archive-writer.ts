/**
 * Writes an archive, one frame after the other. The bytes of a frame are a function of the header, the frame's place and its content. So a
 * writer that was interrupted continues from the frame after the last one that was kept, in a higher epoch: no nonce is used for two
 * different bodies, even if gzip's output has changed meanwhile.
 */
import { assert } from "../../core/assert.ts";
import { MAX_ARCHIVE_CHUNK_BYTES, MAX_ARCHIVE_CHUNKS } from "../../core/archive-format-limits.ts";
import { concatBytes } from "../../core/bytes.ts";
import type { NamedKey } from "../../core/key-list.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { encodeEntries, encodeTotals } from "./archive-chunk.ts";
import { type ArchiveHeader, encodeArchiveHeader } from "./archive-header.ts";
import { FrameKind, HASH_BYTES, TAG_BYTES, writeFrameHead } from "./archive-layout.ts";
import { type BodySeal, bodySeal, keyCheckOf } from "./archive-seal.ts";
import { gzip } from "./gzip.ts";

/**
 * Bytes of keys and values after which a chunk of entries is closed. gzip begins anew in each chunk: with half a MiB that costs a few
 * thousandths of the size.
 */
export const ARCHIVE_CHUNK_BYTES = 512 * 1024;

export type NewArchiveHeader = Omit<ArchiveHeader, "encryption">;

/** How far a writer is: plain data, which is stored and continued from. */
export interface WriterPosition {
  /** The index of the next frame. */
  readonly frames: number;
  readonly entries: number;
  /** Bytes of keys and values. */
  readonly bytes: number;
  /** Counts how often the writing has begun. */
  readonly epoch: number;
}

export const FIRST_POSITION: WriterPosition = { frames: 0, entries: 0, bytes: 0, epoch: 0 };

/** The header as it lies in the file. `key` null: nothing is encrypted. */
export async function newArchiveHeader(
  given: NewArchiveHeader,
  key: NamedKey | null,
): Promise<Uint8Array<ArrayBuffer>> {
  const encryption = key === null ? null : { kid: key.kid, keyCheck: await keyCheckOf(key, given.salt) };
  return encodeArchiveHeader({ ...given, encryption });
}

export class ArchiveWriter {
  readonly #headerHash: Uint8Array;
  readonly #seal: BodySeal;
  readonly #breathe: (() => Promise<void>) | undefined;
  #position: WriterPosition;

  private constructor(
    headerHash: Uint8Array,
    seal: BodySeal,
    position: WriterPosition,
    breathe: (() => Promise<void>) | undefined,
  ) {
    this.#headerHash = headerHash;
    this.#seal = seal;
    this.#position = position;
    this.#breathe = breathe;
  }

  /** `header`: the bytes of `newArchiveHeader`, made with this key and salt. `breathe` lets others have their turn. */
  static async open(
    header: Uint8Array,
    salt: Uint8Array,
    key: NamedKey | null,
    position: WriterPosition = FIRST_POSITION,
    breathe?: () => Promise<void>,
  ): Promise<ArchiveWriter> {
    return new ArchiveWriter(header.slice(-HASH_BYTES), await bodySeal(key, salt), position, breathe);
  }

  /** How far the writer will be when the last returned frame is kept. */
  get position(): WriterPosition {
    return this.#position;
  }

  /** A frame with these entries, which follow those of the frame before in the order of keys. */
  async entries(entries: readonly StoredEntry[]): Promise<Uint8Array<ArrayBuffer>> {
    let { bytes } = this.#position;
    for (const { key, value } of entries) bytes += key.length + value.length;
    const frame = await this.#frame(FrameKind.entries, encodeEntries(entries));
    this.#position = { ...this.#position, entries: this.#position.entries + entries.length, bytes };
    return frame;
  }

  /** A frame with the settings of a full archive, as JSON. It comes before all entries. */
  settings(json: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.#frame(FrameKind.settings, new TextEncoder().encode(json));
  }

  /** The last frame. */
  end(): Promise<Uint8Array<ArrayBuffer>> {
    const { entries, frames, bytes } = this.#position;
    return this.#frame(FrameKind.end, encodeTotals({ entries, frames, bytes }));
  }

  async #frame(kind: FrameKind, content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    assert(content.length <= MAX_ARCHIVE_CHUNK_BYTES, `a chunk of at most ${MAX_ARCHIVE_CHUNK_BYTES} bytes`);
    const { frames: index, epoch } = this.#position;
    assert(index < MAX_ARCHIVE_CHUNKS, `at most ${MAX_ARCHIVE_CHUNKS} chunks`);
    const body = await gzip(content, this.#breathe);
    const head = writeFrameHead({ length: body.length, kind, epoch });
    const sealed = await this.#seal.seal(body, { headerHash: this.#headerHash, index, epoch, head });
    assert(sealed.length === body.length + TAG_BYTES, "a sealed body to be longer by its tag");
    this.#position = { ...this.#position, frames: index + 1 };
    return concatBytes([head, sealed]);
  }
}
