import type { Dirent } from "node:fs";
import { opendir } from "node:fs/promises";

/** What is in a folder, read in small pieces. A folder that is gone has nothing. */
export async function* entriesOf(path: string): AsyncGenerator<Dirent> {
  const folder = await opendir(path, { bufferSize: 256 }).catch(() => null);
  if (folder !== null) yield* folder;
}
