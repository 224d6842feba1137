/** What an object answers to entry commands (`contracts/entry-commands.ts`). */
import { encodeEntryList } from "../codec/entry-list.ts";
import type { EntryAnswer, EntryCommand } from "../contracts/entry-commands.ts";
import { admittedRange, admittedRanges, type Grant } from "../contracts/grant.ts";
import { unreachable } from "../core/assert.ts";
import { justAfter } from "../core/bytes.ts";
import { type Failure, failure } from "../core/errors.ts";
import { MAX_LEVEL_JUMPS, MAX_BATCH_ANSWER_BYTES, MAX_RPC_ANSWER_BYTES } from "../core/limits.ts";
import type { StoredEntry } from "../core/operations.ts";
import type { OpenDatabase } from "./database-wiring.ts";

/** The caller has checked that it may be read. */
export function answerPage(
  { database }: Pick<OpenDatabase, "database">,
  { start, end, limit, reverse, keysOnly, maxBytes }: Omit<Extract<EntryCommand, { command: "page" }>, "command">,
): EntryAnswer {
  const range = { start, end, limit, reverse };
  const page = database.readPage(range, { maxBytes: maxBytes ?? MAX_RPC_ANSWER_BYTES, keysOnly });
  if (maxBytes !== undefined && isMore(page.entries, page.more, limit, maxBytes)) return tooMuch(maxBytes);
  return encodeEntryList({ ...page, readAt: database.lastVersion });
}

/** Whether a page that may have so many entries ended before because of their bytes, or has more of them. */
function isMore(entries: readonly StoredEntry[], more: boolean, limit: number, maxBytes: number): boolean {
  if (more && entries.length < limit) return true;
  return entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0) > maxBytes;
}

function tooMuch(maxBytes: number): Failure {
  return failure("limit", `The entries have more than ${maxBytes} bytes. Ask for fewer at a time.`);
}

/** The caller has checked that the grant allows reading. */
export function answerEntries(
  { database }: Pick<OpenDatabase, "database">,
  grant: Grant,
  command: EntryCommand,
): EntryAnswer {
  switch (command.command) {
    case "get": {
      const ranges = command.keys.map((key) => ({ start: key, end: justAfter(key), limit: 1, reverse: false }));
      const maxBytes = Math.min(command.maxBytes ?? MAX_RPC_ANSWER_BYTES, MAX_BATCH_ANSWER_BYTES);
      const found = database.read(admittedRanges(grant, ranges), maxBytes);
      if (found === null) {
        return failure(
          "limit",
          `The entries of these keys have more than ${maxBytes} bytes, which is the limit. Ask for fewer at a time.`,
        );
      }
      const entries = found.map(([entry]) => entry ?? null);
      return encodeEntryList({ entries, more: false, readAt: database.lastVersion });
    }
    case "versions": {
      const found = command.keys.map((key) => {
        const range = { ...admittedRange(grant, { start: key, end: justAfter(key) }), limit: 1, reverse: false };
        return database.readPage(range, { maxBytes: MAX_RPC_ANSWER_BYTES, keysOnly: true }).entries[0] ?? null;
      });
      return encodeEntryList({ entries: found, more: false, readAt: database.lastVersion });
    }
    case "page": {
      return answerPage({ database }, { ...command, ...admittedRange(grant, command) });
    }
    case "level": {
      const { parent, start, end, limit, maxBytes } = command;
      const bounds = { limit, maxBytes: maxBytes ?? MAX_RPC_ANSWER_BYTES, maxJumps: MAX_LEVEL_JUMPS, keysOnly: false };
      const { entries, next } = database.readLevel(parent, admittedRange(grant, { start, end }), bounds);
      if (maxBytes !== undefined && isMore(entries, next !== null, limit, maxBytes)) return tooMuch(maxBytes);
      const rest = next === null ? {} : { next };
      return encodeEntryList({ entries, more: next !== null, readAt: database.lastVersion, ...rest });
    }
    default:
      return unreachable(command);
  }
}
