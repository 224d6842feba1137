/** Pages of entries: `GET entries?prefix=&start=&end=&limit=&reverse=&cursor=&keysOnly=`. */
import { textOfEntry, textOfExpiry } from "../../codec/json-notation/entry-line.ts";
import { textOfKeyNotation } from "../../codec/json-notation/key-notation.ts";
import { fromBase64Url, toBase64Url } from "../../codec/base64url.ts";
import { isEncodedKey } from "../../codec/key-codec.ts";
import type { KeyRange } from "../../codec/key-prefix.ts";
import { compareBytes, justAfter } from "../../core/bytes.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_REST_ANSWER_CHARACTERS, MAX_READ_ENTRIES } from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import { jsonAnswer, listOf } from "../http/answers.ts";
import type { Operation } from "../http/call.ts";
import { flagOf, numberOf } from "../http/query.ts";
import { notationOf, rangeOfQuery, SELECTOR_PARAMETERS, VALUES_PARAMETER } from "./parameters.ts";

const DEFAULT_LIMIT = 100;

export const listEntries: Operation = {
  access: "read",
  query: [...SELECTOR_PARAMETERS, "limit", "reverse", "cursor", "keysOnly", VALUES_PARAMETER],
  async answer(call) {
    const { query, stub, grant } = call;
    const range = rangeOfQuery(query);
    if (isFailure(range)) return range;
    const limit = numberOf(query, "limit", { least: 1, most: MAX_READ_ENTRIES, fallback: DEFAULT_LIMIT });
    if (isFailure(limit)) return limit;
    const reverse = flagOf(query, "reverse");
    if (isFailure(reverse)) return reverse;
    const keysOnly = flagOf(query, "keysOnly");
    if (isFailure(keysOnly)) return keysOnly;
    const notation = notationOf(call);
    if (isFailure(notation)) return notation;
    const rest = behindCursor(range, query.get("cursor"), reverse);
    if (isFailure(rest)) return rest;
    const list = listOf(await stub.entries(grant, { command: "page", ...rest, limit, reverse, keysOnly }));
    if (isFailure(list)) return list;
    const texts: string[] = [];
    let characters = 0;
    let last: StoredEntry | undefined;
    let isCut = false;
    for (const entry of list.entries) {
      if (entry === null) continue;
      const text = keysOnly ? textOfKeyOnly(entry) : textOfEntry(entry, notation).text;
      characters += text.length;
      // The text of a value may be many times as long as the value.
      isCut = last !== undefined && characters > MAX_REST_ANSWER_CHARACTERS;
      if (isCut) break;
      texts.push(text);
      last = entry;
    }
    const cursor = (list.more || isCut) && last !== undefined ? `,"cursor":"${toBase64Url(last.key)}"` : "";
    return jsonAnswer(`{"entries":[${texts.join(",")}]${cursor}}`, { vary: "Cairn-Values" });
  },
};

function textOfKeyOnly({ key, version, expiresAt }: StoredEntry): string {
  const expiry = expiresAt === null ? "" : `,"expiresAt":${textOfExpiry(expiresAt)}`;
  return `{"key":${textOfKeyNotation(key)},"versionstamp":"${versionstampHex(version)}"${expiry}}`;
}

/** A cursor is the last key of the page. The request has the same selector again. */
function behindCursor({ start, end }: KeyRange, cursor: string | null, reverse: boolean): KeyRange | Failure {
  if (cursor === null) return { start, end };
  const key = fromBase64Url(cursor);
  if (key === undefined || !isEncodedKey(key)) {
    return failure("invalid", "cursor does not come from a page of this server; send it as it was given.");
  }
  if (compareBytes(key, start) < 0 || compareBytes(key, end) >= 0) {
    return failure(
      "invalid",
      "cursor belongs to another selector: send the prefix, start and end of its page with it.",
    );
  }
  return reverse ? { start, end: key } : { start: justAfter(key), end };
}
