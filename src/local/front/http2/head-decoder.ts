/**
 * The heads of a connection's requests. A client sends the same header block with most of them: the token, the path, and every value that
 * does not change. So the last head is kept with its block, and the same bytes are not decoded again while they mean the same.
 */
import { HpackDecoder } from "./hpack.ts";
import { RequestHead } from "./request-head.ts";

/** A longer block is decoded each time. Each connection may keep so much; what the block refers to in its client's table is bounded, too. */
export const MAX_KEPT_BLOCK_BYTES = 1024;

interface Kept {
  readonly block: Buffer;
  readonly head: RequestHead;
}

export class HeadDecoder {
  readonly #decoder = new HpackDecoder();
  /** The block before, if it would be the same head again. */
  #kept: Kept | undefined;

  /** The head may be that of other requests, too. undefined: as `HpackDecoder.decode`. */
  decode(block: Buffer): RequestHead | undefined {
    if (this.#kept?.block.equals(block) === true) return this.#kept.head;
    this.#kept = undefined;
    const head = new RequestHead();
    const table = this.#decoder.tableState;
    if (!this.#decoder.decode(block, (field) => head.add(field))) return undefined;
    // A block that changes the table changes what its own bytes mean.
    if (this.#decoder.tableState === table && block.length <= MAX_KEPT_BLOCK_BYTES && !head.isTooLarge)
      this.#kept = { block: Buffer.from(block), head };
    return head;
  }
}
