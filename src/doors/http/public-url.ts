/**
 * The links in answers. A server behind a proxy does not see the scheme that its client used, and not always the name. Headers that tell
 * them can be sent by anybody. So they count only where the operator says that a proxy sets them.
 */
import type { PublicAddress } from "../../core/public-address.ts";

/** A host as a header names it, with a port if that is not the scheme's default. */
const HOST = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** Where the client sent the request, as far as that is known: a scheme, a host and perhaps a port. */
export function publicOrigin({ url, headers }: Request, { url: told, trustsProxy }: PublicAddress): string {
  if (told !== null) return told;
  const { origin, protocol, host } = new URL(url);
  if (!trustsProxy) return origin;
  const forwarded = `${forwardedScheme(headers) ?? protocol.slice(0, -1)}://${forwardedHost(headers) ?? host}`;
  return URL.canParse(forwarded) ? new URL(forwarded).origin : origin;
}

/**
 * The beginning of a link: as `publicOrigin`, or empty for a link that is relative to the client's request. It is empty when an untrusted
 * header contradicts what the server sees: then an absolute link might lead to a closed port, or send the token unencrypted.
 */
export function linkOrigin(request: Request, address: PublicAddress): string {
  const { url, headers } = request;
  if (address.url === null && !address.trustsProxy) {
    const { protocol, host } = new URL(url);
    const [scheme, name] = [forwardedScheme(headers), forwardedHost(headers)];
    if ((scheme ?? protocol.slice(0, -1)) !== protocol.slice(0, -1) || (name ?? host) !== host) return "";
  }
  return publicOrigin(request, address);
}

function forwardedScheme(headers: Headers): string | undefined {
  const scheme = firstOf(headers.get("x-forwarded-proto"));
  return scheme === "http" || scheme === "https" ? scheme : undefined;
}

function forwardedHost(headers: Headers): string | undefined {
  const host = firstOf(headers.get("x-forwarded-host"));
  return host !== undefined && HOST.test(host) ? host : undefined;
}

/** Each proxy appends its value to those before it. */
function firstOf(list: string | null): string | undefined {
  return list?.split(",", 1)[0]?.trim().toLowerCase();
}
