/** Messages about backups and jobs, as both APIs show them: as sentences, whatever they were made from. */
import type { BackupInfo } from "../../contracts/backup-commands.ts";
import { asSentence } from "../../core/errors.ts";

export function shownStatus(status: BackupInfo["status"]): BackupInfo["status"] {
  return "message" in status ? { ...status, message: asSentence(status.message) } : status;
}
