/** Where a server process of this machine listens. Both forms are options of node's `connect` and of its HTTP requests. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type ProcessAddress = UnixAddress | TcpAddress;

/** A Unix socket: `path` for `connect`, `socketPath` for an HTTP request. */
export interface UnixAddress {
  readonly path: string;
}

/** Of this machine. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** A socket's path in the kernel, without the zero at its end: 107 bytes on Linux, 103 on macOS. */
const MAX_SOCKET_PATH_BYTES = 103;

export interface SocketPlace extends UnixAddress {
  /** Removes what was made for it. */
  remove(): void;
}

/**
 * A path for a Unix socket in this folder, which is its owner's alone. Where that path is too long for a socket, it lies in a new folder
 * of the system's for temporary files, which is its owner's alone too. A socket that a dead process has left there is removed.
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

/** As options of node's HTTP requests. */
export function requestOptions(
  address: ProcessAddress,
): { readonly socketPath: string; readonly host: string } | TcpAddress {
  return "path" in address ? { socketPath: address.path, host: "localhost" } : address;
}
