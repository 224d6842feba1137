/**
 * What all code that handles sockets shares: the names on the wire, and the codes with which sockets are closed. docs/spec/socket.md has
 * the rules.
 */
import { unreachable } from "../core/assert.ts";
import type { ErrorCode } from "../core/errors.ts";

export const socketProtocol = {
  /** The subprotocol. It is the version of everything that is said on the socket. */
  name: "cairn.v1",
  /** Begins a subprotocol that carries a data token as base64url, as in Kubernetes. */
  tokenPrefix: "base64url.bearer.authorization.cairn.",
  /** The path of the object's URL for an upgrade. The grant is in the header of `watchProtocol`. */
  path: "/socket",
  /** The origin of the page that opens the socket, when that is a page of another origin. */
  pageHeader: "x-cairn-page",
  /** Present when the Worker holds the client's socket and passes messages on: then it reports to the object what the client has taken. */
  relayHeader: "x-cairn-relay",
  /** Present when the front of the same machine opens the socket. It ends a socket that it does not use, so the object need not sleep with it. */
  awakeHeader: "x-cairn-awake",
  /** Begins the text of such a report. The number of bytes, or of characters of a text, that the client has taken since the last one follows. */
  taken: "taken ",
  /** A text that is answered with `pong` without waking the object. */
  ping: "ping",
  pong: "pong",
} as const;

export const SocketClose = {
  /** The server has met an error of its own. The outcome of unanswered requests is unknown. */
  internal: 1011,
  /** The client may connect again at once. */
  again: 1012,
  protocol: 4400,
  token: 4401,
  scope: 4403,
  notFound: 4404,
  tooSlow: 4408,
  tooMuch: 4429,
} as const;

/** The code of a connection without a close frame. */
export const BROKE_OFF = 1006;

/** 1004 has no meaning. The others stand for what no frame says: a close without a code, a break, a failed TLS handshake. */
const NEVER_CARRIED: ReadonlySet<number> = new Set([1004, 1005, BROKE_OFF, 1015]);

/** Whether a close frame may carry the code (RFC 6455, section 7.4). The platform refuses to close a socket with another one. */
export function isCarried(code: number): boolean {
  return code >= 1000 && code < 5000 && !NEVER_CARRIED.has(code);
}

/** The code with which a socket is closed after a failure that concerns the whole socket. */
export function closeCodeOf(code: ErrorCode): number {
  switch (code) {
    case "invalid":
    case "type-mismatch":
    case "unsupported":
    case "conflict":
    case "precondition-failed":
    // A feed that is too old ends alone, with an error that says from where it can be read. The socket's other requests go on.
    case "too-old":
      return SocketClose.protocol;
    case "unauthenticated":
      return SocketClose.token;
    case "forbidden":
    case "forbidden-origin":
      return SocketClose.scope;
    case "not-found":
      return SocketClose.notFound;
    case "limit":
      return SocketClose.tooMuch;
    case "unavailable":
      return SocketClose.again;
    case "insufficient-storage":
    case "internal":
      return SocketClose.internal;
    default:
      return unreachable(code);
  }
}

/**
 * Bytes that were sent on the socket and have not left. workerd reports them since November 2026; older ones count as if all had left.
 */
export function unsentBytes(socket: { readonly bufferedAmount?: number }): number {
  return socket.bufferedAmount ?? 0;
}

const MAX_REASON_BYTES = 123;

/** As much of the sentence as a close frame has room for: 123 bytes of UTF-8. */
export function closeReason(message: string): string {
  const bytes = new TextEncoder().encode(message);
  if (bytes.length <= MAX_REASON_BYTES) return message;
  const room = MAX_REASON_BYTES - "…".length * 3;
  // A character that would be cut in two is left out.
  const { read } = new TextEncoder().encodeInto(message, new Uint8Array(room));
  return `${message.slice(0, read)}…`;
}
