/** Limits of sockets. */

const KIB = 1024;
const MIB = 1024 * KIB;

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
