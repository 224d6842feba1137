/** Limits inside a database's object: rows, transactions, room, the order of writes, its clock. */

const KIB = 1024;
const MIB = 1024 * KIB;

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

/**
 * How many times in a row a piece of work may be under way when its object dies. Then the work may be the cause: it is given up, or tried
 * again much later. A single death may be due to other work, or to somebody who ended the server.
 */
export const MAX_DEATHS_OF_WORK = 2;
