/** What builds of many databases in one process keep in memory at once. */
import { expect, test } from "vitest";

import { Encoding } from "../../../src/core/operations.ts";
import { type Account, ProcessMemory } from "../../../src/core/process-memory.ts";
import { definitionKey, encodeDefinition } from "../../../src/documents/definition.ts";
import { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { Database } from "../../../src/engine/database.ts";
import { flawsOfIndex } from "../../support/workerd/document-index.ts";
import { key, MovableClock, openObject, set, withStorage, write } from "../../support/workerd/engine.ts";
import { v8 } from "../../support/workerd/values.ts";

const table = { appId: "app", tableId: "t" };
const definition = encodeDefinition({
  ids: [{ name: "id", type: "integer" }],
  columns: [
    { name: "n", type: "number", indexed: true },
    { name: "word", type: "keyword", indexed: true },
  ],
  inferred: false,
});

/** A document's rows are counted as about 100 bytes. A step reads two. */
const bounds = { entries: 2, bytes: 300, gathered: { least: 400, most: 1600 } };
const extra = bounds.gathered.most - bounds.gathered.least;
const DOCUMENTS = 40;

/** Notes what an account holds, and what it has held at most. */
class Watched implements Account {
  held = 0;
  most = 0;
  readonly #account: Account;

  constructor(account: Account) {
    this.#account = account;
  }

  hold(bytes: number): void {
    this.held = bytes;
    this.most = Math.max(this.most, bytes);
    this.#account.hold(bytes);
  }

  hasRoom(bytes: number): boolean {
    return this.#account.hasRoom(bytes);
  }
}

function indexIn(storage: DurableObjectStorage, memory: Account, isMade = false): DocumentIndex {
  return new DocumentIndex({ storage, isMade, bounds, memory });
}

/** A table whose build has begun. */
function fill(storage: DurableObjectStorage, derivedTables: DocumentIndex): void {
  const database = new Database({ storage, clock: new MovableClock(), derivedTables });
  const documents = Array.from({ length: DOCUMENTS }, (_, n) =>
    set(key("app", "t", n), v8({ n: -n, word: `word ${n % 7}` }), { encoding: Encoding.v8 }),
  );
  const defined = set(definitionKey(table), definition, { encoding: Encoding.v8 });
  expect(database.commit([write([...documents, defined])])).toMatchObject([{ ok: true }]);
}

test("builds of thirty databases of one organization keep at most half of the memory, and leave another's as much as it wants (D61)", async () => {
  const total = 4 * extra;
  const memory = new ProcessMemory(total, new MovableClock());
  const builds = await Promise.all(
    Array.from({ length: 31 }, async (_, i) => {
      const account = new Watched(memory.account(i === 30 ? "another" : "one"));
      const run = openObject();
      const index = await run((storage) => {
        const made = indexIn(storage, account);
        fill(storage, made);
        return made;
      });
      return { run, index, account };
    }),
  );
  const ofOne = builds.slice(0, 30);
  const another = builds[30];
  let most = 0;
  for (let isWork = true; isWork;) {
    isWork = false;
    for (const { run, index } of builds) {
      if (await run(() => index.step())) isWork = true;
      most = Math.max(
        most,
        ofOne.reduce((sum, { account }) => sum + account.held, 0),
      );
    }
  }
  // A step may add a little more than it has asked for.
  expect(most).toBeGreaterThan(total / 4);
  expect(most).toBeLessThan(total / 2 + bounds.bytes);
  expect(another?.account.most).toBeGreaterThanOrEqual(extra);
  for (const { run, index, account } of builds) {
    const flaws = await run((storage) => flawsOfIndex(storage));
    expect([index.state(table)?.state, account.held, flaws]).toEqual(["live", 0, []]);
  }
});

test("where others take all the memory, what a build keeps is little, however much it has to gather (D61)", async () => {
  await withStorage(async (storage) => {
    const columns = Array.from({ length: 12 }, (_, i) => ({ name: `c${i}`, type: "keyword", indexed: true }) as const);
    const wide = encodeDefinition({ ids: [{ name: "id", type: "integer" }], columns, inferred: false });
    const index = new DocumentIndex({
      storage,
      isMade: false,
      memory: { hold: () => undefined, hasRoom: () => false },
    });
    const database = new Database({ storage, clock: new MovableClock(), derivedTables: index });
    const documents = Array.from({ length: 1_000 }, (_, n) => {
      const value = Object.fromEntries(columns.map(({ name }, i) => [name, `${(n * 7919 + i) % 10_007}`.padEnd(100)]));
      return set(key("app", "t", n), v8(value), { encoding: Encoding.v8 });
    });
    database.commit([write(documents.slice(0, 500)), write(documents.slice(500))]);
    database.commit([write([set(definitionKey(table), wide, { encoding: Encoding.v8 })])]);
    const kept = () =>
      storage.sql
        .exec<{
          documents: number;
        }>("SELECT count(*) AS documents FROM entries, document_tables WHERE k >= settled AND k < cursor")
        .one().documents;
    let most = 0;
    while (await index.step()) most = Math.max(most, kept());
    expect(index.state(table)?.state).toBe("live");
    // A document's rows are counted as 3 KB. A step reads less than a hundred.
    expect(most).toBeLessThan(200);
  });
});

test("once a build writes what it has gathered, it writes all of it, also when there is room again (D61)", async () => {
  await withStorage(async (storage) => {
    let asked = 0;
    const index = indexIn(storage, { hold: () => undefined, hasRoom: () => (asked += 1) % 2 === 0 });
    fill(storage, index);
    const at = () =>
      storage.sql.exec<{ done: number; at: string }>("SELECT done, hex(settled) AS at FROM document_tables").one();
    let steps = "";
    for (let before = at(); await index.step(); before = at()) {
      if (at().done !== before.done) steps += "gathers ";
      else steps += at().at === before.at ? "writes " : "ends ";
    }
    // The first step counts the entries. The last ones may find no further entry.
    expect(steps).toMatch(/^writes (?:(?:gathers )+(?:writes )*ends )+(?:writes )*(?:ends )?$/);
    expect(steps).toContain("writes writes ends gathers");
  });
});

/** Each returns what became of the step. */
const ends: Record<string, (index: DocumentIndex, storage: DurableObjectStorage) => Promise<unknown>> = {
  "waits for room": (index) => index.step(false),
  fails: async (index, storage) => {
    storage.sql.exec("ALTER TABLE document_values RENAME TO gone");
    const why = await finished(index).catch(String);
    storage.sql.exec("ALTER TABLE gone RENAME TO document_values");
    return why;
  },
  "is closed": async (index) => {
    index.close();
    return index.step();
  },
};

async function finished(index: DocumentIndex): Promise<void> {
  while (await index.step());
}

test.each([
  ["waits for room", false],
  ["fails", expect.stringContaining("no such table")],
  ["is closed", false],
])("a build that %s gives its memory back (D61)", async (name, outcome) => {
  await withStorage(async (storage) => {
    const account = new Watched(new ProcessMemory(1_000_000, new MovableClock()).account("one"));
    const index = indexIn(storage, account);
    fill(storage, index);
    while (account.held === 0) expect(await index.step()).toBe(true);
    expect([await ends[name]?.(index, storage), account.held]).toEqual([outcome, 0]);
    const next = indexIn(storage, account, true);
    await finished(next);
    expect([next.state(table)?.state, account.held, flawsOfIndex(storage)]).toEqual(["live", 0, []]);
  });
});
