/**
 * The heads of a connection's requests. A client sends the same few header blocks again and again: one for its reads, one for its writes,
 * another where the length of the body differs. So the last heads are kept with their blocks, and the same bytes are not decoded again
 * while they mean the same.
 */
import { HpackDecoder } from "./hpack.ts";
import { RequestHead } from "./request-head.ts";

/** What a connection keeps at most. */
export const MAX_KEPT_HEADS = 4;

/** A larger block, or head, is decoded each time. Deno's client needs a quarter of that. */
export const MAX_KEPT_BLOCK_BYTES = 512;
export const MAX_KEPT_HEAD_BYTES = 2048;

interface Kept {
  readonly block: Buffer;
  readonly head: RequestHead;
}

export class HeadDecoder {
  readonly #decoder = new HpackDecoder();
  /** Decoded with the table as it is. */
  readonly #kept: Kept[] = [];
  /** The place of the next one to be kept. */
  #next = 0;

  /** The head may be that of other requests, too. undefined: as `HpackDecoder.decode`. */
  decode(block: Buffer): RequestHead | undefined {
    for (const kept of this.#kept) if (kept.block.equals(block)) return kept.head;
    const head = new RequestHead();
    const table = this.#decoder.tableState;
    const isWhole = this.#decoder.decode(block, (field) => head.add(field));
    if (this.#decoder.tableState !== table) this.#forget();
    else if (isWhole && block.length <= MAX_KEPT_BLOCK_BYTES && head.bytes <= MAX_KEPT_HEAD_BYTES)
      this.#keep(block, head);
    return isWhole ? head : undefined;
  }

  /** With another table the same bytes may mean something else. */
  #forget(): void {
    this.#kept.length = 0;
    this.#next = 0;
  }

  #keep(block: Buffer, head: RequestHead): void {
    this.#kept[this.#next] = { block: Buffer.from(block), head };
    this.#next = (this.#next + 1) % MAX_KEPT_HEADS;
  }
}
