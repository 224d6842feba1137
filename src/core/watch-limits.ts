/** Limits of watches and of the change feed. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Keys of one watch. The protocol has the same limit. */
export const MAX_WATCHED_KEYS = 10;

/** Watches of one database: each holds its keys in the object's memory. The platform allows 32,768 sockets. */
export const MAX_WATCHERS = 10_000;

/**
 * Bytes of keys and values in messages that the watchers of a database were sent and have not taken yet. While the sum is below this, one
 * more message is sent. So the object holds at most this much and one message of 10 values.
 */
export const MAX_WATCH_BYTES_UNDER_WAY = 4 * MIB;

/**
 * Small messages of the change feed need none of that room: they have this much of their own. So readers of small changes go on, however many
 * others take nothing of large ones.
 */
export const MAX_SMALL_BYTES_UNDER_WAY = 1 * MIB;

/** Keys and values in a small message. */
export const MAX_SMALL_MESSAGE_BYTES = 16 * KIB;

/**
 * As much more is under way to prompt watchers: those that have acknowledged their last message. So watchers that take nothing never take
 * all the room, however many they are. While the sum is below both limits together, one more message is sent to a prompt watcher.
 */
export const MAX_PROMPT_BYTES_UNDER_WAY = 1 * MIB;

/** How long a watcher is prompt after an acknowledgement. The wait for room counts too, so that a watcher that has gone is not prompt for long. */
export const PROMPT_MS = 5_000;

/**
 * Keys and values in one message of a prefix watch, and one entry more. A larger state comes in pages. At most sixteen such messages are
 * under way at a time.
 */
export const MAX_WATCH_PAGE_BYTES = 256 * KIB;

/** Keys in one message of a prefix watch. Each may take a statement, so this many are a pause of some milliseconds. */
export const MAX_WATCH_PAGE_ENTRIES = 1_000;

/**
 * The keys of the last changes, with 16 bytes more for each. A prefix watch continues from them after an interruption. They are about
 * twenty thousand changes of usual keys: half a minute of 500 changes a second. A watcher that was away for longer gets the whole state
 * again.
 */
export const MAX_RECENT_CHANGE_BYTES = 1 * MIB;

/** How much of the mutation log an object reads, once after its start, to learn of earlier changes. It takes some milliseconds. */
export const MAX_RECENT_LOG_BYTES = 4 * MIB;

/** Changes in one page of the change feed, in the form of the mutation log, and one commit more. Eight pages are under way at a time. */
export const MAX_FEED_PAGE_BYTES = 512 * KIB;

/** How much of the mutation log is read for one page, when few commits concern the reader: some milliseconds. */
export const MAX_FEED_SCAN_BYTES = 4 * MIB;

/** The last commits, which are kept in memory for readers of the change feed that keep up: a tenth of a second of the most writing. */
export const MAX_RECENT_COMMIT_BYTES = 2 * MIB;

/** The longest time for which a database keeps its log for feeds. For older commits there is the backup. */
export const MAX_FEED_RETENTION_HOURS = 7 * 24;

/** The log that is kept for feeds. When it is larger, its oldest commits are dropped, however young. As much may wait for a backup. */
export const MAX_FEED_LOG_BYTES = 1024 * MIB;

/** A larger segment of the mutation log is closed. Removing one segment takes milliseconds. */
export const LOG_SEGMENT_BYTES = 32 * MIB;

/** How long a request for the feed waits for news: less than the half minute after which many balancers give up. */
export const FEED_LONG_POLL_MS = 20_000;

/**
 * How long a stream of the feed lasts; then its client asks again. So caches and balancers can handle it, and a deployment moves its
 * clients.
 */
export const FEED_STREAM_MS = 60_000;

/** The type that a client names for the events of a feed. It is part of each event. */
export const MAX_FEED_TYPE_CHARACTERS = 100;

/**
 * How often a stream of events without news sends a comment: balancers close silent streams, and a comment shows when a client is gone.
 */
export const SSE_COMMENT_MS = 15_000;

/** How often readers of a feed without news are told how far the feed is, while the database is written to. */
export const FEED_PROGRESS_MS = 30_000;
