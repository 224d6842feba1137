/**
 * One entry that is read, set or deleted without conditions, in a request that is small: the front of `npm start` carries these over its
 * sockets, many at a time. What such a request means, and how it is answered, is the door's, so it is said here and in the files that the
 * Worker's answer uses too. Whatever is not so plain goes to the Worker: mistakes, conditions, expiries, tokens that are no data tokens.
 */
import { decodeAtomicWriteOutput, decodeSnapshotReadOutput } from "../../codec/datapath-answers.ts";
import { encodeAtomicWrite, encodeSnapshotRead } from "../../codec/datapath-requests.ts";
import { parseJson } from "../../codec/json-notation/bounded-json.ts";
import { keyOfPath } from "../../codec/json-notation/key-path.ts";
import { storedOfJson, type StoredValue } from "../../codec/json-notation/stored-value.ts";
import { justAfter } from "../../core/bytes.ts";
import { type AtomicWrite, Encoding } from "../../core/operations.ts";
import type { HttpAnswer } from "../http/answers.ts";
import type { HeaderLookup } from "../http/header-lookup.ts";
import { committedAnswer, entryAnswer, noEntryAnswer } from "./answers.ts";
import { BYTES, prefers, typeOf } from "./media-types.ts";

export interface SmallEntry {
  readonly method: "GET" | "PUT" | "DELETE";
  readonly databaseId: string;
  /** Encoded. */
  readonly key: Uint8Array;
  readonly plain: boolean;
  /** The body is the value's bytes. */
  readonly isBytes: boolean;
}

const PATH = /^\/api\/databases\/([0-9a-z-]+)\/entries\/([^?]+)(\?values=plain)?$/;

/** Headers that ask for more than this. */
const OTHER_HEADERS = ["origin", "if-match", "if-none-match", "cairn-expires-at", "cairn-values", "content-encoding"];

/** Undefined: it goes to the Worker. `path`: with its query. */
export function smallEntryOf(method: string, path: string, headers: HeaderLookup): SmallEntry | undefined {
  if (method !== "GET" && method !== "PUT" && method !== "DELETE") return undefined;
  const [, databaseId, keyPath, query] = PATH.exec(path) ?? [];
  if (databaseId === undefined || keyPath === undefined) return undefined;
  if (OTHER_HEADERS.some((name) => headers.get(name) !== null)) return undefined;
  if (method === "DELETE" && query !== undefined) return undefined;
  if (method === "GET" && prefers(headers, BYTES)) return undefined;
  // A URL loses such segments on its way to the Worker.
  if (/(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i.test(keyPath)) return undefined;
  const key = keyOfPath(keyPath);
  if (!key.ok) return undefined;
  const isBytes = method === "PUT" && typeOf(headers.get("content-type")) === BYTES;
  return { method, databaseId, key: key.bytes, plain: query !== undefined, isBytes };
}

/** The message of the data path; undefined: the body is not as it must be, which the Worker says. */
export function messageOf(request: SmallEntry, body: Uint8Array): Uint8Array | undefined {
  const { method, key } = request;
  if (method === "GET") {
    return encodeSnapshotRead([{ start: key, end: justAfter(key), limit: 1, reverse: false }], true);
  }
  if (method === "DELETE") return encodeAtomicWrite(writeOf({ type: "delete", key }));
  const stored = valueOf(request, body);
  if (stored === undefined) return undefined;
  return encodeAtomicWrite(writeOf({ type: "set", key, ...stored, expiresAt: null, versionstampedKey: false }));
}

/** What the database's answer to that message says; undefined: nothing that can be understood. */
export function answerTo({ method, key, plain }: SmallEntry, message: Uint8Array): HttpAnswer | undefined {
  if (method !== "GET") {
    const written = decodeAtomicWriteOutput(message);
    return written.ok && written.result.ok ? committedAnswer(written.result.version) : undefined;
  }
  const read = decodeSnapshotReadOutput(message);
  if (!read.ok) return undefined;
  const entry = read.ranges[0]?.[0];
  if (entry === undefined) return noEntryAnswer(key);
  const { expiry = null, ...stored } = entry;
  return entryAnswer({ ...stored, expiresAt: expiry }, { plain });
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

function valueOf({ plain, isBytes }: SmallEntry, body: Uint8Array): StoredValue | undefined {
  if (isBytes) return { value: body, encoding: Encoding.bytes };
  try {
    const parsed = parseJson(decoder.decode(body), "The body");
    const stored = parsed.ok ? storedOfJson(parsed.json, "value", { plain }) : parsed;
    return stored.ok ? stored.stored : undefined;
  } catch {
    // No UTF-8: the Worker says so.
    return undefined;
  }
}

function writeOf(mutation: AtomicWrite["mutations"][number]): AtomicWrite {
  return { checks: [], mutations: [mutation], enqueues: [] };
}
