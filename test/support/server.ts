/** A server as `npm start` runs it, in a process and a folder of its own, for tests that talk to it from outside. */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Announcement } from "../../src/local/announcement.ts";
import { spawnGuarded } from "../../src/local/guarded-process.ts";

const program = fileURLToPath(new URL("start.ts", import.meta.url));

/** More than the server itself gives what is under way when it is told to end. */
const GRACE_MS = 5000;

export interface TestServer extends Announcement {
  /** Of the workerd that runs now; it changes when that one dies. */
  workerdPid(): number;
  /** `$FOLDER` as the server sees it, which may be on a disk of its own. */
  readonly folder: string;
  /** Everything that the server and its workerd have written to stderr. */
  log(): string;
  /** Ends the server and removes its data. */
  close(): Promise<void>;
}

/**
 * Resolves when the server is ready, on a port that the system chose. Throws with what it wrote if it does not start.
 * `environment`: beside the test's own. `shell`: what is done in the same process before, where `$FOLDER` is what holds the data
 * folder; `through`: a command that runs it all. The server does not outlive the test's process, however that ends.
 */
export async function startTestServer(
  environment: Readonly<Record<string, string>> = {},
  { shell = "", through = [] }: { readonly shell?: string; readonly through?: readonly string[] } = {},
): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), "cairn-e2e-"));
  const args = [program, "--json", "--port", "0", "--persist-to", join(folder, "data")];
  const [command = "", ...rest] = [...through, "/bin/sh", "-c", `${shell}\nexec "$0" "$@"`, process.execPath, ...args];
  const server = await spawnGuarded(command, rest, { ...process.env, FOLDER: folder, ...environment });
  let log = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const seen = through.length === 0 ? folder : `/proc/${server.pid}/root${folder}`;
  const close = async (): Promise<void> => {
    await server.stop(GRACE_MS);
    rmSync(folder, { recursive: true, force: true });
  };

  const line = await Promise.race([
    once(createInterface({ input: server.stdout }), "line").then(([text]) => String(text)),
    server.exited.then(() => undefined),
  ]);
  if (line === undefined) {
    await close();
    throw new Error(`the server did not start:\n${log}`);
  }
  // The line is what `npm start -- --json` promises.
  const announced = JSON.parse(line) as Announcement;
  return {
    ...announced,
    folder: seen,
    workerdPid: () => Number(readFileSync(join(seen, "data/workerd.pid"), "utf8")),
    log: () => log,
    close,
  };
}
