/**
 * What is refused, cut or given up for its size, its number or its time, each limit with its reason. docs/limits.md lists them for users;
 * tests hold both sides of each. Constants of one file's own workings (the size of a page, how often something is looked at) stand in that file.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Deno's own limit for an encoded key that is written, kept so that every key is usable from every client. */
export const MAX_KEY_BYTES = 2048;

/** A read's bound may be a whole key and one byte more: the bound just after the longest key. */
export const MAX_RANGE_BOUND_BYTES = MAX_KEY_BYTES + 1;

/** Of a bigint in a key: the encoding has one byte for this length. */
export const MAX_KEY_BIGINT_BYTES = 255;

/** A row holds at most 2 MB on the platform, and a log row carries key and value together. */
export const MAX_VALUE_BYTES = 1 * MIB;

/** One atomic write: what one transaction can take without stalling the database's other clients. */
export const MAX_ATOMIC_WRITE_BYTES = 8 * MIB;

/** A V8 value that takes part in a sum, and the sum: adding two bigints of this size takes microseconds, of 1 MiB milliseconds. */
export const MAX_SUM_BYTES = 4 * KIB;

/** Of a V8 value that is read or written: either recurses, at up to 600 bytes of stack a level. V8 itself writes 3,000 levels. */
export const MAX_VALUE_DEPTH = 500;

/** Of a V8 value that is read: an error takes two bytes there and hundreds in memory. */
export const MAX_VALUE_ERRORS = 10_000;

/** Of a V8 value that is read: each resizable buffer takes a page and a mapping of its own, however short it is. */
export const MAX_VALUE_RESIZABLE_BUFFERS = 100;

/** Address space, not memory, that the resizable buffers of one value may reserve together. */
export const MAX_VALUE_RESERVED_BYTES = 2 ** 36;

/** Deno's client sends at most 100. */
export const MAX_CHECKS = 100;

/** Mutations and enqueues of one atomic write together; Deno's client sends at most 1,000. */
export const MAX_MUTATIONS = 1000;

/** Ranges of one KV Connect read: a `getMany` of Deno asks for at most 10 keys. */
export const MAX_READ_RANGES = 10;

/** Entries that one read may ask for, all its ranges together. */
export const MAX_READ_ENTRIES = 1000;

/**
 * A read is answered whole or not at all; Deno's own limits (1,000 values of 64 KiB) stay below this. Also all the answers together
 * that are being streamed from one object, which has 128 MB of memory.
 */
export const MAX_READ_ANSWER_BYTES = 72 * MIB;

/**
 * And all such answers of all objects in one process, which holds every database of `npm start`. One organization has at most half of it.
 */
export const MAX_PROCESS_ANSWER_BYTES = 288 * MIB;

/** How often a read that waits for this memory asks again. */
export const ANSWER_MEMORY_POLL_MS = 100;

/** An answer up to this size is one RPC result; a larger one is streamed. */
export const MAX_RPC_ANSWER_BYTES = 2 * MIB;

/** The least rate at which a streamed answer or a watch's message is taken while others wait for its memory: 2 Mbit/s. */
export const MIN_READER_BYTES_PER_SECOND = 256 * KIB;

/** How far a reader may fall behind that rate. */
export const READER_GRACE_MS = 10_000;

/** Reads that wait for memory: each holds up to 40 KiB of bounds. */
export const MAX_WAITING_READS = 100;

/** How long they wait, and then are asked again by their clients: longer than a reader that takes nothing is waited for. */
export const MAX_READ_WAIT_MS = 15_000;

/** Keys of one watch, as in the protocol. */
export const MAX_WATCHED_KEYS = 10;

/** Watches of one database: each holds its keys in the object's memory. The platform allows 32,768 sockets. */
export const MAX_WATCHERS = 10_000;

/**
 * Keys and values in the messages that the watchers of a database were sent and have not taken yet. One more is sent as long as they
 * are below this, so the object holds at most that much and one message of 10 values.
 */
export const MAX_WATCH_BYTES_UNDER_WAY = 4 * MIB;

/**
 * Keys and values in one message of a prefix watch, and one entry more: a larger state comes in pages. Sixteen such messages are under
 * way at a time.
 */
export const MAX_WATCH_PAGE_BYTES = 256 * KIB;

/** Keys in one such message: each may take a statement, so this many are a pause of some milliseconds. */
export const MAX_WATCH_PAGE_ENTRIES = 1_000;

/**
 * The keys of the last changes, from which a prefix watch goes on after an interruption, with 16 bytes more for each. Twenty
 * thousand changes of usual keys: half a minute of 500 changes a second. Beyond that a watcher gets the whole state again.
 */
export const MAX_RECENT_CHANGE_BYTES = 1 * MIB;

/** What is read of the mutation log, once after the object has started, to learn of changes before that: some milliseconds. */
export const MAX_RECENT_LOG_BYTES = 4 * MIB;
/** Sockets of one database, beside its watches over KV Connect: with these the platform's 32,768 are far. */
export const MAX_SOCKETS = 10_000;

/** A frame of a socket: the largest atomic write, with room for others beside it. The platform takes up to 32 MiB. */
export const MAX_SOCKET_FRAME_BYTES = 10 * MIB;

/** Requests of one frame: as many writes share a transaction. */
export const MAX_SOCKET_FRAME_REQUESTS = 256;

/** Requests of one socket that are not answered yet: four full frames, and eight times what saturates a database. */
export const MAX_SOCKET_REQUESTS_IN_FLIGHT = 1024;

/** Bytes of one socket's frames that are not answered yet: the largest frame, and what comes behind it. */
export const MAX_SOCKET_PENDING_BYTES = 16 * MIB;

/** And of all sockets of a database, in the object's 128 MB of memory. */
export const MAX_SOCKETS_PENDING_BYTES = 32 * MIB;

/** Watches of one socket. Those that are remembered while the object sleeps have to fit into 16 KB together. */
export const MAX_SOCKET_WATCHES = 256;

/** Keys and values of a read's answer on a socket: ten of the largest values. It is one message, in memory until it has left. */
export const MAX_SOCKET_ANSWER_BYTES = 11 * MIB;

/** The text of such an answer in JSON, and of one message of a watch. */
export const MAX_SOCKET_ANSWER_CHARACTERS = 16 * MIB;

/** Bytes that one socket was sent and that have not left yet. As long as they are above this, its requests wait. */
export const MAX_SOCKET_BYTES_UNDER_WAY = 2 * MIB;

/** The same of all sockets of a database together, so that its object holds at most that much and an answer. */
export const MAX_SOCKETS_BYTES_UNDER_WAY = 16 * MIB;

/** How long a socket without a token may wait until it sends one: a page that has just loaded takes seconds to get it. */
export const MAX_SOCKET_TOKEN_WAIT_MS = 10_000;

/**
 * The JSON of one page or batch of the REST API, of which the Worker holds several: a page ends before it is longer. The stored bytes of a
 * page are at most `MAX_RPC_ANSWER_BYTES`, but a value may have a text of many times its bytes.
 */
export const MAX_REST_ANSWER_CHARACTERS = 8 * MIB;

/** The protobuf framing of an atomic write around its payload: 1,100 messages of a few bytes each, with room. */
export const MAX_WRITE_BODY_BYTES = MAX_ATOMIC_WRITE_BYTES + 1 * MIB;

/** The largest valid snapshot read has 41 KiB, a watch 21; the Worker keeps the body of a large read while that waits for its turn. */
export const MAX_READ_BODY_BYTES = 64 * KIB;

/** A row of the entries table stays in its page up to this many bytes (SQLite spills rows of WITHOUT ROWID tables at 1,002). */
export const MAX_INLINE_ROW_BYTES = 1000;

/** The platform's row limit is 2 MB; a log row stays clear of it. */
export const MAX_LOG_ROW_BYTES = 1_900_000;

/** Expired entries deleted in one batch: a commit that big is a pause of a few milliseconds. */
export const MAX_EXPIRED_PER_BATCH = 500;

/** Commits applied in one transaction before others get their turn. */
export const MAX_COMMITS_PER_GROUP = 256;

/** And their requests' bytes: a transaction that large is a pause of some tens of milliseconds. */
export const MAX_GROUP_BYTES = 16 * MIB;

/**
 * An object of the platform holds 10 GB. What is above this stays for deletes, for the mutation log and for jobs; where the server's own
 * disk is the bound (`npm start`) this is not.
 */
export const MAX_DATABASE_BYTES = 9_800_000_000;

/** What writes leave free of a disk, so that reads, deletes and bookkeeping go on when it is nearly full. */
export const DISK_RESERVE_BYTES = 64 * MIB;

/** But not more than so much of a small disk. */
export const MAX_DISK_RESERVE_SHARE = 0.1;

/** Requests that wait for the disk, in the object's 128 MB of memory. */
export const MAX_WAITING_WRITE_BYTES = 32 * MIB;

/** Delays of one enqueued message's backoff schedule, as in Deno's manual. */
export const MAX_BACKOFF_DELAYS = 10;

/** One such delay, as in Deno's manual. */
export const MAX_BACKOFF_DELAY_MS = 60 * 60 * 1000;

/** Keys to which a message is written that could not be delivered; the same bound as for watched keys. */
export const MAX_KEYS_IF_UNDELIVERED = 10;

/** The last millisecond that JavaScript's Date knows: a later time could not be shown, nor told from a mistake. */
export const MAX_TIME_MS = 8_640_000_000_000_000;

/**
 * A value as the text of the JSON notation; a longer one is written as its stored bytes. Every string that may be stored fits,
 * unless most of it is control characters; and what the runtime's parser makes of so much text fits into 128 MB beside others.
 */
export const MAX_NOTATION_CHARACTERS = 4 * MIB;

/** A line with such a value, and with a key whose parts are 2,048 booleans. */
export const MAX_ENTRY_LINE_CHARACTERS = MAX_NOTATION_CHARACTERS + 128 * KIB;

/** Objects and arrays in JSON from outside: 25 MB when they are empty. A value of 1 MiB has no more, at 3 bytes each. */
export const MAX_JSON_CONTAINERS = 350_000;

/** Of a bigint in JSON. Printing and parsing take time that grows with the square: a value full of these takes 0.1 s. */
export const MAX_NOTATION_BIGINT_DIGITS = 5_000;

/** The path form of a key of 2,048 booleans, the most characters that a key can have there, is as long. */
export const MAX_KEY_PATH_CHARACTERS = 8 * MAX_KEY_BYTES;

/** The body of a metadata exchange: a list of protocol versions. */
export const MAX_EXCHANGE_BODY_BYTES = 4 * KIB;

/** How much of a body that is too large is still taken and dropped, so that its client gets to read why. */
export const MAX_DISCARDED_BODY_BYTES = 32 * MIB;

/** What the key of an object may carry before our own names (about 150 characters), below S3's 1,024 bytes. */
export const MAX_DESTINATION_PREFIX_CHARACTERS = 512;

/** A session token: those of AWS have some 2,000 characters, and grow with the policies in them. */
export const MAX_SESSION_TOKEN_CHARACTERS = 16 * KIB;

/** An endpoint is a host and perhaps a short path. */
export const MAX_DESTINATION_URL_CHARACTERS = 500;

/**
 * One read from a destination is held in memory whole, in an object that has 128 MB for everything. The largest object of a backup is
 * a range of 8 MiB and one commit more: 8 MiB of keys and values, whose sums may come to 4 KiB each, and their framing.
 */
export const MAX_DESTINATION_READ_BYTES = 24 * MIB;

/** An S3 store has so long for an answer without a body: a request that took longer is tried again. */
export const DESTINATION_ANSWER_MS = 15_000;

/** A body, sent or received, adds the time that it takes at this rate: 2 Mbit/s. */
export const MIN_DESTINATION_BYTES_PER_SECOND = 256_000;

/** A call of the R2 bucket that is bound to the Worker tells nothing of its progress: one deadline for all, with room for the largest object. */
export const BUCKET_CALL_MS = 60_000;

/** A page of 1,000 keys at S3's longest, with its XML, is less. */
export const MAX_DESTINATION_LIST_ANSWER_BYTES = 4 * MIB;

/** Of an error's body only the code is read. */
export const MAX_DESTINATION_ERROR_ANSWER_BYTES = 64 * KIB;

/** Elements, attributes, comments and the like in one XML answer: a listing has about 12 for each of its 1,000 objects. */
export const MAX_XML_PIECES = 50_000;

/** S3's answers are 4 elements deep. */
export const MAX_XML_DEPTH = 16;

/** The longest name of an element that S3 documents has 46 characters. */
export const MAX_XML_NAME_CHARACTERS = 128;

/** A key has at most 1,024 bytes, each of which may be written as a reference of 10 characters. */
export const MAX_XML_TEXT_CHARACTERS = 16 * KIB;

/** One object of a backup, a log range or a snapshot range: what is read, hashed and sent at once (and one commit or entry more). */
export const MAX_BACKUP_RANGE_BYTES = 8 * MIB;

/** Entries of one snapshot range: a scan of so many is a pause of some tens of milliseconds. */
export const MAX_SNAPSHOT_RANGE_ENTRIES = 20_000;

/** Entries of one log object that is read: a range of the smallest there are, 20 bytes each, and one commit more. */
export const MAX_LOG_OBJECT_ENTRIES = Math.ceil(MAX_BACKUP_RANGE_BYTES / 20) + MAX_MUTATIONS;

/** Objects of one folder of a backup that is read: a hundred times what ours have. A listing without end is none. */
export const MAX_FOLDER_OBJECTS = 1_000_000;

/** Generations that a backup keeps, and that its manifest may name: each is read with every restore. */
export const MAX_BACKUP_GENERATIONS = 1_000;

/** A manifest: a generation takes about 1,300 bytes of it. */
export const MAX_MANIFEST_BYTES = 4 * MIB;

/** Values in a manifest, counted before it is parsed: a generation has about 35. Each takes memory, however short its text is. */
export const MAX_MANIFEST_VALUES = 100 * MAX_BACKUP_GENERATIONS;

/** One text in a manifest: the cause of a gap is a sentence. */
export const MAX_MANIFEST_TEXT_CHARACTERS = 500;

/** The record of a generation: who writes it, and with what its snapshot ends. It has about 900 bytes. */
export const MAX_GENERATION_RECORD_BYTES = 4 * KIB;

/** Generations of other writers, who have copies of the database, that are left in its manifest: the newest. */
export const MAX_OTHER_GENERATIONS = 200;

/** Log that waits for a destination: beyond it the backup has a gap. The rest of the object's 10 GB stays the data's. */
export const MAX_BACKUP_BACKLOG_BYTES = 1024 * MIB;

/** Log behind a snapshot from which on a new snapshot is taken, unless the snapshot itself is larger: a replay stays short. */
export const MIN_COMPACTION_LOG_BYTES = 64 * MIB;

/** And objects of it: each is a request when a backup is read. */
export const MAX_LOG_OBJECTS_OF_GENERATION = 10_000;

/** Ten years: a longer retention is more likely a mistake of units. */
export const MAX_BACKUP_RETENTION_DAYS = 3_650;

/** The flush interval of a backup: longer ones would not keep what is promised, shorter ones mostly pay for requests. */
export const MAX_BACKUP_INTERVAL_MS = 60_000;
export const MIN_BACKUP_INTERVAL_MS = 500;

/** An object holds 10 GB: the state that is there, the one that is built beside it, and room for the log and for SQLite's own. */
export const MAX_RESTORE_IN_PLACE_BYTES = 4 * 1024 * MIB;

/**
 * Entries under the prefix of a restore in place, then and now: they are compared, and those that differ replaced, in one transaction.
 * The object does nothing else meanwhile, for a second or two.
 */
export const MAX_PREFIX_IN_PLACE_ENTRIES = 500_000;

/** And bytes that such a transaction writes: those of the entries that differ. */
export const MAX_PREFIX_IN_PLACE_BYTES = 128 * MIB;

/** Generations that are looked for in a bucket beyond those of its manifest, a request each: a bucket without end is none. */
export const MAX_GENERATIONS_LISTED = 1_000;

/** Ten years. Commits go on above those of a backup: one of a time further away than any wrong clock's would leave no room for them. */
export const MAX_BACKUP_AHEAD_MS = 10 * 365 * 24 * 60 * 60 * 1000;

/** States of the past that one database keeps for reading: each is a whole copy in an object of its own. */
export const MAX_PAST_STATES = 2;

/** Nobody has read such a state for so long: it goes. */
export const PAST_STATE_IDLE_MS = 15 * 60 * 1000;

/** And while it was read so short a time ago, nobody who was reading another one before has it make room. */
export const PAST_STATE_HELD_MS = 10_000;

/**
 * Questions about a backup's range, points and moments that one database answers at once: each holds an object of the bucket.
 * And those that wait for their turn.
 */
export const MAX_BACKUP_LOOKUPS_AT_ONCE = 2;
export const MAX_BACKUP_LOOKUPS_WAITING = 50;

/** Who goes back to a moment just over waits so long for the backup to hold it. A client waits longer than that for an answer. */
export const SHIPMENT_WAIT_MS = 5_000;

/** How many pages of a backup are read to count what a restore undoes, some 30 requests each: beyond that it says "at least". */
export const MAX_UNDONE_PAGES = 10;

/**
 * A day. What says that a token was revoked, and where its grants are, is kept for so much longer than those can live: a clock that is
 * ahead by less, and is set back, brings no revoked token back to life.
 */
export const CLOCK_SET_BACK_MS = 24 * 60 * 60 * 1000;

/**
 * A clock that was set back by more than this is noted with the commits that follow. After a restart versions may be 5 seconds ahead of
 * the clock, which is none.
 */
export const CLOCK_BEHIND_MS = 10_000;

/** Readings of the clock that a database keeps, from when it had been set back: the oldest go. */
export const MAX_CLOCK_READINGS = 1_000;

/** One page of points to restore to. */
export const MAX_RESTORE_POINTS = 1000;

/** Keys that such a page names of one commit: enough to know the commit by. */
export const MAX_KEYS_OF_POINT = 100;

/** Bytes of the keys of one page, 64 more counted for each: in the notation a byte may become 30 characters. */
export const MAX_KEY_BYTES_OF_POINTS = 128 * KIB;

/** A backup is verified by itself at least once a quarter, or not at all. */
export const MAX_VERIFICATION_INTERVAL_HOURS = 24 * 92;

/** A bucket that lets nothing be deleted for so long is given up: its secret is not kept for ever. */
export const MAX_BACKUP_DELETION_OUTAGE_MS = 7 * 24 * 60 * 60 * 1000;

/** A page of databases or tokens: `/v1`'s own limit. */
export const MAX_PAGE_ITEMS = 100;

/** Names of organizations, databases and tokens: what a line of a list shows. */
export const MAX_NAME_LENGTH = 100;

/** `/v1`'s own limit. */
export const MAX_DESCRIPTION_LENGTH = 1000;

/** Databases of which an organization's metrics say something one by one: more would make every scrape long. */
export const MAX_DATABASES_IN_METRICS = 1_000;

/** Webhooks of one organization: each gets every event that it asks for. */
export const MAX_WEBHOOKS = 10;

/** Some services put a token of hundreds of characters into the URL. */
export const MAX_WEBHOOK_URL_CHARACTERS = 2_000;

/** Databases that one event names, in some 40 KB: many receivers take no more than 64. What is left goes into further events. */
export const MAX_DATABASES_IN_EVENT = 50;

/** Events that wait for one webhook, in the organization's object: of more than that, nobody reads the oldest. */
export const MAX_PENDING_DELIVERIES = 1_000;

/** Deliveries of one webhook that stay visible after their end. */
export const MAX_ENDED_DELIVERIES = 100;

/** Requests to webhooks that one organization makes at a time: the platform's object has six connections for everything. */
export const MAX_DELIVERIES_AT_ONCE = 4;

/** How long a webhook's endpoint has to answer: Standard Webhooks recommends 15 to 30 seconds. */
export const WEBHOOK_ANSWER_MS = 15_000;

/** A data token: longer than any that is minted. It bounds what a made-up one costs. */
export const MAX_DATA_TOKEN_LENGTH = 1200;

/**
 * How long the REST door remembers what an access token allows: then it asks the organization again. A revocation does not wait for that,
 * because the database's object knows of it.
 */
export const REMEMBERED_GRANT_MS = 60_000;

/** And of how many tokens at a time, at some 300 bytes each. */
export const MAX_REMEMBERED_GRANTS = 10_000;

/** Databases that one token lists: they are compared one by one at every use of it. */
export const MAX_DATABASES_OF_TOKEN = 100;

/** Origins that one token names: they are compared one by one at each use of it by a page. */
export const MAX_ORIGINS_OF_TOKEN = 20;

/** The longest host name, 253 characters, with https:// and a port. One origin travels in a data token, and so in a header of every request. */
export const MAX_ORIGIN_CHARACTERS = 267;

/** A key prefix travels in every data token, and so in a header of every request. */
export const MAX_KEY_PREFIX_BYTES = 512;

/** Databases of one organization, deleted ones included: its object keeps a row of each for good. */
export const MAX_DATABASES = 100_000;

/** Tokens of one organization that are neither revoked nor expired, without those of the next limit: its object keeps them all. */
export const MAX_TOKENS = 10_000;

/** Such tokens that were minted with one token that lists its databases, or with what it minted: its holder takes no one else's room. */
export const MAX_DELEGATED_TOKENS = 1_000;

/** Revoked and expired tokens that stay in a list, beside each of these two. */
export const MAX_ENDED_TOKENS = 1_000;

/** A request of the management API: the longest description, with room. */
export const MAX_MANAGEMENT_BODY_BYTES = 64 * KIB;

/** An idempotency key: a UUID or a digest, with room. */
export const MAX_IDEMPOTENCY_KEY_LENGTH = 255;

/**
 * Connections that the front of `npm start` keeps open at the same time, if the system's limit of open files lets it: an idle one takes
 * some 30 KB of its memory.
 */
export const MAX_CLIENT_CONNECTIONS = 20_000;

/** Requests and HTTP/2 streams under way at the front, answered ones that were not taken yet among them: some 10 KB each. */
export const MAX_CLIENT_REQUESTS = 20_000;

/** Streams of one HTTP/2 connection at the same time, its watches among them. */
export const MAX_STREAMS_OF_CONNECTION = 1000;

/** The first line and the headers of an HTTP/1.1 request: ten times the longest token, and room for what proxies add. */
export const MAX_REQUEST_HEAD_BYTES = 16 * KIB;

/** Requests of one HTTP/1.1 connection that wait for the answers before theirs. Hardly a client sends a second one. */
export const MAX_PIPELINED_REQUESTS = 32;

/** Bytes of answers that clients of the front have not taken yet, all together: the front holds some, and workerd the rest. */
export const MAX_UNTAKEN_ANSWER_BYTES = 256 * MIB;

/** Bytes of requests that workerd has not answered yet, all together: it may hold them all. */
export const MAX_UNANSWERED_REQUEST_BYTES = 256 * MIB;

/** They are counted in steps of this size, from the first on that is larger than any read. */
export const REQUEST_BYTES_STEP = 256 * KIB;

/**
 * How many times the places that are free one address may hold. So one address alone can have four fifths of them, a proxy with all
 * clients behind it as well, two addresses four ninths each, and there is always room for another.
 */
export const PLACES_OF_PEER_PER_FREE_PLACE = 4;

/** Files that workerd has open for a connection, and for a database: its file, its log and the index of that. */
export const DESCRIPTORS_PER_CONNECTION = 2;
export const DESCRIPTORS_PER_DATABASE = 3;

/** How long workerd has a database open after its last use: some ten seconds, with room. */
export const DATABASE_OPEN_MS = 12_000;

/** Requests that the front passes on at a time, for each file that workerd may have open. What they leave is for databases. */
export const PLACES_PER_DESCRIPTOR = 0.3;

/** Of the requests that the server process takes, how many may be watches and WebSockets, which last: the others get their turn. */
export const LASTING_SHARE_OF_PLACES = 0.75;

/** A request whose body comes more slowly, after the pause below, is given up: a modem is faster. */
export const MIN_CLIENT_BYTES_PER_SECOND = 1 * KIB;

/** How long a client may send nothing of a request that it has begun: longer than any network is interrupted that comes back. */
export const MAX_REQUEST_PAUSE_MS = 30_000;

/** How long a client may take nothing of its answer: the system's buffers move in steps of up to a megabyte. */
export const MAX_ANSWER_PAUSE_MS = 60_000;

/** While places run short, who is slower than that, after the pause below, makes room for others: 0.5 Mbit/s. */
export const CROWDED_CLIENT_BYTES_PER_SECOND = 64 * KIB;

/** And how long a client may pause meanwhile. */
export const MAX_CROWDED_PAUSE_MS = 2000;

/** How long a client may pause that is still sending a request which is answered: it may look at the answer only when it has sent all. */
export const MAX_LINGER_PAUSE_MS = 5000;

/** And how long it may go on. */
export const MAX_LINGER_MS = 30_000;

/** An idle connection is kept this long, if there is room: longer than proxies keep theirs, Google's ten minutes among them. */
export const MAX_IDLE_CONNECTION_MS = 11 * 60 * 1000;

/** A connection on which nothing was ever sent: browsers open such ones ahead of need. */
export const MAX_SILENT_CONNECTION_MS = 60_000;

/**
 * Work that was under way so often in a row when its object died may be why: it is given up, or tried again much later. Once may be
 * the work beside it, or somebody who ended the server.
 */
export const MAX_DEATHS_OF_WORK = 2;
