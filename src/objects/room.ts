/**
 * Whether there is room for what a database is to store: on the disk (`disk-space.ts`), and within the size that the platform allows for
 * one object. Deleted data leaves room in the database's own file. The file never becomes smaller, and only this database uses that room
 * again.
 */
import type { Failure } from "../core/errors.ts";
import {
  databaseIsFull,
  diskIsFull,
  diskIsNearlyFull,
  lastReserve,
  noRoomForJob,
  type DiskFigures,
} from "../core/storage-room.ts";
import type { Mutation } from "../core/operations.ts";
import type { Sql } from "../core/storage.ts";
import type { Database } from "../engine/database.ts";
import type { DiskSpace, Need } from "./disk-space.ts";

/** A change is written twice, into the write-ahead log and into the file, in whole pages of 4 KiB. */
const PER_BYTE = 2;
const PER_CHANGE = 8 * 1024;

export interface RoomOptions {
  readonly sql: Pick<Sql, "databaseSize">;
  /** The engine's `Database`. */
  readonly database: Pick<Database, "spareBytes" | "notePeak">;
  readonly disk: DiskSpace;
  /** Bytes that the object may have. Infinity: as many as the disk holds. */
  readonly limit: number;
}

export class Room {
  readonly #options: RoomOptions;
  /** The database's size when it was last read, and how much it may have grown since then. */
  #size: number;
  #grown = 0;

  constructor(options: RoomOptions) {
    this.#options = options;
    this.#size = options.sql.databaseSize;
  }

  /**
   * Why the write must not be applied. `bytes`: of its keys and values. A write that only deletes is refused only when nothing at all can
   * be written.
   */
  refusal(
    write: { readonly mutations: readonly Pick<Mutation, "type">[] },
    bytes: number,
  ): Failure | null | Promise<Failure | null> {
    const stores = write.mutations.some(({ type }) => type !== "delete");
    const cost = bytes * PER_BYTE + (write.mutations.length + 1) * PER_CHANGE;
    const refused = this.#refusal(stores, cost);
    if (refused === null) this.#note(cost);
    return refused instanceof Promise ? refused.then((why) => (why === null ? this.#note(cost) : why)) : refused;
  }

  /** Why a job must not store this many bytes. A job must leave more free than a write. */
  async refusalOfJob(bytes: number): Promise<Failure | null> {
    return this.#databaseIsFull(bytes) ?? this.#options.disk.refusal(this.#needOfJob(bytes));
  }

  /** As `refusalOfJob`, by the last figures. When there is room, the bytes are noted as written. */
  takeForJob(bytes: number): Failure | null {
    const refused = this.#databaseIsFull(bytes) ?? this.#options.disk.judge(this.#needOfJob(bytes));
    if (refused === null) this.#note(bytes);
    return refused;
  }

  #refusal(stores: boolean, cost: number): Failure | null | Promise<Failure | null> {
    const { disk, database } = this.#options;
    if (!stores && !disk.hasPlenty) database.notePeak();
    if (!stores) return disk.refusal({ bytes: 0, leave: lastReserve, refusal: diskIsFull });
    const full = this.#databaseIsFull(cost);
    if (full !== null) return full;
    const need: Need = { bytes: cost, leave: reserveOf, refusal: diskIsNearlyFull };
    const unlessSpare = (why: Failure | null): Failure | null | Promise<Failure | null> => {
      if (why === null || database.spareBytes < cost) return why;
      return disk.refusal({ bytes: 0, leave: lastReserve, refusal: diskIsFull });
    };
    const refused = disk.refusal(need);
    return refused instanceof Promise ? refused.then(unlessSpare) : unlessSpare(refused);
  }

  #databaseIsFull(cost: number): Failure | null {
    const { sql, limit } = this.#options;
    if (this.#size + this.#grown + cost <= limit) return null;
    this.#size = sql.databaseSize;
    this.#grown = 0;
    return this.#size + cost <= limit ? null : databaseIsFull(this.#size, limit);
  }

  #needOfJob(bytes: number): Need {
    const { database } = this.#options;
    return {
      bytes: Math.max(0, bytes - database.spareBytes),
      leave: ({ reserve }) => 2 * reserve,
      refusal: (figures) => noRoomForJob(bytes, figures),
    };
  }

  #note(bytes: number): null {
    this.#grown += bytes;
    this.#options.disk.note(bytes);
    return null;
  }
}

function reserveOf({ reserve }: DiskFigures): number {
  return reserve;
}
