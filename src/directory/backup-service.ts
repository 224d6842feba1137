/**
 * Commands about backups. This service checks them against the scopes of the caller's token, and the database's object carries them out.
 */
import type { BackupCommand, BackupInfo } from "../contracts/backup-commands.ts";
import { failure, type Failure, isFailure } from "../core/errors.ts";
import type { DatabaseControl, Input, Output } from "../contracts/management.ts";
import type { Organization } from "./organization.ts";
import type { Admitted } from "./scopes.ts";
import type { OrganizationParts } from "./organization-parts.ts";
import { destinationOf } from "./shared-bucket.ts";

const noSuchBackup = failure("not-found", "There is no such backup, or none that this token may know of.");

export class BackupService {
  readonly #organization: Organization;
  readonly #parts: OrganizationParts;

  constructor(organization: Organization, parts: OrganizationParts) {
    this.#organization = organization;
    this.#parts = parts;
  }

  async enable(who: Admitted, input: Input<"backups.enable">): Promise<BackupInfo | Failure> {
    const { databaseId } = input;
    const database = this.#database(who, databaseId);
    if (isFailure(database)) return database;
    const id = this.#parts.entropy.uuid();
    this.#organization.backupIds.add(id, databaseId);
    const destination = destinationOf(this.#organization.id, input.destination);
    const answer = await database.backup({ command: "enable", id, ...input, destination });
    if (answer.ok && answer.backup !== null) return answer.backup;
    this.#organization.backupIds.remove(id);
    return answer.ok ? failure("conflict", "The backup was deleted while it was made.") : answer;
  }

  async get(who: Admitted, databaseId: string): Promise<Output<"backups.get"> | Failure> {
    const database = this.#database(who, databaseId);
    if (isFailure(database)) return database;
    const answer = await database.backup({ command: "status" });
    return answer.ok ? { backup: answer.backup } : answer;
  }

  async find(who: Admitted, backupId: string): Promise<BackupInfo | Failure> {
    const found = await this.#find(who, backupId);
    return isFailure(found) ? found : found.backup;
  }

  async delete(who: Admitted, backupId: string): Promise<Output<"backups.delete"> | Failure> {
    const found = await this.#find(who, backupId);
    if (isFailure(found)) return found;
    const answer = await found.database.backup({ command: "disable" });
    if (!answer.ok) return answer;
    this.#organization.backupIds.remove(backupId);
    return { deleted: true };
  }

  pause(who: Admitted, { databaseId, paused }: Input<"backups.pause">): Promise<BackupInfo | Failure> {
    return this.#change(who, databaseId, { command: paused ? "pause" : "resume" });
  }

  rotate(who: Admitted, { databaseId, credentials }: Input<"backups.rotate">): Promise<BackupInfo | Failure> {
    return this.#change(who, databaseId, { command: "rotate", ...credentials });
  }

  verifyEvery(who: Admitted, { databaseId, hours }: Input<"backups.verifyEvery">): Promise<BackupInfo | Failure> {
    return this.#change(who, databaseId, { command: "verify every", hours });
  }

  async #change(who: Admitted, databaseId: string, command: BackupCommand): Promise<BackupInfo | Failure> {
    const database = this.#database(who, databaseId);
    if (isFailure(database)) return database;
    const answer = await database.backup(command);
    return answer.ok ? (answer.backup ?? noSuchBackup) : answer;
  }

  async #find(
    who: Admitted,
    backupId: string,
  ): Promise<{ readonly database: DatabaseControl; readonly backup: BackupInfo } | Failure> {
    const databaseId = this.#organization.backupIds.databaseOf(backupId);
    const database = databaseId === undefined ? noSuchBackup : this.#database(who, databaseId);
    if (isFailure(database)) return noSuchBackup;
    const answer = await database.backup({ command: "status" });
    if (!answer.ok) return answer;
    return answer.backup?.id === backupId ? { database, backup: answer.backup } : noSuchBackup;
  }

  #database(who: Admitted, databaseId: string): DatabaseControl | Failure {
    const database = this.#organization.database(who, databaseId);
    return isFailure(database) ? database : this.#parts.database(databaseId, database);
  }
}
