/**
 * The links that answers hold. A server behind a proxy sees neither the scheme nor always the name that its client used, and what
 * headers say of them anybody can send: so they count only where the operator says that a proxy sets them.
 */
import type { PublicAddress } from "../../core/public-address.ts";

/** A host as a header names it, with a port if it is not the scheme's own. */
const HOST = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** Where the client's request went, as far as that is known: a scheme, a host and perhaps a port. */
export function publicOrigin({ url, headers }: Request, { url: told, trustsProxy }: PublicAddress): string {
  if (told !== null) return told;
  const { origin, protocol, host } = new URL(url);
  if (!trustsProxy) return origin;
  const forwarded = `${forwardedScheme(headers) ?? protocol.slice(0, -1)}://${forwardedHost(headers) ?? host}`;
  return URL.canParse(forwarded) ? new URL(forwarded).origin : origin;
}

/**
 * What begins a link: as `publicOrigin`, or nothing, for one that is relative to the client's request. That is when a header contradicts
 * what the server sees and is not trusted: an absolute link might lead to a port that is closed, or send the token in the clear.
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

/** Each proxy adds its word behind those before it. */
function firstOf(list: string | null): string | undefined {
  return list?.split(",", 1)[0]?.trim().toLowerCase();
}
