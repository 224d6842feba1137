/** How a bench ends in any case: each of its parts has a deadline, and a keeper in a process of its own sees to the rest (`keeper.ts`). */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const keeper = fileURLToPath(new URL("keeper.ts", import.meta.url));

/** This process is killed after so long, and the folder is removed when it has ended. Its default for signals is to end at once: that stays. */
export function keepWatch(folder: string, deadlineMs: number): void {
  const child = spawn(process.execPath, [keeper, folder, String(process.pid), String(deadlineMs)], {
    stdio: ["pipe", "ignore", "inherit"],
    detached: true,
  });
  child.stdin.on("error", () => undefined);
  child.unref();
  // The pipe stays open as long as this process is there, and does not keep it there.
  if ("unref" in child.stdin && typeof child.stdin.unref === "function") child.stdin.unref();
}

/** Rejects with this sentence when it takes longer. What is still under way is left to the end of the process. */
export async function within<T>(work: Promise<T>, deadlineMs: number, sentence: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(sentence)), deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
