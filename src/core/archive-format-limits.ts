/** Limits of the file that an archive is, each with its reason. docs/limits.md lists them for users. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** The header of an archive: its few fields take some hundred bytes, and a reader holds all of it. */
export const MAX_ARCHIVE_HEADER_BYTES = 64 * KIB;

/**
 * Bytes of one chunk before compression and after decompression. A reader holds one chunk, so a small file that would grow without end is
 * refused here. It is more than a full chunk and the largest entry take together.
 */
export const MAX_ARCHIVE_CHUNK_BYTES = 4 * MIB;

/** Entries of one chunk, however small they are: a reader takes them without a pause, in a few milliseconds. */
export const MAX_ARCHIVE_CHUNK_ENTRIES = 5_000;

/** Bytes of the settings of a full archive, which are parsed at once: those of 1,000 tokens and 10 destinations are half as long. */
export const MAX_ARCHIVE_SETTINGS_BYTES = MIB;

/** Bytes of one chunk as it lies in the file. Bytes that gzip cannot make smaller become a little longer. */
export const MAX_ARCHIVE_BODY_BYTES = MAX_ARCHIVE_CHUNK_BYTES + 64 * KIB;

/** Chunks of one archive: at least half a MiB of entries each. Their number is the counter of the encryption. */
export const MAX_ARCHIVE_CHUNKS = 1_000_000;
