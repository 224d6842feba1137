/**
 * Names of objects in a bucket. A key is the destination's prefix (from the user, checked once by `parsePrefix`) and a name (ours). Both
 * have only characters that no server, proxy or XML answer rewrites. So no key can be normalised into another one.
 */
import { assert } from "../../core/assert.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_DESTINATION_PREFIX_CHARACTERS } from "../../core/limits.ts";

const nameSegment = /^[A-Za-z0-9._-]+$/;
const prefixSegment = /^[A-Za-z0-9!$()*+,\-.:=@_ ]+$/;

/** A wrong name is a bug of ours, because names are built from ids and versions. */
export function assertObjectName(name: string): void {
  const sound = name.split("/").every((segment) => nameSegment.test(segment) && !isDots(segment));
  assert(sound, `an object's name of plain segments, got ${JSON.stringify(name)}`);
}

/** A listing asks for the beginning of names, so the last segment may be empty or incomplete. */
export function assertNamePrefix(namePrefix: string): void {
  assertObjectName(`${namePrefix}x`);
}

/** Whether an object from a listing, which anybody may have put there, can be named in a URL: a URL resolves segments of dots. */
export function isAddressable(key: string): boolean {
  return key.isWellFormed() && !key.split("/").some(isDots);
}

/** Empty, or segments that each end in "/". A missing last slash is added, and slashes before the first segment are dropped. */
export function parsePrefix(text: string): { readonly ok: true; readonly prefix: string } | Failure {
  if (text.length > MAX_DESTINATION_PREFIX_CHARACTERS) {
    return failure("limit", `The prefix is longer than ${MAX_DESTINATION_PREFIX_CHARACTERS} characters.`);
  }
  const trimmed = text.replace(/^\/+/, "").replace(/\/$/, "");
  if (trimmed === "") return { ok: true, prefix: "" };
  for (const segment of trimmed.split("/")) {
    if (segment === "") return failure("invalid", "The prefix has an empty part between two slashes.");
    if (isDots(segment)) return failure("invalid", 'The prefix has a part "." or "..".');
    if (!prefixSegment.test(segment)) {
      return failure(
        "invalid",
        "The prefix may have letters a to z, digits, spaces and ! $ ( ) * + , - . : = @ _ / only.",
      );
    }
  }
  return { ok: true, prefix: `${trimmed}/` };
}

/** The prefix of an accepted destination, in the form that stands before names. */
export function knownPrefix(text: string): string {
  const parsed = parsePrefix(text);
  return parsed.ok ? parsed.prefix : "";
}

/** The key as the path of a URL: every segment is percent-encoded except for RFC 3986's unreserved characters. */
export function encodeKeyPath(key: string): string {
  return key.split("/").map(encodeStrictly).join("/");
}

/** Percent-encodes all characters except RFC 3986's unreserved ones, as SigV4 requires. */
export function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function isDots(segment: string): boolean {
  return segment === "." || segment === "..";
}
