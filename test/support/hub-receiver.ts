/** How whoever is told something by the watch hub acknowledges it, one message at a time. */
import { expect } from "vitest";

export abstract class HubReceiver {
  /** A message is to be acknowledged. */
  isWaiting = false;
  abstract watcher: { acknowledge(): void; remove(): void } | null;
  /** How many messages have come. */
  protected abstract readonly count: number;

  /** The connection is gone; what was under way on it has come. */
  disconnect(): void {
    this.watcher?.remove();
    this.watcher = null;
    this.isWaiting = false;
  }

  acknowledge(): void {
    if (!this.isWaiting) return;
    this.isWaiting = false;
    this.watcher?.acknowledge();
  }

  /** Acknowledges until nothing comes any more. Returns how many messages came. */
  drain(): number {
    const before = this.count;
    for (let i = 0; this.isWaiting; i++) {
      expect(i, "messages to come to an end").toBeLessThan(10_000);
      this.acknowledge();
    }
    return this.count - before;
  }

  /** A message has come. */
  protected received(): void {
    expect(this.isWaiting, "one message is under way at a time").toBe(false);
    this.isWaiting = true;
  }
}
