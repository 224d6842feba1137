/**
 * Why a host could not be reached, as far as the connecting program can tell. The messages of runtimes differ, and may name addresses.
 * These words are told instead.
 */
export const UNREACHABLE_REASONS = [
  /** No authority that this server trusts has signed the host's certificate. */
  "untrusted",
  /** The host's certificate is for another name. */
  "other-name",
  /** The host's certificate is out of date, or not valid yet. */
  "out-of-date",
  /** The host answers on that port, but not with TLS. */
  "no-tls",
  /** Both sides speak TLS, and have no version or cipher in common. */
  "no-common-tls",
  /**
   * The host's name is not known, or leads only to addresses that the network out does not connect to. The word does not tell which of
   * the two: tenants are not to learn which names a network has.
   */
  "no-address",
  /** The proxy that requests go through does not answer. */
  "no-proxy",
  "refused-by-proxy",
  /** The proxy could not reach the host, or the connection behind the proxy broke. */
  "failed-behind-proxy",
] as const;

export type UnreachableReason = (typeof UNREACHABLE_REASONS)[number];

/**
 * An answer with this header does not come from the host. The process beside the Worker says with it why there is no answer of the host.
 */
export const UNREACHABLE_HEADER = "x-cairn-unreachable";

/** What the way out throws when it knows why a host was not reached. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  readonly reason: UnreachableReason;

  constructor(reason: UnreachableReason) {
    super(`the host could not be reached: ${reason}`);
    this.reason = reason;
  }
}

export function isUnreachableReason(text: string): text is UnreachableReason {
  return UNREACHABLE_REASONS.some((reason) => reason === text);
}
