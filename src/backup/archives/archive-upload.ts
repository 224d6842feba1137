/**
 * Takes the file of an archive from outside into the spool. The stream is read no faster than it is stored, and given up when nothing comes
 * for a while, because other jobs of the database wait for it.
 */
import {
  ARCHIVE_UPLOAD_GRACE_MS,
  MAX_ARCHIVE_UPLOAD_SILENCE_MS,
  MIN_ARCHIVE_UPLOAD_BYTES_PER_SECOND,
} from "../../core/archive-limits.ts";
import { type Failure, failure } from "../../core/errors.ts";
import { concatBytes } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import { RepeatedDeadline, type Timers } from "../../core/timers.ts";
import type { SyncStorage } from "../../core/storage.ts";
import type { JobRoom } from "../recovery/restore.ts";
import type { Spool } from "./spool.ts";

/** Bytes that are stored at once. */
const PIECE_BYTES = 512 * 1024;

export interface ReceiveParts {
  readonly clock: Clock;
  readonly storage: SyncStorage;
  readonly spool: Spool;
  readonly room: JobRoom;
  readonly timers: Timers;
  /** Leaves the thread to others after a piece was stored. */
  readonly rest: () => Promise<void>;
}

export interface Receiving {
  readonly isRunning: () => boolean;
  /** Stores how far it is. In the transaction in which the piece is stored. */
  readonly note: (received: number) => void;
}

/** Returns how many bytes came, or why they were not taken. */
export async function receive(
  body: ReadableStream<Uint8Array>,
  { storage, spool, room, timers, clock, rest }: ReceiveParts,
  { isRunning, note }: Receiving,
): Promise<number | Failure> {
  const reader = body.getReader();
  const deadline = new RepeatedDeadline(timers, () => clock.now());
  const began = clock.now();
  /** Milliseconds that the sender was not asked for more. */
  let rested = 0;
  let waiting: Uint8Array[] = [];
  let [held, received] = [0, 0];
  const store = (): Failure | null => {
    if (held === 0) return null;
    const noRoom = room.takeForJob(2 * held + PIECE_BYTES);
    if (noRoom !== null) return noRoom;
    const piece = concatBytes(waiting);
    storage.transactionSync(() => {
      spool.append(received, piece);
      note(received + piece.length);
    });
    received += piece.length;
    [waiting, held] = [[], 0];
    return null;
  };
  const give = async (why: Failure): Promise<Failure> => {
    deadline.end();
    // Whether the sender takes notice does not matter.
    void reader.cancel(why.message).catch(() => undefined);
    return why;
  };
  for (;;) {
    const next = await deadline.inTime<Taken | Failure>(MAX_ARCHIVE_UPLOAD_SILENCE_MS, taken(reader), () => TOO_SLOW);
    if (!isRunning()) return give(CANCELLED);
    if ("ok" in next) return give(next);
    if (next.value !== undefined) {
      waiting.push(next.value);
      held += next.value.length;
    }
    const late = clock.now() - began - rested - ARCHIVE_UPLOAD_GRACE_MS;
    if (!next.done && (received + held) * 1000 < late * MIN_ARCHIVE_UPLOAD_BYTES_PER_SECOND) return give(TOO_SLOW);
    if (held < PIECE_BYTES && !next.done) continue;
    const refused = store();
    if (refused !== null) return give(refused);
    if (next.done) {
      deadline.end();
      return received;
    }
    const stored = clock.now();
    await rest();
    rested += clock.now() - stored;
    if (!isRunning()) return give(CANCELLED);
  }
}

interface Taken {
  readonly done: boolean;
  readonly value: Uint8Array | undefined;
}

async function taken(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Taken | Failure> {
  try {
    const { done, value } = await reader.read();
    return { done, value };
  } catch {
    return BROKEN_OFF;
  }
}

const CANCELLED = failure("conflict", "The upload was cancelled.");
const BROKEN_OFF = failure("invalid", "The upload was broken off before its end.");
const TOO_SLOW = failure(
  "invalid",
  `The upload was given up: nothing came for ${MAX_ARCHIVE_UPLOAD_SILENCE_MS / 1000} seconds, or less than ${MIN_ARCHIVE_UPLOAD_BYTES_PER_SECOND / 1024} KiB a second. Other jobs of the database wait for it.`,
);
