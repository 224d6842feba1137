/**
 * What a database's object is asked about entries by doors that need more than KV Connect's messages say: when an entry expires, pages that
 * end by their size, keys alone. Entries cross as the message of `codec/entry-list.ts`, in bytes.
 */
import type { Failure } from "../core/errors.ts";

/** Keys are encoded. Entries with `start <= key < end`, bounds that need not be whole keys. */
export type EntryCommand =
  /** The entries of these keys, in their order, all from one snapshot. */
  | { readonly command: "get"; readonly keys: readonly Uint8Array[] }
  /** The first entries of a range, from one snapshot: as many as fit into an answer, at least one, and at most `limit`. */
  | {
      readonly command: "page";
      readonly start: Uint8Array;
      readonly end: Uint8Array;
      readonly limit: number;
      readonly reverse: boolean;
      /** The entries have no values. */
      readonly keysOnly: boolean;
    };

/** An EntryList, or why there is none. */
export type EntryAnswer = Uint8Array | Failure;
