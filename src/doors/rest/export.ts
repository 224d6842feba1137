/**
 * Export: `GET export?prefix=&start=&end=`, a line for each entry, in the order of keys. Entries are read one batch at a time, each from
 * one snapshot. The first line of a batch has the versionstamp at which the batch was read. The last line of the export has the number of
 * entries. Both are members that other readers ignore. The next batch is read when the client has taken the one before.
 */
import { exactLineOf } from "../../codec/json-notation/entry-line.ts";
import type { NotationOptions } from "../../codec/json-notation/stored-value.ts";
import type { KeyRange } from "../../codec/key-prefix.ts";
import type { BoundedAnswer } from "../../contracts/entry-commands.ts";
import { justAfter } from "../../core/bytes.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_EXPORT_BATCH_ENTRIES, MAX_EXPORT_IDLE_MS, MAX_SMALL_JSON_BYTES } from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { type Version, versionstampHex } from "../../core/versionstamp.ts";
import { listOf } from "../http/answers.ts";
import type { Operation, RestCall } from "../http/call.ts";
import type { ExportRoom } from "../http/ration.ts";
import { NDJSON } from "./media-types.ts";
import { notationOf, rangeOfQuery, SELECTOR_PARAMETERS, VALUES_PARAMETER } from "./parameters.ts";

/** Lines are sent when they have this many characters together. */
const PIECE_CHARACTERS = 128 * 1024;

/** How often an export looks whether it is in the way of another one. */
const LOOK_MS = 500;

export const exportEntries: Operation = {
  access: "read",
  past: true,
  query: [...SELECTOR_PARAMETERS, VALUES_PARAMETER],
  async answer(call) {
    const range = rangeOfQuery(call.query);
    if (isFailure(range)) return range;
    const notation = notationOf(call);
    if (isFailure(notation)) return notation;
    const headers = { "content-type": NDJSON, "cache-control": "no-store", vary: "Cairn-Values" };
    const streamed = (first: Batch, room: ExportRoom | null): Response =>
      new Response(streamOf(call, linesOf(call, first, range, notation), room), { headers });
    // The first batch is read before the status is sent, so that a refusal of it can be a problem.
    const small = await readBatch(call, range, { maxBytes: MAX_SMALL_JSON_BYTES });
    if (!isFailure(small) && small.next === null) return streamed(small, null);
    if (isFailure(small) && small.code !== "limit") return small;
    const room = await call.ration.beginExport();
    if (isFailure(room)) return room;
    const first = isFailure(small) ? await readBatch(call, range) : small;
    if (!isFailure(first)) return streamed(first, room);
    room.end();
    return first;
  },
};

interface Batch {
  readonly entries: readonly StoredEntry[];
  readonly readAt: Version;
  /** Where the next batch begins. null: this is the last one. */
  readonly next: Uint8Array | null;
}

async function readBatch(
  { stub, grant }: RestCall,
  range: KeyRange,
  bounds: BoundedAnswer = {},
): Promise<Batch | Failure> {
  const command = {
    command: "page",
    ...range,
    limit: MAX_EXPORT_BATCH_ENTRIES,
    reverse: false,
    keysOnly: false,
    ...bounds,
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
  const { ration } = call;
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
      ration.rest();
      yield lines;
      lines = "";
      await ration.turn();
    }
    if (next === null) break;
    ration.rest();
    const read = await readBatch(call, { start: next, end });
    if (isFailure(read)) throw new Error(read.message);
    batch = read;
    await ration.turn();
  }
  ration.rest();
  if (lines !== "") yield lines;
}

/** `room`: counts the batch that is held. null: it is small. */
function streamOf(
  { clock, timers }: RestCall,
  pieces: AsyncGenerator<string, void, undefined>,
  room: ExportRoom | null,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  /** Since when the client has taken nothing. null: the next piece is being made for it. */
  let idleSince: number | null = clock.now();
  let stopLooking = (): void => undefined;
  const end = (): void => {
    stopLooking();
    room?.end();
  };
  return new ReadableStream(
    {
      start(controller) {
        if (room === null) return;
        const look = (): void => {
          const isIdle = idleSince !== null && clock.now() - idleSince >= MAX_EXPORT_IDLE_MS;
          if (isIdle && room.isWanted) {
            end();
            void pieces.return();
            return controller.error(new Error("The client takes nothing, and another export waits for its room."));
          }
          stopLooking = timers.after(LOOK_MS, look);
        };
        look();
      },
      async pull(controller) {
        idleSince = null;
        room?.touch();
        try {
          const { value, done } = await pieces.next();
          idleSince = clock.now();
          if (done !== true) return controller.enqueue(encoder.encode(value));
        } catch (error) {
          end();
          throw error;
        }
        end();
        controller.close();
      },
      async cancel() {
        end();
        await pieces.return();
      },
    },
    { highWaterMark: 0 },
  );
}
