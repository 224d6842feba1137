/** `npm start` and `npm run dev` as the processes that they are. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Announcement } from "../../src/local/announcement.ts";

export const repository = join(import.meta.dirname, "../..");

export interface Program {
  readonly process: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | string | null>;
}

/**
 * In `root`, a checkout of the repository. Killed when the test ends, if it still runs. `shell`: what is done before it in the same
 * process, as setting a limit. In this checkout the Worker is not built anew for each start.
 */
export function runScript(
  script: "start" | "dev",
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  root = repository,
  shell = "",
): Program {
  const file = script === "start" && root === repository ? "test/support/start.ts" : `src/local/${script}.ts`;
  const command = [process.execPath, join(root, file), ...args];
  const child = spawn("/bin/sh", ["-c", `${shell}\nexec "$0" "$@"`, ...command], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const exited = new Promise<number | string | null>((resolve) => {
    child.once("close", (code, signal) => resolve(signal ?? code));
  });
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await exited;
  });
  return { process: child, stdout: () => stdout, stderr: () => stderr, exited };
}

/** Waits for the line of `--json`. */
export async function announced(program: Program): Promise<Announcement> {
  const ended = program.exited.then((how) => {
    throw new Error(`the program ended (${how}): ${program.stderr()}`);
  });
  const ready = new Promise<void>((resolve) => {
    const look = (): void => void (program.stdout().endsWith("\n") && resolve());
    program.process.stdout?.on("data", look);
    look();
  });
  await Promise.race([ready, ended]);
  return JSON.parse(program.stdout()) as Announcement; // The test of the announcement checks its members.
}

/** Of the workerd that serves the folder now. */
export function workerdPid(folder: string): number {
  return Number(readFileSync(join(folder, "workerd.pid"), "utf8"));
}

/** A process that has ended but that nobody has waited for yet does not count. */
export function isRunning(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/^\d+ \(.*\) Z /.test(readFileSync(stat, "utf8"));
}
