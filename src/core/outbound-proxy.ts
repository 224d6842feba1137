/**
 * Which requests to what tenants enter go through the proxy of the environment that the server runs in, as curl and others read it:
 * HTTPS_PROXY and HTTP_PROXY by the scheme of the URL, and NO_PROXY for hosts that are reached directly.
 */

import { ipv4Number, isWithin } from "./networks.ts";

/** What a Worker is told of its environment, as JSON. */
export interface ProxiedRequests {
  /** Of URLs, without a colon. */
  readonly schemes: readonly ("http" | "https")[];
  /** As it was given, names and addresses between commas. */
  readonly noProxy: string;
}

/** Whether a request to this URL goes through the proxy. This machine itself never does: for a proxy that is another one. */
export function goesThroughProxy({ protocol, hostname, port }: URL, { schemes, noProxy }: ProxiedRequests): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (!schemes.some((scheme) => `${scheme}:` === protocol) || isThisMachine(host)) return false;
  const ownPort = port === "" ? (protocol === "https:" ? "443" : "80") : port;
  return !noProxy.split(",").some((entry) => leavesOut(entry.trim().toLowerCase(), host, ownPort));
}

function isThisMachine(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127(\.\d+){3}$/.test(host);
}

/** `*`, a name with all below it, `.name` for those below it alone, an address or a network of IPv4; each but the last with a port. */
function leavesOut(entry: string, host: string, ownPort: string): boolean {
  if (entry === "") return false;
  if (entry === "*") return true;
  const [, first = "", bits] = /^([\d.]+)\/(\d{1,2})$/.exec(entry) ?? [];
  if (bits !== undefined) return isIpv4(first) && isIpv4(host) && isWithin(ipv4Number(host), [first, Number(bits)]);
  const [, bracketed, bracketedPort] = /^\[([0-9a-f:]+)\](?::(\d+))?$/.exec(entry) ?? [];
  const [, plain, plainPort] = /^([^:]+)(?::(\d+))?$/.exec(entry) ?? [];
  const [name, port] = [bracketed ?? plain ?? entry, bracketedPort ?? plainPort];
  if (port !== undefined && port !== ownPort) return false;
  const suffix = name.replace(/^\*\./, ".");
  if (suffix.startsWith(".")) return host.endsWith(suffix);
  return host === suffix || (!isIpv4(host) && host.endsWith(`.${suffix}`));
}

function isIpv4(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text);
}
