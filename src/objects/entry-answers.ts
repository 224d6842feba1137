/** What an object answers to entry commands (`contracts/entry-commands.ts`). */
import { encodeEntryList } from "../codec/entry-list.ts";
import type { EntryAnswer, EntryCommand } from "../contracts/entry-commands.ts";
import { admittedRange, admittedRanges, type Grant } from "../contracts/grant.ts";
import { unreachable } from "../core/assert.ts";
import { justAfter } from "../core/bytes.ts";
import { failure } from "../core/errors.ts";
import { MAX_LEVEL_JUMPS, MAX_BATCH_ANSWER_BYTES, MAX_RPC_ANSWER_BYTES } from "../core/limits.ts";
import type { OpenDatabase } from "./database-wiring.ts";

/** The caller has checked that it may be read. */
export function answerPage(
  { database }: Pick<OpenDatabase, "database">,
  { start, end, limit, reverse, keysOnly }: Omit<Extract<EntryCommand, { command: "page" }>, "command">,
): EntryAnswer {
  const range = { start, end, limit, reverse };
  const page = database.readPage(range, { maxBytes: MAX_RPC_ANSWER_BYTES, keysOnly });
  return encodeEntryList({ ...page, readAt: database.lastVersion });
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
      const { parent, start, end, limit } = command;
      const bounds = { limit, maxBytes: MAX_RPC_ANSWER_BYTES, maxJumps: MAX_LEVEL_JUMPS, keysOnly: false };
      const { entries, next } = database.readLevel(parent, admittedRange(grant, { start, end }), bounds);
      const rest = next === null ? {} : { next };
      return encodeEntryList({ entries, more: next !== null, readAt: database.lastVersion, ...rest });
    }
    default:
      return unreachable(command);
  }
}
