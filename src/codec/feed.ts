/** The change feed in bytes: FeedRequest and FeedUpdate of test/support/proto/cairn/socket/v1/socket.proto, for both sides. */
import { asUnixMs } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { FeedChange, FeedCommit, FeedPage, FeedRequest } from "../core/feed.ts";
import { MAX_FEED_SCAN_BYTES, MAX_KEY_BYTES } from "../core/limits.ts";
import { Encoding } from "../core/operations.ts";
import {
  NO_VERSION,
  type Version,
  VERSIONSTAMP_BYTES,
  versionOfBytes,
  versionstampBytes,
  writeVersionstamp,
} from "../core/versionstamp.ts";
import { isEncodedKey } from "./key-codec.ts";
import { bytesFieldSize, decoding, ProtobufReader, ProtobufWriter, varintFieldSize } from "./protobuf.ts";

const RequestField = { prefix: 1, after: 2, oldest: 3 } as const;
const UpdateField = { commits: 1, reset: 2, upTo: 3, more: 4 } as const;
const CommitField = { versionstamp: 1, changes: 2 } as const;
const ChangeField = { key: 1, operation: 2, value: 3, encoding: 4, expiresAtMs: 5 } as const;
const Operation = { delete: 0, insert: 1, update: 2 } as const;

/** More changes than any page has: each change takes at least 20 bytes in the log. */
const MAX_CHANGES = MAX_FEED_SCAN_BYTES;

const NO_BYTES: Uint8Array = new Uint8Array();

export function operationOf({ set, isNew }: FeedChange): keyof typeof Operation {
  if (set === null) return "delete";
  return isNew ? "insert" : "update";
}

export function encodeFeedRequest({ prefix, from }: FeedRequest): Uint8Array<ArrayBuffer> {
  const ofFrom = from === "now" ? 0 : from === "oldest" ? varintFieldSize(3, 1) : bytesFieldSize(2, VERSIONSTAMP_BYTES);
  const writer = new ProtobufWriter(bytesFieldSize(RequestField.prefix, prefix.length) + ofFrom);
  writer.bytesField(RequestField.prefix, prefix);
  if (from === "oldest") writer.varintField(RequestField.oldest, 1);
  else if (from !== "now") writer.bytesField(RequestField.after, versionstampBytes(from));
  return writer.finish();
}

/** The prefix is a view of the bytes. */
export function decodeFeedRequest(body: Uint8Array): ({ readonly ok: true } & FeedRequest) | Failure {
  return decoding("The feed", "invalid", () => {
    const reader = new ProtobufReader(body);
    let [prefix, after] = [NO_BYTES, NO_BYTES];
    let oldest = false;
    while (reader.next()) {
      if (reader.field === RequestField.prefix) prefix = reader.bytes();
      else if (reader.field === RequestField.after) after = reader.bytes();
      else if (reader.field === RequestField.oldest) oldest = reader.bool();
      else reader.skip();
    }
    if (prefix.length > MAX_KEY_BYTES) {
      return failure("limit", `The feed: its prefix has ${prefix.length} bytes; the limit is ${MAX_KEY_BYTES}.`);
    }
    if (prefix.length > 0 && !isEncodedKey(prefix))
      return failure("invalid", "The feed: its prefix is no encoded key.");
    if (after.length === 0) return { ok: true, prefix, from: oldest ? "oldest" : "now" };
    const version = versionOfBytes(after);
    if (version !== undefined && !oldest) return { ok: true, prefix, from: version };
    return failure(
      "invalid",
      oldest
        ? "The feed: it has both after and oldest; it begins at one of them."
        : "The feed: its after is no versionstamp of this server; it must be the last up_to of a feed.",
    );
  });
}

export function encodeFeedPage({ commits, reset, upTo, isLast }: FeedPage): Uint8Array<ArrayBuffer> {
  const ofStamp = bytesFieldSize(UpdateField.upTo, VERSIONSTAMP_BYTES);
  const sizes = commits.map(sizeOfCommit);
  let size = ofStamp + (reset === null ? 0 : ofStamp) + (isLast ? 0 : varintFieldSize(UpdateField.more, 1));
  for (const one of sizes) size += bytesFieldSize(UpdateField.commits, one);
  const writer = new ProtobufWriter(size);
  for (const [index, { version, changes }] of commits.entries()) {
    writer.messageField(UpdateField.commits, sizes[index] ?? 0);
    writeStamp(writer, CommitField.versionstamp, version);
    for (const change of changes) {
      writer.messageField(CommitField.changes, sizeOfChange(change));
      writeChange(writer, change);
    }
  }
  if (reset !== null) writeStamp(writer, UpdateField.reset, reset);
  writeStamp(writer, UpdateField.upTo, upTo);
  if (!isLast) writer.varintField(UpdateField.more, 1);
  return writer.finish();
}

/** Keys and values are views of the bytes. */
export function decodeFeedPage(body: Uint8Array): ({ readonly ok: true } & FeedPage) | Failure {
  return decoding("The page of the feed", "internal", () => {
    const reader = new ProtobufReader(body);
    const commits: FeedCommit[] = [];
    let reset: Version | null = null;
    let upTo = NO_VERSION;
    let isLast = true;
    let room = MAX_CHANGES;
    while (reader.next()) {
      if (reader.field === UpdateField.commits && room > 0) {
        const commit = readCommit(reader, room);
        room -= 1 + commit.changes.length;
        commits.push(commit);
      } else if (reader.field === UpdateField.reset) reset = versionOfBytes(reader.bytes()) ?? null;
      else if (reader.field === UpdateField.upTo) upTo = versionOfBytes(reader.bytes()) ?? NO_VERSION;
      else if (reader.field === UpdateField.more) isLast = !reader.bool();
      else reader.skip();
    }
    if (room <= 0) return failure("internal", `The page of the feed has more than ${MAX_CHANGES} changes.`);
    return { ok: true, commits, reset, upTo, isLast };
  });
}

function sizeOfCommit({ changes }: FeedCommit): number {
  let size = bytesFieldSize(CommitField.versionstamp, VERSIONSTAMP_BYTES);
  for (const change of changes) size += bytesFieldSize(CommitField.changes, sizeOfChange(change));
  return size;
}

function sizeOfChange(change: FeedChange): number {
  const { key, set } = change;
  const operation = Operation[operationOf(change)];
  const common =
    bytesFieldSize(ChangeField.key, key.length) +
    (operation === 0 ? 0 : varintFieldSize(ChangeField.operation, operation));
  if (set === null) return common;
  const ofExpiry = set.expiresAt === null ? 0 : varintFieldSize(ChangeField.expiresAtMs, set.expiresAt);
  return (
    common +
    bytesFieldSize(ChangeField.value, set.value.length) +
    varintFieldSize(ChangeField.encoding, set.encoding) +
    ofExpiry
  );
}

function writeChange(writer: ProtobufWriter, change: FeedChange): void {
  const { key, set } = change;
  const operation = Operation[operationOf(change)];
  writer.bytesField(ChangeField.key, key);
  if (operation !== 0) writer.varintField(ChangeField.operation, operation);
  if (set === null) return;
  writer.bytesField(ChangeField.value, set.value);
  writer.varintField(ChangeField.encoding, set.encoding);
  if (set.expiresAt !== null) writer.varintField(ChangeField.expiresAtMs, set.expiresAt);
}

function readCommit(reader: ProtobufReader, room: number): FeedCommit {
  let stamp = NO_BYTES;
  const changes: FeedChange[] = [];
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === CommitField.versionstamp) stamp = reader.bytes();
    else if (reader.field === CommitField.changes && changes.length < room) changes.push(readChange(reader));
    else reader.skip();
  }
  reader.leave(outer);
  return { version: versionOfBytes(stamp) ?? NO_VERSION, changes };
}

const ENCODINGS = [Encoding.v8, Encoding.le64, Encoding.bytes];

function readChange(reader: ProtobufReader): FeedChange {
  let [key, value] = [NO_BYTES, NO_BYTES];
  let [operation, encoding] = [0, 0];
  let expiresAt: number | null = null;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === ChangeField.key) key = reader.bytes();
    else if (reader.field === ChangeField.operation) operation = reader.int32();
    else if (reader.field === ChangeField.value) value = reader.bytes();
    else if (reader.field === ChangeField.encoding) encoding = reader.int32();
    else if (reader.field === ChangeField.expiresAtMs) expiresAt = reader.int64();
    else reader.skip();
  }
  reader.leave(outer);
  const known = ENCODINGS.find((one) => one === encoding);
  if (operation === Operation.delete || known === undefined) return { key, set: null, isNew: false };
  const set = { value, encoding: known, expiresAt: expiresAt === null ? null : asUnixMs(expiresAt) };
  return { key, set, isNew: operation === Operation.insert };
}

function writeStamp(writer: ProtobufWriter, field: number, version: Version): void {
  writer.messageField(field, VERSIONSTAMP_BYTES);
  writeVersionstamp(writer.target, writer.reserve(VERSIONSTAMP_BYTES), version);
}
