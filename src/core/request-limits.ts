/** Limits of requests to a database: keys, values, writes, reads, enqueues, and the bodies that carry them. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** An encoded key that is written. This is Deno's own limit, so every key can be used from every client. */
export const MAX_KEY_BYTES = 2048;

/** A bound of a read may be a whole key and one byte more: the bound just after the longest key. */
export const MAX_RANGE_BOUND_BYTES = MAX_KEY_BYTES + 1;

/** The bytes of a bigint in a key: the encoding has one byte for this length. */
export const MAX_KEY_BIGINT_BYTES = 255;

/** A row holds at most 2 MB on the platform, and a log row carries key and value together. */
export const MAX_VALUE_BYTES = 1 * MIB;

/** One atomic write: as much as one transaction can take without stalling the database's other clients. */
export const MAX_ATOMIC_WRITE_BYTES = 8 * MIB;

/**
 * A V8 value that takes part in a sum, and the sum itself. Adding two bigints of this size takes microseconds; bigints of 1 MiB take
 * milliseconds.
 */
export const MAX_SUM_BYTES = 4 * KIB;

/**
 * The depth of a V8 value that is read or written: both recurse, with up to 600 bytes of stack a level. V8 itself writes 3,000 levels.
 */
export const MAX_VALUE_DEPTH = 500;

/** Errors in a V8 value that is read: an error takes two bytes in the value and hundreds of bytes in memory. */
export const MAX_VALUE_ERRORS = 10_000;

/** Resizable buffers in a V8 value that is read: each takes a page of memory and a mapping of its own, however short it is. */
export const MAX_VALUE_RESIZABLE_BUFFERS = 100;

/** Address space (not memory) that the resizable buffers of one value may reserve together. */
export const MAX_VALUE_RESERVED_BYTES = 2 ** 36;

/** Checks of one atomic write. Deno's client sends at most 100. */
export const MAX_CHECKS = 100;

/** Mutations and enqueues of one atomic write together; Deno's client sends at most 1,000. */
export const MAX_MUTATIONS = 1000;

/** Ranges of one KV Connect read: a `getMany` of Deno asks for at most 10 keys. */
export const MAX_READ_RANGES = 10;

/** Entries that one read may ask for, in all its ranges together. */
export const MAX_READ_ENTRIES = 1000;

/**
 * The answer of one read, which is answered whole or not at all. Deno's own limits (1,000 values of 64 KiB) stay below this. It is also
 * the limit for all the answers together that one object is streaming: the object has 128 MB of memory.
 */
export const MAX_READ_ANSWER_BYTES = 72 * MIB;

/**
 * All streamed answers of all objects in one process, which holds every database of `npm start`. One organization has at most half of
 * this.
 */
export const MAX_PROCESS_ANSWER_BYTES = 288 * MIB;

/** How often a read that waits for this memory tries again. */
export const ANSWER_MEMORY_POLL_MS = 100;

/** An answer up to this size is one RPC result; a larger one is streamed. */
export const MAX_RPC_ANSWER_BYTES = 2 * MIB;

/** The least rate at which a client must take a streamed answer or a watch's message while others wait for its memory: 2 Mbit/s. */
export const MIN_READER_BYTES_PER_SECOND = 256 * KIB;

/** How far a reader may fall behind that rate. */
export const READER_GRACE_MS = 10_000;

/** Reads that wait for memory. Each holds up to 40 KiB of bounds. */
export const MAX_WAITING_READS = 100;

/**
 * How long a read waits for memory; then it fails, and its client sends it again. Longer than a client that takes nothing may keep its
 * memory.
 */
export const MAX_READ_WAIT_MS = 15_000;

/** The body of an atomic write: its payload and the protobuf framing around it, 1,100 messages of a few bytes each, with room. */
export const MAX_WRITE_BODY_BYTES = MAX_ATOMIC_WRITE_BYTES + 1 * MIB;

/**
 * The body of a read. The largest valid snapshot read has 41 KiB, a watch 21. The Worker keeps the body of a large read while the read
 * waits for its turn.
 */
export const MAX_READ_BODY_BYTES = 64 * KIB;

/** Delays in the backoff schedule of one enqueued message, as in Deno's manual. */
export const MAX_BACKOFF_DELAYS = 10;

/** One such delay, as in Deno's manual. */
export const MAX_BACKOFF_DELAY_MS = 60 * 60 * 1000;

/** Keys to which an undeliverable message is written. The bound is the same as for watched keys. */
export const MAX_KEYS_IF_UNDELIVERED = 10;

/** The last millisecond that JavaScript's Date knows. A later time could not be shown, and would look like a mistake. */
export const MAX_TIME_MS = 8_640_000_000_000_000;

/** The body of a metadata exchange: a list of protocol versions. */
export const MAX_EXCHANGE_BODY_BYTES = 4 * KIB;

/** How much of a body that is too large is still taken and dropped, so that its client gets to read the error. */
export const MAX_DISCARDED_BODY_BYTES = 32 * MIB;

/**
 * Long requests of one organization that wait for their turn in the process. Each keeps its request in memory, and
 * has its turn after all those before it.
 */
export const MAX_WAITING_TURNS = 500;

/** How long such a request waits. A client waits longer than this for an answer. */
export const MAX_LONG_WORK_WAIT_MS = 20_000;
