/**
 * The database as of a moment, for `?at=` and for operations that compare two moments. The database's object finds the moment's commit. If
 * there is no state of that commit yet, it has the state built in another object, and the request waits for a while. To find the commit, the
 * object looks into the backup. A moment that is over always has the same commit, so that commit is remembered for a minute, and the object
 * finds the state by it.
 */
import type { DatabaseStub } from "../../contracts/database.ts";
import { type Grant, grantOfPast } from "../../contracts/grant.ts";
import { PAST_IS_BEING_BUILT, type PastKeeper } from "../../contracts/restore-commands.ts";
import { asUnixMs, type Clock, type UnixMs } from "../../core/clock.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_REMEMBERED_MOMENTS, PAST_STATE_WAIT_MS, REMEMBERED_GRANT_MS } from "../../core/limits.ts";
import type { Timers } from "../../core/timers.ts";
import { type Version, versionOfHex, versionstampHex } from "../../core/versionstamp.ts";

export const AT_PARAMETER = "at";

export interface PastState {
  readonly stub: DatabaseStub;
  /** The grant for reading that state. */
  readonly grant: Grant;
}

export interface PastStatesParts {
  readonly database: (databaseId: string, grant: Grant) => DatabaseStub;
  readonly pastKeeper: (databaseId: string, grant: Grant) => PastKeeper;
  readonly clock: Clock;
  readonly timers: Timers;
}

/** How long to wait before asking again whether a state is built. */
const LOOK_MS = 200;

/** No commit is made for a moment that is this long ago, even where two machines' clocks differ. */
const OVER_MS = 60_000;

interface Remembered {
  readonly version: Version;
  readonly until: UnixMs;
}

export class PastStates {
  readonly #parts: PastStatesParts;
  /** The key is the database and the moment. The oldest comes first. */
  readonly #remembered = new Map<string, Remembered>();

  constructor(parts: PastStatesParts) {
    this.#parts = parts;
  }

  /** "unavailable" means that the state is still being built. */
  async open(databaseId: string, grant: Grant, moment: string): Promise<PastState | Failure> {
    const version = await this.#find(databaseId, grant, moment);
    if (isFailure(version)) return version;
    const past = grantOfPast(grant, versionstampHex(version));
    return { stub: this.#parts.database(databaseId, past), grant: past };
  }

  #versionOf(databaseId: string, moment: string): Version | undefined {
    const found = this.#remembered.get(nameOf(databaseId, moment));
    return found !== undefined && found.until > this.#parts.clock.now() ? found.version : undefined;
  }

  async #find(databaseId: string, grant: Grant, moment: string): Promise<Version | Failure> {
    const { pastKeeper, clock, timers } = this.#parts;
    const keeper = pastKeeper(databaseId, grant);
    const until = clock.now() + PAST_STATE_WAIT_MS;
    const known = this.#versionOf(databaseId, moment);
    const at = known === undefined ? moment : versionstampHex(known);
    for (;;) {
      const past = await keeper.openPast(grant, at, "least-recently-used");
      if (isFailure(past)) return past;
      if (past.ready) {
        this.#remember(databaseId, moment, past.version);
        return past.version;
      }
      if (clock.now() >= until) return PAST_IS_BEING_BUILT;
      await new Promise<void>((resolve) => timers.after(LOOK_MS, resolve));
    }
  }

  #remember(databaseId: string, moment: string, version: Version): void {
    const now = this.#parts.clock.now();
    const isOver = versionOfHex(moment.toLowerCase()) !== undefined || Date.parse(moment) < now - OVER_MS;
    if (!isOver || moment.startsWith("-")) return;
    const name = nameOf(databaseId, moment);
    this.#remembered.delete(name);
    this.#remembered.set(name, { version, until: asUnixMs(now + REMEMBERED_GRANT_MS) });
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > MAX_REMEMBERED_MOMENTS && oldest !== undefined) this.#remembered.delete(oldest);
  }
}

function nameOf(databaseId: string, moment: string): string {
  return `${databaseId} ${moment}`;
}
