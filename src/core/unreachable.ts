/**
 * Why a host could not be reached, as far as whoever connects can tell. What a runtime says of it differs from one to the other, and may
 * name addresses: it is told in these words instead.
 */
export const UNREACHABLE_REASONS = [
  /** Its certificate is signed by nobody whom this server trusts. */
  "untrusted",
  /** Its certificate is for another name. */
  "other-name",
  /** Its certificate is out of date, or of a later one. */
  "out-of-date",
  /** It answers on that port, and not with TLS. */
  "no-tls",
  /** Both speak TLS, and have no version or cipher in common. */
  "no-common-tls",
  /**
   * Its name is not known, or leads to addresses alone that the network out does not connect to. Which of the two is not told: tenants
   * are not to learn what names there are in a network.
   */
  "no-address",
  /** The proxy that requests go through is not there. */
  "no-proxy",
  "refused-by-proxy",
  /** It could not reach the host, or the connection broke behind it. */
  "failed-behind-proxy",
] as const;

export type UnreachableReason = (typeof UNREACHABLE_REASONS)[number];

/** An answer with this header is none of the host's: the process beside the Worker says with it why there is none. */
export const UNREACHABLE_HEADER = "x-cairn-unreachable";

/** What a way out throws when it knows why. */
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
