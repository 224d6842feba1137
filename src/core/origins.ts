/**
 * Origins of web pages (RFC 6454), and which of them may use a token. A browser names a page's origin with every request to another
 * origin, and lets no script change it. A program that is no browser may name any origin, or none. So this keeps other people's pages
 * from using a token in the browser that it was given to. It is no second secret: a program that has the token and names no origin is not
 * checked.
 */
import { failure, type Failure } from "./errors.ts";
import { MAX_ORIGIN_CHARACTERS } from "./limits.ts";

/** Every page, also a page without an origin. */
export const EVERY_ORIGIN = "*";

/** What a browser sends for a page without an origin: a sandboxed frame, a file. */
export const NO_ORIGIN = "null";

/** Canonical origins that may use a token, or only `*`. null: no page may. */
export type AllowedOrigins = readonly string[] | null;

const FORM = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\*]+$/i;

/**
 * The origin as browsers spell it: lower case, without the scheme's default port, the host's name in ASCII. `invalid` for a text that is
 * no origin. Schemes of apps and extensions are origins too: capacitor://localhost.
 */
export function canonicalOrigin(text: string): string | Failure {
  if (text === EVERY_ORIGIN) return text;
  const shown = JSON.stringify(text.slice(0, 100));
  const notOne = failure(
    "invalid",
    `allowedOrigins: ${shown} is not an origin: name a scheme, a host and perhaps a port, as "https://app.example.com", without a path, or "*" for every page.`,
  );
  if (!FORM.test(text) || !URL.canParse(text)) return notOne;
  const { origin, protocol } = new URL(text);
  if (protocol === "file:") return notOne;
  const canonical = origin === NO_ORIGIN ? text.toLowerCase() : origin;
  if (!/^[!-~]+$/.test(canonical)) return notOne;
  if (canonical.length <= MAX_ORIGIN_CHARACTERS) return canonical;
  return failure(
    "limit",
    `allowedOrigins: an origin has ${canonical.length} characters, at most ${MAX_ORIGIN_CHARACTERS} are allowed.`,
  );
}

/**
 * `forbidden-origin` unless the page's origin is among `allowed`. `origin`: null for a request that is not from a page of another origin.
 */
export function originRefusal(allowed: AllowedOrigins, origin: string | null): Failure | undefined {
  if (origin === null || allowed?.some((one) => one === EVERY_ORIGIN || one === origin) === true) return undefined;
  const why = allowed === null ? "it has no allowedOrigins" : "its allowedOrigins do not name that origin";
  return failure("forbidden-origin", `A page of ${origin} may not use this token: ${why}.`);
}
