/**
 * The memory of the Worker's process that answers of the doors with JSON take, for all databases together. The JSON of a page may be many
 * times as long as its entries, and on one machine a single process answers everybody. So a request gets a little without asking
 * (`MAX_SMALL_JSON_BYTES` of keys and values). For more it waits until the process has room, and what it got counts until its answer is
 * made. An organization has at most half of what is free, so it waits for itself and not for others.
 *
 * A wait is polling, because one request of the platform cannot be woken by another.
 */
import type { DatabaseStub } from "../../contracts/database.ts";
import type { EntryAnswer, EntryCommand } from "../../contracts/entry-commands.ts";
import type { Grant } from "../../contracts/grant.ts";
import type { Clock, UnixMs } from "../../core/clock.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import {
  JSON_MEMORY_WAIT_MS,
  MAX_LARGE_BATCHES,
  MAX_PROCESS_EXPORT_BYTES,
  MAX_PROCESS_JSON_BYTES,
  MAX_REMEMBERED_OWNERS,
  MAX_RPC_ANSWER_BYTES,
  MAX_SMALL_JSON_BYTES,
  MAX_WAITING_FOR_JSON,
} from "../../core/limits.ts";
import { type Account, type Lease, ProcessMemory } from "../../core/process-memory.ts";
import type { ProcessTurns, WorkTurns } from "../../core/process-turns.ts";
import type { Timers } from "../../core/timers.ts";

/** A database, or its state of the past, and the grant to read it. */
export interface Readable {
  readonly stub: DatabaseStub;
  readonly grant: Grant;
}

export interface RationParts {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Of the long work of all objects and doors in the process. */
  readonly turns: Pick<ProcessTurns, "of">;
}

/** To make the JSON of so many bytes takes no milliseconds. */
const MAX_SHORT_ANSWER_BYTES = 16 * 1024;

/** What a request took counts for this long at most, if its end is never heard of. */
const LEASE_MS = 60_000;

/** A waiting request looks again after this, or after so much longer as more are waiting. */
const LOOK_MS = 4;
const LONGEST_LOOK_MS = 100;

/** Of one process: the doors share it. */
export class Rations {
  readonly #parts: RationParts;
  readonly #pages: ProcessMemory;
  /** Counted in batches. While one organization has half of them, another one has room for one. */
  readonly #batches: ProcessMemory;
  readonly #exports: ProcessMemory;
  /** Counted in requests. */
  readonly #waiting: ProcessMemory;
  #waits = 0;
  /** How many exports of each organization wait for room. */
  readonly #wanted = new Map<string, number>();
  /** The organization of each database that asked for much. The oldest comes first. */
  readonly #owners = new Map<string, string>();

  constructor(parts: RationParts) {
    this.#parts = parts;
    const { clock } = parts;
    this.#pages = new ProcessMemory(MAX_PROCESS_JSON_BYTES, clock);
    this.#batches = new ProcessMemory(MAX_LARGE_BATCHES + 1, clock);
    this.#exports = new ProcessMemory(MAX_PROCESS_EXPORT_BYTES, clock);
    this.#waiting = new ProcessMemory(MAX_WAITING_FOR_JSON, clock);
  }

  /** For one request. */
  begin(databaseId: string, live: Readable): Ration {
    return new Ration(this, databaseId, live);
  }

  async ownerOf(databaseId: string, { stub, grant }: Readable): Promise<string | Failure> {
    const known = this.#owners.get(databaseId);
    if (known !== undefined) return known;
    const owner = await stub.owner(grant);
    if (isFailure(owner)) return owner;
    this.#owners.set(databaseId, owner.organizationId);
    const [oldest] = this.#owners.keys();
    if (this.#owners.size > MAX_REMEMBERED_OWNERS && oldest !== undefined) this.#owners.delete(oldest);
    return owner.organizationId;
  }

  turnsOf(owner: string): WorkTurns {
    return this.#parts.turns.of(owner);
  }

  get clock(): Clock {
    return this.#parts.clock;
  }

  takePage(owner: string, bytes: number): Promise<Lease | Failure> {
    return this.#take(owner, () => this.#pages.take(owner, bytes, LEASE_MS));
  }

  takeBatch(owner: string): Promise<Lease | Failure> {
    return this.#take(owner, () => this.#batches.take(owner, 1, LEASE_MS));
  }

  /** It counts from the first look that finds room on. */
  async takeExport(owner: string): Promise<ExportRoom | Failure> {
    const waiting = (change: number): void => {
      const now = (this.#wanted.get(owner) ?? 0) + change;
      if (now > 0) this.#wanted.set(owner, now);
      else this.#wanted.delete(owner);
    };
    waiting(1);
    try {
      return await this.#take(owner, () => {
        if (!this.#exports.hasRoom(owner, MAX_RPC_ANSWER_BYTES)) return undefined;
        const room = new ExportRoom(this.#exports.account(owner), () => this.#wanted.has(owner));
        room.touch();
        return room;
      });
    } finally {
      waiting(-1);
    }
  }

  /** "unavailable" when there is no room in time, or when too many wait already. `look`: undefined while there is none. */
  async #take<Taken>(owner: string, look: () => Taken | undefined): Promise<Taken | Failure> {
    const first = look();
    if (first !== undefined) return first;
    const { clock, timers } = this.#parts;
    const place = this.#waiting.take(owner, 1, 2 * JSON_MEMORY_WAIT_MS);
    if (place === undefined) return BUSY;
    this.#waits += 1;
    try {
      const until = clock.now() + JSON_MEMORY_WAIT_MS;
      while (clock.now() < until) {
        await new Promise<void>((resolve) => timers.after(Math.min(LONGEST_LOOK_MS, LOOK_MS * this.#waits), resolve));
        const taken = look();
        if (taken !== undefined) return taken;
      }
      return BUSY;
    } finally {
      this.#waits -= 1;
      place.giveBack(1);
    }
  }
}

/** What one request takes. */
export class Ration {
  readonly #rations: Rations;
  readonly #databaseId: string;
  readonly #live: Readable;
  #page: Lease | null = null;
  #batch: Lease | null = null;
  /** Known when the request has had a turn. */
  #turns: WorkTurns | null = null;
  /** When the piece of work began that goes on. */
  #since: UnixMs | null = null;

  /** `live`: the database itself, not a state of the past. */
  constructor(rations: Rations, databaseId: string, live: Readable) {
    this.#rations = rations;
    this.#databaseId = databaseId;
    this.#live = live;
  }

  /** As the database answers. What has many bytes waits for room first. */
  async entries(
    { stub, grant }: Readable,
    command: Exclude<EntryCommand, { command: "versions" }>,
  ): Promise<EntryAnswer> {
    this.rest();
    if (this.#page === null) {
      const small = await stub.entries(grant, { ...command, maxBytes: MAX_SMALL_JSON_BYTES });
      if (small instanceof Uint8Array) return this.#atTurn(small);
      if (small.code !== "limit") return small;
      const taken = await this.#take((owner) => this.#rations.takePage(owner, MAX_RPC_ANSWER_BYTES));
      if (isFailure(taken)) return taken;
      this.#page = taken;
    }
    const answer = await stub.entries(grant, command);
    return answer instanceof Uint8Array ? this.#atTurn(answer) : answer;
  }

  /**
   * Waits until the next piece of the request's long work may begin, which takes some milliseconds. What was done since the last turn has
   * ended. An organization that is alone does not wait.
   */
  async turn(): Promise<void> {
    await this.#nextTurn(false);
  }

  /** The same, and in any case everybody else in the process has a turn. */
  async pause(): Promise<void> {
    await this.#nextTurn(true);
  }

  async #nextTurn(isPause: boolean): Promise<void> {
    this.rest();
    if (this.#turns === null) {
      const owner = await this.#rations.ownerOf(this.#databaseId, this.#live);
      if (typeof owner !== "string") return;
      this.#turns = this.#rations.turnsOf(owner);
    }
    if (isPause || !this.#turns.isAlone) await this.#turns.next();
    this.#since = this.#rations.clock.now();
  }

  /** The piece of work has ended, and something else is awaited. */
  rest(): void {
    if (this.#since !== null) this.#turns?.worked(this.#since);
    this.#since = null;
  }

  /** To make the JSON of a large answer is long work. */
  async #atTurn(answer: Uint8Array): Promise<EntryAnswer> {
    if (answer.length > MAX_SHORT_ANSWER_BYTES) await this.turn();
    return answer;
  }

  /** The turn of a batch that is larger than a page. Until the end of the request. */
  async beginBatch(): Promise<Failure | null> {
    this.rest();
    const taken = await this.#take((owner) => this.#rations.takeBatch(owner));
    if (isFailure(taken)) return taken;
    this.#batch = taken;
    return null;
  }

  /** Room for an answer that is read while it is sent. */
  beginExport(): Promise<ExportRoom | Failure> {
    return this.#take((owner) => this.#rations.takeExport(owner));
  }

  /** The answer is made. */
  end(): void {
    this.rest();
    this.#page?.giveBack(MAX_RPC_ANSWER_BYTES);
    this.#batch?.giveBack(1);
    this.#page = null;
    this.#batch = null;
  }

  async #take<Taken>(take: (owner: string) => Promise<Taken | Failure>): Promise<Taken | Failure> {
    const owner = await this.#rations.ownerOf(this.#databaseId, this.#live);
    return typeof owner === "string" ? take(owner) : owner;
  }
}

/** What an export holds while it is sent. */
export class ExportRoom {
  readonly #account: Account;
  readonly #isWanted: () => boolean;

  constructor(account: Account, isWanted: () => boolean) {
    this.#account = account;
    this.#isWanted = isWanted;
  }

  /** Whether another export of the organization waits for room. */
  get isWanted(): boolean {
    return this.#isWanted();
  }

  /** The export goes on. To be called again and again. */
  touch(): void {
    this.#account.hold(MAX_RPC_ANSWER_BYTES);
  }

  end(): void {
    this.#account.hold(0);
  }
}

const BUSY = failure(
  "unavailable",
  "Large answers of others take all the memory that there is for such answers. Try again, or ask for less at a time.",
);
