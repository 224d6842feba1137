/**
 * Allows only one server per data folder: workerd itself takes no lock, and two of them would corrupt each other's data. The lock is
 * SQLite's lock on `lock.db`, which the kernel drops when its holder ends, however it ends.
 */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { failure, type Failure } from "../core/errors.ts";

export interface FolderLock {
  release(): void;
}

const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

/** What the holder of the lock writes about itself, for the message to a server that is refused. */
interface Holder {
  readonly pid: number;
  readonly url: string;
  /** As RFC 3339. */
  readonly since: string;
}

/**
 * Locks the folder, and makes it if it is missing. `url`: where the server that wants the folder listens. `conflict`: another server has
 * it. `invalid`: it cannot be made or written. `insufficient-storage`: its disk is full.
 */
export function lockFolder(folder: string, url: string): FolderLock | Failure {
  let database: DatabaseSync | undefined;
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK | constants.X_OK);
    database = new DatabaseSync(join(folder, "lock.db"), { timeout: 0 });
    database.exec("BEGIN EXCLUSIVE");
    const holder: Holder = { pid: process.pid, url, since: new Date().toISOString() };
    writeFileSync(holderFile(folder), `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  } catch (error) {
    database?.close();
    if (isBusy(error)) {
      const other = `Another server is running on ${folder}${holderOf(folder)}`;
      return failure("conflict", `${other}: stop it, or choose another --persist-to.`);
    }
    if (isFull(error)) {
      const sentence = `The disk of the data folder ${folder} is full: a start needs about 1 MiB. Make room on it, or choose another --persist-to.`;
      return failure("insufficient-storage", sentence);
    }
    const reason = error instanceof Error ? error.message : String(error);
    return failure("invalid", `The data folder ${folder} cannot be written (${reason}): choose another --persist-to.`);
  }
  const held = database;
  return {
    release() {
      rmSync(holderFile(folder), { force: true });
      held.close();
    },
  };
}

/**
 * Calls `run` while no other process holds the lock file, which is not removed. Waits for up to ten seconds and blocks; `conflict` after
 * that.
 */
export function underLock<T>(file: string, run: () => T): T | Failure {
  const database = new DatabaseSync(file, { timeout: 10_000 });
  try {
    database.exec("BEGIN EXCLUSIVE");
    return run();
  } catch (error) {
    if (!isBusy(error)) throw error;
    return failure("conflict", `Another start holds ${file}: try again.`);
  } finally {
    database.close();
  }
}

/** Whether other users of the machine can list the folder or reach its contents. */
export function isOpenToOthers(folder: string): boolean {
  return (statSync(folder).mode & 0o055) !== 0;
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
}

function isFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ("errcode" in error && error.errcode === SQLITE_FULL) || ("code" in error && error.code === "ENOSPC");
}

const holderFile = (folder: string): string => join(folder, "server.json");

/** " (process 123, http://127.0.0.1:4512, since …)", or nothing when that is not known: the file may be from a holder that was killed. */
function holderOf(folder: string): string {
  try {
    // Only `lockFolder` writes it.
    const { pid, url, since } = JSON.parse(readFileSync(holderFile(folder), "utf8")) as Holder;
    if (!isRunning(pid)) return "";
    return ` (process ${pid}, ${url}, since ${since})`;
  } catch {
    return "";
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Not `recursive`: with that, Node tries without end where the system refuses to make a folder in an existing one (/proc). */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another process may have made the folder in between.
    if (!existsSync(folder)) throw error;
  }
}
