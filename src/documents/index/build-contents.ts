/** What the entries of a table have in one build of its index, and how that changes with an entry. */
import type { StoredEntry } from "../../core/operations.ts";
import { columnsOf } from "../document.ts";
import { idsOfKey } from "../ids.ts";
import { type FindIndex, NO_ROWS, type DocumentRows, rowsOf } from "./index-rows.ts";
import type { IndexWriter } from "./index-writer.ts";
import type { Build, TableRegistry } from "./registry.ts";

export interface BuildContents {
  readonly registry: TableRegistry;
  readonly writer: IndexWriter;
}

/** Returns the rows of an entry under the table. null: the entry is no document. */
export function rowsOfEntry(entry: StoredEntry, build: Build, find: FindIndex): DocumentRows | null {
  if (idsOfKey(entry.key, build.prefix.length, build.definition.ids) === null) return null;
  const columns = columnsOf(entry);
  return columns === null ? null : rowsOf(columns, build.columns, find);
}

/**
 * Brings the build up to date with a change of an entry under the table. Returns whether the build itself must be saved. The writer is not
 * flushed.
 */
export function changeEntry(
  { registry, writer }: BuildContents,
  build: Build,
  before: StoredEntry | null,
  after: StoredEntry | null,
): boolean {
  const key = (after ?? before)?.key;
  if (key === undefined) return false;
  const ids = key.subarray(build.prefix.length);
  // What was there needs no index that is not there.
  const old = before && rowsOfEntry(before, build, (name, path, type) => build.index(name, path, type)?.id ?? null);
  const now = after && rowsOfEntry(after, build, (name, path, type) => registry.indexFor(build, name, path, type));
  for (const index of now?.many ?? []) registry.noteMany(build, index);
  writer.change(build.id, ids, old ?? NO_ROWS, now ?? NO_ROWS);
  const wasSkipped = before !== null && old === null;
  const isSkipped = after !== null && now === null;
  if (wasSkipped !== isSkipped) writer.skip(build.id, ids, isSkipped);
  const skipped = Number(isSkipped) - Number(wasSkipped);
  const leftOut = (now?.leftOut ?? 0) - (old?.leftOut ?? 0);
  build.skipped += skipped;
  build.leftOut += leftOut;
  return skipped !== 0 || leftOut !== 0;
}
