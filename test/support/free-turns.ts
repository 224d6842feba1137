/** Turns of long work for a test that is about something else: each comes at once. */
import type { WorkTurns } from "../../src/core/process-turns.ts";

/** `onTurn`: what happens while others have their turn between two pieces. */
export function freeTurns(onTurn: () => Promise<void> = async () => undefined): WorkTurns {
  return {
    isAlone: true,
    begin: () => null,
    piece: (work) => work(),
    stored: async (work) => work(),
    flush: (flushed) => flushed(),
    worked: () => undefined,
    next: onTurn,
  };
}
