/** What the hub asks of a watch, whether of keys or of a prefix: what there is to tell its receiver. */
import type { KeyRange } from "../codec/key-prefix.ts";

export interface WatchView {
  /** Whether `next` may have something. Asking costs nothing. */
  readonly hasNews: boolean;
  /** A change concerns it, with this number among the recent changes. */
  noted(change: number): void;
  /** Whether it watches something in this range. */
  isWithin(range: KeyRange): boolean;
  /** What it watches may all have changed: the state was replaced. */
  replaced(): void;
  /** What the receiver was told last is not known any more. */
  lost(): void;
  /** What is to be told now. Null: nothing, after all. */
  next(): WatchMessage | null;
}

export interface WatchMessage {
  /** Of keys and values. */
  readonly bytes: number;
  readonly send: () => void;
}
