/**
 * Watches as Server-Sent Events: `GET watch?key=…&key=…` or `?prefix=…`. They tell the same as a watch on a socket, in the same way:
 * first the state, then what has changed. Each event is named `entries`. Its id is the versionstamp up to which everything has been told;
 * a browser continues from there by itself (`Last-Event-ID`).
 */
import { encodeWatch } from "../../codec/datapath-requests.ts";
import { decodeWatchOutput } from "../../codec/datapath-answers.ts";
import { textOfEntry } from "../../codec/json-notation/entry-line.ts";
import { keyOfNotationText, textOfKeyNotation } from "../../codec/json-notation/key-notation.ts";
import { quotedExcerpt } from "../../codec/json-notation/place.ts";
import type { NotationOptions } from "../../codec/json-notation/stored-value.ts";
import { decodePrefixUpdate, encodePrefixWatch, type SentRequest } from "../../codec/socket-client.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { FEED_LONG_POLL_MS, MAX_WATCHED_KEYS } from "../../core/limits.ts";
import type { Entry } from "../../core/operations.ts";
import { type Version, versionOfHex, versionstampHex } from "../../core/versionstamp.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { eventStreamAnswer } from "./event-stream.ts";
import { KEY_PARAMETER } from "./key.ts";
import { flagOf } from "../http/query.ts";
import { notationOf, VALUES_PARAMETER } from "./parameters.ts";
import { openSessionLink, SessionLink } from "./session-link.ts";

const PREFIX_OPTIONS = ["updatesOnly", "ignoreDeletes", "keysOnly"] as const;

export const watchEntries: Operation = {
  access: "read",
  query: [KEY_PARAMETER, "prefix", "after", ...PREFIX_OPTIONS, VALUES_PARAMETER],
  repeated: [KEY_PARAMETER],
  async answer(call) {
    const notation = notationOf(call);
    if (isFailure(notation)) return notation;
    const watched = call.query.has("prefix") ? prefixWatch(call, notation) : keyWatch(call, notation);
    if (isFailure(watched)) return watched;
    const { stub, grant, timers, ration } = call;
    const { request, textOf } = watched;
    // A HEAD only gets the headers: it would open a watch only to close it.
    if (call.request.method === "HEAD") return new Response(null, { headers: { "content-type": "text/event-stream" } });
    const link = await openSessionLink(stub, grant, request);
    if (!(link instanceof SessionLink)) return link;
    const first = await link.next(timers, FEED_LONG_POLL_MS);
    if (first?.type === "update") return eventStreamAnswer({ link, first, timers, ration, textOf, endsAfterMs: null });
    link.close();
    return first?.type === "failure"
      ? first.failure
      : failure("unavailable", "The database did not answer the watch in time. Try again.");
  },
};

interface Watched {
  readonly request: SentRequest;
  readonly textOf: (update: Uint8Array) => Iterable<string> | Failure;
}

const WHAT_TO_WATCH = failure(
  "invalid",
  'The request names nothing to watch: name keys, as watch?key=["users",1]&key=["users",2], or a prefix, as watch?prefix=["users"].',
);

function keyWatch({ query }: RestCall, notation: NotationOptions): Watched | Failure {
  const texts = query.getAll(KEY_PARAMETER);
  if (texts.length === 0) return WHAT_TO_WATCH;
  if (texts.length > MAX_WATCHED_KEYS) {
    return failure("limit", `The watch has ${texts.length} keys; the limit is ${MAX_WATCHED_KEYS}.`);
  }
  const option = PREFIX_OPTIONS.find((name) => query.has(name));
  if (option !== undefined) return failure("invalid", `${option} is for watches of a prefix, not of keys.`);
  const keys: Uint8Array[] = [];
  for (const text of texts) {
    const key = keyOfNotationText(text, KEY_PARAMETER);
    if (!key.ok) return key;
    keys.push(key.bytes);
  }
  const textOf = (update: Uint8Array): Iterable<string> | Failure => {
    const output = decodeWatchOutput(update);
    if (!output.ok) return output;
    const entries = output.entries.filter((entry) => entry !== "unchanged");
    let newest: Version | null = null;
    for (const entry of entries) if (entry !== null && entry.version > (newest ?? 0)) newest = entry.version;
    return textOfUpdate(newest, "", entries, (entry) => (entry === null ? "null" : textOfWatched(entry, notation)));
  };
  return { request: { type: "watch", id: 1, body: encodeWatch(keys) }, textOf };
}

function prefixWatch(call: RestCall, notation: NotationOptions): Watched | Failure {
  const { query } = call;
  if (query.has(KEY_PARAMETER)) {
    return failure("invalid", "The request has key and prefix: a watch is of keys, or of a prefix.");
  }
  const json = query.get("prefix") ?? "";
  const prefix = json.trim() === "[]" ? null : keyOfNotationText(json, "prefix");
  if (prefix !== null && !prefix.ok) return prefix;
  const after = afterOf(call);
  if (isFailure(after)) return after;
  const updatesOnly = flagOf(query, "updatesOnly");
  if (isFailure(updatesOnly)) return updatesOnly;
  const ignoreDeletes = flagOf(query, "ignoreDeletes");
  if (isFailure(ignoreDeletes)) return ignoreDeletes;
  const keysOnly = flagOf(query, "keysOnly");
  if (isFailure(keysOnly)) return keysOnly;
  const options = { after, updatesOnly, ignoreDeletes, keysOnly };
  const body = encodePrefixWatch({ prefix: prefix?.bytes ?? new Uint8Array(), ...options });
  const textOf = (update: Uint8Array): Iterable<string> | Failure => {
    const told = decodePrefixUpdate(update);
    if (!told.ok) return told;
    const reset = told.reset ? '"reset":true,' : "";
    return textOfUpdate(told.upTo, reset, told.keys, ({ key, version, entry }) => {
      if (entry !== null) return textOfWatched(entry, notation);
      return `{"key":${textOfKeyNotation(key)},"versionstamp":${version === null ? "null" : `"${versionstampHex(version)}"`}}`;
    });
  };
  return { request: { type: "watchPrefix", id: 1, body }, textOf };
}

/** A browser sends in a header what it has seen. The header has priority over the URL of the page. */
function afterOf({ request, query }: RestCall): Version | null | Failure {
  const header = request.headers.get("last-event-id");
  const text = header ?? query.get("after");
  if (text === null || text === "") return null;
  const version = versionOfHex(text);
  if (version !== undefined) return version;
  const name = header === null ? "after" : "The header Last-Event-ID";
  return failure("invalid", `${name} is ${quotedExcerpt(text)}; it must be the id of an event, 20 hexadecimal digits.`);
}

/** An event without an id belongs together with the next event. */
function* textOfUpdate<Told>(
  upTo: Version | null,
  members: string,
  told: Iterable<Told>,
  textOf: (one: Told) => string,
): Generator<string, void, undefined> {
  const id = upTo === null ? "" : `id: ${versionstampHex(upTo)}\n`;
  yield `event: entries\n${id}data: {${members}"entries":[`;
  let separator = "";
  for (const one of told) {
    yield `${separator}${textOf(one)}`;
    separator = ",";
  }
  yield "]}\n\n";
}

function textOfWatched(entry: Entry, notation: NotationOptions): string {
  return textOfEntry({ ...entry, expiresAt: null }, notation).text;
}
