/**
 * What a case is: a piece of a program that uses a database through the API that Deno and `@deno/kv` share, with its own
 * assertions. The same case runs inside the real Deno and in Node, so nothing here may use what only one of them has.
 */
import assert from "node:assert/strict";
import type { Kv, KvEntry, KvKey, KvListIterator } from "@deno/kv";

export interface Subject {
  readonly kv: Kv;
  /** A second connection to the same database. */
  readonly open: () => Promise<Kv>;
  /** The client's own class for 64-bit unsigned integers. */
  readonly KvU64: new (value: bigint) => { readonly value: bigint };
  /** Keys of this run of the case begin with this and are nobody else's. */
  readonly prefix: KvKey;
}

export type Case = (subject: Subject) => Promise<void>;

/** By title, which says the rule that the case holds. */
export type Cases = Readonly<Record<string, Case>>;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export async function collect<T>(iterator: KvListIterator<T>): Promise<KvEntry<T>[]> {
  const entries: KvEntry<T>[] = [];
  for await (const entry of iterator) entries.push(entry);
  return entries;
}

/** Both clients put the server's sentence at the end of their own message. */
export async function assertRefused(attempt: Promise<unknown>, sentence: string): Promise<void> {
  const outcome = await attempt.then(
    (value) => ({ value }),
    (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
  );
  assert.ok("error" in outcome, `expected "${sentence}", and it succeeded: ${JSON.stringify(outcome)}`);
  assert.match(outcome.error, /\b400\b/);
  assert.ok(outcome.error.endsWith(` ${sentence}`), `expected "${sentence}", got "${outcome.error}"`);
}

/** Writes the entries in atomic writes of a hundred. */
export async function setAll(kv: Kv, entries: Iterable<readonly [KvKey, unknown]>): Promise<void> {
  const all = [...entries];
  for (let i = 0; i < all.length; i += 100) {
    const write = kv.atomic();
    for (const [key, value] of all.slice(i, i + 100)) write.set(key, value);
    assert.ok((await write.commit()).ok);
  }
}
