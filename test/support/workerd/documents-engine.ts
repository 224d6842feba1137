/** Documents over an engine of their own, with a clock that the test moves and storage that counts rows. */
import { asUnixMs } from "../../../src/core/clock.ts";
import type { Entropy } from "../../../src/core/entropy.ts";
import { ProcessMemory } from "../../../src/core/process-memory.ts";
import { MAX_PROCESS_SEARCH_BYTES } from "../../../src/core/search-limits.ts";
import type { SyncStorage } from "../../../src/core/storage.ts";
import { Definitions } from "../../../src/documents/definitions.ts";
import type { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { Database, type DatabaseOptions } from "../../../src/engine/database.ts";
import { CommitQueue } from "../../../src/objects/commit-queue.ts";
import { MAX_PROCESS_DOCUMENT_REQUEST_BYTES } from "../../../src/core/document-limits.ts";
import { DocumentMemory } from "../../../src/objects/document-memory.ts";
import { DocumentTables } from "../../../src/objects/document-tables.ts";
import { Documents } from "../../../src/objects/documents.ts";
import { Searches } from "../../../src/objects/searches.ts";
import { systemEntropy } from "../../../src/objects/system.ts";
import { everything } from "./database-object.ts";
import { type Json, ORDERS } from "./documents.ts";
import type { MovableClock } from "./engine.ts";
import { freeTurns } from "../free-turns.ts";

interface EngineDocumentsOptions {
  readonly entropy: Entropy;
  readonly flushed: () => Promise<void>;
  /** With it there are searches. */
  readonly derivedTables: DocumentIndex;
}

export class EngineDocuments {
  readonly database: Database;
  readonly documents: Documents;
  /** How often others got a turn. */
  pauses = 0;
  /** What others do then. */
  onPause: () => Promise<void> = async () => undefined;

  constructor(
    storage: SyncStorage,
    clock: MovableClock,
    options: Partial<DatabaseOptions & EngineDocumentsOptions> = {},
  ) {
    const database = new Database({ storage, clock, ...options });
    const breathe = async () => {
      this.pauses += 1;
      await this.onPause();
    };
    const commits = new CommitQueue({
      derivedChanges: () => 0,
      commit: (writes) => database.commit(writes),
      flushed: options.flushed ?? (async () => undefined),
      turns: freeTurns(),
      breathe,
      onError: (error) => {
        throw error;
      },
    });
    const definitions = new Definitions();
    const room = { refusal: () => null };
    const tables = new DocumentTables({ database, commits, room, definitions, indexStateOf: () => null });
    const { entropy = systemEntropy } = options;
    this.database = database;
    const searches = new Searches({
      sql: storage.sql,
      index: options.derivedTables ?? null,
      clock,
      mayHaveExpired: () => database.mayHaveExpired(),
      onRead: (bytes) => database.countOtherRead(bytes),
      turns: freeTurns(breathe),
      memory: new ProcessMemory(MAX_PROCESS_SEARCH_BYTES, clock),
      owner: "",
    });
    const memory = new DocumentMemory({
      memory: new ProcessMemory(MAX_PROCESS_DOCUMENT_REQUEST_BYTES, clock),
      owner: "",
    });
    this.documents = new Documents({
      memory,
      database,
      commits,
      room,
      tables,
      definitions,
      searches,
      entropy,
      clock,
      turns: freeTurns(breathe),
    });
  }

  /** The parsed JSON of the answer. A failure is `"code: message"`. */
  async ask(request: object): Promise<Json> {
    const asking = { grant: { ...everything, expiresAt: asUnixMs(8e15) }, refusedAccess: () => null };
    const answer = await this.documents.carryOut(asking, { text: JSON.stringify({ ...ORDERS, ...request }) });
    if (!answer.ok) return `${answer.code}: ${answer.message}`;
    const results = answer.results.map(({ result }): Json =>
      result.ok ? JSON.parse(result.json) : `${result.code}: ${result.message}`,
    );
    return answer.isBatch ? results : results[0];
  }
}
