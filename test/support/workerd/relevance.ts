/** How often the expected document of the judged set is among the first three: by a search, and by FTS5 with unicode61 alone. */
import { judgedDocuments, judgedQueries, type Language } from "../relevance-set.ts";
import { withStorage } from "./engine.ts";
import { Searched } from "./searched.ts";

const FIRST = 3;

export interface Figure {
  readonly language: Language;
  readonly queries: number;
  readonly ours: number;
  readonly bare: number;
  /** The queries whose document a search did not have among the first. */
  readonly missed: readonly string[];
}

export async function relevance(): Promise<Figure[]> {
  const figures: Figure[] = [];
  await withStorage(async (storage) => {
    const searched = new Searched(storage);
    await searched.define([{ name: "text", type: "text", indexed: true }], [{ name: "id", type: "integer" }]);
    searched.putAll(judgedDocuments.map(({ text }, id) => [[id], { text }]));
    storage.sql.exec("CREATE VIRTUAL TABLE bare USING fts5(text, tokenize='unicode61')");
    for (const [id, { text }] of judgedDocuments.entries()) {
      storage.sql.exec("INSERT INTO bare (rowid, text) VALUES (?, ?)", id + 1, text);
    }
    for (const language of ["Chinese", "Japanese", "English", "German"] as const) {
      const queries = judgedQueries[language];
      const missed: string[] = [];
      let bare = 0;
      for (const [query, mark] of queries) {
        const { data } = await searched.search({
          querys: [{ queryType: "match", column: "text", value: query }],
          sorters: [{ sorterType: "union" }],
          rowsLimit: FIRST,
        });
        const found = data.map(({ columns }) => String(columns["text"]));
        if (!found.some((text) => text.includes(mark))) missed.push(query);
        const words = query.split(" ").map((word) => `"${word}"`);
        const rows = storage.sql.exec<{ text: string }>(
          `SELECT text FROM bare WHERE bare MATCH ? ORDER BY rank LIMIT ${FIRST}`,
          words.join(" OR "),
        );
        if (rows.toArray().some(({ text }) => text.includes(mark))) bare += 1;
      }
      figures.push({ language, queries: queries.length, ours: queries.length - missed.length, bare, missed });
    }
  });
  return figures;
}
