/** Writes to documents whose values a build has gathered and not written yet, and a build whose memory is lost then. */
import { expect, test } from "vitest";
import { Encoding, type Mutation } from "../../../src/core/operations.ts";
import { definitionKey, encodeDefinition } from "../../../src/documents/definition.ts";
import { DocumentIndex } from "../../../src/documents/index/document-index.ts";
import { Database } from "../../../src/engine/database.ts";
import { flawsOfIndex } from "../../support/workerd/document-index.ts";
import { key, MovableClock, remove, set, withStorage, write } from "../../support/workerd/engine.ts";
import { v8 } from "../../support/workerd/values.ts";

const table = { appId: "app", tableId: "t" };
const definition = encodeDefinition({
  ids: [{ name: "id", type: "integer" }],
  columns: [
    { name: "n", type: "number", indexed: true },
    { name: "at", type: "geo", indexed: true },
    { name: "title", type: "text", indexed: true },
  ],
  inferred: false,
});

const row = (n: number) => ({ n, at: [`${n},${n}`, "1,1"], title: `Title ${n}` });
const document = (id: number, columns: object): Mutation =>
  set(key("app", "t", id), v8(columns), { encoding: Encoding.v8 });

const changes: readonly Mutation[] = [
  ...[1, 7, 13].map((id) => document(id, row(id))),
  ...[3, 9, 14].map((id) => document(id, { n: [id, 50], at: "2,2" })),
  ...[4, 10].map((id) => document(id, { n: id })),
  ...[0, 12].map((id) => remove(key("app", "t", id))),
  document(6, []),
  ...[-1, 15, 100].map((id) => document(id, row(9))),
  document(2.5, row(9)),
];

/** Two entries a step. The rows of about four documents are gathered. */
const bounds = { entries: 2, bytes: 1e6, gathered: { least: 300, most: 600 } };

/** The changes come after each number of steps in turn, with the object restarted just before or just after, or not at all. */
test.each(["never", "before", "after"])(
  "changes at any time of a build are in the index; restart: %s (D50, D55)",
  async (restart) => {
    const run = (steps: number) =>
      withStorage(async (storage) => {
        const open = (isMade: boolean) => {
          const index = new DocumentIndex({ storage, isMade, bounds });
          return { index, database: new Database({ storage, clock: new MovableClock(), derivedTables: index }) };
        };
        let { index, database } = open(false);
        const commit = (some: readonly Mutation[]) =>
          expect(database.commit([write(some)])).toMatchObject([{ ok: true }]);
        commit(Array.from({ length: 15 }, (_, id) => document(id, row(id))));
        commit([set(definitionKey(table), definition, { encoding: Encoding.v8 })]);
        let isUnderWay = true;
        for (let i = 0; i < steps; i += 1) isUnderWay = await index.step();
        if (restart === "before") ({ index, database } = open(true));
        commit(changes);
        const early = flawsOfIndex(storage);
        if (restart === "after") ({ index, database } = open(true));
        while (await index.step());
        expect([...early, ...flawsOfIndex(storage)], `after ${steps} steps`).toEqual([]);
        expect(index.state(table)).toMatchObject({ state: "live" });
        return isUnderWay;
      });
    let steps = 0;
    while (await run(steps)) steps += 1;
    expect(steps).toBeGreaterThan(10);
  },
);
