/**
 * What web pages of other origins may do at any door: CORS (https://fetch.spec.whatwg.org/#http-cors-protocol).
 *
 * A preflight carries no token, and everybody gets the same answer: it says what may be sent, and gives nothing away. The request that
 * follows is judged by the origins that its token admits, before anything is done. A page that may not use the token gets 403 without
 * `Access-Control-Allow-Origin`, so its browser shows it nothing. Every other page may read its answer, errors too. An answer before a
 * token was found good says only what every stranger may know.
 *
 * Nothing that a browser adds by itself is trusted here, cookies included: a page without a token is a stranger.
 */
import { MAX_ORIGIN_CHARACTERS } from "../../core/limits.ts";
import { NO_ORIGIN } from "../../core/origins.ts";

/** Headers that pages may send, besides those that every page may send. */
const REQUEST_HEADERS = [
  "authorization",
  "cairn-expires-at",
  "cairn-values",
  "content-type",
  "envid",
  "idempotency-key",
  "if-match",
  "if-none-match",
  "if-range",
  "keyid",
  "last-event-id",
  "range",
  "x-authenticator",
  "x-denokv-database-id",
  "x-denokv-version",
  "x-locale",
  "x-role",
  "x-transaction-domain-id",
].join(", ");

/** Headers of answers that pages may read, besides those that every page may read. */
const ANSWER_HEADERS = [
  "accept-ranges",
  "cairn-expires-at",
  "cairn-versionstamp",
  "content-disposition",
  "content-range",
  "etag",
  "link",
  "location",
  "repr-digest",
  "retry-after",
  "stream-cursor",
  "stream-next-offset",
  "stream-up-to-date",
  "www-authenticate",
].join(", ");

/** Two hours, the most that browsers keep it: the answer never changes. */
const PREFLIGHT_SECONDS = "7200";

/** For what everybody may ask for, without a token. */
export const FOR_EVERY_PAGE = { "access-control-allow-origin": "*" } as const;

/** For an answer which says that a page may not use a token. */
export const NOT_FOR_OTHER_PAGES = { "cross-origin-resource-policy": "same-origin" } as const;

/**
 * The origin of the page that sends the request, if the page is of another origin than the server; null otherwise, also for a program
 * that is no browser. Behind a proxy that serves the server under another name, the browser itself says whether the origin is the same.
 */
export function foreignOriginOf({ headers, url }: Request): string | null {
  const origin = headers.get("origin");
  if (origin === null) return null;
  const site = headers.get("sec-fetch-site");
  const own = site === null ? authorityOf(origin) === authorityOf(url) : site === "same-origin" || site === "none";
  if (own) return null;
  return /^[!-~]+$/.test(origin) && origin.length <= MAX_ORIGIN_CHARACTERS ? origin : NO_ORIGIN;
}

/**
 * Lets the page of this origin read the answer, unless the answer is not for pages. null: the request is not from such a page. Changes
 * the answer's headers.
 */
export function readableBy(origin: string | null, answer: Response): Response {
  const { headers } = answer;
  if (headers.has("access-control-allow-origin")) return answer;
  headers.append("vary", "Origin");
  if (origin === null || headers.has("cross-origin-resource-policy")) return answer;
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", ANSWER_HEADERS);
  return answer;
}

/** The answer to OPTIONS for an address that takes these methods: to a preflight, or to a plain OPTIONS request. */
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

/** The methods, with HEAD wherever there is GET. */
export function methodsTaken(methods: readonly string[]): string[] {
  return methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
}

/** Host and port of a URL or an origin. */
function authorityOf(url: string): string {
  const from = url.indexOf("//") + 2;
  const to = url.indexOf("/", from);
  return url.slice(from, to === -1 ? url.length : to);
}
