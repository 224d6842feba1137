/**
 * Which requests to addresses of tenants go through the proxy that the server's environment names. The variables are read as curl and
 * other programs read them: HTTPS_PROXY and HTTP_PROXY by the scheme of the URL, and NO_PROXY for hosts that are reached directly.
 */

import { ipv4Number, isWithin } from "./networks.ts";

/** What a Worker is told of its environment, as JSON. */
export interface ProxiedRequests {
  /** Schemes of URLs, without the colon. */
  readonly schemes: readonly ("http" | "https")[];
  /** NO_PROXY as it was given: names and addresses between commas. */
  readonly noProxy: string;
}

/**
 * Whether a request to this URL goes through the proxy. A request to this machine never does: for a proxy, that address would mean the
 * proxy's own machine.
 */
export function goesThroughProxy({ protocol, hostname, port }: URL, { schemes, noProxy }: ProxiedRequests): boolean {
  const host = hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (!schemes.some((scheme) => `${scheme}:` === protocol) || isThisMachine(host)) return false;
  const ownPort = port === "" ? (protocol === "https:" ? "443" : "80") : port;
  return !noProxy.split(",").some((entry) => leavesOut(entry.trim().toLowerCase(), host, ownPort));
}

function isThisMachine(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127(\.\d+){3}$/.test(host);
}

/**
 * Forms of an entry: `*`; a name, for itself and all names below it; `.name`, only for those below it; an IPv4 address; a network of
 * IPv4. All except the network may have a port.
 */
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
