/**
 * All limits of what comes from outside: what is refused, cut or given up for its size, its number or its time. Each has its reason.
 * docs/limits.md lists them for users, and tests hold both sides of each. A constant that only concerns how one file works (the size of a
 * page, the interval of a check) stands in that file.
 */

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

/** Sockets of one database, besides its watches over KV Connect. Both limits together stay far below the platform's 32,768. */
export const MAX_SOCKETS = 10_000;

/** A frame of a socket: the largest atomic write, with room for other requests beside it. The platform takes up to 32 MiB. */
export const MAX_SOCKET_FRAME_BYTES = 10 * MIB;

/** Requests in one frame: the same number of writes share a transaction. */
export const MAX_SOCKET_FRAME_REQUESTS = 256;

/** Requests of one socket that are not answered yet: four full frames, and eight times what saturates a database. */
export const MAX_SOCKET_REQUESTS_IN_FLIGHT = 1024;

/** Bytes of one socket's frames that are not answered yet: the largest frame, and what comes behind it. */
export const MAX_SOCKET_PENDING_BYTES = 16 * MIB;

/** The same bytes for all sockets of a database together: they are in the object's 128 MB of memory. */
export const MAX_SOCKETS_PENDING_BYTES = 32 * MIB;

/** Watches of one socket. All that is remembered of them while the object sleeps has to fit into 16 KB. */
export const MAX_SOCKET_WATCHES = 256;

/**
 * Keys and values in the answer to a read on a socket: ten of the largest values. The answer is one message, which stays in memory until
 * it has left.
 */
export const MAX_SOCKET_ANSWER_BYTES = 11 * MIB;

/** The text of such an answer in JSON, and the text of one message of a watch. */
export const MAX_SOCKET_ANSWER_CHARACTERS = 16 * MIB;

/** Bytes that were sent to one socket and have not left yet. While they are above this, the socket's requests wait. */
export const MAX_SOCKET_BYTES_UNDER_WAY = 2 * MIB;

/**
 * The same bytes for all sockets of a database together. So the object holds at most this much and one answer. One socket may have an
 * eighth of what is free, so that many sockets leave room for others.
 */
export const MAX_SOCKETS_BYTES_UNDER_WAY = 16 * MIB;

/**
 * An answer of at most this size is sent as soon as there is any room. An answer that is larger, and larger than the socket's share,
 * waits for its turn.
 */
export const SMALL_SOCKET_ANSWER_BYTES = 16 * KIB;

/** The same bytes for all sockets in one process, which holds every database of `npm start`. One organization has at most half of them. */
export const MAX_PROCESS_SOCKET_BYTES_UNDER_WAY = 128 * MIB;

/** Bytes of unanswered frames, for all sockets in one process. One organization has at most half of them. */
export const MAX_PROCESS_SOCKET_PENDING_BYTES = 256 * MIB;

/** The first message of a socket without a token, which strangers may send: a token of the longest key prefix, with room. */
export const MAX_SOCKET_TOKEN_FRAME_BYTES = 16 * KIB;

/** How long a socket without a token may wait for one: a page that has just loaded takes seconds to get its token. */
export const MAX_SOCKET_TOKEN_WAIT_MS = 10_000;

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

/** The body of an atomic write: its payload and the protobuf framing around it, 1,100 messages of a few bytes each, with room. */
export const MAX_WRITE_BODY_BYTES = MAX_ATOMIC_WRITE_BYTES + 1 * MIB;

/**
 * The body of a read. The largest valid snapshot read has 41 KiB, a watch 21. The Worker keeps the body of a large read while the read
 * waits for its turn.
 */
export const MAX_READ_BODY_BYTES = 64 * KIB;

/** A row of the entries table stays in its page up to this many bytes (SQLite spills rows of WITHOUT ROWID tables at 1,002). */
export const MAX_INLINE_ROW_BYTES = 1000;

/** The platform's row limit is 2 MB; a log row stays clear of it. */
export const MAX_LOG_ROW_BYTES = 1_900_000;

/** Expired entries that are deleted in one batch: a commit of this size is a pause of a few milliseconds. */
export const MAX_EXPIRED_PER_BATCH = 500;

/** Commits that are applied in one transaction before other requests get their turn. */
export const MAX_COMMITS_PER_GROUP = 256;

/** Bytes of the requests of one such transaction: a transaction of this size is a pause of some tens of milliseconds. */
export const MAX_GROUP_BYTES = 16 * MIB;

/** Checks and mutations of one such transaction: each takes some microseconds, so this many are a pause of ten milliseconds or more. */
export const MAX_GROUP_CHANGES = 2_000;

/**
 * The size of a database. An object of the platform holds 10 GB; the rest is for deletes, for the mutation log and for jobs. It does not
 * hold where the server's own disk is the bound (`npm start`).
 */
export const MAX_DATABASE_BYTES = 9_800_000_000;

/** Space that writes leave free on a disk, so that reads, deletes and bookkeeping go on when the disk is nearly full. */
export const DISK_RESERVE_BYTES = 64 * MIB;

/** On a small disk the reserve is at most this share of the disk. */
export const MAX_DISK_RESERVE_SHARE = 0.1;

/**
 * The first `checkAndWrite` at a key that would write waits for others that were sent together with it, and goes on when none has arrived
 * for this long. A client that sends fifty opens connections for them, and they arrive over tens of milliseconds.
 */
export const TURN_QUIET_MS = 50;

/** That `checkAndWrite` goes on after this time in any case. Otherwise clients that send one after the other would hold it up. */
export const MAX_TURN_WAIT_MS = 250;

/** Bytes of requests that wait for the disk: they are in the object's 128 MB of memory. */
export const MAX_WAITING_WRITE_BYTES = 32 * MIB;

/** Delays in the backoff schedule of one enqueued message, as in Deno's manual. */
export const MAX_BACKOFF_DELAYS = 10;

/** One such delay, as in Deno's manual. */
export const MAX_BACKOFF_DELAY_MS = 60 * 60 * 1000;

/** Keys to which an undeliverable message is written. The bound is the same as for watched keys. */
export const MAX_KEYS_IF_UNDELIVERED = 10;

/** The last millisecond that JavaScript's Date knows. A later time could not be shown, and would look like a mistake. */
export const MAX_TIME_MS = 8_640_000_000_000_000;

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

/** The body of a metadata exchange: a list of protocol versions. */
export const MAX_EXCHANGE_BODY_BYTES = 4 * KIB;

/** How much of a body that is too large is still taken and dropped, so that its client gets to read the error. */
export const MAX_DISCARDED_BODY_BYTES = 32 * MIB;

/**
 * A destination's prefix: the key of an object has this before our own names (about 150 characters), and stays below S3's 1,024 bytes.
 */
export const MAX_DESTINATION_PREFIX_CHARACTERS = 512;

/** A session token: those of AWS have some 2,000 characters, and grow with the policies in them. */
export const MAX_SESSION_TOKEN_CHARACTERS = 16 * KIB;

/** A destination's URL: an endpoint is a host and perhaps a short path. */
export const MAX_DESTINATION_URL_CHARACTERS = 500;

/**
 * One read from a destination. It is held in memory whole, in an object that has 128 MB for everything. The largest object of a backup is
 * a range of 8 MiB and one commit more: 8 MiB of keys and values, whose sums may come to 4 KiB each, and their framing.
 */
export const MAX_DESTINATION_READ_BYTES = 24 * MIB;

/** How long an S3 store may take for an answer without a body. A request that takes longer is tried again. */
export const DESTINATION_ANSWER_MS = 15_000;

/** A request with a body gets the time more that the body, sent or received, takes at this rate: 2 Mbit/s. */
export const MIN_DESTINATION_BYTES_PER_SECOND = 256_000;

/**
 * The deadline of every call of the R2 bucket that is bound to the Worker, with room for the largest object. Such a call shows no
 * progress.
 */
export const BUCKET_CALL_MS = 60_000;

/** The answer to a listing. A page of 1,000 keys of S3's greatest length, with its XML, is smaller. */
export const MAX_DESTINATION_LIST_ANSWER_BYTES = 4 * MIB;

/** The body of an error. Only its code is read. */
export const MAX_DESTINATION_ERROR_ANSWER_BYTES = 64 * KIB;

/** Elements, attributes, comments and the like in one XML answer: a listing has about 12 for each of its 1,000 objects. */
export const MAX_XML_PIECES = 50_000;

/** Depth of elements in one XML answer. S3's answers are 4 elements deep. */
export const MAX_XML_DEPTH = 16;

/** Characters in the name of an XML element. The longest name that S3 documents has 46. */
export const MAX_XML_NAME_CHARACTERS = 128;

/** Characters of one text in XML. A key has at most 1,024 bytes, each of which may be written as a reference of 10 characters. */
export const MAX_XML_TEXT_CHARACTERS = 16 * KIB;

/** One object of a backup, a log range or a snapshot range: what is read, hashed and sent at once (and one commit or entry more). */
export const MAX_BACKUP_RANGE_BYTES = 8 * MIB;

/** Entries of one snapshot range: a scan of so many is a pause of some tens of milliseconds. */
export const MAX_SNAPSHOT_RANGE_ENTRIES = 20_000;

/** Entries of one log object that is read: a range of the smallest entries, 20 bytes each, and one commit more. */
export const MAX_LOG_OBJECT_ENTRIES = Math.ceil(MAX_BACKUP_RANGE_BYTES / 20) + MAX_MUTATIONS;

/**
 * Objects in one folder of a backup that is read: a hundred times as many as our own folders have. A longer listing is taken for one
 * without end.
 */
export const MAX_FOLDER_OBJECTS = 1_000_000;

/** Generations that a backup keeps, and that its manifest may name: each is read with every restore. */
export const MAX_BACKUP_GENERATIONS = 1_000;

/** Bytes of a manifest: each generation takes about 1,300. */
export const MAX_MANIFEST_BYTES = 4 * MIB;

/** Values in a manifest, counted before it is parsed. A generation has about 35. Each value takes memory, however short its text is. */
export const MAX_MANIFEST_VALUES = 100 * MAX_BACKUP_GENERATIONS;

/** One text in a manifest: the cause of a gap is a sentence. */
export const MAX_MANIFEST_TEXT_CHARACTERS = 500;

/** The record of a generation: which process writes the generation, and how its snapshot ends. It has about 900 bytes. */
export const MAX_GENERATION_RECORD_BYTES = 4 * KIB;

/** Generations that other writers with copies of the database have put into its manifest. The newest ones stay. */
export const MAX_OTHER_GENERATIONS = 200;

/** Log that waits for a destination. When more waits, the backup gets a gap. The rest of the object's 10 GB is kept for the data. */
export const MAX_BACKUP_BACKLOG_BYTES = 1024 * MIB;

/**
 * Bytes of log behind a snapshot from which on a new snapshot is taken, unless the snapshot itself is larger. It keeps a replay short.
 */
export const MIN_COMPACTION_LOG_BYTES = 64 * MIB;

/** Objects of log in one generation: each is a request when a backup is read. */
export const MAX_LOG_OBJECTS_OF_GENERATION = 10_000;

/** Days that a backup is kept. Ten years: a longer retention is more likely a mistake of units. */
export const MAX_BACKUP_RETENTION_DAYS = 3_650;

/** The flush interval of a backup. Longer intervals would not keep what is promised; shorter ones mostly pay for requests. */
export const MAX_BACKUP_INTERVAL_MS = 60_000;
export const MIN_BACKUP_INTERVAL_MS = 500;

/**
 * The size of a database that is restored in place. An object holds 10 GB: the present state, the one that is built beside it, and room
 * for the log and for SQLite itself.
 */
export const MAX_RESTORE_IN_PLACE_BYTES = 4 * 1024 * MIB;

/**
 * Entries under the prefix of a restore in place, in the present and in the past state. They are compared, and those that differ are
 * replaced, in one transaction. The object does nothing else meanwhile, for a second or two.
 */
export const MAX_PREFIX_IN_PLACE_ENTRIES = 500_000;

/** Bytes that such a transaction writes: those of the entries that differ. */
export const MAX_PREFIX_IN_PLACE_BYTES = 128 * MIB;

/**
 * Generations that are looked for in a bucket besides those of its manifest, one request each. A longer listing is taken for one without
 * end.
 */
export const MAX_GENERATIONS_LISTED = 1_000;

/**
 * How far in the future a commit of a backup may lie: ten years. After a restore, commits go on above those of the backup. A commit of a
 * time further away than any wrong clock's would leave no versions for them.
 */
export const MAX_BACKUP_AHEAD_MS = 10 * 365 * 24 * 60 * 60 * 1000;

/** States of the past that one database keeps for reading. Each is a whole copy, in an object of its own. */
export const MAX_PAST_STATES = 2;

/** A state of the past that nobody has read for this long is deleted. */
export const PAST_STATE_IDLE_MS = 15 * 60 * 1000;

/** A state of the past that was read this recently is not deleted to make room for another one. */
export const PAST_STATE_HELD_MS = 10_000;

/** Questions about a backup's range, points and moments that one database answers at once: each holds an object of the bucket. */
export const MAX_BACKUP_LOOKUPS_AT_ONCE = 2;
export const MAX_BACKUP_LOOKUPS_WAITING = 50;

/**
 * How long a request to go back to a moment that is just over waits for the backup to hold that moment. A client waits longer than this
 * for an answer.
 */
export const SHIPMENT_WAIT_MS = 5_000;

/**
 * Pages of a backup that are read to count what a restore undoes, some 30 requests each. When there are more, the answer says "at least".
 */
export const MAX_UNDONE_PAGES = 10;

/**
 * A day. The notes that a token was revoked, and in which databases its grants are, are kept for this much longer than the grants can
 * live. So a clock that is ahead by less, and is set back, makes no revoked token valid again.
 */
export const CLOCK_SET_BACK_MS = 24 * 60 * 60 * 1000;

/**
 * A clock that was set back by more than this is noted with the commits that follow. After a restart versions may be 5 seconds ahead of
 * the clock, which does not count as set back.
 */
export const CLOCK_BEHIND_MS = 10_000;

/** Readings of the clock that a database keeps from the times when it had been set back. The oldest are dropped. */
export const MAX_CLOCK_READINGS = 1_000;

/** Points in one page of points to restore to. */
export const MAX_RESTORE_POINTS = 1000;

/** Keys that a page of points names for one commit: enough to recognise the commit. */
export const MAX_KEYS_OF_POINT = 100;

/** Bytes of the keys in one page of points, with 64 more counted for each key. In the notation a byte may become 30 characters. */
export const MAX_KEY_BYTES_OF_POINTS = 128 * KIB;

/** The longest interval between two verifications of a backup: a quarter of a year. */
export const MAX_VERIFICATION_INTERVAL_HOURS = 24 * 92;

/** How long a bucket may refuse deletions before the deletion of a backup is given up: the bucket's secret is not kept without end. */
export const MAX_BACKUP_DELETION_OUTAGE_MS = 7 * 24 * 60 * 60 * 1000;

/** Databases or tokens in one page. This is `/v1`'s own limit. */
export const MAX_PAGE_ITEMS = 100;

/** Names of organizations, databases and tokens: as much as a line of a list shows. */
export const MAX_NAME_LENGTH = 100;

/** Descriptions of databases. This is `/v1`'s own limit. */
export const MAX_DESCRIPTION_LENGTH = 1000;

/** Databases for which an organization's metrics have series of their own. More would make every scrape long. */
export const MAX_DATABASES_IN_METRICS = 1_000;

/** Webhooks of one organization: each gets every event that it asks for. */
export const MAX_WEBHOOKS = 10;

/** The URL of a webhook. Some services put a token of hundreds of characters into it. */
export const MAX_WEBHOOK_URL_CHARACTERS = 2_000;

/** Databases that one event names, in some 40 KB: many receivers take no more than 64. The other databases go into further events. */
export const MAX_DATABASES_IN_EVENT = 50;

/** Events that wait for one webhook, in the organization's object. When there are more, the oldest are of no use to anybody. */
export const MAX_PENDING_DELIVERIES = 1_000;

/** Deliveries of one webhook that stay visible after they ended. */
export const MAX_ENDED_DELIVERIES = 100;

/** Requests to webhooks that one organization makes at a time: the platform's object has six connections for everything. */
export const MAX_DELIVERIES_AT_ONCE = 4;

/** How long a webhook's endpoint has to answer: Standard Webhooks recommends 15 to 30 seconds. */
export const WEBHOOK_ANSWER_MS = 15_000;

/** A data token: longer than any that is minted. It bounds the cost of a made-up token. */
export const MAX_DATA_TOKEN_LENGTH = 1200;

/**
 * How long the REST door remembers what an access token allows; then it asks the organization again. A revocation does not wait for that,
 * because the database's object knows of the revocation.
 */
export const REMEMBERED_GRANT_MS = 60_000;

/** Tokens whose grants the REST door remembers at a time, at some 300 bytes each. */
export const MAX_REMEMBERED_GRANTS = 10_000;

/** Databases that one token lists. They are compared one by one at every use of the token. */
export const MAX_DATABASES_OF_TOKEN = 100;

/** Origins that one token names. They are compared one by one at each use of the token by a page. */
export const MAX_ORIGINS_OF_TOKEN = 20;

/**
 * An origin: the longest host name (253 characters), with https:// and a port. One origin travels in a data token, and so in a header of
 * every request.
 */
export const MAX_ORIGIN_CHARACTERS = 267;

/** A token's key prefix. It travels in every data token, and so in a header of every request. */
export const MAX_KEY_PREFIX_BYTES = 512;

/** Databases of one organization, deleted ones included: the organization's object keeps a row of each for good. */
export const MAX_DATABASES = 100_000;

/**
 * Tokens of one organization that are neither revoked nor expired, except those of the next limit. The organization's object keeps them
 * all.
 */
export const MAX_TOKENS = 10_000;

/**
 * Valid tokens that were minted with one token that lists its databases, or with tokens that it minted: its holder takes nobody else's
 * room.
 */
export const MAX_DELEGATED_TOKENS = 1_000;

/** Revoked and expired tokens that stay in a list, for each of these two limits. */
export const MAX_ENDED_TOKENS = 1_000;

/** The body of a request to the management API: the longest description, with room. */
export const MAX_MANAGEMENT_BODY_BYTES = 64 * KIB;

/** An idempotency key: a UUID or a digest, with room. */
export const MAX_IDEMPOTENCY_KEY_LENGTH = 255;

/**
 * Connections that the front of `npm start` keeps open at the same time, if the system's limit of open files lets it: an idle one takes
 * some 30 KB of its memory.
 */
export const MAX_CLIENT_CONNECTIONS = 20_000;

/** Requests and HTTP/2 streams under way at the front, with answers that were not taken yet: some 10 KB each. */
export const MAX_CLIENT_REQUESTS = 20_000;

/** Streams of one HTTP/2 connection at the same time, with its watches. */
export const MAX_STREAMS_OF_CONNECTION = 1000;

/**
 * Requests of one HTTP/2 connection that its client breaks off: so many at once, and so many more each second. Each costs the server work that
 * nobody takes, so a client that opens and resets streams without a pause would keep all others waiting.
 */
export const MAX_BROKEN_OFF_REQUESTS = 1000;
export const BROKEN_OFF_REQUESTS_PER_SECOND = 100;

/** Heads of answers and replies of the protocol that one HTTP/2 client has not taken: some for each of its streams. */
export const MAX_UNTAKEN_REPLY_BYTES = 2 * MIB;

/**
 * The first line and the headers of an HTTP/1.1 request: ten times the longest token, and room for what proxies add. Over HTTP/2 each header
 * counts 32 bytes more.
 */
export const MAX_REQUEST_HEAD_BYTES = 16 * KIB;

/**
 * Requests of one HTTP/1.1 connection that wait for earlier answers. Hardly any client sends a second request before the first answer.
 */
export const MAX_PIPELINED_REQUESTS = 32;

/** Bytes of answers that clients of the front have not taken yet, all together: the front holds some, and workerd the rest. */
export const MAX_UNTAKEN_ANSWER_BYTES = 256 * MIB;

/** Bytes of requests that workerd has not answered yet, all together: workerd may hold them all. */
export const MAX_UNANSWERED_REQUEST_BYTES = 256 * MIB;

/**
 * Of an import or an upload, at most this many of its bytes count among them. The Worker reads such a body as it comes, so workerd holds a
 * few pieces of it, however long it is.
 */
export const MAX_STREAMED_REQUEST_BYTES = 8 * MIB;

/** Bytes of requests are counted in steps of this size. The first step is larger than any read. */
export const REQUEST_BYTES_STEP = 256 * KIB;

/**
 * How many times as many places as are free one address may hold. So one address alone can have four fifths of all places, also a proxy
 * with all clients behind it. Two addresses can have four ninths each. There is always room for another address.
 */
export const PLACES_OF_PEER_PER_FREE_PLACE = 4;

/** Sessions of the front, each a socket to one database's object for the clients of one token: more than are busy at a time. */
export const MAX_SESSIONS = 1000;

/** The share of the requests that the front passes on at a time which sessions take. */
export const SESSIONS_SHARE_OF_PLACES = 0.1;

/** Requests under way on one session: fewer than a socket takes, and more than one frame has. */
export const MAX_SESSION_REQUESTS_IN_FLIGHT = 768;

/** A frame of a session is sent when its requests have this many bytes together. */
export const MAX_SESSION_FRAME_BYTES = 1 * MIB;

/** Reads that a frame of a session has when there are enough and their answers are small. With fewer, frames themselves cost too much. */
export const MIN_SESSION_FRAME_READS = 16;

/** Answers to the reads of one frame of a session: beyond this many bytes a frame takes no more reads than one. */
export const SESSION_FRAME_ANSWER_BYTES = 32 * KIB;

/** The body of a request that goes over a session. Most bodies are far smaller, and a larger one would gain nothing. */
export const MAX_SESSION_BODY_BYTES = 64 * KIB;

/** Bodies of at most this size are not counted in the limit of bytes that the front holds for its sessions: their number is limited. */
export const MAX_UNCOUNTED_BODY_BYTES = 4 * KIB;

/** Keys and values of an answer that comes over a session, because the front holds all of it. A larger answer is streamed. */
export const MAX_SESSION_ANSWER_BYTES = 256 * KIB;

/** Answers that the front holds, all together. Each counts as the largest until it has come. */
export const MAX_SESSION_ANSWERS_BYTES = 256 * MIB;

/** A session that was not used for this long is closed. */
export const MAX_IDLE_SESSION_MS = 60_000;

/** A socket that is not open after this time is given up. */
export const SESSION_HANDSHAKE_MS = 10_000;

/** How long after the server has refused a session requests with that grant are sent to the Worker. */
export const SESSION_REFUSED_MS = 1000;

/** Files that workerd has open for a connection; and for a database: its file, its log and the log's index. */
export const DESCRIPTORS_PER_CONNECTION = 2;
export const DESCRIPTORS_PER_DATABASE = 3;

/** How long workerd keeps a database open after its last use: some ten seconds, with room. */
export const DATABASE_OPEN_MS = 12_000;

/** Requests that the front passes on at a time, for each file that workerd may have open. The other files are for databases. */
export const PLACES_PER_DESCRIPTOR = 0.3;

/**
 * WebSockets that begin or end at the server process at the same time. Each keeps the process busy for less than a millisecond. So another
 * request waits for a few milliseconds, also when thousands of clients connect again at once.
 */
export const MAX_SOCKET_TURNS = 6;

/** After this time a handshake gives up its turn, and the next handshake begins. It takes long when its database has to be opened. */
export const HANDSHAKE_TURN_MS = 50;

/**
 * Pieces of the bytes that clients send on WebSockets that are on their way to the server process at the same time. The process reads all of
 * them in a few milliseconds, and then looks at its other connections.
 */
export const SOCKET_PIECES_UNDER_WAY = 8;

/** A piece ends with the frame in which it reaches one of these limits. */
export const SOCKET_PIECE_BYTES = 4 * KIB;
export const SOCKET_PIECE_FRAMES = 16;

/** How long the end of a WebSocket keeps its turn: the server process does not say when it has noticed the end. */
export const LEAVING_TURN_MS = 5;

/** The share of the requests under way that may be watches and WebSockets, which last. The other requests get the rest. */
export const LASTING_SHARE_OF_PLACES = 0.75;

/** A request whose body comes more slowly than this, after the pause below, is given up: even a modem is faster. */
export const MIN_CLIENT_BYTES_PER_SECOND = 1 * KIB;

/** How long a client may send nothing of a request that it has begun: longer than the interruptions that networks recover from. */
export const MAX_REQUEST_PAUSE_MS = 30_000;

/** How long a client may take nothing of its answer: the system's buffers move in steps of up to a megabyte. */
export const MAX_ANSWER_PAUSE_MS = 60_000;

/** While places run short, a client that is slower than this, after the pause below, makes room for others: 0.5 Mbit/s. */
export const CROWDED_CLIENT_BYTES_PER_SECOND = 64 * KIB;

/** How long a client may pause while places run short. */
export const MAX_CROWDED_PAUSE_MS = 2000;

/**
 * How long a client may pause that is still sending a request although the answer has left: the client may look at the answer only after
 * it has sent all.
 */
export const MAX_LINGER_PAUSE_MS = 5000;

/** How long a client may go on sending such a request. */
export const MAX_LINGER_MS = 30_000;

/** How long an idle connection is kept, if there is room: longer than proxies keep theirs. Google's keep them ten minutes. */
export const MAX_IDLE_CONNECTION_MS = 11 * 60 * 1000;

/** How long a connection is kept on which nothing was ever sent: browsers open connections ahead of need. */
export const MAX_SILENT_CONNECTION_MS = 60_000;

/**
 * How many times in a row a piece of work may be under way when its object dies. Then the work may be the cause: it is given up, or tried
 * again much later. A single death may be due to other work, or to somebody who ended the server.
 */
export const MAX_DEATHS_OF_WORK = 2;
