import { CROWDED_CLIENT_BYTES_PER_SECOND, MIN_CLIENT_BYTES_PER_SECOND } from "../../core/limits.ts";

/** How far a client is behind the two rates at which it must at least send or take, in milliseconds. */
export class Arrears {
  ms = 0;
  crowdedMs = 0;
  #bytes = 0;

  /**
   * Notes a time in which the client had to send or take. `bytes`: all that it has sent or taken so far. A client that was faster than the
   * rate gets no credit.
   */
  wait(elapsedMs: number, bytes: number): void {
    const moved = bytes - this.#bytes;
    this.#bytes = bytes;
    this.ms = Math.max(0, this.ms + elapsedMs - (moved / MIN_CLIENT_BYTES_PER_SECOND) * 1000);
    this.crowdedMs = Math.max(0, this.crowdedMs + elapsedMs - (moved / CROWDED_CLIENT_BYTES_PER_SECOND) * 1000);
  }

  /** Notes that the client does not have to send or take anything at present. */
  settle(bytes: number): void {
    this.#bytes = bytes;
    this.ms = 0;
    this.crowdedMs = 0;
  }
}
