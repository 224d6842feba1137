/** Pages of entries: `GET entries?prefix=&start=&end=&limit=&reverse=&cursor=&keysOnly=`. */
import { textOfEntry, textOfExpiry } from "../../codec/json-notation/entry-line.ts";
import { textOfKeyNotation } from "../../codec/json-notation/key-notation.ts";
import { isFailure } from "../../core/errors.ts";
import { MAX_REST_ANSWER_CHARACTERS, MAX_READ_ENTRIES } from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { versionstampHex } from "../../core/versionstamp.ts";
import { jsonAnswer, listOf } from "../http/answers.ts";
import { Pauses } from "../http/pauses.ts";
import type { Operation } from "../http/call.ts";
import { flagOf, numberOf } from "../http/query.ts";
import {
  behindCursor,
  cursorBehind,
  notationOf,
  rangeOfQuery,
  SELECTOR_PARAMETERS,
  VALUES_PARAMETER,
} from "./parameters.ts";

const DEFAULT_LIMIT = 100;

export const listEntries: Operation = {
  access: "read",
  past: true,
  query: [...SELECTOR_PARAMETERS, "limit", "reverse", "cursor", "keysOnly", VALUES_PARAMETER],
  async answer(call) {
    const { query } = call;
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
    const list = listOf(await call.ration.entries(call, { command: "page", ...rest, limit, reverse, keysOnly }));
    if (isFailure(list)) return list;
    const texts: string[] = [];
    const pauses = new Pauses(call.ration);
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
      if (pauses.isDue(text.length)) await pauses.pause();
    }
    const cursor = (list.more || isCut) && last !== undefined ? cursorBehind(last.key) : "";
    return jsonAnswer(`{"entries":[${texts.join(",")}]${cursor}}`, { vary: "Cairn-Values" });
  },
};

function textOfKeyOnly({ key, version, expiresAt }: StoredEntry): string {
  const expiry = expiresAt === null ? "" : `,"expiresAt":${textOfExpiry(expiresAt)}`;
  return `{"key":${textOfKeyNotation(key)},"versionstamp":"${versionstampHex(version)}"${expiry}}`;
}
