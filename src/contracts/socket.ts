/** What sockets have in common wherever they are handled: their names on the wire, and the codes with which they are closed. The rules are docs/spec/socket.md. */
import { unreachable } from "../core/assert.ts";
import type { ErrorCode } from "../core/errors.ts";

export const socketProtocol = {
  /** The subprotocol, and the version of all that is said on the socket. */
  name: "cairn.v1",
  /** Begins a subprotocol that carries a data token as base64url, as in Kubernetes. */
  tokenPrefix: "base64url.bearer.authorization.cairn.",
  /** Of the object's URL for an upgrade; the grant is in the header of `watchProtocol`. */
  path: "/socket",
  /** The origin of the foreign page that opens the socket, if one does. */
  pageHeader: "x-cairn-page",
  /**
   * Of an answer to an upgrade, with the value `untouched`: no object was asked, because the client is refused or has shown no token yet. A
   * front that counts open databases reads it.
   */
  objectHeader: "cairn-object",
  untouched: "untouched",
  /** A text that is answered with the other without waking the object. */
  ping: "ping",
  pong: "pong",
} as const;

export const SocketClose = {
  /** The server has met an error of its own, and the outcome of what was not answered is unknown. */
  internal: 1011,
  /** Connect again at once. */
  again: 1012,
  protocol: 4400,
  token: 4401,
  scope: 4403,
  notFound: 4404,
  tooSlow: 4408,
  tooMuch: 4429,
} as const;

/** With what a socket is closed for a failure that concerns it as a whole. */
export function closeCodeOf(code: ErrorCode): number {
  switch (code) {
    case "invalid":
    case "type-mismatch":
    case "unsupported":
    case "conflict":
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

/** Bytes that were sent on it and have not left. workerd tells since November 2026; where it does not, they are taken to have left. */
export function unsentBytes(socket: { readonly bufferedAmount?: number }): number {
  return socket.bufferedAmount ?? 0;
}

const MAX_REASON_BYTES = 123;

/** The sentence as far as a close frame has room for it: 123 bytes of UTF-8. */
export function closeReason(message: string): string {
  const bytes = new TextEncoder().encode(message);
  if (bytes.length <= MAX_REASON_BYTES) return message;
  const room = MAX_REASON_BYTES - "…".length * 3;
  // A character that is cut in two is left out.
  const { read } = new TextEncoder().encodeInto(message, new Uint8Array(room));
  return `${message.slice(0, read)}…`;
}
