/**
 * Answers too large for one RPC result, one after the other, since each is held in memory as a whole: a read is one snapshot and is
 * answered whole or not at all. A client that stops reading is given up after a while, so that it does not keep the others waiting.
 */
import { snapshotReadOutputChunks } from "../core/datapath.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_READ_ANSWER_BYTES } from "../core/limits.ts";
import type { ReadRange } from "../core/operations.ts";
import type { Database } from "../engine/database.ts";

/** No byte taken for this long: the reader is gone or stuck. */
const STALLED_READER_MS = 30_000;

export class LargeReads {
  readonly #database: Database;
  /** Settles when the answer before has left. */
  #previous: Promise<void> = Promise.resolve();

  constructor(database: Database) {
    this.#database = database;
  }

  async answer(ranges: readonly ReadRange[]): Promise<ReadableStream<Uint8Array> | Failure> {
    const turn = Promise.withResolvers<void>();
    const previous = this.#previous;
    this.#previous = turn.promise;
    await previous;
    const bytes = this.#database.readBytes(ranges);
    const entries = bytes > MAX_READ_ANSWER_BYTES ? null : this.#database.read(ranges, MAX_READ_ANSWER_BYTES);
    if (entries === null) {
      turn.resolve();
      return failure(
        "limit",
        `The entries of this read have ${bytes} bytes: at most ${MAX_READ_ANSWER_BYTES} can be read at once. Lower batchSize or limit`,
      );
    }
    const { size, chunks } = snapshotReadOutputChunks(entries);
    const { readable, writable } = new FixedLengthStream(size);
    void pour(chunks, writable).then(turn.resolve, turn.resolve);
    return readable;
  }
}

async function pour(chunks: readonly Uint8Array[], writable: WritableStream<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  for (const chunk of chunks) {
    const stalled = Promise.withResolvers<never>();
    const timer = setTimeout(() => stalled.reject(new Error("the reader stalled")), STALLED_READER_MS);
    try {
      await Promise.race([writer.write(chunk), stalled.promise]);
    } catch (error) {
      await writer.abort(error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
  await writer.close();
}
