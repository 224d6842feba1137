/**
 * The binary frames of sockets, for the side that asks. docs/spec/socket.md says what they mean. The side that answers is `socket.ts`.
 */
import { failure, type Failure, isErrorCode } from "../core/errors.ts";
import { MAX_SOCKET_REQUESTS_IN_FLIGHT, MAX_SOCKET_WATCHES, MAX_WATCH_PAGE_ENTRIES } from "../core/limits.ts";
import { Encoding } from "../core/operations.ts";
import { VERSIONSTAMP_BYTES, versionOfBytes, versionstampBytes } from "../core/versionstamp.ts";
import { bytesFieldSize, decoding, ProtobufReader, ProtobufWriter, varintFieldSize } from "./protobuf.ts";
import type { KeyUpdate, PrefixUpdate, WatchedPrefix } from "./socket-prefix.ts";
import { SocketField, type SocketRequest, type SocketResponse } from "./socket.ts";

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** Each request has one answer. A watch may have a message and an end in the same frame. */
const MAX_RESPONSES = MAX_SOCKET_REQUESTS_IN_FLIGHT + 2 * MAX_SOCKET_WATCHES;

const encoder = new TextEncoder();

export type SentRequest = Exclude<SocketRequest, { type: "refused" }>;

/** ClientFrame. */
export function encodeClientFrame(requests: readonly SentRequest[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const request of requests) size += bytesFieldSize(1, sizeOf(request));
  const writer = new ProtobufWriter(size);
  for (const request of requests) {
    const body = bodyOf(request);
    writer.messageField(1, sizeOf(request));
    if (request.id !== 0) writer.varintField(1, request.id);
    if (body === undefined) writer.varintField(SocketField[request.type], watchOf(request));
    else writer.bytesField(SocketField[request.type], body);
    if (maxBytesOf(request) !== 0) writer.varintField(SocketField.maxBytes, maxBytesOf(request));
  }
  return writer.finish();
}

function sizeOf(request: SentRequest): number {
  const body = bodyOf(request);
  const field = SocketField[request.type];
  const ofBody = body === undefined ? varintFieldSize(field, watchOf(request)) : bytesFieldSize(field, body.length);
  const maxBytes = maxBytesOf(request);
  const ofMaxBytes = maxBytes === 0 ? 0 : varintFieldSize(SocketField.maxBytes, maxBytes);
  return (request.id === 0 ? 0 : varintFieldSize(1, request.id)) + ofBody + ofMaxBytes;
}

/** 0: the request names no limit. */
function maxBytesOf(request: SentRequest): number {
  return request.type === "read" ? (request.maxBytes ?? 0) : 0;
}

function watchOf(request: SentRequest): number {
  return "watch" in request ? request.watch : 0;
}

/** undefined: the request has a number in place of a body. */
function bodyOf(request: SentRequest): Uint8Array | undefined {
  if ("body" in request) return request.body;
  return request.type === "token" ? encoder.encode(request.token) : undefined;
}

/** ServerFrame. Bodies are views of its bytes. `datapath-answers.ts` decodes those of reads, writes and watches. */
export function decodeServerFrame(
  bytes: Uint8Array,
): { readonly ok: true; readonly responses: SocketResponse[] } | Failure {
  return decoding("The frame", "internal", () => {
    const reader = new ProtobufReader(bytes);
    const responses: SocketResponse[] = [];
    while (reader.next()) {
      if (reader.field !== 1) {
        reader.skip();
        continue;
      }
      if (responses.length === MAX_RESPONSES) {
        return failure("internal", `The frame has more than ${MAX_RESPONSES} responses.`);
      }
      responses.push(readResponse(reader));
    }
    return { ok: true, responses };
  });
}

function readResponse(reader: ProtobufReader): SocketResponse {
  let id = 0;
  let field = 0;
  let body = NO_BYTES;
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        id = reader.int32() >>> 0;
        break;
      case SocketField.read:
      case SocketField.write:
      case SocketField.watch:
      case SocketField.prefix:
      case SocketField.done:
      case SocketField.error:
      case SocketField.feed:
        ({ field } = reader);
        body = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
  return { id, field, body };
}

/** Error. Its code is one of `core/errors.ts`, or a code of a later version. */
export function decodeSocketError(
  body: Uint8Array,
): { readonly ok: true; readonly code: string; readonly message: string; readonly oldest: string | null } | Failure {
  return decoding("The error", "internal", () => {
    const reader = new ProtobufReader(body);
    const decoder = new TextDecoder();
    let [code, message] = ["", ""];
    let oldest: string | null = null;
    while (reader.next()) {
      if (reader.field === 1) code = decoder.decode(reader.bytes());
      else if (reader.field === 2) message = decoder.decode(reader.bytes());
      else if (reader.field === 3) oldest = decoder.decode(reader.bytes());
      else reader.skip();
    }
    return { ok: true, code, message, oldest };
  });
}

/** The error as a failure. A code that only a later version has counts as an error of the server. */
export function failureOfSocketError(body: Uint8Array): Failure {
  const error = decodeSocketError(body);
  if (!error.ok) return error;
  const { code, message, oldest } = error;
  const known = isErrorCode(code) ? failure(code, message) : failure("internal", message);
  return oldest === null ? known : { ...known, oldest };
}

/** PrefixWatch. */
export function encodePrefixWatch(watch: WatchedPrefix): Uint8Array<ArrayBuffer> {
  const { prefix, after } = watch;
  const flags = [watch.updatesOnly, watch.ignoreDeletes, watch.keysOnly];
  const small = flags.filter(Boolean).length * varintFieldSize(3, 1);
  const ofAfter = after === null ? 0 : bytesFieldSize(2, VERSIONSTAMP_BYTES);
  const writer = new ProtobufWriter(bytesFieldSize(1, prefix.length) + ofAfter + small);
  writer.bytesField(1, prefix);
  if (after !== null) writer.bytesField(2, versionstampBytes(after));
  for (const [index, flag] of flags.entries()) if (flag) writer.varintField(3 + index, 1);
  return writer.finish();
}

/** PrefixUpdate. Keys and values are views of its bytes. */
export function decodePrefixUpdate(body: Uint8Array): ({ readonly ok: true } & PrefixUpdate) | Failure {
  return decoding("The update", "internal", () => {
    const reader = new ProtobufReader(body);
    const keys: KeyUpdate[] = [];
    let reset = false;
    let upTo = NO_BYTES;
    while (reader.next()) {
      if (reader.field === 1) reset = reader.bool();
      else if (reader.field === 2 && keys.length < MAX_WATCH_PAGE_ENTRIES) keys.push(readKeyUpdate(reader));
      else if (reader.field === 3) upTo = reader.bytes();
      else reader.skip();
    }
    return { ok: true, reset, keys, upTo: versionOfBytes(upTo) ?? null };
  });
}

const ENCODINGS = [Encoding.v8, Encoding.le64, Encoding.bytes];

function readKeyUpdate(reader: ProtobufReader): KeyUpdate {
  let [key, stamp, value] = [NO_BYTES, NO_BYTES, NO_BYTES];
  let encoding = 0;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1) key = reader.bytes();
    else if (reader.field === 2) stamp = reader.bytes();
    else if (reader.field === 3) value = reader.bytes();
    else if (reader.field === 4) encoding = reader.int32();
    else reader.skip();
  }
  reader.leave(outer);
  const version = versionOfBytes(stamp) ?? null;
  const known = ENCODINGS.find((one) => one === encoding);
  const entry = version === null || known === undefined ? null : { key, value, encoding: known, version };
  return { key, version, entry };
}
