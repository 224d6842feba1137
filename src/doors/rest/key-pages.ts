/** Gives the entries of a range one after the other, and reads them in pages: for operations that go through two states side by side. */
import type { KeyRange } from "../../codec/key-prefix.ts";
import { justAfter } from "../../core/bytes.ts";
import { type Failure, isFailure } from "../../core/errors.ts";
import { MAX_READ_ENTRIES } from "../../core/limits.ts";
import type { StoredEntry } from "../../core/operations.ts";
import { listOf } from "../http/answers.ts";
import type { RestCall } from "../http/call.ts";
import type { PastState } from "../http/past.ts";
import type { Ration } from "../http/ration.ts";

export class EntryPages {
  readonly #state: PastState;
  readonly #ration: Ration;
  readonly #end: Uint8Array;
  readonly #keysOnly: boolean;
  /** Entries that were read and not yet taken, in reverse order: the next one is the last. */
  #read: StoredEntry[] = [];
  /** Where the next page begins. null: there is no next page. */
  #next: Uint8Array | null;
  /** How many entries were taken. */
  taken = 0;

  /** `keysOnly`: the entries come with empty values. */
  constructor(
    { ration }: Pick<RestCall, "ration">,
    state: PastState,
    { start, end }: KeyRange,
    { keysOnly }: { readonly keysOnly: boolean },
  ) {
    this.#ration = ration;
    this.#state = state;
    this.#next = start;
    this.#end = end;
    this.#keysOnly = keysOnly;
  }

  /** Returns the next entry and does not take it. null: the range has no more entries. */
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
      const list = listOf(await this.#ration.entries(this.#state, command));
      if (isFailure(list)) return list;
      const entries = list.entries.filter((entry) => entry !== null);
      const last = list.more ? entries.at(-1) : undefined;
      this.#next = last === undefined ? null : justAfter(last.key);
      this.#read = entries.toReversed();
    }
    return this.#read.at(-1) ?? null;
  }

  /** Takes the entry that `peek` has returned. */
  take(): void {
    this.#read.pop();
    this.taken += 1;
  }
}
