/**
 * What doors ask of a database's object about entries when KV Connect's messages do not say enough: when an entry expires, pages that end
 * by their size, keys without values. Entries are sent as bytes, as the message of `codec/entry-list.ts`.
 */
import type { Failure } from "../core/errors.ts";

/** Keys are encoded. A range is the entries with `start <= key < end`, whose bounds need not be whole keys. */
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
