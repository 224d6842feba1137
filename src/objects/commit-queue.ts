/**
 * Groups commits. Writes that arrive while a group is being flushed to disk form the next group, which shares a transaction and a flush.
 * A write that finds no flush under way is applied at once and waits for no other. The bytes that wait are bounded.
 *
 * Nothing is answered before it is on disk: the platform holds every answer back until then. Waiting for the end of a flush only serves
 * the grouping, and costs a tenth of a lone writer's time. So when a writer has been alone for a while, the end of a flush is awaited
 * only now and then.
 *
 * The process has one thread. After a group with many changes everybody else gets a turn, and a group that takes long waits for the turn of
 * its organization. Writes behind it wait, too, so that all are applied in the order in which they came.
 */
import { type Failure, failure } from "../core/errors.ts";
import { MAX_COMMITS_PER_GROUP, MAX_GROUP_BYTES, MAX_GROUP_CHANGES, MAX_WAITING_WRITE_BYTES } from "../core/limits.ts";
import type { AtomicWrite } from "../core/operations.ts";
import type { WorkTurns } from "../core/process-turns.ts";
import type { CommitOutcome } from "../engine/commit-path.ts";
import { decisionOf } from "../engine/decided-write.ts";
import type { EngineWrite } from "../engine/turns.ts";

export interface SubmittedWrite {
  readonly write: EngineWrite;
  /** Bytes that the write keeps in memory while it waits. */
  readonly bytes: number;
  /** Asked when the write had to wait: why it must not be applied any more. The token may have been revoked. null: it may be applied. */
  readonly refusal?: () => Failure | null;
}

/** About how many bytes a decoded mutation takes in memory besides its keys and values. */
const DECODED_MUTATION_BYTES = 500;

/** Bytes that a write takes in memory when it was decoded from a request of this many bytes. */
export function writeMemory({ mutations }: AtomicWrite, requestBytes: number): number {
  return requestBytes + mutations.length * DECODED_MUTATION_BYTES;
}

/** How many checks and mutations the write has. */
export function changesOf(write: EngineWrite): number {
  return write.checks.length + (decisionOf(write)?.maxMutations ?? write.mutations.length);
}

/** Whether so many changes are a pause after which others get a turn. */
function areMany(changes: number): boolean {
  return changes > MAX_GROUP_CHANGES / 2;
}

/** About a millisecond of work. */
const SHORT_GROUP_CHANGES = 50;
const SHORT_GROUP_BYTES = 128 * 1024;

interface GroupSize {
  readonly changes: number;
  readonly bytes: number;
}

/** Whether to apply a group takes milliseconds. */
function takesLong({ changes, bytes }: GroupSize): boolean {
  return changes > SHORT_GROUP_CHANGES || bytes > SHORT_GROUP_BYTES;
}

interface Waiting extends SubmittedWrite {
  readonly settle: (outcome: CommitOutcome) => void;
}

export interface CommitQueueOptions {
  /** Applies a group in order. Returns an outcome for each write. */
  readonly commit: (writes: readonly EngineWrite[]) => CommitOutcome[];
  /**
   * About how many changes a write makes besides its own, in tables that are derived from the entries. They make groups smaller where others
   * use the process: each group is a flush, and an organization that is alone has larger groups.
   */
  readonly derivedChanges: (submitted: SubmittedWrite) => number;
  /** Resolves when the applied writes are on disk. */
  readonly flushed: () => Promise<void>;
  /** The turns of the organization's long requests in the process. */
  readonly turns: Pick<WorkTurns, "isAlone" | "begin" | "piece" | "flush">;
  /** Lets everybody else in the process have a turn. */
  readonly breathe: () => Promise<void>;
  /** `commit` threw, which is a bug. Its writes get the answer "outcome unknown". */
  readonly onError: (error: unknown) => void;
}

/** A writer that was alone during this many flushes in a row counts as a lone writer. */
const LONE_WRITES = 8;

/** After that, every so many writes the end of a flush is awaited, to see whether the writer is still alone. */
const LONE_WRITES_PER_LOOK = 32;

const UNKNOWN_OUTCOME = failure("internal", "Whether the write was stored is unknown: this is a bug of Cairn");

export class CommitQueue {
  readonly #options: CommitQueueOptions;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #busy = false;
  /** Writes in a row that were alone, as far as that was checked. */
  #alone = 0;
  #closed: Failure | null = null;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /** Fails with "unavailable" when too much waits already. */
  submit(submitted: SubmittedWrite): CommitOutcome | Promise<CommitOutcome> {
    if (this.#closed !== null) return this.#closed;
    const isLong = takesLong(this.#sizeOf([submitted]));
    if (this.#mayCommitNow(isLong)) {
      this.#alone += 1;
      return this.#commit([submitted], isLong)[0] ?? UNKNOWN_OUTCOME;
    }
    return this.#mayWait(submitted.bytes) ?? new Promise((settle) => this.#wait([{ ...submitted, settle }]));
  }

  /**
   * The same for writes that came together. They are applied in their order and as one group, unless they are more than a group takes.
   */
  submitAll(writes: readonly SubmittedWrite[]): readonly CommitOutcome[] | Promise<readonly CommitOutcome[]> {
    const closed = this.#closed;
    if (closed !== null) return writes.map(() => closed);
    const size = this.#sizeOf(writes);
    const isLong = takesLong(size);
    if (!areMany(size.changes) && this.#mayCommitNow(isLong)) {
      this.#alone += 1;
      const outcomes = this.#commit(writes, isLong);
      return writes.map((_, index) => outcomes[index] ?? UNKNOWN_OUTCOME);
    }
    const refused = this.#mayWait(writes.reduce((sum, { bytes }) => sum + bytes, 0));
    if (refused !== null) return writes.map(() => refused);
    const outcomes = writes.map((): CommitOutcome => UNKNOWN_OUTCOME);
    const { promise, resolve } = Promise.withResolvers<readonly CommitOutcome[]>();
    let left = writes.length;
    const waiting = writes.map((submitted, index): Waiting => {
      const settle = (outcome: CommitOutcome): void => {
        outcomes[index] = outcome;
        left -= 1;
        if (left === 0) resolve(outcomes);
      };
      return { ...submitted, settle };
    });
    this.#wait(waiting);
    return left === 0 ? outcomes : promise;
  }

  #mayCommitNow(isLong: boolean): boolean {
    return !this.#busy && !this.#awaitsNextFlush() && (!isLong || this.#options.turns.isAlone);
  }

  #mayWait(bytes: number): Failure | null {
    if (this.#waiting.length === 0 || this.#waitingBytes + bytes <= MAX_WAITING_WRITE_BYTES) return null;
    return failure(
      "unavailable",
      `Writes of ${this.#waitingBytes} bytes are waiting for this database's disk: try again`,
    );
  }

  #wait(writes: readonly Waiting[]): void {
    for (const waiting of writes) {
      this.#waiting.push(waiting);
      this.#waitingBytes += waiting.bytes;
    }
    if (!this.#busy) void this.#drain();
  }

  /**
   * The database is gone: no write is applied any more, and waiting writes fail with this reason. Writes that were applied get their
   * answers.
   */
  close(why: Failure): void {
    this.#closed = why;
    this.#waitingBytes = 0;
    for (const { settle } of this.#waiting.splice(0)) settle(why);
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#waiting.length > 0) {
        const { turns, flushed } = this.#options;
        const turn = takesLong(this.#sizeOf(this.#waiting.slice(0, this.#groupSize()))) ? turns.begin() : null;
        const crowded = turn === null ? null : await turn;
        const group = this.#takeGroup().filter(({ refusal, settle }) => {
          const refused = crowded ?? refusal?.() ?? null;
          if (refused !== null) settle(refused);
          return refused === null;
        });
        if (group.length === 0) continue;
        const size = this.#sizeOf(group);
        const isLong = takesLong(size);
        const outcomes = this.#commit(group, isLong);
        for (const [index, { settle }] of group.entries()) settle(outcomes[index] ?? UNKNOWN_OUTCOME);
        await (isLong ? turns.flush(flushed) : flushed());
        if (areMany(size.changes)) await this.#options.breathe();
        this.#alone = group.length === 1 && this.#waiting.length === 0 ? this.#alone + 1 : 0;
      }
    } finally {
      this.#busy = false;
    }
  }

  /** How much a write changes. To be asked for once for all writes of a group. */
  get #weigh(): (submitted: SubmittedWrite) => number {
    const { turns, derivedChanges } = this.#options;
    if (turns.isAlone) return ({ write }) => changesOf(write);
    return (submitted) => changesOf(submitted.write) + derivedChanges(submitted);
  }

  #sizeOf(writes: readonly SubmittedWrite[]): GroupSize {
    const weigh = this.#weigh;
    let [changes, bytes] = [0, 0];
    for (const submitted of writes) {
      changes += weigh(submitted);
      bytes += submitted.bytes;
    }
    return { changes, bytes };
  }

  #awaitsNextFlush(): boolean {
    return this.#alone < LONE_WRITES || this.#alone % LONE_WRITES_PER_LOOK === 0;
  }

  /** Every waiting write is answered, whatever happens. */
  #commit(group: readonly SubmittedWrite[], isLong: boolean): readonly CommitOutcome[] {
    const { commit, turns } = this.#options;
    const writes = group.map(({ write }) => write);
    try {
      return isLong ? turns.piece(() => commit(writes)) : commit(writes);
    } catch (error) {
      this.#options.onError(error);
      return [];
    }
  }

  #takeGroup(): Waiting[] {
    const group = this.#waiting.splice(0, this.#groupSize());
    this.#waitingBytes -= group.reduce((sum, { bytes }) => sum + bytes, 0);
    return group;
  }

  /** How many of the waiting writes share the next transaction, in order of arrival. At least one, if any waits. */
  #groupSize(): number {
    const weigh = this.#weigh;
    let size = 0;
    let bytes = 0;
    let changes = 0;
    for (const waiting of this.#waiting) {
      const [moreBytes, moreChanges] = [bytes + waiting.bytes, changes + weigh(waiting)];
      if (size === MAX_COMMITS_PER_GROUP) break;
      if (size > 0 && (moreBytes > MAX_GROUP_BYTES || moreChanges > MAX_GROUP_CHANGES)) break;
      size += 1;
      bytes = moreBytes;
      changes = moreChanges;
    }
    return size;
  }
}
