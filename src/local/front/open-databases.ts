/**
 * The databases that workerd has open. workerd needs three files for each, closes them some ten seconds after the last use, and ends when
 * it can open no more files. So a request that would open one database too many is refused. The front does not see all uses (alarms,
 * jobs, connections to buckets). They show in the number of files that workerd really has open, where the system tells it.
 */
import { readdirSync, statSync } from "node:fs";
import { DATABASE_OPEN_MS, DESCRIPTORS_PER_CONNECTION, DESCRIPTORS_PER_DATABASE } from "../../core/limits.ts";
import type { FrontClock } from "./clock.ts";
import type { Opens, Refused } from "./opened-names.ts";
import type { Places } from "./places.ts";

/** Files that stay free for those that workerd opens by itself. */
const RESERVE = 50;

/**
 * How many files a process has open, as the system counts them. It costs a few microseconds. Undefined where the system does not tell.
 */
export function openFilesOf(pid: number): number | undefined {
  const folder = `/proc/${pid}/fd`;
  try {
    // The size of the folder is their number since Linux 6.2, and 0 before.
    const { size } = statSync(folder);
    return size > 0 ? size : readdirSync(folder).length;
  } catch {
    return undefined;
  }
}

export interface OpenDatabasesParts {
  readonly places: Places;
  /** Files that workerd may have open. */
  readonly descriptors: number;
  readonly clock: Pick<FrontClock, "now">;
  /** Files that workerd has open now; undefined where the system does not tell. */
  readonly openFiles: () => number | undefined;
  /** Connections that workerd may not have accepted yet. */
  readonly connecting: () => number;
}

/** The databases that a request may open. */
export interface Use {
  /** To be called once, with the status of the answer; undefined if there was none. */
  answered(status: number | undefined): void;
}

interface Open {
  readonly peer: string;
  at: number;
  /** The use that took the place, as long as there is no other use. */
  by: object | undefined;
}

export class OpenDatabases {
  readonly #parts: OpenDatabasesParts;
  /** By name. The database that was used last is the last one. */
  readonly #open = new Map<string, Open>();
  /** Its name. */
  #last = "";
  /** Places for requests that were not answered yet. */
  #opening = 0;
  /** Databases that are being made, or get a message from their organization, are not named in the request. */
  #unnamed = 0;

  constructor(parts: OpenDatabasesParts) {
    this.#parts = parts;
  }

  /** Undefined: there is no room for what the request would open. */
  use({ names, opensAnother, refused }: Opens, peer: string): Use | undefined {
    if (names.length === 0) return OPENS_NOTHING;
    return this.#use(opensAnother ? [...names, `unnamed ${this.#unnamed++}`] : names, peer, refused);
  }

  /** Forgets databases that workerd has closed by now. To be called every second or so. */
  check(): void {
    const closed = this.#parts.clock.now() - DATABASE_OPEN_MS;
    for (const [name, { at }] of this.#open) {
      if (at > closed) return;
      this.#forget(name);
    }
  }

  #use(names: readonly string[], peer: string, refused: Refused): Use | undefined {
    const now = this.#parts.clock.now();
    const taken: string[] = [];
    const use: Use = { answered: (status) => this.#answered(use, taken, status, refused) };
    for (const name of names) {
      const before = this.#open.get(name);
      if (before !== undefined) {
        before.at = now;
        before.by = undefined;
        this.#moveToEnd(name, before);
      } else if (this.#take(peer)) {
        taken.push(name);
        this.#moveToEnd(name, { peer, at: now, by: use });
      } else {
        this.#opening -= taken.length;
        for (const each of taken) this.#forget(each);
        return undefined;
      }
    }
    return taken.length === 0 ? OPENS_NOTHING : use;
  }

  #moveToEnd(name: string, open: Open): void {
    if (name === this.#last && this.#open.has(name)) return;
    this.#last = name;
    this.#open.delete(name);
    this.#open.set(name, open);
  }

  #take(peer: string): boolean {
    const { places, descriptors, openFiles, connecting } = this.#parts;
    const expected = connecting() * DESCRIPTORS_PER_CONNECTION + (this.#opening + 1) * DESCRIPTORS_PER_DATABASE;
    if ((openFiles() ?? 0) + expected > descriptors - RESERVE) return false;
    if (places.take(peer) !== "taken") return false;
    this.#opening += 1;
    return true;
  }

  #answered(use: Use, taken: readonly string[], status: number | undefined, refused: Refused): void {
    this.#opening -= taken.length;
    const opensNothing = status !== undefined && refused(status);
    for (const name of taken) {
      const open = this.#open.get(name);
      if (open?.by !== use) continue;
      if (opensNothing) this.#forget(name);
      else open.by = undefined;
    }
  }

  #forget(name: string): void {
    const open = this.#open.get(name);
    this.#open.delete(name);
    if (open !== undefined) this.#parts.places.giveBack(open.peer);
  }
}

const OPENS_NOTHING: Use = { answered: () => undefined };
