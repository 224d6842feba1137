/** Messages about backups and jobs, as both APIs show them: as sentences, whatever they were made from. */
import type { BackupInfo } from "../../contracts/backup-commands.ts";
import { asSentence } from "../../core/errors.ts";

export function sentenceOrNull(text: string | null): string | null {
  return text === null ? null : asSentence(text);
}

export function shownStatus(status: BackupInfo["status"]): BackupInfo["status"] {
  return "message" in status ? { ...status, message: asSentence(status.message) } : status;
}
