/**
 * A request to go back to a moment that is just over waits here until the backup holds that moment, and is not told to ask again. On a
 * database that is written to without a pause, the last commits are never in the bucket yet. The commits that a request waits for are
 * sent at once.
 */
import { MAX_BACKUP_LOOKUPS_WAITING, SHIPMENT_WAIT_MS } from "../../core/limits.ts";
import type { Timers } from "../../core/timers.ts";
import type { Version } from "../../core/versionstamp.ts";

export interface ShipmentOptions {
  readonly timers: Timers;
  /** Whether every commit up to and including this one is stored. */
  readonly isStored: (version: Version) => boolean;
  /** Whether anything is being stored at all, as far as is known. */
  readonly goesOn: () => boolean;
  /** Has everything up to this version sent without the usual delay. null: nothing is waited for any more. */
  readonly hurry: (upTo: Version | null) => void;
}

interface Waiting {
  readonly version: Version;
  readonly settle: (stored: boolean) => void;
}

export class Shipments {
  readonly #options: ShipmentOptions;
  readonly #waiting = new Set<Waiting>();

  constructor(options: ShipmentOptions) {
    this.#options = options;
  }

  /** Resolves with true when every commit up to and including this one is stored, with false when it will not be, or not in time. */
  async wait(version: Version): Promise<boolean> {
    const { timers, isStored, goesOn } = this.#options;
    if (isStored(version)) return true;
    if (!goesOn() || this.#waiting.size >= MAX_BACKUP_LOOKUPS_WAITING) return false;
    return new Promise((resolve) => {
      const waiting: Waiting = {
        version,
        settle: (stored) => {
          cancel();
          if (this.#waiting.delete(waiting)) this.#hurry();
          resolve(stored);
        },
      };
      this.#waiting.add(waiting);
      this.#hurry();
      const cancel = timers.after(SHIPMENT_WAIT_MS, () => waiting.settle(false));
    });
  }

  /** To be called when something was stored, or could not be stored. */
  look(): void {
    const { isStored, goesOn } = this.#options;
    for (const { version, settle } of this.#waiting) {
      if (isStored(version)) settle(true);
      else if (!goesOn()) settle(false);
    }
  }

  /** The backup is no more. */
  close(): void {
    for (const { settle } of this.#waiting) settle(false);
  }

  #hurry(): void {
    const versions = [...this.#waiting].map(({ version }) => version);
    const [first] = versions;
    this.#options.hurry(first === undefined ? null : versions.reduce((a, b) => (a > b ? a : b), first));
  }
}
