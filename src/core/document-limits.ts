/** The limits of documents, each with its reason, as in `limits.ts`. docs/limits.md lists them for users. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** UTF-8 bytes of an app's and of a table's name: a key of 2 KiB has room for both beside the ids. */
export const MAX_TABLE_NAME_BYTES = 255;

/** Ids of a table. Tablestore, whose model this is, has the same limit of primary keys. */
export const MAX_TABLE_IDS = 4;

/** UTF-8 bytes of a string id that a document is created with. The whole key has a limit of its own. */
export const MAX_ID_BYTES = 1 * KIB;

/** UTF-8 bytes of the name of a column or an id. Tablestore has the same limit. */
export const MAX_COLUMN_NAME_BYTES = 255;

/** Columns that a definition names. Tablestore's search index takes at most 500 fields. */
export const MAX_DEFINED_COLUMNS = 500;

/**
 * Bytes of a definition as it is stored. The definitions of all tables are in the object's memory while the database is in use. 500 columns
 * fit if their names have 20 characters.
 */
export const MAX_DEFINITION_BYTES = 32 * KIB;

/** Members of `columns` of one request. Tablestore has the same limit for the columns of one write. */
export const MAX_WRITTEN_COLUMNS = 1_024;

/** Names in `getColumns`. There is no use for more than a request can write. */
export const MAX_GET_COLUMNS = 1_024;

/** Comparisons of a condition or a filter. Each is made for every row that a `getMany` looks at. */
export const MAX_CONDITIONS = 10;

/** UTF-8 bytes of a text that a condition compares. It is compared with every row that a `getMany` looks at. */
export const MAX_CONDITION_VALUE_BYTES = 64 * KIB;

/** `rowsLimit` of a `getMany` at most, and the number without one. */
export const MAX_GET_MANY_ROWS = 5_000;
export const DEFAULT_GET_MANY_ROWS = 100;

/** Entries that a `getMany` looks at, so that a filter which finds nothing ends: about 50 ms. */
export const MAX_LOOKED_AT_ROWS = 5_000;

/**
 * Bytes of keys and values that a `getMany`, or all of a batch together, looks at; one document more is allowed. Also of the documents whose
 * columns an atomic batch changes or compares: the batch is one step, and decoding so much takes a tenth of a second.
 */
export const MAX_LOOKED_AT_BYTES = 4 * MIB;

/** Requests of one batch. */
export const MAX_DOCUMENT_BATCH = 100;

/**
 * The JSON of the answer to a request, or to all of a batch together, in characters. The text of a value may be many times as long as its
 * bytes. One document more is allowed.
 */
export const MAX_DOCUMENT_ANSWER_CHARACTERS = 4 * MIB;

/**
 * What the requests for documents that are under way in one object take in memory: their text and the parsed JSON. One larger request is
 * allowed while there is no other. The object has 128 MB of memory.
 */
export const MAX_DOCUMENT_REQUEST_BYTES = 64 * MIB;

/** The same for all objects in one process. One organization has at most half of it. */
export const MAX_PROCESS_DOCUMENT_REQUEST_BYTES = 256 * MIB;

/** How long a request counts there at most, for objects that end in the middle. */
export const MAX_DOCUMENT_REQUEST_MS = 120_000;

/** `getMany`s and batches with reads that are under way in one object: each may hold 4 MiB of documents and as many characters of JSON. */
export const MAX_DOCUMENT_READS = 6;

/** Those that wait for their turn. Each has its turn within some seconds. */
export const MAX_WAITING_DOCUMENT_READS = 100;

/** Tables of a database: their definitions and indexes are known in the object's memory. */
export const MAX_TABLES = 1_000;

/** Definitions of all tables of a database, with their keys. A restore reads all of them in one step, about 50 ms for each MiB. */
export const MAX_DEFINITIONS_BYTES = 2 * MIB;

/** Tables in one answer of a list of tables. */
export const MAX_LISTED_TABLES = 100;

/** Characters of a word that are indexed and asked for. What is longer is data and no word, and is told apart by its beginning. */
export const MAX_WORD_CHARS = 64;

/** Definitions that are looked at after a restore, valid or not, so that masses of them end. */
export const MAX_DEFINITIONS_LOOKED_AT = 2 * MAX_TABLES;

/** Pairs of column (or path below a column) and type that a table has in its index. Each is in memory while the database is in use. */
export const MAX_INDEXES_OF_TABLE = 1_000;

/** The same for all tables of a database together: 10,000 are read in about 20 ms when the database is opened. */
export const MAX_INDEXES = 10_000;

/** Of those, the texts and places: each has tables of its own in SQLite, whose names are read when the database is opened. */
export const MAX_SEARCH_TREES = 200;

/** Rows that one document has in the indexes of values: a list of a million numbers must not cost a million rows at one write. */
export const MAX_INDEXED_VALUES = 500;

/** So many characters of a text take as long to index as one value. */
export const INDEXED_CHARS_PER_VALUE = 25;

/**
 * Values that one atomic write adds to indexes or removes from them: about 200 ms, in which nothing else runs. A thousand documents of
 * fifty columns are within it.
 */
export const MAX_INDEX_CHANGES_PER_WRITE = 50_000;

/** Documents that are deleted by one commit when their expiry has passed, or when a range is deleted: each has up to 500 values in the indexes. */
export const MAX_DOCUMENTS_DELETED_PER_COMMIT = 100;

/** Places that one document has in one column. The number is part of their ids. */
export const MAX_INDEXED_POINTS = 1_000;

/** Characters (UTF-16 units) of a keyword that are indexed, so that rows of the index stay below 1,000 bytes. A search compares the rest with the document. */
export const MAX_KEYWORD_CHARS = 256;

/** Characters (UTF-16 units) of a text column that are indexed: cutting more would hold the database for longer than 20 ms. */
export const MAX_INDEXED_TEXT_CHARS = 64 * KIB;

/** Names in a dot path below a nested column. */
export const MAX_NESTED_DEPTH = 16;

/** Characters of such a path, and of the name of a column that is indexed. */
export const MAX_INDEXED_NAME_CHARS = 255;

/** Elements of lists and values below nested columns that are looked at in one document, indexed or not: about 3 ms. */
export const MAX_LOOKED_AT_ELEMENTS = 10_000;

/**
 * Bytes of values and places that a build of an index keeps in memory until it writes them in the order of the index: those of about 1,300 documents
 * with three of them each. Every build may keep so much, and one organization may have any number of them under way: with 3 MiB, 42 builds took
 * workerd 500 MB more, and were an eighth faster.
 */
export const GATHERED_BYTES = 256 * KIB;

/** The same while the process has room for it: the index of a million documents is built a tenth faster. Sorting and writing it stay in steps of 15 ms. */
export const MAX_GATHERED_BYTES = 12 * MIB;

/** What all builds of a process keep beyond the former; one organization has at most half. Elsewhere than on one machine, a process has 128 MB. */
export const MAX_PROCESS_GATHERED_BYTES = 48 * MIB;

/** API keys of one database. The object keeps them in memory, and a program needs one or two. */
export const MAX_API_KEYS = 100;

/** Apps and tables that one API key names. Each request of the key is compared with all of them. */
export const MAX_APPS_OF_API_KEY = 100;

/** An app, or an app and a table, in an API key: the ids of both, with the slash. */
export const MAX_APP_OF_API_KEY_CHARACTERS = 512;

/** The token that a caller signs with an API key. Its payload needs a hundred; it is parsed before it is known to be right. */
export const MAX_CALLER_TOKEN_CHARACTERS = 2048;

/** Such tokens that a Worker remembers as right, for a minute: 4 MB of its memory at most. */
export const MAX_REMEMBERED_CALLER_TOKENS = 2_000;

/** API keys that a Worker remembers for a minute, those that there are not among them. */
export const MAX_REMEMBERED_API_KEYS = 1_000;

/** The body of a table's definition: `MAX_DEFINED_COLUMNS` with the longest names, escaped. */
export const MAX_DEFINITION_BODY_BYTES = 1 * MIB;

/** The body of a request about documents: the JSON of the largest atomic write. */
export const MAX_DOCUMENTS_BODY_BYTES = 12 * MIB;
