/** Relevance on a judged set, beside FTS5's own unicode61. Both figures are in docs/documents.md. */
import { expect, test } from "vitest";
import { relevance } from "../../support/workerd/relevance.ts";
import { judgedDocuments, judgedQueries } from "../../support/relevance-set.ts";

test("the expected document is among the first three for 95 % of the queries of each language (D83)", async () => {
  const queries = Object.values(judgedQueries).flat();
  expect(judgedDocuments.length).toBe(300);
  expect(queries.length).toBeGreaterThanOrEqual(60);
  for (const [, mark] of queries) expect(judgedDocuments.filter(({ text }) => text.includes(mark)).length).toBe(1);
  // The figures are those of docs/documents.md.
  const figures = await relevance();
  expect(figures).toEqual([
    { language: "Chinese", queries: 24, ours: 24, bare: 0, missed: [] },
    { language: "Japanese", queries: 23, ours: 23, bare: 0, missed: [] },
    { language: "English", queries: 23, ours: 23, bare: 23, missed: [] },
    { language: "German", queries: 24, ours: 24, bare: 24, missed: [] },
  ]);
  for (const { queries: n, ours } of figures) expect(ours / n).toBeGreaterThanOrEqual(0.95);
});
