/**
 * A number of places that clients share. One address may have so many times as many places as are free. While there is plenty of room,
 * that limits nobody. The fewer places are free, the fewer one address may have, so a client at another address always finds one.
 */
import { PLACES_OF_PEER_PER_FREE_PLACE } from "../../core/limits.ts";

/** "share": there are free places, but this address has as many as it may. */
export type Taken = "taken" | "share" | "full";

/** Addresses that are kept although they have no places. */
const KEPT_PEERS = 8;

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

  /** Gives back places that the peer has taken. */
  giveBack(peer: string, count = 1): void {
    this.#free += count;
    const left = (this.#taken.get(peer) ?? 0) - count;
    // To delete the last entry of a Map costs several times as much as to change it.
    if (left > 0 || this.#taken.size <= KEPT_PEERS) this.#taken.set(peer, Math.max(0, left));
    else this.#taken.delete(peer);
  }

  takenBy(peer: string): number {
    return this.#taken.get(peer) ?? 0;
  }
}

/** What counts as one client's address. A network of IPv6 gives each of its machines any number of addresses, so the network counts. */
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
