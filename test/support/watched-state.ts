/** What a watch hub reads, where only keys are watched. */
import type { Entry } from "../../src/core/operations.ts";
import { NO_VERSION } from "../../src/core/versionstamp.ts";
import type { WatchedState } from "../../src/engine/watched-state.ts";

export function watchedKeys(read: (keys: readonly Uint8Array[]) => readonly (Entry | null)[]): WatchedState {
  const refuse = (): never => {
    throw new Error("only keys are watched here");
  };
  const feed = { page: refuse, follow: refuse };
  return { lastVersion: NO_VERSION, read, version: refuse, entries: refuse, keys: refuse, logged: refuse, feed };
}
