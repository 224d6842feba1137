/** Lists records in pages, `GET records?startKey=&stopKey=&startCursor=&pageSize=`, and empties a namespace, `POST records:clear`. */
import { fromBase64Url, toBase64Url } from "../../codec/base64url.ts";
import type { KeyRange } from "../../codec/key-prefix.ts";
import { rangeOfRecords, recordBound, textOfRecord } from "../../codec/record.ts";
import { compareBytes } from "../../core/bytes.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_READ_ENTRIES, MAX_REST_ANSWER_CHARACTERS } from "../../core/limits.ts";
import { jsonAnswer, listOf } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { Pauses } from "../http/pauses.ts";
import { numberOf } from "../http/query.ts";
import { NAMESPACE_PARAMETER, parentOfCall } from "./key.ts";

/** The default of the store that programs with records come from. */
const DEFAULT_PAGE_SIZE = 30;

const START_CURSOR = "startCursor";

export const listRecords: Operation = {
  access: "read",
  query: ["startKey", "stopKey", START_CURSOR, "pageSize", NAMESPACE_PARAMETER],
  past: true,
  async answer(call) {
    const { query, clock } = call;
    const parent = parentOfCall(call);
    if (isFailure(parent)) return parent;
    const range = rangeOfCall(call, parent);
    if (isFailure(range)) return range;
    const limit = numberOf(query, "pageSize", { least: 1, most: MAX_READ_ENTRIES, fallback: DEFAULT_PAGE_SIZE });
    if (isFailure(limit)) return limit;
    const list = listOf(await call.ration.entries(call, { command: "level", parent, ...range, limit }));
    if (isFailure(list)) return list;
    const texts: string[] = [];
    const pauses = new Pauses(call.ration);
    let characters = 0;
    let { next } = list;
    for (const entry of list.entries) {
      if (entry === null) continue;
      const text = textOfRecord(entry, clock.now());
      characters += text.length;
      // The text of a value may be many times as long as its stored bytes.
      if (texts.length > 0 && characters > MAX_REST_ANSWER_CHARACTERS) {
        next = entry.key;
        break;
      }
      texts.push(text);
      if (pauses.isDue(text.length)) await pauses.pause();
    }
    return jsonAnswer(`{"item":{${texts.join(",")}},${restOf(next)}}`);
  },
};

export const clearRecords: Operation = {
  access: "write",
  query: [START_CURSOR, NAMESPACE_PARAMETER],
  async answer(call) {
    const parent = parentOfCall(call);
    if (isFailure(parent)) return parent;
    const range = rangeOfCall(call, parent);
    if (isFailure(range)) return range;
    const cleared = await call.stub.clearLevel(call.grant, { parent, ...range });
    if (isFailure(cleared)) return cleared;
    return jsonAnswer(`{"deleted":${cleared.count},${restOf(cleared.next)}}`);
  },
};

/** The members of an answer that say where the rest of the range begins. The next request sends the cursor with the same bounds. */
function restOf(next: Uint8Array | null | undefined): string {
  const cursor = next ? `"${toBase64Url(next)}"` : "null";
  return `"isMoreResults":${cursor !== "null"},"endCursor":${cursor}`;
}

function rangeOfCall({ query }: Pick<RestCall, "query">, parent: Uint8Array): KeyRange | Failure {
  const whole = rangeOfRecords(parent);
  const [startKey, stopKey, cursor] = [query.get("startKey"), query.get("stopKey"), query.get(START_CURSOR)];
  const start = startKey === null ? whole.start : recordBound(parent, startKey, "startKey");
  if (isFailure(start)) return start;
  const end = stopKey === null ? whole.end : recordBound(parent, stopKey, "stopKey");
  if (isFailure(end)) return end;
  if (cursor === null) return { start, end };
  const from = fromBase64Url(cursor);
  if (from === undefined || compareBytes(from, start) < 0 || compareBytes(from, end) >= 0) {
    return failure(
      "invalid",
      "startCursor is no endCursor of a page with the same namespace, startKey and stopKey; send it as it was given.",
    );
  }
  return { start: from, end };
}
