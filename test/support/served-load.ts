/** A served database under a steady load from outside, and whether all that it acknowledged is in its backup. */
import { expect } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import type { AtomicWrite } from "../../src/core/operations.ts";
import type { ServedDatabase } from "./backup-server.ts";
import { set, v8 } from "./backup-workload.ts";
import { openS3At } from "./open-s3.ts";
import { listGenerations, readGeneration } from "./reference-reader.ts";
import type { S3Place } from "./s3-place.ts";

/** Writes one key after another until it is stopped; knows which commits were acknowledged. */
export class ServedLoad {
  readonly acknowledged: number[] = [];
  refused = 0;
  readonly #latencies: number[] = [];
  readonly #database: ServedDatabase;
  readonly #done: Promise<void>[];
  #next = 0;
  #stopped = false;

  constructor(database: ServedDatabase, writers = 2) {
    this.#database = database;
    this.#done = Array.from({ length: writers }, () => this.#write());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#done);
  }

  /** Nine of ten commits took less, in milliseconds. */
  slowMs(): number {
    return this.#latencies.toSorted((a, b) => a - b)[Math.floor(this.#latencies.length * 0.9)] ?? Infinity;
  }

  async #write(): Promise<void> {
    while (!this.#stopped) {
      const number = this.#next++;
      const began = performance.now();
      try {
        await this.#database.commit(writeOf(number));
        this.acknowledged.push(number);
        this.#latencies.push(performance.now() - began);
      } catch {
        this.refused += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Two entries, so that a commit that is divided would show. */
function writeOf(number: number): AtomicWrite {
  const mutations = [set(["load", number], v8(number)), set(["twin", number], v8(number))];
  return { checks: [], mutations, enqueues: [] };
}

/** Once the destination is well: every acknowledged commit is in the one generation that there is, whole. */
export async function expectEverythingIn(s3: S3Place, database: ServedDatabase, load: ServedLoad): Promise<void> {
  const destination = openS3At(s3);
  const [folder = "", ...others] = await listGenerations(destination, database.id);
  expect(others).toEqual([]);
  const generation = await readGeneration(destination, database.id, folder);
  const last = [...generation.states()].at(-1);
  const missing = load.acknowledged.filter((number) =>
    writeOf(number).mutations.some(({ key }) => last?.entries.has(toHex(key)) !== true),
  );
  expect(missing).toEqual([]);
  expect(load.acknowledged.length).toBeGreaterThan(10);
}
