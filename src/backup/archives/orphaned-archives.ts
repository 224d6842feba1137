/**
 * Archives of deleted databases in the deployment's own place, found by reading the place. So they are found whatever was lost: a killed
 * process, a database that was deleted by an earlier version. On Cloudflare the place is a bucket that has continuous backups, too. A page
 * asks for a bounded number of listings, and steps over what is none of its archives.
 */
import type { FoundArchive, FoundPage, IsDeleted, OrphanedArchiveFiles } from "../../contracts/orphaned-archives.ts";
import { fromHex, toHex } from "../../core/bytes.ts";
import { MAX_ARCHIVE_RANGE_BYTES, MAX_LISTINGS_OF_ORPHANED_ARCHIVES } from "../../core/archive-limits.ts";
import { failure, type Failure, isFailure } from "../../core/errors.ts";
import type {
  ByteRange,
  Destination,
  DestinationFailure,
  ListedObject,
  ObjectHead,
} from "../destinations/destination.ts";
import { type ArchiveNameParts, partsOfArchiveName } from "./archive-names.ts";

/** What the organization has in the place below the directory. null: the deployment has no place of its own. */
export type OpenOwnPlace = (directory: string) => Destination | Failure | null;

/** The folder of one generation of a continuous backup: see `format/object-names.ts`. */
const GENERATION = /^(?:.+\/)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\/[0-9a-f]{16}\//;

const MAX_LISTED_NAMES = 1_000;

const NOTHING: FoundPage = { ok: true, archives: [], next: null };

const NONE = failure("not-found", "There is no such archive of a deleted database, or not any more");

/** Where a file would lie. */
interface Named {
  readonly ok: true;
  readonly place: Destination;
  readonly parts: ArchiveNameParts;
}

export class OrphanedArchives implements OrphanedArchiveFiles {
  readonly #open: OpenOwnPlace;

  constructor(open: OpenOwnPlace) {
    this.#open = open;
  }

  async page(after: string | null, limit: number, isDeleted: IsDeleted): Promise<FoundPage | Failure> {
    const place = this.#open("");
    if (place === null) return NOTHING;
    if (isFailure(place)) return place;
    const archives: FoundArchive[] = [];
    let [from, last] = [after, after];
    for (let asked = 0; asked < MAX_LISTINGS_OF_ORPHANED_ARCHIVES; asked++) {
      // Mostly the first names are those that are wanted. More of them would only have to be read.
      const most = asked === 0 ? Math.min(limit + 1, MAX_LISTED_NAMES) : MAX_LISTED_NAMES;
      const listed = await place.list("", { limit: most, ...(from === null ? {} : { after: from }) });
      if (!listed.ok) return unreadable(listed);
      /** A folder of which the rest is stepped over. */
      let passed: string | null = null;
      for (const object of listed.objects) {
        if (passed !== null && object.name.startsWith(passed)) continue;
        const parts = partsOfArchiveName(object.name);
        const isOrphaned = parts !== null && isDeleted(parts.databaseId);
        passed = isOrphaned ? null : folderToPass(object.name, parts);
        if (!isOrphaned) continue;
        if (archives.length === limit) return { ok: true, archives, next: last };
        archives.push(found(object, parts));
        last = object.name;
      }
      if (listed.next === null) return { ok: true, archives, next: null };
      from = passed === null ? listed.next : endOf(passed);
    }
    return { ok: true, archives, next: from };
  }

  async find(
    id: string,
    isDeleted: IsDeleted,
  ): Promise<{ readonly ok: true; readonly archive: FoundArchive } | Failure> {
    const named = this.named(id, isDeleted);
    if (isFailure(named)) return named;
    const head = await headOf(named);
    if (isFailure(head)) return head;
    const { size, modified } = head;
    return { ok: true, archive: found({ name: nameOf(id), size, modified }, named.parts) };
  }

  async destroy(id: string, isDeleted: IsDeleted): Promise<{ readonly ok: true } | Failure> {
    const named = this.named(id, isDeleted);
    if (isFailure(named)) return named;
    const head = await headOf(named);
    if (isFailure(head)) return head;
    const removed = await named.place.delete(named.parts.object);
    return removed.ok ? { ok: true } : unreadable(removed);
  }

  /** Bytes of a file that was found with this size, for a database that restores it: fewer than asked for at the end. */
  async range(id: string, size: number, { offset, length }: ByteRange): Promise<Uint8Array | Failure> {
    const named = this.named(id, () => true);
    if (isFailure(named)) return named;
    const range = { offset, length: Math.min(length, MAX_ARCHIVE_RANGE_BYTES) };
    const got = await named.place.get(named.parts.object, range);
    if (!got.ok) return got.class === "retry" ? unreadable(got) : failure("not-found", got.message);
    if (got.size === size) return got.bytes;
    return failure("not-found", `The object has ${got.size} bytes, and the archive had ${size}: it was replaced`);
  }

  /** Where the file of that id would lie. */
  named(id: string, isDeleted: IsDeleted): Named | Failure {
    const parts = partsOfArchiveName(nameOf(id));
    if (parts === null || !isDeleted(parts.databaseId)) return NONE;
    // A directory that no destination can have is none of ours.
    const place = this.#open(parts.directory);
    return place === null || isFailure(place) ? NONE : { ok: true, place, parts };
  }
}

async function headOf({ place, parts }: Named): Promise<ObjectHead | Failure> {
  const head = await place.head(parts.object);
  if (head.ok) return head;
  return head.class === "not-found" ? NONE : unreadable(head);
}

function found(
  { name, size, modified }: ListedObject,
  { databaseId, directory, number }: ArchiveNameParts,
): FoundArchive {
  return { id: toHex(new TextEncoder().encode(name)), databaseId, number, directory, size, storedAt: modified };
}

/** Empty for a text that is no id. */
function nameOf(id: string): string {
  return /^([0-9a-f]{2})+$/.test(id)
    ? new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(fromHex(id))
    : "";
}

/** The folder in which no archive of a deleted database is: a generation of a backup, or the archives of a database that is there. */
function folderToPass(name: string, parts: ArchiveNameParts | null): string | null {
  return parts === null ? (GENERATION.exec(name)?.[0] ?? null) : name.slice(0, name.lastIndexOf("/") + 1);
}

/** Greater than every name in the folder, and less than every name after them: "0" follows "/". */
function endOf(folder: string): string {
  return `${folder.slice(0, -1)}0`;
}

function unreadable({ message }: DestinationFailure): Failure {
  return failure("unavailable", `The place of the archives does not answer as it should. ${message}`);
}
