/**
 * Networks that an address which a tenant enters must not lead to. Names are checked where they are entered, addresses where they are
 * connected to.
 */

/** First address, prefix length. */
export type Ipv4Network = readonly [string, number];

/** All networks that RFC 6890 and its successors exclude from public unicast addresses. */
export const PRIVATE_IPV4: readonly Ipv4Network[] = [
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

/**
 * Addresses where clouds keep a machine's credentials. Most lie in the link-local network, those of Alibaba, Azure and Oracle outside of
 * it.
 */
export const METADATA_IPV4: readonly Ipv4Network[] = [
  ["169.254.0.0", 16],
  ["100.100.100.200", 32],
  ["168.63.129.16", 32],
  ["192.0.0.192", 32],
];

export const METADATA_IPV6: readonly string[] = ["fe80::/10", "fd00:ec2::/32"];

/** An address in decimal dots as a number. */
export function ipv4Number(text: string): number {
  return text.split(".").reduce((address, part) => address * 256 + Number(part), 0);
}

export function isWithin(address: number, [first, bits]: Ipv4Network): boolean {
  const size = 2 ** (32 - bits);
  return Math.floor(address / size) === Math.floor(ipv4Number(first) / size);
}

/**
 * In CIDR notation: the network itself, and the IPv6 networks in which translators place it, 64:ff9b::/96 (RFC 6052) and 6to4 (RFC 3056).
 */
export function withTranslated([first, bits]: Ipv4Network): readonly string[] {
  const address = ipv4Number(first);
  const groups = `${Math.floor(address / 0x1_0000).toString(16)}:${(address % 0x1_0000).toString(16)}`;
  return [`${first}/${bits}`, `64:ff9b::${groups}/${96 + bits}`, `2002:${groups}::/${16 + bits}`];
}
