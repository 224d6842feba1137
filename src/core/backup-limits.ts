/** Limits of backups: destinations and what they answer, the objects of a backup, restores, states of the past, verifications. */
import { MAX_MUTATIONS } from "./request-limits.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

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
