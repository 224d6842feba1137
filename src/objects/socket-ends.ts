/** How the object ends a socket that its peer has closed, or that broke off. */

import { isCarried } from "../contracts/socket.ts";

/**
 * The peer has closed the socket, or is gone. Until this side closes it too, the peer waits and the connection stays: the platform leaves
 * that to the object.
 */
export function closeToo(socket: WebSocket, code: number, reason: string): void {
  try {
    if (isCarried(code)) socket.close(code, reason);
    else socket.close();
  } catch {
    // It was already closed, as intended.
  }
}
