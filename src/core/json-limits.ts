/** Limits of the REST door, of records, and of the JSON notation. */
import { MAX_KEY_BYTES } from "./request-limits.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * The JSON of one page or batch of the REST API. The Worker holds several at a time, so a page ends before its text is longer. The stored
 * bytes of a page are at most `MAX_RPC_ANSWER_BYTES`, but the text of a value may be many times as long as its bytes.
 */
export const MAX_REST_ANSWER_CHARACTERS = 8 * MIB;

/** Keys and values of a large batch: ten of the largest values. */
export const MAX_BATCH_ANSWER_BYTES = 11 * MIB;

/** The JSON of such a batch. */
export const MAX_BATCH_ANSWER_CHARACTERS = 16 * MIB;

/**
 * Large batches that one Worker answers at a time, one of each organization: each takes some 45 MB while its answer is made, of the 128
 * that the platform gives.
 */
export const MAX_LARGE_BATCHES = 2;

/** Keys and values that any request for JSON may have at a time. Their JSON has a MB at most, and takes some milliseconds. */
export const MAX_SMALL_JSON_BYTES = 64 * KIB;

/**
 * Larger pages that one Worker makes JSON of at a time, for all databases: eight of the largest. The JSON of each takes as many times the
 * memory, and some 45 ms in which nobody else is answered. One organization has at most half of this.
 */
export const MAX_PROCESS_JSON_BYTES = 16 * MIB;

/** Batches that the exports under way in one Worker hold: one each, so there are 32 exports. One organization has at most half of them. */
export const MAX_PROCESS_EXPORT_BYTES = 64 * MIB;

/** An export whose client has taken nothing for this long ends when another one of its organization waits for room. */
export const MAX_EXPORT_IDLE_MS = 2_000;

/** Requests that wait for this memory in one Worker. One organization has at most half of them. */
export const MAX_WAITING_FOR_JSON = 128;

/** How long a large page, batch or export waits for this memory. One takes some tenths of a second. */
export const JSON_MEMORY_WAIT_MS = 10_000;

/** Databases whose organization a Worker remembers, for the shares of organizations: some 100 bytes each. */
export const MAX_REMEMBERED_OWNERS = 10_000;

/** Keys of one batch read of the REST API: as many as a page has entries. */
export const MAX_REST_KEYS = 1000;

/** The body of such a request, and of others that name keys: a thousand keys of 2 KiB each. */
export const MAX_REST_KEYS_BODY_BYTES = 2 * MIB;

/** The body of an atomic write of the REST API: the largest write, with its values in base64. */
export const MAX_REST_WRITE_BODY_BYTES = 12 * MIB;

/** Entries that one request of the REST API deletes by itself, in some tenths of a second. A job deletes larger numbers. */
export const MAX_DELETED_AT_ONCE = 10_000;

/** Entries deleted in one commit of such a request or job: a pause of some milliseconds. */
export const MAX_DELETED_PER_COMMIT = 1_000;

/** How long a request waits for a state of the past to be built. A small state takes a second. After that the client must ask again. */
export const PAST_STATE_WAIT_MS = 10_000;

/** Number of moments for which the REST door remembers the commit. */
export const MAX_REMEMBERED_MOMENTS = 1000;

/**
 * Keys that one request of a diff reads, of both moments together, and that one of an undelete reads. If there are more, the answer of a
 * diff or dry run ends with a cursor, and a job does the undelete.
 */
export const MAX_DIFF_KEYS = 20_000;

/** Keys and values that one request of an undelete brings back by itself, as one commit. A job brings back more, a page in each commit. */
export const MAX_UNDELETE_BATCH_BYTES = 6 * MIB;

/** Entries that an export reads at a time; the bytes of one answer limit them too. */
export const MAX_EXPORT_BATCH_ENTRIES = 2000;

/** Entries of an import, or of an undelete, that make one commit: a pause of some milliseconds, and as many as an atomic write has. */
export const MAX_IMPORT_BATCH_ENTRIES = 1000;

/** Keys and values of such a commit, and one entry more. */
export const MAX_IMPORT_BATCH_BYTES = 1 * MIB;

/** Lines of an import whose errors are told one by one. All errors are counted. */
export const MAX_IMPORT_ERRORS_TOLD = 100;

/** Jumps over keys below records in one page of records. They take some tens of milliseconds, in which other requests wait. */
export const MAX_LEVEL_JUMPS = 1_000;

/** Keys of one read of records. The store that programs with records come from has the same limit. */
export const MAX_RECORD_KEYS = 100;

/** Counts of one database that wait for earlier counts. */
export const MAX_COUNTS_WAITING = 20;

/**
 * A value as the text of the JSON notation; a longer one is written as its stored bytes. Every string that may be stored fits, unless
 * most of it is control characters. What the runtime's parser makes of a text of this length fits into 128 MB beside other requests.
 */
export const MAX_NOTATION_CHARACTERS = 4 * MIB;

/** A line with the longest such value, and with a key whose parts are 2,048 booleans. */
export const MAX_ENTRY_LINE_CHARACTERS = MAX_NOTATION_CHARACTERS + 128 * KIB;

/** A line of an import, in bytes: a character may take three. A longer line is an error, and the lines after it are read. */
export const MAX_IMPORT_LINE_BYTES = 3 * MAX_ENTRY_LINE_CHARACTERS;

/** Objects and arrays in JSON from outside: they take 25 MB when all are empty. A value of 1 MiB cannot have more, at 3 bytes each. */
export const MAX_JSON_CONTAINERS = 350_000;

/**
 * Digits of a bigint in JSON. The time of printing and parsing grows with the square of the length: a value full of such bigints takes
 * 0.1 s.
 */
export const MAX_NOTATION_BIGINT_DIGITS = 5_000;

/** A key in its path form. A key of 2,048 booleans is the longest one there, and has this many characters. */
export const MAX_KEY_PATH_CHARACTERS = 8 * MAX_KEY_BYTES;
