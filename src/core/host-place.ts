/**
 * Where a host that a user entered lies, judged by its name or its literal address. Which addresses a public name resolves to is checked
 * elsewhere: by the network that requests go out through.
 */

import { ipv4Number, isWithin, METADATA_IPV4, PRIVATE_IPV4 } from "./networks.ts";

/** `link-local`: clouds keep their machines' credentials there. */
export type HostPlace = "public" | "private" | "link-local";

/** Suffixes that no public resolver answers, or that mean something else inside a network. */
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

/** `hostname` as a URL normalises it: IPv4 in decimal dots however it was written, IPv6 compressed and in brackets. */
export function placeOfHost(hostname: string): HostPlace {
  if (hostname.startsWith("[")) return placeOfIpv6(ipv6Groups(hostname.slice(1, -1)));
  if (/^\d+\.\d+\.\d+\.\d+$/.test(hostname)) return placeOfIpv4(ipv4Number(hostname));
  const name = hostname.replace(/\.+$/, "");
  if (metadataHosts.has(name)) return "link-local";
  if (!name.includes(".")) return "private";
  return privateSuffixes.some((suffix) => name.endsWith(`.${suffix}`)) ? "private" : "public";
}

function placeOfIpv4(address: number): HostPlace {
  if (METADATA_IPV4.some((network) => isWithin(address, network))) return "link-local";
  return PRIVATE_IPV4.some((network) => isWithin(address, network)) ? "private" : "public";
}

/**
 * An address is public when it lies in global unicast space (2000::/3), outside the blocks that are reserved or carry an IPv4 address.
 */
function placeOfIpv6(groups: readonly number[]): HostPlace {
  const [first = 0, second = 0, third = 0, fourth = 0, fifth = 0, sixth = 0, seventh = 0, eighth = 0] = groups;
  const leading = [first, second, third, fourth, fifth].every((group) => group === 0);
  if (leading && (sixth === 0xffff || sixth === 0)) {
    // IPv4 in IPv6 (::ffff:a.b.c.d, ::a.b.c.d) counts as private whatever the IPv4 address is: no public server has to be written so.
    return placeOfIpv4(seventh * 0x1_0000 + eighth) === "link-local" ? "link-local" : "private";
  }
  // The IPv4 address behind a translator: 64:ff9b::/96 (RFC 6052) and 6to4.
  const translated = first === 0x64 && second === 0xff9b ? seventh * 0x1_0000 + eighth : null;
  const carried = first === 0x2002 ? second * 0x1_0000 + third : translated;
  if (carried !== null) return placeOfIpv4(carried) === "link-local" ? "link-local" : "private";
  // The second half is METADATA_IPV6.
  if ((first & 0xffc0) === 0xfe80 || (first === 0xfd00 && second === 0xec2)) return "link-local";
  if ((first & 0xe000) !== 0x2000) return "private";
  const reserved =
    (first === 0x2001 && second < 0x200) || // protocol assignments, Teredo
    (first === 0x2001 && second === 0xdb8) || // documentation
    (first === 0x3fff && second < 0x1000); // documentation
  return reserved ? "private" : "public";
}

/** The eight groups of a compressed IPv6 address in a URL's normal form, which never ends in dotted decimals. */
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
