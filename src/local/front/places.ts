/**
 * A number of places that clients share. One address may hold so many times the places that are free: while there is room that bounds
 * nobody, and the fewer are free the less one may have, so whoever comes from elsewhere always finds one.
 */
import { PLACES_OF_PEER_PER_FREE_PLACE } from "../../core/limits.ts";

/** "share": there are some, and this address has as many as it may. */
export type Taken = "taken" | "share" | "full";

export class Places {
  #free: number;
  readonly #taken = new Map<string, number>();

  constructor(count: number) {
    this.#free = count;
  }

  take(peer: string, count = 1): Taken {
    if (this.#free < count) return "full";
    const taken = this.#taken.get(peer) ?? 0;
    if (taken + count > this.#free * PLACES_OF_PEER_PER_FREE_PLACE) return "share";
    this.#free -= count;
    this.#taken.set(peer, taken + count);
    return "taken";
  }

  /** Of places that the peer has taken. */
  giveBack(peer: string, count = 1): void {
    this.#free += count;
    const left = (this.#taken.get(peer) ?? 0) - count;
    if (left > 0) this.#taken.set(peer, left);
    else this.#taken.delete(peer);
  }

  takenBy(peer: string): number {
    return this.#taken.get(peer) ?? 0;
  }
}

/** What counts as one client's address: a network of IPv6 gives each of its machines as many addresses as it likes. */
export function peerOf(address: string | undefined): string {
  if (address === undefined) return "";
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [before = "", after] = address.split("%", 1)[0]?.split("::") ?? [];
  const first = before === "" ? [] : before.split(":");
  const last = after === undefined || after === "" ? [] : after.split(":");
  const zeros = after === undefined ? 0 : 8 - first.length - last.length;
  const groups = [...first, ...Array.from({ length: zeros }, () => "0"), ...last];
  return `${groups.slice(0, 4).join(":")}::/64`;
}
