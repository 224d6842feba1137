/** The entries of a range, one after the other, read a page at a time: for what goes through two states side by side. */
import type { KeyRange } from "../../codec/key-prefix.ts";
import { justAfter } from "../../core/bytes.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_READ_ENTRIES } from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { listOf } from "../http/answers.ts";
import type { PastState } from "../http/past.ts";

export class EntryPages {
  readonly #state: PastState;
  readonly #end: Uint8Array;
  readonly #keysOnly: boolean;
  /** Those that were read and not taken, the next one last. */
  #read: StoredEntry[] = [];
  /** Where the next page begins. null: there is none. */
  #next: Uint8Array | null;
  /** How many entries were taken. */
  taken = 0;

  /** `keysOnly`: values are empty. */
  constructor(state: PastState, { start, end }: KeyRange, { keysOnly }: { readonly keysOnly: boolean }) {
    this.#state = state;
    this.#next = start;
    this.#end = end;
    this.#keysOnly = keysOnly;
  }

  /** The next entry, which stays the next. null: the range has no more. */
  async peek(): Promise<StoredEntry | null | Failure> {
    while (this.#read.length === 0 && this.#next !== null) {
      const command = {
        command: "page",
        start: this.#next,
        end: this.#end,
        limit: MAX_READ_ENTRIES,
        reverse: false,
        keysOnly: this.#keysOnly,
      } as const;
      const list = listOf(await this.#state.stub.entries(this.#state.grant, command));
      if (isFailure(list)) return list;
      const entries = list.entries.filter((entry) => entry !== null);
      const last = list.more ? entries.at(-1) : undefined;
      this.#next = last === undefined ? null : justAfter(last.key);
      this.#read = entries.toReversed();
    }
    return this.#read.at(-1) ?? null;
  }

  /** What was peeked at is done with. */
  take(): void {
    this.#read.pop();
    this.taken += 1;
  }
}
