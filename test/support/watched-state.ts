/** What a watch hub reads, where only keys are watched. */
import { asUnixMs } from "../../src/core/clock.ts";
import { PROMPT_MS } from "../../src/core/limits.ts";
import type { Entry } from "../../src/core/operations.ts";
import { NO_VERSION } from "../../src/core/versionstamp.ts";
import type { WatchedState } from "../../src/engine/watched-state.ts";

export function watchedKeys(read: (keys: readonly Uint8Array[]) => readonly (Entry | null)[]): WatchedState {
  const refuse = (): never => {
    throw new Error("only keys are watched here");
  };
  const feed = { page: refuse, smallPage: refuse, follow: refuse };
  // So much time passes that no watcher is prompt.
  let time = 0;
  const now = () => asUnixMs((time += 2 * PROMPT_MS));
  return { lastVersion: NO_VERSION, now, read, version: refuse, entries: refuse, keys: refuse, logged: refuse, feed };
}
