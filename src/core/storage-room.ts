/**
 * The messages for when there is no room to store more: on the disk of the server, in a database of the platform's greatest size, or
 * because the platform refused a write without a known reason.
 */
import { failure, type Failure } from "./errors.ts";

/** Bytes of the file system that holds the objects. */
export interface DiskFigures {
  readonly free: number;
  /** Bytes that writes leave free, so that reads, deletes and bookkeeping go on. */
  readonly reserve: number;
}

/** Below this share of the reserve nothing is written at all, and in any case below so many bytes. */
const LAST_SHARE = 16;
const MAX_LAST_BYTES = 4 * 1024 * 1024;

/** Bytes that even deletes leave free: a write that the disk refuses makes its database unreadable for a moment. */
export function lastReserve({ reserve }: Pick<DiskFigures, "reserve">): number {
  return Math.min(Math.floor(reserve / LAST_SHARE), MAX_LAST_BYTES);
}

/** The refusal of a write; its message says how little is left. */
export function diskIsNearlyFull(figures: DiskFigures): Failure {
  const { free, reserve } = figures;
  if (free < lastReserve(figures)) return diskIsFull(figures);
  return noRoom(
    `The disk of the server is nearly full: ${mebibytes(free)} are free, and writes leave ${mebibytes(reserve)} so that reads and deletes go on. Make room on the disk, or delete entries of this database: what they took can be written again.`,
  );
}

export function noRoomForDatabase({ free, reserve }: DiskFigures): Failure {
  return noRoom(
    `The disk of the server has no room for another database: ${mebibytes(free)} are free, and ${mebibytes(reserve)} are left so that reads and deletes go on. Make room on the disk, or delete databases.`,
  );
}

export function diskIsFull({ free }: DiskFigures): Failure {
  return noRoom(
    `The disk of the server is full: ${mebibytes(free)} are free, too little for any write, a delete included. Reads go on. Make room on the disk.`,
  );
}

export function noRoomForJob(bytes: number, { free, reserve }: DiskFigures): Failure {
  const needs = bytes === 0 ? "" : `needs about ${mebibytes(bytes)} and `;
  return noRoom(
    `The disk of the server has too little room: this ${needs}leaves ${mebibytes(2 * reserve)} for other databases, and ${mebibytes(free)} are free. Make room on the disk and start it again.`,
  );
}

export function databaseIsFull(bytes: number, limit: number): Failure {
  return noRoom(
    `The database is full: it has ${mebibytes(bytes)}, and the limit is ${mebibytes(limit)}. Delete entries, or delete the database's backup if its log has grown: what they took can be written again.`,
  );
}

/** `code`: SQLite's name for the error. */
export function storageRefused(code: string): Failure {
  return noRoom(
    code === "SQLITE_FULL"
      ? "There is no room for the write: the disk is full, or the database has the size that its platform allows. Delete entries, or make room on the disk."
      : `The disk refused the write (${code}), as it does when a quota is used up or the disk is broken. Ask the operator of this server.`,
  );
}

function noRoom(message: string): Failure {
  return failure("insufficient-storage", message);
}

function mebibytes(bytes: number): string {
  const mib = Math.max(0, bytes) / 2 ** 20;
  return mib >= 10_240 ? `${(mib / 1024).toFixed(1)} GiB` : `${mib >= 10 ? Math.round(mib) : mib.toFixed(1)} MiB`;
}
