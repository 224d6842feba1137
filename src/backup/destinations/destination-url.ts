/**
 * What a user enters for an S3 destination, checked before it is stored or used. A strict deployment takes https and public hosts
 * only; another one also takes http and private addresses (somebody's MinIO on the same network). Both refuse link-local
 * addresses, where clouds keep their machines' credentials. The rules see names and literal addresses; what a public name resolves to
 * is held by the network that requests go out through.
 */
import { failure, type Failure } from "../../core/errors.ts";
import { MAX_DESTINATION_URL_CHARACTERS } from "../../core/limits.ts";

/** Suffixes that no public resolver answers, or that a network gives its own meaning to. */
const privateSuffixes = [
  "localhost",
  "local",
  "internal",
  "localdomain",
  "lan",
  "home",
  "corp",
  "intranet",
  "private",
  "home.arpa",
  "test",
  "invalid",
  "onion",
];

const metadataHosts = new Set(["metadata.google.internal", "metadata.goog", "instance-data"]);

/** First address, prefix length: everything that RFC 6890 and its successors keep from being a public unicast address. */
const privateIpv4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

export interface EndpointRules {
  /** https and public hosts only. */
  readonly strict: boolean;
}

/** The endpoint in its canonical form, without a slash at its end; it may carry a path, below which the buckets are. */
export function parseEndpoint(
  text: string,
  rules: EndpointRules,
): { readonly ok: true; readonly endpoint: string } | Failure {
  if (text.length > MAX_DESTINATION_URL_CHARACTERS) {
    return failure("limit", `The endpoint is longer than ${MAX_DESTINATION_URL_CHARACTERS} characters.`);
  }
  // The URL parser drops or rewrites these silently, so what is checked would not be what was entered.
  if (!/^https?:\/\/[^/]/i.test(text) || !/^[\x21-\x7e]+$/.test(text) || text.includes("\\") || !URL.canParse(text)) {
    return failure("invalid", "The endpoint must be a URL such as https://s3.eu-central-1.amazonaws.com.");
  }
  if (text.includes("@")) return failure("invalid", "The endpoint must not carry a user name or password.");
  if (/[?#]/.test(text)) return failure("invalid", "The endpoint must not carry a query or a fragment.");
  const url = new URL(text);
  if (!/^(\/[A-Za-z0-9_~.-]+)*\/?$/.test(url.pathname)) {
    return failure("invalid", "The endpoint's path may have letters, digits and _ ~ . - between single slashes only.");
  }
  if (rules.strict && url.protocol !== "https:") return failure("invalid", "The endpoint must begin with https://.");
  const place = placeOfHost(url.hostname);
  if (place === "link-local")
    return failure("invalid", "The endpoint's host is reserved for a machine's own metadata.");
  if (rules.strict && place === "private") {
    return failure(
      "invalid",
      "The endpoint's host must be public: not localhost, and not a private or reserved address.",
    );
  }
  return { ok: true, endpoint: `${url.origin}${url.pathname.replace(/\/$/, "")}` };
}

/** 3 to 63 characters, as every S3 provider takes them; path-style addressing makes dots harmless. */
export function parseBucketName(text: string): { readonly ok: true; readonly bucket: string } | Failure {
  const sound = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(text) && !text.includes("..") && !/^[\d.]+$/.test(text);
  if (sound) return { ok: true, bucket: text };
  return failure("invalid", "A bucket's name has 3 to 63 characters: lower-case letters, digits, dots and hyphens.");
}

export function parseRegion(text: string): { readonly ok: true; readonly region: string } | Failure {
  if (isRegionName(text)) return { ok: true, region: text };
  return failure("invalid", 'A region is a name such as "eu-central-1", or "auto" for R2.');
}

export function isRegionName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/.test(text);
}

/** The host as a URL normalises it: IPv4 in decimal dots however it was written, IPv6 compressed and in brackets. */
function placeOfHost(hostname: string): "public" | "private" | "link-local" {
  if (hostname.startsWith("[")) return placeOfIpv6(ipv6Groups(hostname.slice(1, -1)));
  if (/^\d+\.\d+\.\d+\.\d+$/.test(hostname)) return placeOfIpv4(ipv4Number(hostname));
  const name = hostname.replace(/\.+$/, "");
  if (metadataHosts.has(name)) return "link-local";
  if (!name.includes(".")) return "private";
  return privateSuffixes.some((suffix) => name.endsWith(`.${suffix}`)) ? "private" : "public";
}

function placeOfIpv4(address: number): "public" | "private" | "link-local" {
  const within = ([first, bits]: readonly [string, number]): boolean => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor(ipv4Number(first) / size);
  };
  if (within(["169.254.0.0", 16])) return "link-local";
  return privateIpv4.some(within) ? "private" : "public";
}

/** Public is what lies in global unicast space (2000::/3) outside the blocks that are reserved or carry an IPv4 address. */
function placeOfIpv6(groups: readonly number[]): "public" | "private" | "link-local" {
  const [first = 0, second = 0, third = 0, fourth = 0, fifth = 0, sixth = 0, seventh = 0, eighth = 0] = groups;
  const leading = [first, second, third, fourth, fifth].every((group) => group === 0);
  if (leading && (sixth === 0xffff || sixth === 0)) {
    // IPv4 in IPv6 (::ffff:a.b.c.d, ::a.b.c.d) is private whatever it carries: no public server needs to be written so.
    return placeOfIpv4(seventh * 0x1_0000 + eighth) === "link-local" ? "link-local" : "private";
  }
  // IPv4 behind a translator: 64:ff9b::/96 (RFC 6052) and 6to4.
  const translated = first === 0x64 && second === 0xff9b ? seventh * 0x1_0000 + eighth : null;
  const carried = first === 0x2002 ? second * 0x1_0000 + third : translated;
  if (carried !== null) return placeOfIpv4(carried) === "link-local" ? "link-local" : "private";
  if ((first & 0xffc0) === 0xfe80 || (first === 0xfd00 && second === 0xec2)) return "link-local";
  if ((first & 0xe000) !== 0x2000) return "private";
  const reserved =
    (first === 0x2001 && second < 0x200) || // protocol assignments, Teredo
    (first === 0x2001 && second === 0xdb8) || // documentation
    (first === 0x3fff && second < 0x1000); // documentation
  return reserved ? "private" : "public";
}

function ipv4Number(text: string): number {
  return text.split(".").reduce((address, part) => address * 256 + Number(part), 0);
}

/** Eight groups of a compressed IPv6 address in a URL's normal form, which has no dotted tail. */
function ipv6Groups(text: string): number[] {
  const [head = "", tail] = text.split("::");
  const before = hexGroups(head);
  if (tail === undefined) return before;
  const after = hexGroups(tail);
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}

function hexGroups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}
