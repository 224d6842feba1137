/**
 * The binary frames of sockets (package cairn.socket.v1; docs/spec/socket.md says what they mean), for the side that answers. This file
 * divides a frame into its requests. The content of a read, a write or a watch is left as bytes for `datapath.ts`: it is decoded only
 * when its turn comes, and fails alone. The side that asks is `socket-client.ts`, text frames are `socket-text.ts`.
 */
import { failure, type Failure, isFailure } from "../core/errors.ts";
import { MAX_SOCKET_FRAME_REQUESTS } from "../core/limits.ts";
import { bytesFieldSize, decoding, ProtobufReader, ProtobufWriter, varintFieldSize } from "./protobuf.ts";

/** The fields of Request and of Response. Fields with the same meaning have the same number. */
export const SocketField = {
  read: 2,
  write: 3,
  watch: 4,
  watchPrefix: 5,
  prefix: 5,
  unwatch: 6,
  done: 6,
  ack: 7,
  error: 7,
  token: 8,
  feed: 9,
  maxBytes: 10,
} as const;

/** A message of the data path, a PrefixWatch or a FeedRequest, as bytes. */
interface BodyRequest<Type> {
  readonly type: Type;
  readonly id: number;
  readonly body: Uint8Array;
}

/** `maxBytes`: the limit for keys and values together. A longer answer becomes an error. */
export interface ReadRequest extends BodyRequest<"read"> {
  readonly maxBytes?: number;
}

export type SocketRequest =
  | ReadRequest
  | BodyRequest<"write">
  | BodyRequest<"watch">
  | BodyRequest<"watchPrefix">
  | BodyRequest<"feed">
  /** `watch`: the id of the watch that the request is about. */
  | { readonly type: "unwatch" | "ack"; readonly id: number; readonly watch: number }
  | { readonly type: "token"; readonly id: number; readonly token: string }
  /** A request that cannot be carried out. It is answered with this failure. */
  | { readonly type: "refused"; readonly id: number; readonly why: Failure };

/** A Response: `field` is one of `SocketField`, `body` the message in it. */
export interface SocketResponse {
  readonly id: number;
  readonly field: number;
  readonly body: Uint8Array;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** ClientFrame. Bodies are views of its bytes. A request that this server does not know fails alone. */
export function decodeClientFrame(
  bytes: Uint8Array,
): { readonly ok: true; readonly requests: SocketRequest[] } | Failure {
  return decoding("The frame", "invalid", () => {
    const reader = new ProtobufReader(bytes);
    const requests: SocketRequest[] = [];
    let count = 0;
    while (reader.next()) {
      if (reader.field !== 1 || ++count > MAX_SOCKET_FRAME_REQUESTS) {
        reader.skip();
        continue;
      }
      const request = readRequest(reader, requests.length);
      if (isFailure(request)) return request;
      requests.push(request);
    }
    return count > MAX_SOCKET_FRAME_REQUESTS ? tooManyRequests(count) : { ok: true, requests };
  });
}

export function tooManyRequests(count: number): Failure {
  return failure("limit", `The frame has ${count} requests; the limit is ${MAX_SOCKET_FRAME_REQUESTS}.`);
}

export function withoutId(index: number): Failure {
  return failure("invalid", `requests[${index}]: its id is missing; it must be from 1 to 4294967295.`);
}

export function unknownRequest(index: number): Failure {
  return failure(
    "unsupported",
    `requests[${index}]: it asks for nothing that this server knows: a read, a write, a watch of keys or of a prefix, a feed, unwatch, ack or token.`,
  );
}

/** Request. Stricter than protobuf, which merges two messages in one place: the time for that grows with the square of their number. */
function readRequest(reader: ProtobufReader, index: number): SocketRequest | Failure {
  let id = 0;
  let field = 0;
  let body = NO_BYTES;
  let watch = 0;
  let maxBytes = 0;
  let members = 0;
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        id = reader.int32() >>> 0;
        break;
      case SocketField.read:
      case SocketField.write:
      case SocketField.watch:
      case SocketField.watchPrefix:
      case SocketField.feed:
      case SocketField.token:
        members += 1;
        ({ field } = reader);
        body = reader.bytes();
        break;
      case SocketField.unwatch:
      case SocketField.ack:
        members += 1;
        ({ field } = reader);
        watch = reader.int32() >>> 0;
        break;
      case SocketField.maxBytes:
        maxBytes = reader.int32() >>> 0;
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
  if (id === 0 && field !== SocketField.ack) return withoutId(index);
  if (members > 1) return refusedAlone(id, `requests[${index}]: it asks for more than one thing.`);
  switch (field) {
    case SocketField.read:
      return maxBytes === 0 ? { type: "read", id, body } : { type: "read", id, body, maxBytes };
    case SocketField.write:
      return { type: "write", id, body };
    case SocketField.watch:
      return { type: "watch", id, body };
    case SocketField.watchPrefix:
      return { type: "watchPrefix", id, body };
    case SocketField.feed:
      return { type: "feed", id, body };
    case SocketField.unwatch:
      return { type: "unwatch", id, watch };
    case SocketField.ack:
      return { type: "ack", id, watch };
    case SocketField.token:
      return tokenRequest(id, body, index);
    default:
      return { type: "refused", id, why: unknownRequest(index) };
  }
}

function tokenRequest(id: number, body: Uint8Array, index: number): SocketRequest | Failure {
  try {
    return { type: "token", id, token: decoder.decode(body) };
  } catch {
    return refusedAlone(id, `requests[${index}]: its token is not text in UTF-8.`);
  }
}

/** Without an id no answer can name the request, so its frame is refused. */
function refusedAlone(id: number, message: string): SocketRequest | Failure {
  const why = failure("invalid", message);
  return id === 0 ? why : { type: "refused", id, why };
}

/** ServerFrame. */
export function encodeServerFrame(responses: readonly SocketResponse[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const response of responses) size += bytesFieldSize(1, sizeOfResponse(response));
  const writer = new ProtobufWriter(size);
  for (const response of responses) {
    writer.messageField(1, sizeOfResponse(response));
    if (response.id !== 0) writer.varintField(1, response.id);
    writer.bytesField(response.field, response.body);
  }
  return writer.finish();
}

function sizeOfResponse({ id, field, body }: SocketResponse): number {
  return (id === 0 ? 0 : varintFieldSize(1, id)) + bytesFieldSize(field, body.length);
}

export function doneResponse(id: number): SocketResponse {
  return { id, field: SocketField.done, body: NO_BYTES };
}

export function errorResponse(
  id: number,
  { code, message, oldest }: Pick<Failure, "code" | "message" | "oldest">,
): SocketResponse {
  const texts = [code, message, ...(oldest === undefined ? [] : [oldest])].map((text) => encoder.encode(text));
  const writer = new ProtobufWriter(texts.reduce((size, text, i) => size + bytesFieldSize(i + 1, text.length), 0));
  for (const [i, text] of texts.entries()) writer.bytesField(i + 1, text);
  return { id, field: SocketField.error, body: writer.finish() };
}
