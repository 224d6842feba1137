/** Limits of archives, each with its reason. docs/limits.md shows them. */
const MIB = 1024 * 1024;

/** Archives in a folder of the server leave the disk so many times what entries must leave: a full disk must not stop the database. */
export const ARCHIVE_FOLDER_RESERVES = 2;

/** One request to the folder of archives: more than the largest part of an upload. */
export const MAX_ARCHIVE_FOLDER_BODY_BYTES = 64 * MIB;

/** The text of a schedule: the longest sensible one, with lists of minutes and hours, is shorter. */
export const MAX_CRON_CHARACTERS = 100;

/** Destinations of a database's archives. Each archive goes to all that are enabled. */
export const MAX_ARCHIVE_DESTINATIONS = 10;

/** Failures that somebody is still to be told of. The oldest is dropped for a newer one: an endpoint that is down hears of the last ones. */
export const MAX_ARCHIVE_NOTICES = 20;
