/**
 * What web pages of other origins may do at any door: CORS (https://fetch.spec.whatwg.org/#http-cors-protocol).
 *
 * A preflight carries no token, and is answered the same to everybody: it says what may be sent, and gives nothing. The request that
 * follows is judged by the origins that its token admits, before anything is done. A page that may not use the token gets 403 without
 * `Access-Control-Allow-Origin`, so that its browser shows it nothing; every other page may read its answer, errors too. What is
 * answered before a token was found good says nothing that a stranger would not be told.
 *
 * Nothing that a browser sends along by itself is trusted here, cookies least of all: a page without a token is a stranger.
 */
import { MAX_ORIGIN_CHARACTERS } from "../../core/limits.ts";
import { NO_ORIGIN } from "../../core/origins.ts";

/** Headers that pages may send, beside those that every page may. */
const REQUEST_HEADERS = [
  "authorization",
  "cairn-expires-at",
  "cairn-values",
  "content-type",
  "idempotency-key",
  "if-match",
  "if-none-match",
  "last-event-id",
  "x-denokv-database-id",
  "x-denokv-version",
  "x-transaction-domain-id",
].join(", ");

/** Headers of answers that pages may read, beside those that every page may. */
const ANSWER_HEADERS = [
  "cairn-expires-at",
  "cairn-versionstamp",
  "etag",
  "link",
  "location",
  "retry-after",
  "stream-cursor",
  "stream-next-offset",
  "stream-up-to-date",
  "www-authenticate",
].join(", ");

/** Two hours, the most that browsers keep it: the answer never changes. */
const PREFLIGHT_SECONDS = "7200";

/** Of what everybody may ask, without a token. */
export const FOR_EVERY_PAGE = { "access-control-allow-origin": "*" } as const;

/** Of an answer that says that a page may not use a token. */
export const NOT_FOR_OTHER_PAGES = { "cross-origin-resource-policy": "same-origin" } as const;

/**
 * The origin of the page that sends the request, if it is a page of another origin than the server's; null otherwise, as for a program
 * that is no browser. Behind a proxy that serves the server under another name, browsers say themselves what is the same origin.
 */
export function foreignOriginOf({ headers, url }: Request): string | null {
  const origin = headers.get("origin");
  if (origin === null) return null;
  const site = headers.get("sec-fetch-site");
  const own = site === null ? authorityOf(origin) === authorityOf(url) : site === "same-origin" || site === "none";
  if (own) return null;
  return /^[!-~]+$/.test(origin) && origin.length <= MAX_ORIGIN_CHARACTERS ? origin : NO_ORIGIN;
}

/** Lets the page of this origin read the answer, unless that is not for pages; null: no page asked. Changes the answer's headers. */
export function readableBy(origin: string | null, answer: Response): Response {
  const { headers } = answer;
  if (headers.has("access-control-allow-origin")) return answer;
  headers.append("vary", "Origin");
  if (origin === null || headers.has("cross-origin-resource-policy")) return answer;
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", ANSWER_HEADERS);
  return answer;
}

/** Of OPTIONS for something that takes these methods: a preflight, or the bare question. */
export function answerOptions({ headers }: Request, methods: readonly string[]): Response {
  const allow = [...methods, "OPTIONS"].join(", ");
  const isPreflight = headers.has("origin") && headers.has("access-control-request-method");
  const allowed = {
    ...FOR_EVERY_PAGE,
    "access-control-allow-methods": methods.join(", "),
    "access-control-allow-headers": REQUEST_HEADERS,
    "access-control-max-age": PREFLIGHT_SECONDS,
  };
  return new Response(null, { status: 204, headers: { allow, ...(isPreflight ? allowed : {}) } });
}

/** With HEAD, which whatever takes GET takes too. */
export function methodsTaken(methods: readonly string[]): string[] {
  return methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
}

/** Host and port of a URL or an origin. */
function authorityOf(url: string): string {
  const from = url.indexOf("//") + 2;
  const to = url.indexOf("/", from);
  return url.slice(from, to === -1 ? url.length : to);
}
