/** The names of archives below the prefix of their destination. */
import { toHex } from "../../core/bytes.ts";

const NAME = /^(?:(.+)\/)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/archives\/0*(\d{1,16})-[0-9a-f]{16}\.cairn$/;

/** `random`: 8 bytes, so that no name is used twice. */
export function archiveObjectName(databaseId: string, id: number, random: Uint8Array): string {
  return `${databaseId}/archives/${String(id).padStart(8, "0")}-${toHex(random)}.cairn`;
}

export interface ArchiveNameParts {
  /** What stands before the archive's own name, without a slash at the end. Empty: nothing does. */
  readonly directory: string;
  /** The name below that directory. */
  readonly object: string;
  readonly databaseId: string;
  /** The id that the archive has in its database. */
  readonly number: string;
}

/** null: the object is no archive. */
export function partsOfArchiveName(name: string): ArchiveNameParts | null {
  const [, directory = "", databaseId, number] = NAME.exec(name) ?? [];
  if (databaseId === undefined || number === undefined) return null;
  return { directory, object: name.slice(directory === "" ? 0 : directory.length + 1), databaseId, number };
}
