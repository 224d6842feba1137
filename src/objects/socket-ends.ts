/** How the object ends a socket that its peer has closed, or that broke off. */

/** The codes of a close without a code, and of a connection without a close frame. A close frame cannot carry them. */
const NO_CODE = 1005;
export const BROKE_OFF = 1006;

/**
 * The peer has closed the socket, or is gone. Until this side closes it too, the peer waits and the connection stays: the platform leaves
 * that to the object.
 */
export function closeToo(socket: WebSocket, code: number, reason: string): void {
  try {
    if (code === NO_CODE || code === BROKE_OFF) socket.close();
    else socket.close(code, reason);
  } catch {
    // It was already closed, as intended.
  }
}
