/** Where a server process of this machine listens. Both forms are options of node's `connect` and of its HTTP requests. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type ProcessAddress = UnixAddress | TcpAddress;

/** A Unix socket: `path` for `connect`, `socketPath` for an HTTP request. */
export interface UnixAddress {
  readonly path: string;
}

/** A port of this machine. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** The greatest length of a socket's path in the kernel, without the zero at its end: 107 bytes on Linux, 103 on macOS. */
const MAX_SOCKET_PATH_BYTES = 103;

export interface SocketPlace extends UnixAddress {
  /** Removes what was made for the socket. */
  remove(): void;
}

/**
 * A path for a Unix socket in this folder, which only its owner can open. When that path is too long for a socket, the socket gets a new
 * folder among the system's temporary files, which only its owner can open too. A socket that a dead process has left is removed.
 */
export function socketPlaceIn(folder: string, name: string): SocketPlace {
  const path = join(folder, name);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    const short = mkdtempSync(join(tmpdir(), "cairn-"));
    return { path: join(short, name), remove: () => rmSync(short, { recursive: true, force: true }) };
  }
  const remove = (): void => rmSync(path, { force: true });
  if (existsSync(path)) remove();
  return { path, remove };
}

/** The options for node's HTTP requests. */
export function requestOptions(
  address: ProcessAddress,
): { readonly socketPath: string; readonly host: string } | TcpAddress {
  return "path" in address ? { socketPath: address.path, host: "localhost" } : address;
}
