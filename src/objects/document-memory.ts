/**
 * Bounds what requests for documents hold in memory while they are carried out: their parsed JSON, and the documents and answers of reads.
 * A request that finds no room is refused. A read that finds others under way waits for its turn.
 */
import {
  MAX_DOCUMENT_READS,
  MAX_DOCUMENT_REQUEST_BYTES,
  MAX_DOCUMENT_REQUEST_MS,
  MAX_WAITING_DOCUMENT_READS,
} from "../core/document-limits.ts";
import { type Failure, failure } from "../core/errors.ts";
import type { ProcessMemory } from "../core/process-memory.ts";

export interface DocumentMemoryParts {
  /** Shared by all objects in the process. */
  readonly memory: Pick<ProcessMemory, "take">;
  /** The organization that owns the database. */
  readonly owner: string;
}

export class DocumentMemory {
  readonly #parts: DocumentMemoryParts;
  #bytes = 0;
  #reads = 0;
  /** Reads that wait for their turn, in the order in which they came. */
  readonly #waiting: (() => void)[] = [];

  constructor(parts: DocumentMemoryParts) {
    this.#parts = parts;
  }

  /** Does the work of a request that takes so many bytes. `isRead`: its answer may be long. Returns why there was no room. */
  async use<T>(bytes: number, isRead: boolean, work: () => Promise<T>): Promise<T | Failure> {
    const { memory, owner } = this.#parts;
    const fits = this.#bytes === 0 || this.#bytes + bytes <= MAX_DOCUMENT_REQUEST_BYTES;
    const lease = fits ? memory.take(owner, bytes, MAX_DOCUMENT_REQUEST_MS) : undefined;
    if (lease === undefined) {
      return failure("unavailable", `Requests for documents of ${this.#bytes} bytes are under way: try again.`);
    }
    this.#bytes += bytes;
    try {
      return isRead ? await this.#atItsTurn(work) : await work();
    } finally {
      this.#bytes -= bytes;
      lease.giveBack(bytes);
    }
  }

  async #atItsTurn<T>(work: () => Promise<T>): Promise<T | Failure> {
    if (this.#reads < MAX_DOCUMENT_READS) {
      this.#reads += 1;
    } else {
      if (this.#waiting.length >= MAX_WAITING_DOCUMENT_READS) {
        return failure("unavailable", `${MAX_WAITING_DOCUMENT_READS} reads of documents are waiting: try again.`);
      }
      // The read that ends hands its turn over.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#reads -= 1;
      else next();
    }
  }
}
