/**
 * A child process that never outlives this one. The kernel closes the guard's pipe when this process ends, even by kill -9; a
 * shell that waits on it then kills the child and everything that the child started.
 */
import { spawn } from "node:child_process";
import { Duplex, type Readable } from "node:stream";

export interface GuardedProcess {
  /** The program's own, not the shell's: the shell becomes the program. */
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** What the program writes to descriptor 4. */
  readonly control: Readable;
  /** How it ended: "exit code 1", "SIGKILL". By then nothing that it started runs any more. */
  readonly exited: Promise<string>;
  /** SIGTERM, and SIGKILL after the grace. Resolves when it has ended. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Descriptor 3 is the guard's pipe; nothing is ever written to it. The program leads a process group of its own, so a Ctrl-C in
 * the terminal does not reach it past us, and the guard, a member of the group, can kill it whole. A file that may not become larger
 * (`ulimit -f`) is an error of its writer and not the writer's end, where the shell knows the signal.
 */
const GUARD =
  '(trap "" XFSZ) 2>/dev/null && trap "" XFSZ; (exec >/dev/null 2>&1 4>&-; read -r _ <&3; kill -9 -$$) & exec "$0" "$@" 3<&-';

/** Rejects when the program cannot be started at all. */
export async function spawnGuarded(
  program: string,
  args: readonly string[],
  environment: Readonly<NodeJS.ProcessEnv>,
): Promise<GuardedProcess> {
  const child = spawn("/bin/sh", ["-c", GUARD, program, ...args], {
    stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
    detached: true,
    env: environment,
  });
  const exited = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => {
      killGroup(child.pid);
      resolve(signal ?? `exit code ${code}`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  const [, stdout, stderr, , control] = child.stdio;
  const { pid } = child;
  if (pid === undefined || stdout === null || stderr === null || !(control instanceof Duplex)) {
    throw new Error("expected a spawned process to have its pid and its pipes");
  }
  return {
    pid,
    stdout,
    stderr,
    control,
    exited,
    async stop(graceMs) {
      child.kill("SIGTERM");
      const impatience = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await exited;
      clearTimeout(impatience);
    },
  };
}

/** What is left of a group whose leader has ended: the guard, and children that did not end with their parent. */
function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    // The group is gone already, which is what was wanted.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
