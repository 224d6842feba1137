/**
 * Export: `GET export?prefix=&start=&end=`, a line for each entry, in the order of keys. Entries are read one batch at a time, each from
 * one snapshot. The first line of a batch has the versionstamp at which the batch was read. The last line of the export has the number of
 * entries. Both are members that other readers ignore. The next batch is read when the client has taken the one before.
 */
import { exactLineOf } from "../../codec/json-notation/entry-line.ts";
import type { NotationOptions } from "../../codec/json-notation/stored-value.ts";
import type { KeyRange } from "../../codec/key-prefix.ts";
import { justAfter } from "../../core/bytes.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_EXPORT_BATCH_ENTRIES } from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { type Version, versionstampHex } from "../../core/versionstamp.ts";
import { listOf } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import { NDJSON } from "./media-types.ts";
import { notationOf, rangeOfQuery, SELECTOR_PARAMETERS, VALUES_PARAMETER } from "./parameters.ts";

/** Lines are sent when they have this many characters together. */
const PIECE_CHARACTERS = 128 * 1024;

export const exportEntries: Operation = {
  access: "read",
  past: true,
  query: [...SELECTOR_PARAMETERS, VALUES_PARAMETER],
  async answer(call) {
    const range = rangeOfQuery(call.query);
    if (isFailure(range)) return range;
    const notation = notationOf(call);
    if (isFailure(notation)) return notation;
    // Read before the status is sent, so that a refusal of the first batch can be a problem.
    const first = await readBatch(call, range);
    if (isFailure(first)) return first;
    const headers = { "content-type": NDJSON, "cache-control": "no-store", vary: "Cairn-Values" };
    return new Response(streamOf(linesOf(call, first, range, notation)), { headers });
  },
};

interface Batch {
  readonly entries: readonly StoredEntry[];
  readonly readAt: Version;
  /** Where the next batch begins. null: this is the last one. */
  readonly next: Uint8Array | null;
}

async function readBatch({ stub, grant }: RestCall, range: KeyRange): Promise<Batch | Failure> {
  const command = {
    command: "page",
    ...range,
    limit: MAX_EXPORT_BATCH_ENTRIES,
    reverse: false,
    keysOnly: false,
  } as const;
  const list = listOf(await stub.entries(grant, command));
  if (isFailure(list)) return list;
  const entries = list.entries.filter((entry) => entry !== null);
  const last = list.more ? entries.at(-1) : undefined;
  return { entries, readAt: list.readAt, next: last === undefined ? null : justAfter(last.key) };
}

/** Pieces of text. Throws when a batch cannot be read. That breaks the answer off, so that it does not look complete. */
async function* linesOf(
  call: RestCall,
  first: Batch,
  { end }: KeyRange,
  notation: NotationOptions,
): AsyncGenerator<string, void, undefined> {
  let batch = first;
  let [lines, entries, v8] = ["", 0, 0];
  for (;;) {
    const { next } = batch;
    for (const [index, entry] of batch.entries.entries()) {
      entries += 1;
      const isLast = next === null && index === batch.entries.length - 1;
      const readAt = index === 0 ? `,"readAt":"${versionstampHex(batch.readAt)}"` : "";
      const { text, form } = exactLineOf(entry, notation, readAt);
      if (form === "v8") v8 += 1;
      lines += isLast ? `${text.slice(0, -1)},"export":{"entries":${entries},"v8":${v8}}}\n` : `${text}\n`;
      if (lines.length < PIECE_CHARACTERS) continue;
      yield lines;
      lines = "";
    }
    if (next === null) break;
    const read = await readBatch(call, { start: next, end });
    if (isFailure(read)) throw new Error(read.message);
    batch = read;
  }
  if (lines !== "") yield lines;
}

function streamOf(pieces: AsyncGenerator<string, void, undefined>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream(
    {
      async pull(controller) {
        const { value, done } = await pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      async cancel() {
        await pieces.return();
      },
    },
    { highWaterMark: 0 },
  );
}
