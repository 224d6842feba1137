/** Limits of the front of `npm start`. */

const KIB = 1024;
const MIB = 1024 * KIB;

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
 * Requests of one HTTP/2 connection that its client breaks off, or has broken off by its faults: so many at once, and so many more each second. Each costs the server work that
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

/** A session that was not used for this long is closed: its database does not sleep before. */
export const MAX_IDLE_SESSION_MS = 3_000;

/** A socket that is not open after this time is given up. */
export const SESSION_HANDSHAKE_MS = 10_000;

/** How long after the server has refused a session requests with that grant are sent to the Worker. */
export const SESSION_REFUSED_MS = 1000;

/** Files that workerd has open for a connection; and for a database: its file, its log and the log's index. */
export const DESCRIPTORS_PER_CONNECTION = 2;
export const DESCRIPTORS_PER_DATABASE = 3;

/** How long a database stays open after its last use: until its session is closed, and then some ten seconds, with room. */
export const DATABASE_OPEN_MS = 16_000;

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

/**
 * The part of such a piece that a new request counts as, until its answer begins. The process takes about a quarter of a millisecond for each,
 * also for one whose client is gone: without this bound, one client that opens requests by the thousand would keep everybody else waiting for
 * seconds.
 */
export const PIECES_PER_REQUEST = 1 / 8;

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
