/** A shell into which tests type the commands of a page, as a reader does. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { delimiter, join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { repository } from "./markdown.ts";

export interface Shell {
  /** Everything that it and what it started have written. */
  readonly output: () => string;
  /** Resolves when the commands have been done; what they put into the background goes on. */
  type(commands: string): Promise<void>;
  /** Resolves when each of these lines is in the output. */
  saw(lines: readonly string[]): Promise<void>;
}

/** Bash in this folder, with the programs of the checkout. Killed with what it has started when the test ends. */
export function startShell(cwd: string, variables: Readonly<Record<string, string>> = {}): Shell {
  const shell = spawn("bash", ["-c", "exec 2>&1; exec bash"], {
    cwd,
    env: {
      ...process.env,
      PATH: [join(repository, "node_modules/.bin"), process.env["PATH"]].join(delimiter),
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      ...variables,
    },
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  const exited = once(shell, "exit");
  onTestFinished(async () => {
    // A group of its own: the watches in the background are in it.
    if (shell.pid !== undefined) process.kill(-shell.pid, "SIGKILL");
    await exited;
  });
  let output = "";
  let typed = 0;
  shell.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  return {
    output: () => output,
    async type(commands) {
      const done = `block ${++typed} is done`;
      shell.stdin.write(`${commands}\necho "${done}"\n`);
      await expect.poll(() => output).toContain(done);
    },
    async saw(lines) {
      for (const line of lines) await expect.poll(() => output).toContain(line);
    },
  };
}
