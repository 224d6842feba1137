/** What the entries of a table have in one build of its index, and how that changes with an entry. */
import type { Change } from "../../engine/derived-tables.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { columnsOf } from "../document.ts";
import { idsOfKey } from "../ids.ts";
import type { GatheredRows } from "./gathered-rows.ts";
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

/** Enters an entry that the build has not looked at yet. Its values and places are gathered, the rest is written. */
export function enterEntry(
  { registry, writer }: BuildContents,
  build: Build,
  entry: StoredEntry,
  gathered: GatheredRows,
): void {
  const ids = entry.key.subarray(build.prefix.length);
  const rows = rowsOfEntry(entry, build, (name, path, type) => registry.indexFor(build, name, path, type));
  if (rows === null) {
    writer.skip(build.id, ids, true);
    build.skipped += 1;
    return;
  }
  for (const index of rows.many) registry.noteMany(build, index);
  build.leftOut += rows.leftOut;
  gathered.add(ids, rows, writer.addTexts(build.id, ids, rows));
}

/** Gathers the values and places of an entry that the build has looked at before: memory was lost before they were written. */
export function gatherAgain({ writer }: BuildContents, build: Build, entry: StoredEntry, gathered: GatheredRows): void {
  const rows = rowsOfEntry(entry, build, findOf(build));
  if (rows === null) return;
  const ids = entry.key.subarray(build.prefix.length);
  gathered.add(ids, rows, rows.points.length === 0 ? null : writer.numberOf(build.id, ids));
}

/**
 * Brings the build up to date with a change of an entry under the table. `isPartial`: values and places of the entry may be missing. Returns
 * whether the build itself must be saved. The writer is not flushed.
 */
export function changeEntry(
  { registry, writer }: BuildContents,
  build: Build,
  { before, after }: Change,
  isPartial: boolean,
): boolean {
  const ids = (after ?? before).key.subarray(build.prefix.length);
  const old = before && rowsOfEntry(before, build, findOf(build));
  const now = after && rowsOfEntry(after, build, (name, path, type) => registry.indexFor(build, name, path, type));
  for (const index of now?.many ?? []) registry.noteMany(build, index);
  writer.change(build.id, ids, old ?? NO_ROWS, now ?? NO_ROWS, isPartial);
  const wasSkipped = before !== null && old === null;
  const isSkipped = after !== null && now === null;
  if (wasSkipped !== isSkipped) writer.skip(build.id, ids, isSkipped);
  const skipped = Number(isSkipped) - Number(wasSkipped);
  const leftOut = (now?.leftOut ?? 0) - (old?.leftOut ?? 0);
  build.skipped += skipped;
  build.leftOut += leftOut;
  return skipped !== 0 || leftOut !== 0;
}

/** What was there needs no index that is not there. */
function findOf(build: Build): FindIndex {
  return (name, path, type) => build.index(name, path, type)?.id ?? null;
}
