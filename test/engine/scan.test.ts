/** A scan of stored entries, which archives and snapshots read a database with. */
import { expect, test } from "vitest";
import { MAX_KEY_BYTES, MAX_VALUE_BYTES } from "../../src/core/limits.ts";
import type { StoredEntry } from "../../src/core/operations.ts";
import { Database } from "../../src/engine/database.ts";
import { CountingStorage } from "../support/counting-storage.ts";
import { key, MovableClock, set, withStorage, write } from "../support/workerd/engine.ts";

const everything = { maxBytes: Number.POSITIVE_INFINITY, maxEntries: 1_000_000 };

const valueOf = (bytes: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + seed) % 256);

function written(
  database: Database,
  index: number,
  bytes: number,
  keyBytes = 0,
): { key: Uint8Array; value: Uint8Array } {
  const entry = { key: key(index, new Uint8Array(keyBytes)), value: valueOf(bytes, index) };
  database.commit([write([set(entry.key, entry.value)])]);
  return entry;
}

const parts = (entries: readonly StoredEntry[]) => entries.map((entry) => ({ key: entry.key, value: entry.value }));

test("a scan returns values of every size as they were stored, whatever lies beside them", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    const sizes = [0, 1, 900, 1_000, 1_001, 4_095, 4_096, 4_097, 65_536, MAX_VALUE_BYTES];
    const wanted = Array.from({ length: 20 }, (_, i) => written(database, i, sizes[(i * 7) % sizes.length] ?? 0));
    expect(parts(database.scan(null, everything))).toEqual(wanted);
    const read: StoredEntry[] = [];
    for (;;) {
      const page = database.scan(read.at(-1)?.key ?? null, { maxBytes: 5_000, maxEntries: 13 });
      if (page.length === 0) break;
      read.push(...page);
    }
    expect(parts(read)).toEqual(wanted);
  });
});

test("the largest rows that are read together fit into one value", async () => {
  await withStorage((storage) => {
    const database = new Database({ storage, clock: new MovableClock() });
    // 14 bytes: the number in the key, and what encloses its bytes. A zero byte takes two.
    const wanted = Array.from({ length: 340 }, (_, i) => written(database, i, 4_096, (MAX_KEY_BYTES - 14) / 2));
    expect(parts(database.scan(null, everything))).toEqual(wanted);
  });
});

test("a scan reads about as many rows as it returns", async () => {
  await withStorage((real) => {
    const storage = new CountingStorage(real);
    const database = new Database({ storage, clock: new MovableClock() });
    for (let i = 0; i < 400; i++) written(database, i, 1_000);
    let returned = 0;
    const { read } = storage.count(() => {
      returned = database.scan(null, { maxBytes: 64 * 1024, maxEntries: 200 }).length;
    });
    expect(returned).toBeGreaterThan(60);
    // Two rows for an entry with a large value.
    expect(read).toBeLessThan(2 * returned + 10);
  });
});
