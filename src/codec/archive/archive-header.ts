/** The header of an archive: what the archive is, in the clear. Its bytes and their meaning are in docs/archive-format.md. */
import { concatBytes, equalBytes } from "../../core/bytes.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { MAX_ARCHIVE_HEADER_BYTES } from "../../core/archive-format-limits.ts";
import { MAX_TIME_MS } from "../../core/limits.ts";
import { type Version, VERSIONSTAMP_BYTES, versionOfBytes, versionstampBytes } from "../../core/versionstamp.ts";
import { bytesFieldSize, MalformedProtobuf, ProtobufReader, ProtobufWriter, varintFieldSize } from "../protobuf.ts";
import { type ArchiveProblem, archiveProblem, ChunkDamage } from "./archive-problem.ts";
import { FORMAT, HASH_BYTES, KEY_CHECK_BYTES, MAGIC, PREAMBLE_BYTES, SALT_BYTES } from "./archive-layout.ts";
import { sha256 } from "./archive-seal.ts";

/** `database`: entries only. `full`: settings too. */
export type ArchiveTypeName = "database" | "full";

export interface ArchiveHeader {
  /** The database whose state it is. */
  readonly databaseId: string;
  /** The organization whose database it is. On its deployment no other one may restore the archive. null: nobody's. */
  readonly owner: string | null;
  /** The archive holds every commit up to this version, and nothing of later ones. */
  readonly version: Version;
  readonly type: ArchiveTypeName;
  readonly createdAt: UnixMs;
  /** 32 random bytes. No two archives have the same. */
  readonly salt: Uint8Array;
  /** null: the bodies are not encrypted. */
  readonly encryption: { readonly kid: string; readonly keyCheck: Uint8Array } | null;
}

const Field = {
  databaseId: 1,
  versionstamp: 2,
  type: 3,
  createdAtMs: 4,
  salt: 5,
  compression: 6,
  encryption: 7,
  kid: 8,
  keyCheck: 9,
  owner: 10,
} as const;

const TYPES = { database: 1, full: 2 } as const;
const GZIP = 1;
const AES_256_GCM = 1;
const MAX_ID_CHARACTERS = 256;

/** The whole header, from the file's first byte to the hash. */
export async function encodeArchiveHeader(header: ArchiveHeader): Promise<Uint8Array<ArrayBuffer>> {
  const message = messageOf(header);
  const preamble = new Uint8Array(PREAMBLE_BYTES);
  preamble.set(MAGIC);
  const view = new DataView(preamble.buffer);
  view.setUint16(8, FORMAT);
  view.setUint32(10, message.length);
  const hashed = concatBytes([preamble, message]);
  return concatBytes([hashed, await sha256(hashed)]);
}

/** How many bytes the protobuf and the hash behind it have. The preamble must have its full length. */
export function restOfHeader(preamble: Uint8Array): { readonly ok: true; readonly length: number } | ArchiveProblem {
  if (!equalBytes(preamble.subarray(0, MAGIC.length), MAGIC)) {
    return archiveProblem(
      "not-an-archive",
      "The file is no archive of Cairn: its first 8 bytes must be 89 43 41 49 52 4e 0d 0a",
    );
  }
  const length = new DataView(preamble.buffer, preamble.byteOffset).getUint32(10);
  if (length > MAX_ARCHIVE_HEADER_BYTES) {
    return archiveProblem(
      "damaged",
      `The header was altered: at byte 10 it says that it has ${length} bytes, and the limit is ${MAX_ARCHIVE_HEADER_BYTES}`,
    );
  }
  return { ok: true, length: length + HASH_BYTES };
}

/** `bytes`: the whole header. */
export async function decodeArchiveHeader(
  bytes: Uint8Array,
): Promise<{ readonly ok: true; readonly header: ArchiveHeader; readonly hash: Uint8Array } | ArchiveProblem> {
  const hashed = bytes.subarray(0, bytes.length - HASH_BYTES);
  const hash = bytes.slice(hashed.length);
  if (!equalBytes(await sha256(hashed), hash)) {
    return archiveProblem(
      "damaged",
      `The header was altered: the SHA-256 of bytes 0 to ${hashed.length - 1} is another than the one that follows them`,
    );
  }
  const format = new DataView(bytes.buffer, bytes.byteOffset).getUint16(8);
  if (format !== FORMAT) return isNewer(`format ${format}, and this program reads format ${FORMAT}`);
  try {
    const header = readMessage(hashed.subarray(PREAMBLE_BYTES));
    return typeof header === "string" ? isNewer(header) : { ok: true, header, hash };
  } catch (error) {
    if (!(error instanceof ChunkDamage || error instanceof MalformedProtobuf)) throw error;
    return archiveProblem("damaged", `The header ${error.message}`);
  }
}

function isNewer(what: string): ArchiveProblem {
  return archiveProblem(
    "newer",
    `A later version of Cairn wrote this archive: it has ${what}. Read it with that version`,
  );
}

function messageOf({ databaseId, owner, version, type, createdAt, salt, encryption }: ArchiveHeader): Uint8Array {
  const text = new TextEncoder();
  const fields: readonly (readonly [number, number | Uint8Array])[] = [
    [Field.databaseId, text.encode(databaseId)],
    [Field.versionstamp, versionstampBytes(version)],
    [Field.type, TYPES[type]],
    [Field.createdAtMs, createdAt],
    [Field.salt, salt],
    [Field.compression, GZIP],
    ...(encryption === null
      ? []
      : ([
          [Field.encryption, AES_256_GCM],
          [Field.kid, text.encode(encryption.kid)],
          [Field.keyCheck, encryption.keyCheck],
        ] as const)),
    ...(owner === null ? [] : ([[Field.owner, text.encode(owner)]] as const)),
  ];
  let size = 0;
  for (const [field, value] of fields) {
    size += typeof value === "number" ? varintFieldSize(field, value) : bytesFieldSize(field, value.length);
  }
  const writer = new ProtobufWriter(size);
  for (const [field, value] of fields) {
    if (typeof value === "number") writer.varintField(field, value);
    else writer.bytesField(field, value);
  }
  return writer.finish();
}

/** A text says what in it is newer than this program. Throws what is wrong with it otherwise. */
function readMessage(bytes: Uint8Array): ArchiveHeader | string {
  const reader = new ProtobufReader(bytes);
  const text = new TextDecoder();
  let [databaseId, kid, owner] = ["", "", ""];
  let salt: Uint8Array = new Uint8Array();
  let keyCheck: Uint8Array = new Uint8Array();
  let stamp: Uint8Array = new Uint8Array();
  let [type, createdAt, compression, encryption] = [0, 0, 0, 0];
  while (reader.next()) {
    if (reader.field === Field.databaseId) databaseId = text.decode(reader.bytes());
    else if (reader.field === Field.versionstamp) stamp = reader.bytes();
    else if (reader.field === Field.type) type = reader.int32();
    else if (reader.field === Field.createdAtMs) createdAt = reader.int64();
    else if (reader.field === Field.salt) salt = reader.bytes().slice();
    else if (reader.field === Field.compression) compression = reader.int32();
    else if (reader.field === Field.encryption) encryption = reader.int32();
    else if (reader.field === Field.kid) kid = text.decode(reader.bytes());
    else if (reader.field === Field.owner) owner = text.decode(reader.bytes());
    else if (reader.field === Field.keyCheck) keyCheck = reader.bytes().slice();
    else reader.skip();
  }
  if (compression !== GZIP) return `compression ${compression}`;
  if (encryption !== 0 && encryption !== AES_256_GCM) return `encryption ${encryption}`;
  if (type !== TYPES.database && type !== TYPES.full) return `type ${type}`;
  if (databaseId === "" || databaseId.length > MAX_ID_CHARACTERS) throw new ChunkDamage("has no id of a database");
  const version = stamp.length === VERSIONSTAMP_BYTES ? versionOfBytes(stamp) : undefined;
  if (version === undefined) throw new ChunkDamage("has no versionstamp");
  if (salt.length !== SALT_BYTES) throw new ChunkDamage(`has no salt of ${SALT_BYTES} bytes`);
  if (!(createdAt >= 0 && createdAt <= MAX_TIME_MS)) throw new ChunkDamage("has an impossible time");
  const isSound = encryption === 0 || (kid !== "" && keyCheck.length === KEY_CHECK_BYTES);
  if (!isSound) throw new ChunkDamage("does not say which key encrypts it");
  if (owner.length > MAX_ID_CHARACTERS) throw new ChunkDamage("has an owner that is no id");
  return {
    databaseId,
    owner: owner === "" ? null : owner,
    version,
    type: type === TYPES.full ? "full" : "database",
    createdAt: asUnixMs(createdAt),
    salt,
    encryption: encryption === 0 ? null : { kid, keyCheck },
  };
}
