/** The documents of the part `documents`, what is searched in them, and the SQL that finds the same. Half of them are Chinese or Japanese. */

export interface BenchDocument {
  readonly ids: readonly [string];
  readonly columns: Readonly<Record<string, unknown>>;
}

interface Tables {
  /** The id of a column's index. */
  readonly id: (column: string, type: "keyword" | "number" | "text" | "geo") => number;
  /** The encoded key of the table. */
  readonly prefix: Uint8Array;
}

export interface DocumentQuery {
  readonly name: string;
  readonly request: Readonly<Record<string, unknown>>;
  /** null: it is only compared with how long the object may be held. */
  readonly sql:
    | ((tables: Tables) => { readonly query: string; readonly bindings: (string | number | Uint8Array)[] })
    | null;
  /** At least so much of the bare statement's speed. */
  readonly atLeast: number;
}

const ENGLISH = 20_000;
const CHINESE =
  "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从".repeat(
    1,
  );
const JAPANESE =
  "のにはをたがでてとしれさあいうえおかきくけこすせそちつなぬねひふへほまみむめもやゆよらりるろわん東京都大阪駅行食飲見学校車道海山川";

/** The number of a word among so many: the first are far more frequent than the last. */
function frequent(seed: number, of: number): number {
  return Math.floor(of ** (random(seed) ** 0.6 * 0.999)) - 1;
}

function random(seed: number): number {
  let x = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

/** The document with this number, always the same. */
export function documentOf(number: number): BenchDocument {
  const seed = number * 64;
  const of = (at: number, n: number) => Math.floor(random(seed + at) * n);
  const city = `city${of(1, 1000)}`;
  return {
    ids: [`d${of(2, 1e9).toString(36)}-${number}`],
    columns: {
      city,
      name: `${city} ${of(3, 1e6).toString(36)}`,
      price: of(4, 1_000_000),
      text: textOf(number, seed),
      place: `${(of(5, 1_600_000) / 10_000 - 80).toFixed(4)},${(of(6, 3_600_000) / 10_000 - 180).toFixed(4)}`,
    },
  };
}

function textOf(number: number, seed: number): string {
  if (number % 2 === 0) return Array.from({ length: 10 }, (_, i) => `w${frequent(seed + 10 + i, ENGLISH)}`).join(" ");
  const characters = number % 4 === 1 ? CHINESE : JAPANESE;
  return Array.from(
    { length: 20 },
    (_, i) => characters[Math.floor(random(seed + 10 + i) ** 2 * characters.length)],
  ).join("");
}

const ROW = (source: string): string =>
  `SELECT e.k, e.v FROM (${source}) f JOIN entries e ON e.k = CAST(?1 || f.ids AS BLOB)`;

export const documentQueries: readonly DocumentQuery[] = [
  {
    name: "equal",
    request: { querys: [{ queryType: "equal", column: "city", value: "city7" }] },
    sql: ({ id, prefix }) => ({
      query: ROW("SELECT ids FROM document_values WHERE ix = ?2 AND v = ?3 ORDER BY ids LIMIT 20"),
      bindings: [prefix, id("city", "keyword"), "city7"],
    }),
    atLeast: 0.5,
  },
  {
    name: "range, sorted",
    request: {
      querys: [{ queryType: "range", column: "price", rangeFrom: 5000, rangeTo: 900_000 }],
      sorters: [{ sorterType: "column", columnName: "price", orderType: "asc" }],
    },
    sql: ({ id, prefix }) => ({
      query: ROW("SELECT ids FROM document_values WHERE ix = ?2 AND v BETWEEN ?3 AND ?4 ORDER BY v, ids LIMIT 20"),
      bindings: [prefix, id("price", "number"), 5000, 900_000],
    }),
    atLeast: 0.5,
  },
  {
    name: "prefix",
    request: { querys: [{ queryType: "prefix", column: "name", value: "city77 " }] },
    sql: ({ id, prefix }) => ({
      query: ROW(
        "SELECT ids FROM document_values WHERE ix = ?2 AND v >= 'city77 ' AND v < 'city77!' ORDER BY ids LIMIT 20",
      ),
      bindings: [prefix, id("name", "keyword")],
    }),
    atLeast: 0.5,
  },
  textQuery("match of two words", "match", "w300 w700", `"w300" OR "w700"`, true),
  textQuery("match of two frequent words", "match", "w12 w40", `"w12" OR "w40"`, true),
  textQuery("match of two characters", "match", "東駅", `"東" OR "駅"`, true),
  textQuery("matchPhrase", "matchPhrase", "東京", `"東 京"`, false),
  {
    name: "within 100 km",
    request: { querys: [{ queryType: "distance", column: "place", centerPoint: "48.1,11.5", distance: 100_000 }] },
    sql: ({ id, prefix }) => ({
      query: ROW(
        `SELECT x.ids FROM document_geo_${id("place", "geo")} g JOIN document_numbers x ON x.n = g.id / 1024
        WHERE g.max_lat >= 47.2 AND g.min_lat <= 49 AND g.max_lon >= 10.15 AND g.min_lon <= 12.85
          AND 12742017.6 * asin(sqrt(pow2(sin((g.lat - 48.1) * 0.00872664625997165)) + 0.667832 * cos(g.lat * 0.0174532925199433) * pow2(sin((g.lon - 11.5) * 0.00872664625997165)))) <= 100000
        ORDER BY x.ids LIMIT 20`.replaceAll(/pow2\((sin\([^()]*\([^()]*\)[^()]*\))\)/g, "($1 * $1)"),
      ),
      bindings: [prefix],
    }),
    atLeast: 0.4,
  },
  held("equal of many, counted", {
    querys: [{ queryType: "range", column: "price", rangeFrom: 0 }],
    getTotalCount: true,
  }),
  held("two conditions", {
    querys: [
      { queryType: "equal", column: "city", value: "city7" },
      { queryType: "range", column: "price", rangeTo: 500_000 },
    ],
    getTotalCount: true,
    sorters: [{ sorterType: "column", columnName: "price" }],
  }),
  held("a character in most texts", {
    querys: [{ queryType: "match", column: "text", value: "的" }],
    sorters: [{ sorterType: "union" }],
  }),
  held("wildcard at the start", { querys: [{ queryType: "wildcard", column: "name", value: "*zz9*" }] }),
  held("the nearest of a continent", {
    querys: [{ queryType: "distanceBounding", column: "place", topLeft: "70,-10", bottomRight: "35,40" }],
    sorters: [{ sorterType: "distance", columnName: "place", points: ["48.1,11.5"], orderType: "asc" }],
  }),
];

function textQuery(name: string, queryType: string, value: string, match: string, isByScore: boolean): DocumentQuery {
  const sorters = isByScore ? { sorters: [{ sorterType: "union" }] } : {};
  return {
    name,
    request: { querys: [{ queryType, column: "text", value }], ...sorters },
    sql: ({ id, prefix }) => {
      const table = `document_text_${id("text", "text")}`;
      const found = isByScore
        ? `SELECT x.ids FROM (SELECT rowid AS n FROM ${table} WHERE ${table} MATCH ?2 ORDER BY rank LIMIT 20) f JOIN document_numbers x ON x.n = f.n`
        : `SELECT x.ids FROM ${table} JOIN document_numbers x ON x.n = ${table}.rowid WHERE ${table} MATCH ?2 ORDER BY x.ids LIMIT 20`;
      return { query: ROW(found), bindings: [prefix, match] };
    },
    atLeast: 0.5,
  };
}

function held(name: string, request: DocumentQuery["request"]): DocumentQuery {
  return { name, request, sql: null, atLeast: 0 };
}
