/**
 * Watches over a bench from a process of its own, which lives exactly as long: `keeper.ts <folder> <pid> <milliseconds>`, and its stdin is a
 * pipe that the bench holds. When the bench has ended, however that was, its folder is removed. A bench that is still there after its
 * deadline is killed: nothing inside of it could do that while its event loop is blocked.
 */
import { rmSync } from "node:fs";

const [folder = "", pid = "", milliseconds = ""] = process.argv.slice(2);

/** The bench's servers are killed when it ends, and write for a moment longer. */
const SERVERS_END_MS = 1000;

const deadline = setTimeout(() => {
  process.stderr.write(`The bench did not end within ${Number(milliseconds) / 1000} seconds and is killed.\n`);
  // The bench is there, or its pipe would have ended: so this number is still its own.
  process.kill(Number(pid), "SIGKILL");
}, Number(milliseconds));

// A signal for the whole group, as from Ctrl-C, ends the bench; then this has its work to do.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

process.stdin.on("error", () => undefined);
process.stdin.once("close", () => {
  clearTimeout(deadline);
  setTimeout(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 }), SERVERS_END_MS);
});
process.stdin.resume();
