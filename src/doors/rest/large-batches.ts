/**
 * Batches whose entries are large together. The Worker holds the stored bytes and the JSON of each while it makes the answer, for all tenants
 * in one memory: so only a few are made at a time, and the others wait. Waiting is polling, because one request of the platform cannot be
 * woken by another.
 */
import { failure, type Failure } from "../../core/errors.ts";
import { LARGE_BATCH_WAIT_MS, MAX_LARGE_BATCHES } from "../../core/limits.ts";
import type { RestCall } from "../http/call.ts";

const LOOK_MS = 20;

const turns = { taken: 0 };

/** What `work` comes to in its turn; "unavailable" when that does not come in time. */
export async function inTurn<T>({ clock, timers }: RestCall, work: () => Promise<T>): Promise<T | Failure> {
  const until = clock.now() + LARGE_BATCH_WAIT_MS;
  for (; turns.taken >= MAX_LARGE_BATCHES;) {
    if (clock.now() >= until) return BUSY;
    await new Promise<void>((resolve) => timers.after(LOOK_MS, resolve));
  }
  turns.taken += 1;
  try {
    return await work();
  } finally {
    turns.taken -= 1;
  }
}

const BUSY = failure(
  "unavailable",
  "Large batches of others are being answered. Try again, or ask for fewer keys at a time.",
);
