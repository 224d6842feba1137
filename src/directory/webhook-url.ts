/**
 * Where a webhook's events are sent, as a user enters it. The rules are those for backup destinations: a strict deployment accepts only
 * https and public hosts; another one also accepts http and private addresses. Both refuse link-local addresses.
 */
import { failure, type Failure } from "../core/errors.ts";
import { placeOfHost } from "../core/host-place.ts";
import { MAX_WEBHOOK_URL_CHARACTERS } from "../core/limits.ts";

/** The URL in its canonical form. `strict`: accepts only https and public hosts. */
export function parseWebhookUrl(
  text: string,
  { strict }: { readonly strict: boolean },
): { readonly ok: true; readonly url: string } | Failure {
  if (text.length > MAX_WEBHOOK_URL_CHARACTERS) {
    return failure("limit", `url has ${text.length} characters, at most ${MAX_WEBHOOK_URL_CHARACTERS} are allowed.`);
  }
  // The URL parser silently drops or rewrites these characters, so the checked URL would not be the entered one.
  if (!/^https?:\/\/[^/]/i.test(text) || !/^[\x21-\x7e]+$/.test(text) || text.includes("\\") || !URL.canParse(text)) {
    return failure("invalid", "url must be a URL such as https://example.com/cairn-events, in ASCII.");
  }
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") {
    return failure("invalid", "url must not carry a user name or password. Events are signed instead.");
  }
  if (text.includes("#")) return failure("invalid", "url must not carry a fragment: it would not be sent.");
  if (strict && url.protocol !== "https:") return failure("invalid", "url must begin with https://.");
  const place = placeOfHost(url.hostname);
  if (place === "link-local")
    return failure("invalid", "url names a host that is reserved for a machine's own metadata.");
  if (strict && place === "private") {
    return failure("invalid", "url must name a public host: not localhost, and not a private or reserved address.");
  }
  return { ok: true, url: url.href };
}
