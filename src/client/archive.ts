/**
 * Archives from a program, without a server: the package's `cairn-kv/archive` (docs/archive-format.md). What an archive says of itself,
 * which keys it has, whether it is whole, and its entries as NDJSON. An archive is read as a stream, so its size does not matter. It needs
 * only what the web has (streams and Web Crypto), so it runs in Node, Deno, Workers and browsers.
 */
import { exactLineOf, textOfExpiry } from "../codec/json-notation/entry-line.ts";
import { textOfKeyNotation } from "../codec/json-notation/key-notation.ts";
import type { ArchiveHeader, ArchiveTypeName } from "../codec/archive/archive-header.ts";
import type { ArchiveProblem, ArchiveProblemKind } from "../codec/archive/archive-problem.ts";
import { type ArchivePart, openArchive, readArchiveHeader } from "../codec/archive/archive-reader.ts";
import { ArchiveSource, type BytePieces } from "../codec/archive/archive-source.ts";
import { encryptionKeys } from "../core/encryption-keys.ts";
import type { KeyList } from "../core/key-list.ts";
import { Encoding, type StoredEntry } from "../core/operations.ts";
import { versionstampHex } from "../core/versionstamp.ts";

export interface ArchiveOptions {
  /** The encryption keys of the deployment that made the archive, as in `CAIRN_ENCRYPTION_KEYS`: `kid:base64,kid2:base64`. */
  readonly keys?: string | undefined;
}

export interface ExtractOptions extends ArchiveOptions {
  /** `plain`: values that JSON can express stand for themselves. Otherwise every value is in the notation (docs/json-notation.md). */
  readonly values?: "notation" | "plain";
}

/** What an archive says of itself, in the clear. */
export interface ArchiveDescription {
  readonly databaseId: string;
  /** null: it was made outside of any organization. */
  readonly organizationId: string | null;
  /** 20 hex digits: the archive holds every commit up to this one, and nothing of later ones. */
  readonly versionstamp: string;
  /** `database`: entries only. `full`: also settings. */
  readonly type: ArchiveTypeName;
  /** In ISO 8601. */
  readonly createdAt: string;
  /** The id of the key that it is encrypted with. null: it is not encrypted. */
  readonly keyId: string | null;
}

export interface VerifiedArchive extends ArchiveDescription {
  readonly entries: number;
  /** Bytes of keys and values. */
  readonly bytes: number;
  /** Bytes of the file. */
  readonly size: number;
  /** What a full archive has besides entries. null: nothing. */
  readonly settings: unknown;
}

export interface ListedEntry {
  /** The parts of the key, in the notation (docs/json-notation.md). */
  readonly key: readonly unknown[];
  readonly versionstamp: string;
  /** How the value is stored: a V8 value, a 64-bit number or raw bytes. */
  readonly encoding: keyof typeof Encoding;
  readonly valueBytes: number;
  /** As an export writes it: in ISO 8601 from year 0 to 9999, else in milliseconds. null: never. */
  readonly expiresAt: string | number | null;
}

/** Why an archive cannot be read. `problem` tells a wrong key from a damaged file. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
  readonly problem: ArchiveProblemKind | "invalid-keys";
  /** The byte of the file at which the damaged part begins. */
  readonly offset: number;

  constructor(problem: ArchiveProblemKind | "invalid-keys", message: string, offset = 0) {
    super(message);
    this.problem = problem;
    this.offset = offset;
  }
}

/** What the archive says of itself. Needs no key, and reads only the beginning of the file. */
export async function describeArchive(file: BytePieces): Promise<ArchiveDescription> {
  const source = new ArchiveSource(file);
  try {
    const read = await readArchiveHeader(source);
    if (!read.ok) throw errorOf(read);
    return descriptionOf(read.header);
  } finally {
    await source.close();
  }
}

/** Reads the whole archive. Throws an `ArchiveError` that names what is wrong and where. */
export async function verifyArchive(file: BytePieces, options: ArchiveOptions = {}): Promise<VerifiedArchive> {
  const { header, parts } = await partsOf(file, options);
  let settings: unknown = null;
  for await (const { part, offset } of parts) {
    if (part.part === "settings") settings = JSON.parse(part.json);
    if (part.part !== "end") continue;
    const { entries, bytes } = part.totals;
    return { ...descriptionOf(header), entries, bytes, size: offset, settings };
  }
  throw new ArchiveError("damaged", "The archive has no end.");
}

/** Every entry without its value, in the order of keys. It throws where the archive is damaged: what came before is good. */
export async function* listArchive(
  file: BytePieces,
  options: ArchiveOptions = {},
): AsyncGenerator<ListedEntry, void, undefined> {
  const { parts } = await partsOf(file, options);
  for await (const { part } of parts) if (part.part === "entries") yield* part.entries.map(listed);
}

/**
 * The archive's entries as NDJSON, as an export writes them: pieces of text, each some whole lines. The last line carries the number of
 * entries, and comes only from an archive that is whole. An archive without entries gives no line.
 */
export async function* extractArchive(
  file: BytePieces,
  options: ExtractOptions = {},
): AsyncGenerator<string, void, undefined> {
  const { parts } = await partsOf(file, options);
  const notation = { plain: options.values === "plain" };
  let [entries, v8] = [0, 0];
  // Held back until the end of the archive has come, because the last line is another than the others.
  let last: string | null = null;
  for await (const { part } of parts) {
    if (part.part === "end") break;
    if (part.part !== "entries") continue;
    let lines = last === null ? "" : `${last}\n`;
    for (const [index, entry] of part.entries.entries()) {
      const { text, form } = exactLineOf(entry, notation, "");
      entries += 1;
      if (form === "v8") v8 += 1;
      if (index < part.entries.length - 1) lines += `${text}\n`;
      else last = text;
    }
    yield lines;
  }
  if (last !== null) yield `${last.slice(0, -1)},"export":{"entries":${entries},"v8":${v8}}}\n`;
}

interface Parts {
  readonly header: ArchiveHeader;
  /** Each part, and the byte of the file behind it. Throws an `ArchiveError`. The last one is the end. */
  readonly parts: AsyncGenerator<{ readonly part: ArchivePart; readonly offset: number }, void, undefined>;
}

async function partsOf(file: BytePieces, { keys }: ArchiveOptions): Promise<Parts> {
  const opened = await openArchive(file, keyListOf(keys));
  if (!opened.ok) throw errorOf(opened);
  const { header, reader } = opened;
  async function* parts(): Parts["parts"] {
    try {
      for (;;) {
        const part = await reader.next();
        if (!part.ok) throw errorOf(part);
        yield { part, offset: reader.position.offset };
        if (part.part === "end") return;
      }
    } finally {
      await reader.close();
    }
  }
  return { header, parts: parts() };
}

function keyListOf(text: string | undefined): KeyList | null {
  if (text === undefined || text === "") return null;
  const keys = encryptionKeys(text);
  if ("ok" in keys) throw new ArchiveError("invalid-keys", `keys, ${keys.message}`);
  return keys;
}

function descriptionOf({ databaseId, owner, version, type, createdAt, encryption }: ArchiveHeader): ArchiveDescription {
  return {
    databaseId,
    organizationId: owner,
    versionstamp: versionstampHex(version),
    type,
    createdAt: new Date(createdAt).toISOString(),
    keyId: encryption?.kid ?? null,
  };
}

const ENCODING_NAMES = { [Encoding.v8]: "v8", [Encoding.le64]: "le64", [Encoding.bytes]: "bytes" } as const;

function listed({ key, value, encoding, version, expiresAt }: StoredEntry): ListedEntry {
  return {
    // The notation of a key is a JSON array.
    key: JSON.parse(textOfKeyNotation(key)) as readonly unknown[],
    versionstamp: versionstampHex(version),
    encoding: ENCODING_NAMES[encoding],
    valueBytes: value.length,
    expiresAt: expiresAt === null ? null : (JSON.parse(textOfExpiry(expiresAt)) as string | number),
  };
}

function errorOf({ problem, message, offset }: ArchiveProblem): ArchiveError {
  return new ArchiveError(problem, message, offset);
}
