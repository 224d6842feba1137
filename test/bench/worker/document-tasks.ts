/**
 * The indexes of documents measured inside one object: a table of short documents, half of them Chinese or Japanese, whose index is built and
 * dropped. Time stands still in an object while it computes, so the time of a step is taken from one pause to the next.
 */
import { asUnixMs } from "../../../src/core/clock.ts";
import { Encoding, type Mutation } from "../../../src/core/operations.ts";
import type { BulkStorage } from "../../../src/core/storage.ts";
import { encodeKey } from "../../../src/codec/key-codec.ts";
import { encodeV8 } from "../../../src/codec/v8/codec.ts";
import { definitionKey, encodeDefinition } from "../../../src/documents/definition.ts";
import { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { Database } from "../../../src/engine/database.ts";

export type DocumentTask =
  /** Creates documents number `from` to `to` - 1. */
  | { readonly task: "fill"; readonly from: number; readonly to: number }
  /** Defines the table, which begins to build its index, or deletes the definition. */
  | { readonly task: "define" | "undefine" }
  /** Builds or removes, at most so many steps. */
  | { readonly task: "steps"; readonly steps: number };

export interface DocumentTaskResult {
  readonly bytes: number;
  /** Whether something is left to build or to remove. */
  readonly hasWork: boolean;
  /** Milliseconds that each step held the object. */
  readonly stepMs: readonly number[];
}

/** Documents of one commit. */
const GROUP = 500;

export const DOCUMENT_TABLE = { appId: "bench", tableId: "places" };

const COLUMNS = [
  { name: "title", type: "text", indexed: true },
  { name: "city", type: "keyword", indexed: true },
  { name: "price", type: "number", indexed: true },
  { name: "at", type: "geo", indexed: true },
] as const;

const CHARACTERS = Array.from(
  "我爱吃米饭上海市徐汇区街道咖啡馆今天气很好们去公园散步吧東京都渋谷駅前の古い喫茶店でコーヒーを飲みます",
);
const WORDS =
  "the quick brown fox jumps over a lazy dog while music plays in our garden under an old tree near this river and warm bread waits".split(
    " ",
  );

/** Spreads numbers: the same for each run. */
function mixed(number: number): number {
  return Math.imul(number ^ (number >>> 7), 0x9e3779b1) >>> 0;
}

/** The columns of a document. */
export function documentOf(number: number): Record<string, unknown> {
  const pick = (from: readonly string[], count: number) =>
    Array.from({ length: count }, (_, i) => from[mixed(number * 31 + i) % from.length]);
  const hash = mixed(number);
  return {
    title: number % 2 === 0 ? pick(WORDS, 6).join(" ") : pick(CHARACTERS, 12).join(""),
    city: `city ${hash % 1000}`,
    price: (hash % 100_000) / 4,
    at: `${(mixed(number + 1) % 170_000) / 1000 - 85},${(mixed(number + 2) % 360_000) / 1000 - 180}`,
  };
}

export class DocumentTasks {
  readonly #storage: BulkStorage;
  readonly #index: DocumentIndex;
  readonly #database: Database;
  readonly #pause: () => Promise<void>;

  /** `pause`: lets what was written be stored, and the clock go on. */
  constructor(storage: BulkStorage, pause: () => Promise<void>) {
    this.#storage = storage;
    this.#pause = pause;
    this.#index = new DocumentIndex({ storage, isMade: false });
    const clock = { now: () => asUnixMs(Date.now()) };
    this.#database = new Database({ storage, clock, derivedTables: this.#index });
  }

  async run(task: DocumentTask): Promise<DocumentTaskResult> {
    const stepMs: number[] = [];
    switch (task.task) {
      case "fill":
        for (let at = task.from; at < task.to; at += GROUP) {
          const last = Math.min(task.to, at + GROUP);
          this.#commit(Array.from({ length: last - at }, (_, i) => creation(at + i)));
          await this.#pause();
        }
        break;
      case "define":
        this.#commit([
          definition(encodeDefinition({ ids: [{ name: "id", type: "string" }], columns: COLUMNS, inferred: false })),
        ]);
        break;
      case "undefine":
        this.#commit([definition(Uint8Array.of(0))]);
        break;
      case "steps":
        await this.#pause();
        for (let i = 0, before = Date.now(); i < task.steps && (await this.#index.step()); i += 1) {
          await this.#pause();
          const now = Date.now();
          stepMs.push(now - before);
          before = now;
        }
        break;
    }
    return { bytes: this.#storage.sql.databaseSize, hasWork: this.#index.hasWork, stepMs };
  }

  #commit(mutations: Mutation[]): void {
    const [outcome] = this.#database.commit([{ checks: [], mutations, enqueues: [] }]);
    if (!outcome?.ok) throw new Error(`a commit failed: ${JSON.stringify(outcome)}`);
  }
}

function definition(value: Uint8Array): Mutation {
  const key = definitionKey(DOCUMENT_TABLE);
  return { type: "set", key, value, encoding: Encoding.v8, expiresAt: null, versionstampedKey: false };
}

function creation(number: number): Mutation {
  const { appId, tableId } = DOCUMENT_TABLE;
  const key = encodeKey([appId, tableId, `document ${String(number).padStart(7, "0")}`]);
  const value = encodeV8(documentOf(number));
  if (!key.ok || !value.ok) throw new Error("expected a document that can be stored");
  const { v8 } = Encoding;
  return { type: "set", key: key.bytes, value: value.bytes, encoding: v8, expiresAt: null, versionstampedKey: false };
}
