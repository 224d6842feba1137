/**
 * One server per data folder: workerd itself takes no lock, and two of them would corrupt each other's data. The lock is
 * SQLite's on `lock.db`, which the kernel drops when its holder ends, however it ends.
 */
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { failure, type Failure } from "../core/errors.ts";

export interface FolderLock {
  release(): void;
}

const SQLITE_BUSY = 5;

/** Makes the folder if it is missing. `conflict`: another server has it. `invalid`: it cannot be made or written. */
export function lockFolder(folder: string): FolderLock | Failure {
  let database: DatabaseSync | undefined;
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK | constants.X_OK);
    database = new DatabaseSync(join(folder, "lock.db"), { timeout: 0 });
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) {
      return failure("conflict", `Another server is running on ${folder}: stop it, or choose another --persist-to.`);
    }
    const reason = error instanceof Error ? error.message : String(error);
    return failure("invalid", `The data folder ${folder} cannot be written (${reason}): choose another --persist-to.`);
  }
  const held = database;
  return { release: () => held.close() };
}

/** Not `recursive`: with that, Node tries without end where the system does not let a folder be made in one that is there (/proc). */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Somebody else may have made it in between.
    if (!existsSync(folder)) throw error;
  }
}
