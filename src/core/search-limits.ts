/** The limits of searches, each with its reason, as in `limits.ts`. docs/limits.md lists them for users. */

/** `rowsLimit` of a search at most, and the number without one. Tablestore has the same limit for rows with columns. */
export const MAX_SEARCH_ROWS = 100;
export const DEFAULT_SEARCH_ROWS = 20;

/** Rows that `skip` passes over: they are found and put in order before they are skipped. `nextToken` has no such limit. */
export const MAX_SEARCH_SKIP = 5_000;

/** Clauses of a search, those of `bool` included: each is looked at for every document that is looked at. */
export const MAX_QUERY_CLAUSES = 64;

/** Levels of `bool` in each other. */
export const MAX_QUERY_DEPTH = 8;

/** Values of one `equalMany`: each is looked up by itself. */
export const MAX_QUERY_VALUES = 200;

/** Characters of a value or a text in a query. */
export const MAX_QUERY_VALUE_CHARS = 8_192;

/** Words of all texts of a search, a CJK character counting as one. Each has a list of documents to be read. */
export const MAX_QUERY_WORDS = 128;

/** Characters of a `wildcard`. Tablestore's limit is 32; comparing takes an eighth of this for each character of the value. */
export const MAX_WILDCARD_CHARS = 256;

/** Corners of a polygon: each is looked at for every place that is looked at. */
export const MAX_POLYGON_POINTS = 100;

/** Sorters of a search. */
export const MAX_SORTERS = 5;

/** Points of a sorter "distance". */
export const MAX_SORTER_POINTS = 10;

/** Characters of a `nextToken`. It holds the beginnings of the values that the last row is ordered by, and no search makes a longer one. */
export const MAX_NEXT_TOKEN_CHARS = 32_768;

/** Documents that one search reads and compares when the indexes alone cannot answer it: about a second of work, in steps. */
export const MAX_EXAMINED_DOCUMENTS = 100_000;

/** Documents with the words of a search that are put in order by relevance or distance: up to about three seconds, in steps. */
export const MAX_RANKED_DOCUMENTS = 500_000;

/**
 * Documents that the words of a query have, added up over the words, where rows come by relevance: SQLite walks over all of them at the start
 * of each statement, in about 20 ms.
 */
export const MAX_RANKED_POSTINGS = 1_000_000;

/** Places of words in an index (for each word, the documents that have it) that a `prefix` of a text may come to: about 25 ms. */
export const MAX_PREFIX_POSTINGS = 250_000;

/** Words that a `prefix` of a text may stand for. */
export const MAX_PREFIX_WORDS = 10_000;

/** Groups of one `groupBy`. */
export const MAX_GROUPS = 1_000;

/** Columns that a `groupBy` computes something of. */
export const MAX_GROUP_COLUMNS = 10;

/** Fragments of a column in `highlight`, and characters of one. */
export const MAX_FRAGMENTS = 10;
export const MAX_FRAGMENT_CHARS = 1_000;

/** Columns with marked fragments. */
export const MAX_HIGHLIGHT_COLUMNS = 10;

/** Suggestions of one search, and documents whose words are looked at for them. */
export const MAX_SUGGESTIONS = 20;
export const MAX_SUGGESTION_DOCUMENTS = 500;

/** Expired documents, not deleted yet, that a search leaves out one by one. More of them are deleted within seconds. */
export const MAX_EXPIRED_LEFT_OUT = 5_000;

/** Characters of a column that are looked at for its fragments: 4 ms. */
export const MAX_HIGHLIGHT_CHARS = 10_000;

/** Characters of a tag that marks a word. */
export const MAX_TAG_CHARS = 100;

/** Searches of a database that are under way at once, each with its part of the memory. Short ones are never beside each other. */
export const MAX_SEARCHES = 16;

/**
 * Characters of the texts that a search keeps until its end: those that its first rows are sorted by, and the values of its groups. All in
 * one process share the memory.
 */
export const MAX_SEARCH_TEXT_CHARS = 4 * 1024 * 1024;

/** Bytes of the ids of the documents that a search has met, which it keeps so that none comes twice. */
export const MAX_SEEN_ID_BYTES = 16 * 1024 * 1024;

/** Bytes of a document that is kept with its row until the page is written; a larger one is read again. */
export const MAX_KEPT_DOCUMENT_BYTES = 16 * 1024;

/** Work of one search, in microseconds as estimated: the searches above take a few seconds. Large documents and many queries take longer. */
export const MAX_SEARCH_MICROSECONDS = 30_000_000;

/** Memory that one search may take, and that all searches of a process may; an organization has at most half. */
export const SEARCH_MEMORY_BYTES = 16 * 1024 * 1024;
export const MAX_PROCESS_SEARCH_BYTES = 512 * 1024 * 1024;
