/**
 * Reads an archive as a stream, and trusts nothing of it: each frame is authenticated before it is decompressed, and its entries are
 * checked before they are returned. The archive is whole only when `next` has returned its end. Memory: one frame, and its chunk.
 */
import {
  MAX_ARCHIVE_BODY_BYTES,
  MAX_ARCHIVE_CHUNK_BYTES,
  MAX_ARCHIVE_CHUNKS,
  MAX_ARCHIVE_SETTINGS_BYTES,
} from "../../core/archive-format-limits.ts";
import { concatBytes, equalBytes, fromHex, toHex } from "../../core/bytes.ts";
import type { KeyList, NamedKey } from "../../core/key-list.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { MalformedProtobuf } from "../protobuf.ts";
import { ArchiveOrder, type ArchiveTotals, decodeEntries, decodeTotals } from "./archive-chunk.ts";
import { type ArchiveHeader, decodeArchiveHeader, restOfHeader } from "./archive-header.ts";
import {
  FRAME_HEAD_BYTES,
  type FrameHead,
  FrameKind,
  PREAMBLE_BYTES,
  readFrameHead,
  TAG_BYTES,
} from "./archive-layout.ts";
import { type ArchiveProblem, archiveProblem, ChunkDamage } from "./archive-problem.ts";
import { type BodySeal, bodySeal, keyCheckOf } from "./archive-seal.ts";
import { ArchiveSource, type BytePieces } from "./archive-source.ts";
import { gunzip } from "./gzip.ts";

export type ArchivePart =
  | { readonly ok: true; readonly part: "entries"; readonly entries: readonly StoredEntry[] }
  /** JSON. Only in a full archive, before the entries. */
  | { readonly ok: true; readonly part: "settings"; readonly json: string }
  /** The archive is whole. */
  | { readonly ok: true; readonly part: "end"; readonly totals: ArchiveTotals };

/** How far a reader is: plain data, which is stored and continued from. */
export interface ReaderPosition {
  /** The byte at which the next frame begins. */
  readonly offset: number;
  readonly frames: number;
  readonly epoch: number;
  readonly entries: number;
  readonly bytes: number;
  /** The last key, in hexadecimal. null: there was no entry. */
  readonly last: string | null;
}

export interface OpenedArchive {
  readonly ok: true;
  readonly header: ArchiveHeader;
  readonly reader: ArchiveReader;
}

/** Reads the header and looks for the key. `keys` null: only an archive that is not encrypted can be read. */
export async function openArchive(pieces: BytePieces, keys: KeyList | null): Promise<OpenedArchive | ArchiveProblem> {
  const source = new ArchiveSource(pieces);
  const read = await readArchiveHeader(source);
  if (!read.ok) return read;
  const key = await keyOf(read.header, keys);
  if ("ok" in key) return key;
  const start = { offset: source.offset, frames: 0, epoch: 0, entries: 0, bytes: 0, last: null };
  const seal = await bodySeal(key.key, read.header.salt);
  return { ok: true, header: read.header, reader: new ArchiveReader(source, read.header, read.hash, seal, start) };
}

/** Continues to read an archive whose header was read before. `pieces` begin at the position's offset. */
export async function continueArchive(
  pieces: BytePieces,
  headerBytes: Uint8Array,
  keys: KeyList | null,
  position: ReaderPosition,
): Promise<OpenedArchive | ArchiveProblem> {
  const read = await decodeArchiveHeader(headerBytes);
  if (!read.ok) return read;
  const key = await keyOf(read.header, keys);
  if ("ok" in key) return key;
  const seal = await bodySeal(key.key, read.header.salt);
  const source = new ArchiveSource(pieces, position.offset);
  return { ok: true, header: read.header, reader: new ArchiveReader(source, read.header, read.hash, seal, position) };
}

/** What an archive says of itself. Needs no key. `bytes`: the whole header. */
export async function readArchiveHeader(source: ArchiveSource): Promise<
  | {
      readonly ok: true;
      readonly header: ArchiveHeader;
      readonly hash: Uint8Array;
      readonly bytes: Uint8Array;
    }
  | ArchiveProblem
> {
  const preamble = await source.take(PREAMBLE_BYTES);
  if (preamble.length < PREAMBLE_BYTES) {
    return archiveProblem("not-an-archive", `The file has ${preamble.length} bytes: an archive's header is longer`);
  }
  const rest = restOfHeader(preamble);
  if (!rest.ok) return rest;
  const more = await source.take(rest.length);
  if (more.length < rest.length) {
    return archiveProblem(
      "damaged",
      `The file was cut short in its header, or the header's length was altered: the file ends at byte ${source.offset}`,
    );
  }
  const bytes = concatBytes([preamble, more]);
  const decoded = await decodeArchiveHeader(bytes);
  return decoded.ok ? { ...decoded, bytes } : decoded;
}

async function keyOf(
  { encryption, salt }: ArchiveHeader,
  keys: KeyList | null,
): Promise<{ readonly key: NamedKey | null } | ArchiveProblem> {
  if (encryption === null) return { key: null };
  const { kid, keyCheck } = encryption;
  const known = keys?.find((key) => key.kid === kid);
  if (known === undefined) {
    return archiveProblem(
      "no-key",
      `The archive is encrypted with the key "${kid}", which is not among the given keys. Add it to CAIRN_ENCRYPTION_KEYS, like ${kid}:<base64>`,
    );
  }
  if (equalBytes(await keyCheckOf(known, salt), keyCheck)) return { key: known };
  return archiveProblem(
    "wrong-key",
    `The given key "${kid}" is another key than the one of that id with which the archive is encrypted. The archive's header is whole: find the key of the deployment that made the archive`,
  );
}

export class ArchiveReader {
  readonly #source: ArchiveSource;
  readonly #header: ArchiveHeader;
  readonly #headerHash: Uint8Array;
  readonly #seal: BodySeal;
  readonly #order: ArchiveOrder;
  #index: number;
  #epoch: number;
  #offset: number;

  /** To be made by `openArchive` and `continueArchive`. */
  constructor(
    source: ArchiveSource,
    header: ArchiveHeader,
    headerHash: Uint8Array,
    seal: BodySeal,
    position: ReaderPosition,
  ) {
    const { entries, bytes, last } = position;
    this.#source = source;
    this.#header = header;
    this.#headerHash = headerHash;
    this.#seal = seal;
    this.#order = new ArchiveOrder(header.version, { entries, bytes, last: last === null ? null : fromHex(last) });
    this.#index = position.frames;
    this.#epoch = position.epoch;
    this.#offset = position.offset;
  }

  /** The place after the last part that `next` returned. */
  get position(): ReaderPosition {
    const { entries, bytes, last } = this.#order;
    const lastKey = last === null ? null : toHex(last);
    return { offset: this.#offset, frames: this.#index, epoch: this.#epoch, entries, bytes, last: lastKey };
  }

  /** The next part. Not to be called again after the end or a problem. */
  async next(): Promise<ArchivePart | ArchiveProblem> {
    const head = await this.#source.take(FRAME_HEAD_BYTES);
    if (head.length < FRAME_HEAD_BYTES) return this.#cutShort();
    const { length, kind, epoch } = readFrameHead(head);
    const wrong = this.#wrongHead({ length, kind, epoch });
    if (wrong !== null) return this.#damaged(wrong);
    const sealed = await this.#source.take(length + TAG_BYTES);
    if (sealed.length < length + TAG_BYTES) return this.#cutShort();
    const place = { headerHash: this.#headerHash, index: this.#index, epoch, head };
    const body = await this.#seal.open(sealed, place);
    if (body === null) return this.#damaged("was altered, or belongs to another place or to another archive");
    const content = await gunzip(body, MAX_ARCHIVE_CHUNK_BYTES);
    if (content === null) {
      return this.#damaged(`is no gzip stream of at most ${MAX_ARCHIVE_CHUNK_BYTES} bytes`);
    }
    return this.#understood(kind, epoch, content);
  }

  /** Tells the giver of the bytes that no more are wanted. */
  close(): Promise<void> {
    return this.#source.close();
  }

  async #understood(kind: number, epoch: number, content: Uint8Array): Promise<ArchivePart | ArchiveProblem> {
    try {
      const part = this.#partOf(kind, content);
      if (part.part === "end" && (await this.#source.take(1)).length > 0) {
        return this.#damaged("is the last one, and the file goes on behind it");
      }
      this.#index += 1;
      this.#epoch = epoch;
      this.#offset = this.#source.offset;
      return part;
    } catch (error) {
      if (error instanceof ChunkDamage || error instanceof MalformedProtobuf) return this.#damaged(error.message);
      throw error;
    }
  }

  #partOf(kind: number, content: Uint8Array): ArchivePart & { readonly ok: true } {
    switch (kind) {
      case FrameKind.entries: {
        const entries = decodeEntries(content);
        this.#order.add(entries);
        return { ok: true, part: "entries", entries };
      }
      case FrameKind.settings:
        if (this.#header.type !== "full" || this.#index > 0) throw new ChunkDamage("has settings where none belong");
        if (content.length > MAX_ARCHIVE_SETTINGS_BYTES) {
          throw new ChunkDamage(`has settings of more than ${MAX_ARCHIVE_SETTINGS_BYTES} bytes`);
        }
        return { ok: true, part: "settings", json: new TextDecoder().decode(content) };
      default: {
        const totals = decodeTotals(content);
        const { entries, bytes } = this.#order;
        if (totals.entries !== entries || totals.bytes !== bytes || totals.frames !== this.#index) {
          throw new ChunkDamage(`announces ${totals.entries} entries, and there were ${entries}`);
        }
        return { ok: true, part: "end", totals };
      }
    }
  }

  #wrongHead({ length, kind, epoch }: FrameHead): string | null {
    if (this.#index >= MAX_ARCHIVE_CHUNKS) return `is one more than the ${MAX_ARCHIVE_CHUNKS} that an archive can have`;
    if (kind < FrameKind.entries || kind > FrameKind.end) return `was altered: its kind is ${kind}`;
    if (length > MAX_ARCHIVE_BODY_BYTES) {
      return `was altered: it announces ${length} bytes, and the limit is ${MAX_ARCHIVE_BODY_BYTES}`;
    }
    return epoch < this.#epoch ? `was altered: its epoch is ${epoch} after ${this.#epoch}` : null;
  }

  #cutShort(): ArchiveProblem {
    const { offset } = this.#source;
    return archiveProblem(
      "damaged",
      offset === this.#offset
        ? `The file was cut short: it ends at byte ${offset}, where chunk ${this.#index} should begin`
        : `The file was cut short, or the length of a chunk was altered: chunk ${this.#index} begins at byte ${this.#offset}, and the file ends at byte ${offset}`,
      this.#offset,
    );
  }

  #damaged(what: string): ArchiveProblem {
    return archiveProblem("damaged", `Chunk ${this.#index}, at byte ${this.#offset}, ${what}`, this.#offset);
  }
}
