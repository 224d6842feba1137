/**
 * How the jobs of archives leave the object to its clients: they pause between pieces of work of about a millisecond. When somebody has
 * used the database since the last pause, the pause is longer. So a request in progress, which needs several turns, meets no work in between. An archive of a
 * database in use takes up to four times as long as one of an idle database.
 */
import type { Timers } from "../../core/timers.ts";

const PAUSE_MS = 3;

export function courtesy(
  breathe: () => Promise<void>,
  timers: Timers,
  database: { readonly operations: number },
): () => Promise<void> {
  let seen = database.operations;
  return async () => {
    await breathe();
    if (database.operations === seen) return;
    await new Promise<void>((resolve) => void timers.after(PAUSE_MS, resolve));
    seen = database.operations;
  };
}
