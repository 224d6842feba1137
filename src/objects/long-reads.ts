/** Which reads wait for the turn of their organization, because they may take milliseconds. What they ask for decides. */
import type { EntryCommand } from "../contracts/entry-commands.ts";
import type { ReadRange } from "../core/operations.ts";

/** A client of Deno reads a hundred entries at a time. */
const MOST_ENTRIES_OF_SHORT_READ = 100;

export function isLongRead(entries: number): boolean {
  return entries > MOST_ENTRIES_OF_SHORT_READ;
}

/** How many entries are asked for. */
export function entriesOfRanges(ranges: readonly ReadRange[]): number {
  return ranges.reduce((sum, { limit }) => sum + limit, 0);
}

/** To find a key takes as long as to read several entries of a range. */
const ENTRIES_PER_KEY = 5;

export function entriesOfCommand(command: EntryCommand): number {
  return command.command === "get" || command.command === "versions"
    ? command.keys.length * ENTRIES_PER_KEY
    : command.limit;
}
