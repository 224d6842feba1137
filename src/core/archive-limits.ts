/** Limits of archives, each with its reason. docs/limits.md shows them. */
const KIB = 1024;
const MIB = 1024 * KIB;

/** Archives in a folder of the server leave the disk so many times what entries must leave: a full disk must not stop the database. */
export const ARCHIVE_FOLDER_RESERVES = 2;

/**
 * The part of what it has there and what is free that an organization's archives take in that folder: others find as much. An operator
 * whose deployment has one organization sets another limit, with CAIRN_ARCHIVE_SHARE.
 */
export const MAX_ARCHIVE_FOLDER_SHARE = 0.5;

/** One request to the folder of archives: more than the largest part of an upload. */
export const MAX_ARCHIVE_FOLDER_BODY_BYTES = 64 * MIB;

/** The text of a schedule: the longest sensible one, with lists of minutes and hours, is shorter. */
export const MAX_CRON_CHARACTERS = 100;

/** Destinations of a database's archives. Each archive goes to all that are enabled. */
export const MAX_ARCHIVE_DESTINATIONS = 10;

/** Failures that somebody is still to be told of. The oldest is dropped for a newer one: an endpoint that is down hears of the last ones. */
export const MAX_ARCHIVE_NOTICES = 20;

/** What an owner says of an archive: shown in every list of archives. */
export const MAX_ARCHIVE_DESCRIPTION_CHARACTERS = 1_000;

/** The name of a destination, as it is shown with each archive. */
export const MAX_ARCHIVE_DESTINATION_NAME_CHARACTERS = 100;

/** Archives on one page of a list: a page is held in memory. */
export const MAX_ARCHIVES_ON_PAGE = 200;

/** The head of the part of a multipart form that has the file: the names that browsers and clients send are shorter. */
export const MAX_FORM_PART_HEAD_BYTES = 4_096;

/** The days of a schedule's retention: ten years. */
export const MAX_ARCHIVE_RETENTION_DAYS = 3_650;

/** How many archives a schedule or a destination may be asked to keep. */
export const MAX_KEPT_ARCHIVES = 10_000;

/** Tokens that a full archive lists: they are in one chunk with the rest of what is not an entry. */
export const MAX_TOKENS_IN_ARCHIVE = 1_000;

/**
 * Listings of the deployment's own place for one page of the archives of deleted databases. Each has 1,000 names at most. What lies there
 * besides is stepped over, a folder with each listing.
 */
export const MAX_LISTINGS_OF_ORPHANED_ARCHIVES = 10;

/** Listings of the folder of archives that one organization has waiting: each reads a whole folder, and one goes on at a time. */
export const MAX_WAITING_LISTINGS = 16;

/** Archives of one database: a list that nobody empties must not grow without end. */
export const MAX_ARCHIVES = 10_000;

/** How long a destination that cannot be reached is tried: other jobs of the database wait meanwhile, and other destinations have the archive. */
export const MAX_ARCHIVE_SENDING_MS = 10 * 60 * 1000;

/** How long the sender of an uploaded archive may send nothing: other jobs of the database wait for it. */
export const MAX_ARCHIVE_UPLOAD_SILENCE_MS = 30_000;

/** The least rate of such a sender, on average: one of a byte now and then would keep other jobs out. */
export const MIN_ARCHIVE_UPLOAD_BYTES_PER_SECOND = 16 * KIB;

/** How long such a sender may be slower than that. */
export const ARCHIVE_UPLOAD_GRACE_MS = 60_000;

/** Bytes of an archive that are read at once: an object holds two such pieces, one that is used and one that comes. */
export const MAX_ARCHIVE_RANGE_BYTES = 4 * MIB;

/** What a download counts for: a piece in the object, one on its way out, and what the runtime keeps of both. */
export const DOWNLOAD_MEMORY_BYTES = 16 * MIB;

/** The memory of all downloads of a process: clients that read nothing must not take it from others. An organization has at most half. */
export const MAX_PROCESS_DOWNLOAD_BYTES = 512 * MIB;

/** How long a client may take for a piece of a download: 37 KiB a second. After that its memory is no longer counted. */
export const MAX_DOWNLOAD_PIECE_MS = 110_000;
