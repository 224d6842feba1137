/**
 * The databases that workerd has open. workerd needs three files for each, closes them some ten seconds after the last use, and ends when
 * it can open no more files. So a request that would open one database too many is refused. The front does not see all uses (alarms,
 * jobs, connections to buckets). They show in the number of files that workerd really has open, where the system tells it.
 */
import { readdirSync, statSync } from "node:fs";
import { DATABASE_OPEN_MS, DESCRIPTORS_PER_CONNECTION, DESCRIPTORS_PER_DATABASE } from "../../core/limits.ts";
import type { Client } from "./client.ts";
import type { FrontClock } from "./clock.ts";
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

/** What tells which databases a request may open. */
export type NamingRequest = Pick<Client, "method" | "path" | "isAuthorized" | "fields">;

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
  /** Places for requests that were not answered yet. */
  #opening = 0;
  /** Databases that are being made, or get a message from their organization, are not named in the request. */
  #unnamed = 0;

  constructor(parts: OpenDatabasesParts) {
    this.#parts = parts;
  }

  /** Undefined: there is no room for what the request would open. */
  use({ method, path, isAuthorized, fields }: NamingRequest, peer: string): Use | undefined {
    const [address = "", query = ""] = path.split("?", 2);
    // A request without a token opens nothing, and neither does a question for the methods of an address.
    if (method === "OPTIONS") return OPENS_NOTHING;
    if (!isAuthorized && !query.includes("access_token=")) return OPENS_NOTHING;
    const named = address === DOCUMENTS_PATH ? `/databases/${fields.get("envid") ?? ""}` : address;
    const names = NAMED.map((one) => one.exec(named)?.[0]).filter((name) => name !== undefined);
    if (names.length === 0) return OPENS_NOTHING;
    const changes = method !== "GET" && method !== "HEAD" && method !== "OPTIONS";
    const isEntry = ENTRY_PATH.test(address);
    if (changes && !isEntry && MANAGEMENT_PATH.test(address)) names.push(`unnamed ${this.#unnamed++}`);
    const asksDatabase = isEntry || DATA_PATH.test(address) || ARCHIVE_PATH.test(address);
    return this.#use(names, peer, asksDatabase ? refusesData : refusesOther);
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
        // The database that was used last is moved to the end.
        this.#open.delete(name);
        this.#open.set(name, before);
      } else if (this.#take(peer)) {
        taken.push(name);
        this.#open.set(name, { peer, at: now, by: use });
      } else {
        this.#opening -= taken.length;
        for (const each of taken) this.#forget(each);
        return undefined;
      }
    }
    return taken.length === 0 ? OPENS_NOTHING : use;
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

/** Its requests name their database in the header envid. */
const DOCUMENTS_PATH = "/cdb";

const OPENS_NOTHING: Use = { answered: () => undefined };

/**
 * A database that a path names counts as opened, whichever door the path belongs to. Names are cut off, because longer ones belong to no
 * database and would be kept for seconds.
 */
const NAMED = [/\/databases\/[^/:]{1,64}/, /\/organizations\/[^/:]{1,64}/] as const;

/** A change under these paths may open other databases than the one in the path. */
const MANAGEMENT_PATH = /^\/(?:api|v1)\//;

/** Among them, requests about the entries of a database open no other database. */
const ENTRY_PATH =
  /^\/api\/databases\/[^/]+\/(?:entries|records|tables|atomic|count|export|import|watch|feed|history|undelete|diff)(?:[/:%]|$)/;

/** Under these paths a 404 comes from the database's object, which opened its files to find that out. */
const DATA_PATH = /^(?:\/v2)?\/databases\/[^/]+\/(?:at\/[^/]+\/)?(?:connect|snapshot_read|atomic_write|watch)$/;

/** So is a 404 about an archive or its destination. */
const ARCHIVE_PATH = /^\/api\/databases\/[^/]+\/backup(?:s|Schedule|Destinations)(?:[/:%]|$)/;

/** Whether an answer with this status was given before any database was called. */
type Refused = (status: number) => boolean;
const refusesData: Refused = (status) => [401, 403, 405, 415].includes(status);
/** A 404 is also the Worker's answer where there is no door. A stranger who asks there has a place only until the answer. */
const refusesOther: Refused = (status) => status >= 400 && status < 500;
