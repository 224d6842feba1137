/**
 * Commands about archives whose database was deleted. The organization says which databases those are. A database that is still there is
 * asked for its archives itself, because only its object knows which of them are in use.
 */
import type { Input, Output } from "../contracts/management.ts";
import type { FoundArchive, OrphanedArchive, OrphanedArchiveFiles } from "../contracts/orphaned-archives.ts";
import { type Failure, isFailure } from "../core/errors.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import type { Databases } from "./databases.ts";
import type { RestoreCommands } from "./restore-requests.ts";
import type { Admitted } from "./scopes.ts";

const ORDERING = "orphaned archives";

export class OrphanedArchiveRequests {
  readonly #databases: Databases;
  readonly #files: OrphanedArchiveFiles;
  readonly #jobs: Pick<RestoreCommands, "forkOfOrphan">;

  constructor(databases: Databases, files: OrphanedArchiveFiles, jobs: Pick<RestoreCommands, "forkOfOrphan">) {
    this.#databases = databases;
    this.#files = files;
    this.#jobs = jobs;
  }

  async list({ limit, cursor }: Input<"orphanedArchives.list">): Promise<Output<"orphanedArchives.list"> | Failure> {
    const after = cursor === null ? null : decodeCursor(cursor, ORDERING);
    if (after !== null && isFailure(after)) return after;
    const names = new DeletedNames(this.#databases);
    // A name may be one that somebody else has put there. A cursor has only ASCII.
    const page = await this.#files.page(after === null ? null : decodedName(after.id), limit, names.has);
    if (isFailure(page)) return page;
    const { archives, next } = page;
    return {
      items: archives.map((archive) => names.named(archive)),
      next: next === null ? null : encodeCursor({ ordering: ORDERING, value: 0, id: encodeURIComponent(next) }),
    };
  }

  async get({ archiveId }: Input<"orphanedArchives.get">): Promise<OrphanedArchive | Failure> {
    const names = new DeletedNames(this.#databases);
    const found = await this.#files.find(archiveId, names.has);
    return isFailure(found) ? found : names.named(found.archive);
  }

  fork(who: Admitted, input: Input<"orphanedArchives.fork">): Promise<Output<"orphanedArchives.fork"> | Failure> {
    return this.#jobs.forkOfOrphan(who, input, () => this.get(input));
  }

  async destroy({
    archiveId,
  }: Input<"orphanedArchives.destroy">): Promise<Output<"orphanedArchives.destroy"> | Failure> {
    const destroyed = await this.#files.destroy(archiveId, new DeletedNames(this.#databases).has);
    return isFailure(destroyed) ? destroyed : { destroyed: true };
  }
}

/** The names of databases that were deleted, each read once. */
class DeletedNames {
  readonly #databases: Databases;
  readonly #names = new Map<string, string | null>();

  constructor(databases: Databases) {
    this.#databases = databases;
  }

  readonly has = (id: string): boolean => this.#nameOf(id) !== null;

  named(archive: FoundArchive): OrphanedArchive {
    return { ...archive, databaseName: this.#nameOf(archive.databaseId) ?? "" };
  }

  /** null: the organization never had the database, or has it. */
  #nameOf(id: string): string | null {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const record = this.#databases.get(id);
    const isGone = record?.state === "deleting" || record?.state === "deleted";
    const name = isGone ? record.name : null;
    this.#names.set(id, name);
    return name;
  }
}

/** A cursor that was made up is read as it is: it begins somewhere in what the organization has. */
function decodedName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
