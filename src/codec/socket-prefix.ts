/** Watches of prefixes on sockets: the messages PrefixWatch and PrefixUpdate, for the side that answers. The side that asks is `socket-client.ts`. */
import { failure, type Failure } from "../core/errors.ts";
import { MAX_KEY_BYTES } from "../core/limits.ts";
import type { Entry } from "../core/operations.ts";
import { type Version, VERSIONSTAMP_BYTES, versionOfBytes, writeVersionstamp } from "../core/versionstamp.ts";
import { isEncodedKey } from "./key-codec.ts";
import { bytesFieldSize, decoding, ProtobufReader, ProtobufWriter, varintFieldSize } from "./protobuf.ts";

export interface WatchedPrefix {
  /** An encoded key; empty: all keys. */
  readonly prefix: Uint8Array;
  /** The last `upTo` that the client has seen. */
  readonly after: Version | null;
  readonly updatesOnly: boolean;
  readonly ignoreDeletes: boolean;
  readonly keysOnly: boolean;
}

export interface KeyUpdate {
  readonly key: Uint8Array;
  /** null: there is no entry. */
  readonly version: Version | null;
  /** null: there is no entry, or values are not asked for. */
  readonly entry: Entry | null;
}

export interface PrefixUpdate {
  readonly reset: boolean;
  readonly keys: readonly KeyUpdate[];
  /** null: the next updates belong together with this one. */
  readonly upTo: Version | null;
}

/** PrefixWatch. */
export function decodePrefixWatch(body: Uint8Array): ({ readonly ok: true } & WatchedPrefix) | Failure {
  return decoding("The watch", "invalid", () => {
    const reader = new ProtobufReader(body);
    let prefix: Uint8Array = new Uint8Array(0);
    let after: Uint8Array = prefix;
    let [updatesOnly, ignoreDeletes, keysOnly] = [false, false, false];
    while (reader.next()) {
      if (reader.field === 1) prefix = reader.bytes();
      else if (reader.field === 2) after = reader.bytes();
      else if (reader.field === 3) updatesOnly = reader.bool();
      else if (reader.field === 4) ignoreDeletes = reader.bool();
      else if (reader.field === 5) keysOnly = reader.bool();
      else reader.skip();
    }
    if (prefix.length > MAX_KEY_BYTES) {
      return failure("limit", `The watch: its prefix has ${prefix.length} bytes; the limit is ${MAX_KEY_BYTES}.`);
    }
    if (prefix.length > 0 && !isEncodedKey(prefix))
      return failure("invalid", "The watch: its prefix is no encoded key.");
    const version = after.length === 0 ? null : versionOfBytes(after);
    if (version === undefined) {
      return failure(
        "invalid",
        "The watch: its after is no versionstamp of this server; it must be the last up_to of a watch.",
      );
    }
    return { ok: true, prefix, after: version, updatesOnly, ignoreDeletes, keysOnly };
  });
}

/** PrefixUpdate. */
export function encodePrefixUpdate({ reset, keys, upTo }: PrefixUpdate): Uint8Array<ArrayBuffer> {
  const ofStamp = bytesFieldSize(3, VERSIONSTAMP_BYTES);
  let size = (reset ? varintFieldSize(1, 1) : 0) + (upTo === null ? 0 : ofStamp);
  for (const key of keys) size += bytesFieldSize(2, sizeOfKey(key));
  const writer = new ProtobufWriter(size);
  if (reset) writer.varintField(1, 1);
  for (const update of keys) {
    const { key, version, entry } = update;
    writer.messageField(2, sizeOfKey(update));
    writer.bytesField(1, key);
    if (version !== null) writeStamp(writer, 2, version);
    if (entry === null) continue;
    writer.bytesField(3, entry.value);
    writer.varintField(4, entry.encoding);
  }
  if (upTo !== null) writeStamp(writer, 3, upTo);
  return writer.finish();
}

function sizeOfKey({ key, version, entry }: KeyUpdate): number {
  const ofVersion = version === null ? 0 : bytesFieldSize(2, VERSIONSTAMP_BYTES);
  const ofEntry = entry === null ? 0 : bytesFieldSize(3, entry.value.length) + varintFieldSize(4, entry.encoding);
  return bytesFieldSize(1, key.length) + ofVersion + ofEntry;
}

function writeStamp(writer: ProtobufWriter, field: number, version: Version): void {
  writer.messageField(field, VERSIONSTAMP_BYTES);
  writeVersionstamp(writer.target, writer.reserve(VERSIONSTAMP_BYTES), version);
}
