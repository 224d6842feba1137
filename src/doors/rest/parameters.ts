/** Query parameters and headers that several resources take. */
import type { NotationOptions } from "../../codec/json-notation/stored-value.ts";
import { expiryOfJson } from "../../codec/json-notation/entry-line.ts";
import { quotedExcerpt } from "../../codec/json-notation/place.ts";
import { rangeOfSelector, type SelectorJson } from "../../codec/json-notation/selector.ts";
import { noKey } from "../../codec/json-notation/key-notation.ts";
import { parseJson } from "../../codec/json-notation/bounded-json.ts";
import { fromBase64Url, toBase64Url } from "../../codec/base64url.ts";
import { isEncodedKey } from "../../codec/key-codec.ts";
import type { KeyRange } from "../../codec/key-prefix.ts";
import { compareBytes, justAfter } from "../../core/bytes.ts";
import { asUnixMs, type UnixMs } from "../../core/clock.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import { MAX_TIME_MS } from "../../core/limits.ts";
import type { RestCall } from "../http/call.ts";
import { numberOf } from "../http/query.ts";

/** The parameter, and the header, that say in which form values are sent. */
export const VALUES_PARAMETER = "values";
const VALUES_HEADER = "cairn-values";

export const SELECTOR_PARAMETERS = ["prefix", "start", "end"] as const;

/** `plain`: JSON where that loses nothing. `notation`, or nothing: the notation. */
export function notationOf({ query, request }: Pick<RestCall, "query" | "request">): NotationOptions | Failure {
  const [inQuery, inHeader] = [query.get(VALUES_PARAMETER), request.headers.get(VALUES_HEADER)];
  const form = inQuery ?? inHeader ?? "notation";
  if (form === "plain" || form === "notation") return { plain: form === "plain" };
  const name = inQuery === null ? "The header Cairn-Values" : VALUES_PARAMETER;
  return failure("invalid", `${name} is ${quotedExcerpt(form)}; it can be plain or notation.`);
}

/** The range of `prefix`, `start` and `end`, each a key as JSON. Without any of them: every key. */
export function rangeOfQuery(query: URLSearchParams): KeyRange | Failure {
  const selector: Record<string, unknown> = {};
  for (const name of SELECTOR_PARAMETERS) {
    const text = query.get(name);
    if (text === null) continue;
    const parsed = parseJson(text, name);
    if (!parsed.ok) return noKey(parsed);
    selector[name] = parsed.json;
  }
  return rangeOf(selector, "");
}

export function rangeOf(selector: SelectorJson, root: string): KeyRange | Failure {
  const range = rangeOfSelector(selector, root);
  return range.ok ? range.range : range;
}

export const EXPIRY_PARAMETER = "expireIn";
const EXPIRY_HEADER = "cairn-expires-at";

/** When the written entry expires: `?expireIn=` milliseconds from now, or the time in the header `Cairn-Expires-At`. null: never. */
export function expiryOf({
  query,
  request,
  clock,
}: Pick<RestCall, "query" | "request" | "clock">): UnixMs | null | Failure {
  const header = request.headers.get(EXPIRY_HEADER);
  const inQuery = query.has(EXPIRY_PARAMETER);
  if (inQuery && header !== null) {
    return failure("invalid", `The request has ${EXPIRY_PARAMETER} and the header Cairn-Expires-At. Send one of them.`);
  }
  if (header !== null) {
    const text = header.trim();
    return expiryOfJson(/^\d{1,16}$/.test(text) ? Number(text) : text, "The header Cairn-Expires-At");
  }
  if (!inQuery) return null;
  const now = clock.now();
  const ms = numberOf(query, EXPIRY_PARAMETER, { least: 0, most: MAX_TIME_MS - now, fallback: 0 });
  return isFailure(ms) ? ms : asUnixMs(now + ms);
}

/** The rest of the range behind a cursor. A cursor is the last key of the page before. The request must have the same selector again. */
export function behindCursor({ start, end }: KeyRange, cursor: string | null, reverse: boolean): KeyRange | Failure {
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

/** The member `cursor` of a page, from which the next page begins: behind this key. */
export function cursorBehind(key: Uint8Array): string {
  return `,"cursor":"${toBase64Url(key)}"`;
}
