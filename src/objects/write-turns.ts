/**
 * Writes that wait for their turn at a key (`engine/turns.ts`). Writes that a client sends together arrive one after the other, and all
 * of them must have arrived when one of them is applied. So the first write that would be applied waits until no other has arrived for a
 * moment, and counts as under way until it is on disk. A write that will not be applied does not wait, unless another write is waiting at
 * its key.
 */
import type { AgeCondition } from "../codec/record.ts";
import type { TurnOutcome } from "../contracts/record-commands.ts";
import { assert } from "../core/assert.ts";
import { toBinaryText } from "../core/bytes.ts";
import { failure, type Failure } from "../core/errors.ts";
import { MAX_WAITING_WRITE_BYTES, MAX_TURN_WAIT_MS, TURN_QUIET_MS } from "../core/limits.ts";
import type { AtomicWrite } from "../core/operations.ts";
import type { Timers } from "../core/timers.ts";
import type { Database } from "../engine/database.ts";
import type { CommitQueue } from "./commit-queue.ts";
import type { Room } from "./room.ts";

export interface WriteTurnsParts {
  readonly database: Pick<Database, "arrivals" | "lostTurn">;
  readonly commits: Pick<CommitQueue, "submit">;
  readonly room: Pick<Room, "refusal">;
  /** Resolves when the applied writes are on disk. */
  readonly flushed: () => Promise<void>;
  readonly timers: Timers;
}

/** The wait for further writes at one key. All writes at the key wait together. */
interface Gathering {
  readonly over: Promise<void>;
  isDisturbed: boolean;
}

export class WriteTurns {
  readonly #parts: WriteTurnsParts;
  readonly #gatherings = new Map<string, Gathering>();
  #waitingBytes = 0;

  constructor(parts: WriteTurnsParts) {
    this.#parts = parts;
  }

  /**
   * Applies a write of one set at its turn. `bytes`: what the write keeps in memory while it waits. `refusal` is called at its turn and
   * says why the write must not be applied any more.
   */
  async write(
    write: AtomicWrite,
    bytes: number,
    condition: AgeCondition,
    refusal: () => Failure | null,
  ): Promise<TurnOutcome | Failure> {
    const [set, ...more] = write.mutations;
    assert(set !== undefined && more.length === 0, "a write at its turn to have one mutation");
    const { key } = set;
    if (this.#waitingBytes + bytes > MAX_WAITING_WRITE_BYTES) {
      return failure("unavailable", `Writes of ${this.#waitingBytes} bytes are waiting for their turn: try again`);
    }
    const { database, commits, room, flushed } = this.#parts;
    const arrival = database.arrivals.arrive(key);
    const waiting = { ...write, turn: { arrival, condition } };
    this.#waitingBytes += bytes;
    try {
      const under = this.#gatherings.get(toBinaryText(key));
      // If no other write is waiting, a write that will not be applied has its turn at once.
      const lost = under === undefined ? database.lostTurn(waiting) : null;
      if (lost !== null) return { ok: true, written: null, why: lost };
      await this.#gather(key);
      const noRoom = refusal() ?? (arrival.isOvertaken ? null : room.refusal(write, bytes));
      // Without a wait, so that the first one has written when the next one is asked about.
      const refused = noRoom instanceof Promise ? await noRoom : noRoom;
      if (refused !== null) return refused;
      const outcome = await commits.submit({ write: waiting, bytes, refusal });
      if ("code" in outcome) return outcome;
      if (!outcome.ok) return { ok: true, written: null, why: outcome.turn ?? "overtaken" };
      await flushed();
      return { ok: true, written: outcome.version };
    } finally {
      this.#waitingBytes -= bytes;
      database.arrivals.leave(arrival);
    }
  }

  #gather(key: Uint8Array): Promise<void> {
    const name = toBinaryText(key);
    const under = this.#gatherings.get(name);
    if (under !== undefined) {
      under.isDisturbed = true;
      return under.over;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const gathering: Gathering = { over: promise, isDisturbed: false };
    this.#gatherings.set(name, gathering);
    let waitedMs = 0;
    const wait = (): void => {
      this.#parts.timers.after(TURN_QUIET_MS, () => {
        waitedMs += TURN_QUIET_MS;
        if (gathering.isDisturbed && waitedMs < MAX_TURN_WAIT_MS) {
          gathering.isDisturbed = false;
          return wait();
        }
        this.#gatherings.delete(name);
        resolve();
      });
    };
    wait();
    return promise;
  }
}
