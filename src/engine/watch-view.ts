/** What the hub asks of a watch, of keys or of a prefix: what there is to tell its receiver. */
import type { KeyRange } from "../codec/key-prefix.ts";

export interface WatchView {
  /** Whether `next` may have something. Asking costs nothing. */
  readonly hasNews: boolean;
  /** A change concerns the watch. `change` is its number among the recent changes. */
  noted(change: number): void;
  /** Whether it watches something in this range. */
  isWithin(range: KeyRange): boolean;
  /** Everything that the watch watches may have changed: the state was replaced. */
  replaced(): void;
  /** What the receiver was told last is not known any more. */
  lost(): void;
  /** What is to be told now. null: nothing. */
  next(): WatchMessage | null;
}

export interface WatchMessage {
  /** Bytes of keys and values. */
  readonly bytes: number;
  readonly send: () => void;
}
