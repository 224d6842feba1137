/**
 * The text frames of sockets: the requests and answers of binary frames in JSON, for people and small programs (docs/spec/socket.md). A
 * request becomes what the binary codec makes of the same request, so one decoder judges both. Keys and values are in the notation.
 */
import { failure, type Failure } from "../core/errors.ts";
import type { FeedChange, FeedPage, FeedRequest } from "../core/feed.ts";
import {
  MAX_READ_ENTRIES,
  MAX_READ_RANGES,
  MAX_SOCKET_ANSWER_CHARACTERS,
  MAX_SOCKET_FRAME_REQUESTS,
  MAX_WATCHED_KEYS,
} from "../core/limits.ts";
import type { CommitResult, Entry, ReadRange } from "../core/operations.ts";
import { versionOfHex, versionstampHex } from "../core/versionstamp.ts";
import { encodeAtomicWrite, encodeSnapshotRead, encodeWatch } from "./datapath-requests.ts";
import { encodeFeedRequest, operationOf } from "./feed.ts";
import { parseJson } from "./json-notation/bounded-json.ts";
import { atomicWriteOf } from "./json-notation/atomic-write.ts";
import { textOfEntry, textOfExpiry } from "./json-notation/entry-line.ts";
import { textOfKeyNotation } from "./json-notation/key-notation.ts";
import { atMost, flagOf, keyOf, objectOf, onlyMembers, Refused, refuse } from "./json-notation/members.ts";
import { described } from "./json-notation/place.ts";
import { rangeOfSelector } from "./json-notation/selector.ts";
import { textOfStored } from "./json-notation/stored-value.ts";
import { isObject, type JsonObject } from "./json-notation/types.ts";
import { encodePrefixWatch } from "./socket-client.ts";
import type { PrefixUpdate, WatchedPrefix } from "./socket-prefix.ts";
import { type SocketRequest, tooManyRequests, unknownRequest, withoutId } from "./socket.ts";

/** How many entries a range gives when it has no `limit`. */
const DEFAULT_LIMIT = 100;

/** `"values":"plain"`: the answer's values are plain JSON where nothing is lost by that. */
export type TextRequest = SocketRequest & { readonly plain: boolean };

/** `{"requests":[…]}`, or one request alone. A request with a mistake fails alone if it has an id, and otherwise the whole frame does. */
export function decodeTextFrame(text: string): { readonly ok: true; readonly requests: TextRequest[] } | Failure {
  const parsed = parseJson(text, "The frame");
  if (!parsed.ok) return parsed;
  const { json } = parsed;
  if (!isObject(json)) {
    return failure(
      "invalid",
      `The frame is ${described(json)}; it must be an object like {"id":1,"watch":[["users",1]]}.`,
    );
  }
  const several = Object.hasOwn(json, "requests") ? json["requests"] : [json];
  if (!Array.isArray(several)) return failure("invalid", `requests is ${described(several)}; it must be an array.`);
  if (several.length > MAX_SOCKET_FRAME_REQUESTS) return tooManyRequests(several.length);
  const requests: TextRequest[] = [];
  for (const [index, request] of several.entries()) {
    if (!isObject(request)) {
      return failure(
        "invalid",
        `requests[${index}] is ${described(request)}; it must be an object like {"id":1,"watch":[["users",1]]}.`,
      );
    }
    const { id = 0 } = request;
    const isId = typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= 0xffff_ffff;
    if (!isId || (id === 0 && !Object.hasOwn(request, "ack"))) return withoutId(index);
    const plain = request["values"] === "plain";
    try {
      requests.push({ ...requestOf(request, id, index, plain), plain });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      // No answer can name it.
      if (id === 0) return error.why;
      requests.push({ type: "refused", id, why: error.why, plain });
    }
  }
  return { ok: true, requests };
}

const MEMBERS = ["read", "write", "watch", "watchPrefix", "feed", "unwatch", "ack", "token"] as const;

/** What a request may have beside `id`, `values` and the member that it asks with. */
const OPTIONS: Readonly<Record<(typeof MEMBERS)[number], readonly string[]>> = {
  read: ["maxBytes"],
  write: [],
  watch: [],
  watchPrefix: ["after", "updatesOnly", "ignoreDeletes", "keysOnly"],
  feed: ["after"],
  unwatch: [],
  ack: [],
  token: [],
};

function requestOf(request: JsonObject, id: number, index: number, plain: boolean): SocketRequest {
  const [member, ...more] = MEMBERS.filter((name) => Object.hasOwn(request, name));
  if (member === undefined) throw new Refused(unknownRequest(index));
  if (more.length > 0) refuse(`requests[${index}]: it asks for more than one thing: ${[member, ...more].join(", ")}.`);
  const values = request["values"];
  if (values !== undefined && values !== "plain")
    refuse(`requests[${index}]: its values is ${described(values)}; it can be "plain".`);
  onlyMembers(request, ["id", "values", member, ...OPTIONS[member]], `requests[${index}]`);
  const asked = request[member];
  switch (member) {
    case "read":
      return {
        type: "read",
        id,
        body: encodeSnapshotRead(atMost(MAX_READ_RANGES, asked, "read").map(rangeOf)),
        ...maxBytesOf(request),
      };
    case "write":
      return {
        type: "write",
        id,
        body: encodeAtomicWrite(atomicWriteOf(asked, { plain, name: "write", root: "write.", now: null })),
      };
    case "watch":
      return {
        type: "watch",
        id,
        body: encodeWatch(atMost(MAX_WATCHED_KEYS, asked, "watch").map((key, i) => keyOf(key, `watch[${i}]`))),
      };
    case "watchPrefix":
      return { type: "watchPrefix", id, body: encodePrefixWatch(prefixOf(request)) };
    case "feed":
      return { type: "feed", id, body: encodeFeedRequest(feedOf(request)) };
    case "unwatch":
    case "ack":
      if (typeof asked !== "number" || !Number.isInteger(asked) || asked < 1 || asked > 0xffff_ffff) {
        return refuse(`${member} is ${described(asked)}; it must be the id of a watch.`);
      }
      return { type: member, id, watch: asked };
    case "token":
      if (typeof asked !== "string") return refuse(`token is ${described(asked)}; it must be a data token.`);
      return { type: "token", id, token: asked };
  }
}

function maxBytesOf({ maxBytes }: JsonObject): { readonly maxBytes?: number } {
  if (maxBytes === undefined) return {};
  if (typeof maxBytes === "number" && Number.isInteger(maxBytes) && maxBytes > 0 && maxBytes <= 0xffff_ffff) {
    return { maxBytes };
  }
  return refuse(`maxBytes is ${described(maxBytes)}; it must be a number of bytes from 1 on.`);
}

/**
 * `{"watchPrefix":["users"],"after":"…","updatesOnly":true,"ignoreDeletes":true,"keysOnly":true}`. Every member except the first is
 * optional.
 */
function prefixOf(request: JsonObject): WatchedPrefix {
  const { watchPrefix, after = null } = request;
  const prefix = prefixKeyOf(watchPrefix, "watchPrefix");
  const version = after === null ? null : typeof after === "string" ? versionOfHex(after.toLowerCase()) : undefined;
  if (version === undefined) return refuse(`after is ${described(after)}; it must be the last upTo of a watch.`);
  const flag = (member: string): boolean => {
    const json = request[member] ?? false;
    return typeof json === "boolean" ? json : refuse(`${member} is ${described(json)}; it must be true or false.`);
  };
  return {
    prefix,
    after: version,
    updatesOnly: flag("updatesOnly"),
    ignoreDeletes: flag("ignoreDeletes"),
    keysOnly: flag("keysOnly"),
  };
}

/** `{"feed":["users"],"after":"…"}`. `after` may be "oldest". Without it the feed begins now. */
function feedOf({ feed, after = "now" }: JsonObject): FeedRequest {
  const prefix = prefixKeyOf(feed, "feed");
  if (after === "now" || after === "oldest") return { prefix, from: after };
  const version = typeof after === "string" ? versionOfHex(after.toLowerCase()) : undefined;
  if (version !== undefined) return { prefix, from: version };
  return refuse(`after is ${described(after)}; it must be the last upTo of a feed, or "oldest".`);
}

/** The empty prefix is that of every key. */
function prefixKeyOf(json: unknown, name: string): Uint8Array {
  return Array.isArray(json) && json.length === 0 ? new Uint8Array(0) : keyOf(json, name);
}

/** `{"key"}`, `{"prefix", "start"?, "end"?}` or `{"start","end"}`, each with `limit` and `reverse`. */
function rangeOf(json: unknown, index: number): ReadRange {
  const name = `read[${index}]`;
  const range = objectOf(json, name, '{"key":["users",1]} or {"prefix":["users"]}');
  const { limit = DEFAULT_LIMIT } = range;
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1 || limit > MAX_READ_ENTRIES) {
    refuse(`${name}.limit is ${described(limit)}; it must be from 1 to ${MAX_READ_ENTRIES}.`);
  }
  if (Object.hasOwn(range, "key")) {
    onlyMembers(range, ["key", "limit", "reverse"], name);
    const key = keyOf(range["key"], `${name}.key`);
    return { start: key, end: Uint8Array.of(...key, 0), limit: 1, reverse: false };
  }
  onlyMembers(range, ["prefix", "start", "end", "limit", "reverse"], name);
  if (!Object.hasOwn(range, "prefix")) {
    for (const member of ["start", "end"]) if (!Object.hasOwn(range, member)) keyOf(undefined, `${name}.${member}`);
  }
  const selected = rangeOfSelector(range, `${name}.`);
  if (!selected.ok) throw new Refused(selected);
  return { ...selected.range, limit, reverse: flagOf(range, name, "reverse") };
}

/** Fails with "limit" when the answer's text is too long. */
export function textOfRead(id: number, ranges: readonly (readonly Entry[])[], plain: boolean): string | Failure {
  let room = MAX_SOCKET_ANSWER_CHARACTERS;
  const texts: string[] = [];
  for (const range of ranges) {
    const entries: string[] = [];
    for (const entry of range) {
      const text = textOf(entry, plain);
      room -= text.length;
      if (room < 0) return tooLong("read");
      entries.push(text);
    }
    texts.push(`[${entries.join(",")}]`);
  }
  return `{"id":${id},"read":[${texts.join(",")}]}`;
}

/** Fails as `textOfRead` does. */
export function textOfWatch(id: number, entries: readonly (Entry | null)[], plain: boolean): string | Failure {
  let room = MAX_SOCKET_ANSWER_CHARACTERS;
  const texts: string[] = [];
  for (const entry of entries) {
    const text = entry === null ? "null" : textOf(entry, plain);
    room -= text.length;
    if (room < 0) return tooLong("watch");
    texts.push(text);
  }
  return `{"id":${id},"watch":[${texts.join(",")}]}`;
}

/** Fails as `textOfRead` does. A key without an entry has the versionstamp null. A key whose value is not told has no value. */
export function textOfPrefix(id: number, { reset, keys, upTo }: PrefixUpdate, plain: boolean): string | Failure {
  let room = MAX_SOCKET_ANSWER_CHARACTERS;
  const texts: string[] = [];
  for (const { key, version, entry } of keys) {
    const stamp = version === null ? "null" : `"${versionstampHex(version)}"`;
    const text = entry === null ? `{"key":${textOfKeyNotation(key)},"versionstamp":${stamp}}` : textOf(entry, plain);
    room -= text.length;
    if (room < 0) return tooLong("watch");
    texts.push(text);
  }
  const end = upTo === null ? "null" : `"${versionstampHex(upTo)}"`;
  return `{"id":${id},"prefix":{"reset":${reset},"keys":[${texts.join(",")}],"upTo":${end}}}`;
}

/**
 * Several texts when one would be too long. A text has whole commits, unless it says `"more":true`: then the rest of the last commit
 * follows in the next text. Only the last text has `upTo`.
 */
export function textsOfFeed(id: number, { commits, reset, upTo, isLast }: FeedPage, plain: boolean): string[] {
  const texts: string[] = [];
  let said: string[] = [];
  let length = 0;
  const close = (end: string): void => {
    texts.push(`{"id":${id},"feed":{"commits":[${said.join(",")}]${end}}}`);
    said = [];
    length = 0;
  };
  for (const { version, changes } of commits) {
    const stamp = `"versionstamp":"${versionstampHex(version)}"`;
    let pieces: string[] = [];
    for (const change of changes) {
      const text = textOfChange(change, plain);
      if (length > 0 && length + text.length > MAX_SOCKET_ANSWER_CHARACTERS) {
        if (pieces.length > 0) said.push(`{${stamp},"changes":[${pieces.join(",")}],"more":true}`);
        pieces = [];
        close(`,"more":true`);
      }
      pieces.push(text);
      length += text.length;
    }
    said.push(`{${stamp},"changes":[${pieces.join(",")}]}`);
  }
  const replaced = reset === null ? "" : `,"reset":"${versionstampHex(reset)}"`;
  close(`${replaced},"upTo":"${versionstampHex(upTo)}"${isLast ? "" : `,"more":true`}`);
  return texts;
}

function textOfChange(change: FeedChange, plain: boolean): string {
  const { key, set } = change;
  const operation = `"key":${textOfKeyNotation(key)},"operation":"${operationOf(change)}"`;
  if (set === null) return `{${operation}}`;
  const expiry = set.expiresAt === null ? "" : `,"expiresAt":${textOfExpiry(set.expiresAt)}`;
  return `{${operation},"value":${textOfStored(set, { plain }).text}${expiry}}`;
}

function textOf(entry: Entry, plain: boolean): string {
  return textOfEntry({ ...entry, expiresAt: null }, { plain }).text;
}

function tooLong(what: "read" | "watch"): Failure {
  return failure(
    "limit",
    `The answer to the ${what} has more than ${MAX_SOCKET_ANSWER_CHARACTERS} characters as JSON, which is the limit. Ask for less, or in a binary frame.`,
  );
}

export function textOfWrite(id: number, result: CommitResult): string {
  const said = result.ok ? { ok: true, versionstamp: versionstampHex(result.version) } : result;
  return JSON.stringify({ id, write: said });
}

export function textOfDone(id: number): string {
  return `{"id":${id},"done":true}`;
}

export function textOfError(id: number, { code, message, oldest }: Failure): string {
  return JSON.stringify({ id, error: { code, message, oldest } });
}

export function textOfFrame(responses: readonly string[]): string {
  return `{"responses":[${responses.join(",")}]}`;
}
